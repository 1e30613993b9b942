"""What is pure in it; tests/serve/test_v2.py has the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends.fake import TOOLCHAINS
from willitcompile.errors import RequestError
from willitcompile.model import Limits
from willitcompile.server import v2

if TYPE_CHECKING:
    from willitcompile.server.checks import Check


def planned(**body: Any) -> Check:
    asked = msgspec.convert({"files": {"a.c": "int x;"}, **body}, v2.CheckBody)
    return v2.plan(asked, TOOLCHAINS, "fake", Limits(), "me", None)


def test_each_source_with_each_toolchain_at_each_standard_that_fits() -> None:
    files = {"a.c": "", "b.cpp": "", "b.hpp": ""}
    check = planned(files=files, toolchains=["gcc", "clang"], standards=["c17", "c++17", "c++20"])
    assert [(cell.source, cell.toolchain, cell.standard) for cell in check.cells] == [
        ("a.c", "gcc-13", "c17"),
        ("a.c", "clang-19", "c17"),
        ("b.cpp", "gcc-13", "c++17"),
        ("b.cpp", "gcc-13", "c++20"),
        ("b.cpp", "clang-19", "c++17"),
        ("b.cpp", "clang-19", "c++20"),
    ]


def test_only_those_are_checked_that_are_named() -> None:
    check = planned(files={"a.c": "", "b.c": "", "c.h": ""}, sources=["c.h", "b.c"], language="c")
    assert [cell.source for cell in check.cells] == ["c.h", "b.c"]


def test_bytes_that_are_no_text_come_as_base64() -> None:
    assert planned(files={"a.c": {"base64": "/w=="}}).ask.files == {"a.c": b"\xff"}


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "..",
        "../a.c",
        "a/../b.c",
        "./a.c",
        "a//b.c",
        "a/",
        "a\nb.c",
        "-o.c",
        "@a.c",
        "a\\b.c",
        "é" * 128,
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(RequestError, match="no path of a file"):
        planned(files={"a.c": "", path: ""})


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"files": {"a.c": "", "a.c/b.c": ""}}, "a directory too"),
        ({"files": {"a.c": "", ".": ""}}, "a directory too"),
        ({"files": {"a.c": {"base64": "%"}}}, "not base64"),
        ({"files": {"README": ""}}, "no source"),
        ({"sources": ["b.c"]}, "no such file"),
        ({"include_dirs": ["nowhere"]}, "no such directory"),
        ({"toolchains": ["gcc-99"]}, "gcc-99"),
        ({"standards": ["c++99"]}, r"c\+\+99"),
        ({"flags": ["-fplugin=x.so"]}, "-fplugin"),
        ({"limits": {"wall_seconds": 31.0}}, "allows 30"),
        ({"files": {f"{n}.c": "" for n in range(600)}, "toolchains": ["all"]}, "1200 compiles"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_kept(body: dict[str, Any], why: str) -> None:
    with pytest.raises(RequestError, match=why):
        planned(**body)


def test_the_limits_that_are_named_are_the_checks_own() -> None:
    assert planned(limits={"wall_seconds": 2.5}).ask.limits == {"wall_seconds": 2.5}
    assert planned().ask.limits == {}


@given(st.text(max_size=40))
def test_no_path_leads_out(path: str) -> None:
    try:
        check = planned(files={path: "", "a.c": ""}, sources=["a.c"]) if path else planned()
    except (RequestError, msgspec.ValidationError):
        return
    for name in check.ask.files:
        assert not name.startswith("/")
        assert ".." not in name.split("/")
