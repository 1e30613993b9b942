"""The answer of `minimum` in words."""

from __future__ import annotations

import json

import pytest

from willitcompile.minimum import SourceMinimum
from willitcompile.minimum.family import FamilyMinimum, Span, Tried
from willitcompile.model import Verdict
from willitcompile.reports import Style
from willitcompile.reports.minimum import as_json, as_text

YES, NO = Verdict.COMPILED, Verdict.REJECTED
TRIED = (
    Tried("gcc-12", "c++17", True, NO),
    Tried("gcc-12", "c++20", True, YES),
    Tried("gcc-11", "c++20", False, NO),
    Tried("gcc-10", "c++20", False, None),
)


def family(
    standard: Span | None,
    toolchain: Span | None,
    name: str = "gcc",
    *,
    extensions: bool = False,
    tried: tuple[Tried, ...] = TRIED,
) -> FamilyMinimum:
    toolchains = tuple(f"{name}-{each}" for each in (10, 11, 12))
    return FamilyMinimum(name, toolchains, standard, toolchain, extensions, tried)


def answer(*families: FamilyMinimum, language: str = "c++") -> str:
    return as_text("fake", [SourceMinimum("main.cpp", language, families)], Style(quiet=True)).strip()


CPP20 = Span("c++20")


@pytest.mark.parametrize(
    ("families", "said"),
    [
        ([family(CPP20, Span("gcc-12"))], "needs C++20; gcc 12 or later"),
        ([family(CPP20, Span("gcc-10"))], "needs C++20; any gcc here (10 to 12)"),
        (
            [family(CPP20, Span("gcc-12")), family(CPP20, Span("clang-11"), "clang")],
            "needs C++20; gcc 12 or later, clang 11 or later",
        ),
        (
            [family(CPP20, Span("gcc-12")), family(Span("c++17"), Span("clang-11"), "clang")],
            "needs C++20 with gcc 12 or later; C++17 with clang 11 or later",
        ),
        (
            [family(CPP20, Span("gcc-12")), family(None, None, "clang")],
            "needs C++20; gcc 12 or later; no clang here compiles it",
        ),
        ([family(None, None), family(None, None, "clang")], "nothing here compiles it"),
        (
            [family(CPP20, Span("gcc-12", others=("gcc-10",)))],
            "needs C++20; gcc 12 or later (also 10, but not all between)",
        ),
        ([family(CPP20, Span("gcc-10", last="gcc-11"))], "needs C++20; gcc 10 to 11, none later"),
        ([family(CPP20, Span("gcc-10", last="gcc-10"))], "needs C++20; gcc 10, none later"),
        ([family(Span("c++98", last="c++14"), Span("gcc-11"))], "needs C++98 to C++14, none later; gcc 11 or later"),
        ([family(Span("c++98", last="c++98"), Span("gcc-11"))], "needs C++98 and no other; gcc 11 or later"),
        (
            [family(Span("c23", others=("c89",)), Span("gcc-11"))],
            "needs C23 (also C89, but not all between); gcc 11 or later",
        ),
        ([family(CPP20, Span("gcc-12"), extensions=True)], "needs C++20 and extensions; gcc 12 or later"),
        ([family(Span("gnu17"), Span("gcc-11"), extensions=True)], "needs gnu17; gcc 11 or later"),
        ([family(Span("go1.18"), Span("go-11"), "go")], "needs Go 1.18; go 11 or later"),
        ([family(Span("2021"), Span("rustc-11"), "rustc")], "needs edition 2021; rustc 11 or later"),
    ],
)  # fmt: skip
def test_the_answer(families: list[FamilyMinimum], said: str) -> None:
    assert answer(*families) == f"main.cpp: {said}"


def text(found: FamilyMinimum, *, verbose: bool = False) -> list[str]:
    return as_text("fake", [SourceMinimum("main.cpp", "c++", (found,))], Style(verbose=verbose)).splitlines()


def test_what_was_tried_stands_below_oldest_first() -> None:
    assert text(family(CPP20, Span("gcc-12"))) == [
        "backend: fake",
        "main.cpp: needs C++20; gcc 12 or later",
        "  gcc at c++20: 10 does not know c++20, 11 rejected, 12 compiled",
    ]


def test_the_standards_that_were_tried_stand_there_where_it_matters() -> None:
    line = "  gcc 12 with -pedantic-errors: c++17 rejected, c++20 compiled"
    assert line in text(family(CPP20, Span("gcc-12")), verbose=True)
    assert line in text(family(CPP20._replace(others=("c++98",)), Span("gcc-12")))
    unclear = (*TRIED[1:], Tried("gcc-12", "c++17", True, Verdict.TIMEOUT))
    assert "  gcc 12 with -pedantic-errors: c++17 timeout, c++20 compiled" in text(
        family(CPP20, Span("gcc-12"), tried=unclear)
    )


def test_where_nothing_compiles_it_says_how_to_see_why() -> None:
    tried = tuple(
        Tried(name, "c++20", pedantic, said)
        for name, pedantic, said in (("gcc-12", True, NO), ("gcc-12", False, Verdict.TIMEOUT), ("gcc-11", False, NO))
    )
    assert text(family(None, None, tried=tried))[2:] == [
        "  gcc: 11 rejected, 12 rejected or timeout",
        "  to see why: will-it-compile check main.cpp -c gcc-12",
    ]


def test_a_hostile_name_stays_on_its_line_and_has_no_escapes() -> None:
    found = SourceMinimum("a\x1b[2J\nb.cpp", "c++", (family(None, None),))
    said = as_text("fake", [found], Style())
    assert "\x1b" not in said
    assert len(said.splitlines()) == 4
    assert json.loads(as_json("fake", [found], Style()))["minimum"][0]["source"] == "a\x1b[2J\nb.cpp"


def test_json() -> None:
    found = family(CPP20, Span("gcc-12", others=("gcc-10",)))
    document = json.loads(as_json("fake", [SourceMinimum("main.cpp", "c++", (found,))], Style()))
    assert document == {
        "version": 1,
        "backend": "fake",
        "minimum": [
            {
                "source": "main.cpp",
                "language": "c++",
                "families": [
                    {
                        "family": "gcc",
                        "standard": {"first": "c++20", "last": None, "others": []},
                        "toolchain": {"first": "gcc-12", "last": None, "others": ["gcc-10"]},
                        "needs_extensions": False,
                        "is_oldest": False,
                        "is_monotonic": False,
                        "toolchains": ["gcc-10", "gcc-11", "gcc-12"],
                        "tried": [
                            {"toolchain": "gcc-12", "standard": "c++17", "is_pedantic": True, "verdict": "rejected"},
                            {"toolchain": "gcc-12", "standard": "c++20", "is_pedantic": True, "verdict": "compiled"},
                            {"toolchain": "gcc-11", "standard": "c++20", "is_pedantic": False, "verdict": "rejected"},
                            {"toolchain": "gcc-10", "standard": "c++20", "is_pedantic": False, "verdict": None},
                        ],
                    }
                ],
            }
        ],
    }
