from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from tests.unit.reports.made import HOSTILE, SLOWLY
from willitcompile.errors import NoAnswer
from willitcompile.model import CheckResult, Diagnostic, Expectation, Verdict
from willitcompile.reports import Style
from willitcompile.reports.html import messages, render
from willitcompile.reports.html.words import TOLD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., CheckResult]

VOID = {"meta", "link", "input", "rect", "path"}
KNOWN = {
    *("html", "head", "title", "style", "body", "header", "main", "footer", "section", "article", "div", "span", "p"),
    *(
        "h1",
        "h2",
        "h3",
        "h4",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    ),
    *("a", "svg", "label", "strong", "small", "code", "pre", "details", "summary", "time", *VOID),
}


class Page(HTMLParser):
    """What a browser makes of it, or as much as tells whether something got in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.cells: list[str] = []
        self.text = ""
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in KNOWN, tag
        found = dict(attrs)
        self.attributes |= set(found)
        if "id" in found:
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.append(str(found["href"]))
        if tag == "td":
            self.cells.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data
        if "td" in self.open:
            self.cells[-1] += data


def page(*results: CheckResult) -> Page:
    return Page("".join(render(results, Style())))


def test_the_matrix_has_a_cell_for_each_compile_in_words(result: Make) -> None:
    read = page(
        result(),
        result(standard="c++20", verdict=Verdict.REJECTED, stderr="no"),
        result(toolchain="clang-19", verdict=Verdict.TIMEOUT),
    )
    assert [" ".join(each.split()) for each in read.cells] == [
        "✓ Compiles",
        "✗ Rejected",
        "◷ Too long",
        "n/a",
    ]
    assert "1 of 3 compile" in read.text


def test_every_verdict_has_a_word() -> None:
    assert set(TOLD) == set(Verdict)


def test_standards_stand_in_the_order_of_their_language(result: Make) -> None:
    read = page(*(result(standard=each) for each in ("c++20", "c++98", "c++17")))
    assert re.findall(r"c\+\+\d+", read.text.partition("Messages")[0])[:3] == ["c++98", "c++17", "c++20"]


def test_a_table_for_each_language(result: Make) -> None:
    text = "".join(render([result("a.cpp"), result("b.rs", language="rust", standard="2021")], Style()))
    assert text.count("<table>") == 2
    assert "Rust</caption>" in text


def test_a_cell_leads_to_its_messages(result: Make) -> None:
    error = Diagnostic("main.cpp", 7, 3, "error", "-Wx", "no such thing")
    read = page(result(), result(standard="c++20", verdict=Verdict.REJECTED, diagnostics=(error,)))
    (link,) = (each for each in read.links if each != "#matrix")
    assert link.removeprefix("#") in read.ids
    assert "main.cpp:7:3" in read.text
    assert "no such thing" in read.text


def test_what_several_say_is_told_once(result: Make) -> None:
    error = Diagnostic("main.cpp", 7, 3, "error", None, "no such thing")
    bad = {"verdict": Verdict.REJECTED, "diagnostics": (error,)}
    read = page(result(**bad), result(**bad, toolchain="gcc-13"), result(**bad, standard="c++20"))
    assert read.text.count("no such thing") == 1
    assert "gcc-12 at c++17, c++20; gcc-13 at c++17" in read.text
    assert len({each for each in read.links if each != "#matrix"}) == 1


def test_what_is_as_expected_is_well(result: Make) -> None:
    expected = Expectation(Verdict.REJECTED)
    read = page(result(verdict=Verdict.REJECTED, expected=expected), result(standard="c++20", expected=expected))
    assert [" ".join(each.split()) for each in read.cells] == ["✓ Rejected as expected", "✗ Compiles not as expected"]
    assert "1 of 2 are as expected" in read.text


def test_what_explains_the_end_is_there(result: Make) -> None:
    read = page(result(verdict=Verdict.REJECTED, stderr="no", hint="c++20", notes=("x.h was not sent",)))
    assert "compiles with --std c++20" in read.text
    assert "x.h was not sent" in read.text
    assert "for more time: --timeout 60" in page(result(verdict=Verdict.TIMEOUT)).text


def test_nothing_checked_is_a_page_too() -> None:
    assert "Nothing was compiled" in page().text


def test_an_error_on_the_way_is_told_before_all_else(result: Make) -> None:
    def results() -> Iterator[CheckResult]:
        yield result("a.c")
        raise NoAnswer("check <b.c>", "it broke", "mend it")

    pieces = []
    with pytest.raises(NoAnswer):
        pieces.extend(render(results(), Style()))
    said = Page("".join(pieces)).text
    assert said.index("check <b.c>: it broke. To mend it: mend it") < said.index("Matrix")


def test_nothing_is_run_and_nothing_is_loaded(result: Make) -> None:
    text = "".join(render([result(verdict=Verdict.REJECTED, stderr="no")], Style()))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    css = re.search(r"<style>(.*)</style>", text, re.DOTALL)
    assert policy
    assert css
    digest = base64.b64encode(hashlib.sha256(css[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in policy[1]
    assert "script" not in policy[1]
    assert not re.search(r"https?://(?!www\.w3\.org)|@import|url\(", text)
    assert Page(text).attributes.isdisjoint({"style", "src", "onclick", "onload", "onerror"})


def test_a_page_of_megabytes_of_output_is_cut(result: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MOST_OUTPUT", 1000)
    monkeypatch.setattr(messages, "MOST_OUTPUT_IN_ALL", 20_000)
    bad = [result(f"{name}.c", Verdict.REJECTED, stderr=name * 9000) for name in "abcd"]
    text = "".join(render(bad, Style()))
    assert "a" * 1000 in text
    assert "a" * 1001 not in text
    assert text.count("It said more than is shown.") == 2
    assert text.count("What the compiler said is left out") == 2


def test_many_messages_are_cut(result: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MOST_SHOWN", 10)
    flood = tuple(Diagnostic("a.c", line, 1, "error", None, "no") for line in range(1, 100))
    assert "and 89 more messages" in page(result(verdict=Verdict.REJECTED, diagnostics=flood)).text


def test_messages_that_do_not_fit_in_memory_are_all_there(result: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("willitcompile.reports.html.IN_MEMORY", 1000)
    bad = [result(f"{number}.c", Verdict.REJECTED, stderr=f"é{number}" * 100) for number in range(50)]
    read = page(*bad)
    assert all(f"é{number}" * 100 in read.text for number in range(50))


@SLOWLY
@given(HOSTILE)
def test_whatever_a_source_says_nothing_of_it_becomes_markup(results: list[CheckResult]) -> None:
    read = page(*results)
    assert len(set(read.ids)) == len(read.ids)
    assert all(each.removeprefix("#") in read.ids for each in read.links)
    allowed = {
        *(
            "lang",
            "charset",
            "http-equiv",
            "content",
            "name",
            "rel",
            "href",
            "width",
            "height",
            "viewbox",
            "aria-hidden",
        ),
        *("fill", "rx", "d", "stroke", "stroke-width", "stroke-linecap", "stroke-linejoin", "class", "id", "x", "type"),
        *("preserveaspectratio", "tabindex", "role", "aria-label", "scope", "rowspan", "open", "datetime"),
    }
    assert read.attributes <= allowed
