"""Pages of the documentation, of which a part is made by a program."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

END = "<!-- The end mark. -->"


def page_with(text: str, page: str, begin: str) -> str:
    """The page with this text between the mark `begin` and the end mark."""
    before, marked, rest = page.partition(begin)
    _, ended, after = rest.partition(END)
    if not (marked and ended):
        raise SystemExit(f"a page has lost its marks: {begin} and {END}")
    return f"{before}{begin}\n\n{text}\n{END}{after}"


def main(page: Path, text: str, begin: str) -> None:
    """Say whether the page is as it has to be; with `--write`, make it so."""
    written = page_with(text, page.read_text(), begin)
    if "--write" in sys.argv:
        page.write_text(written)
    elif written != page.read_text():
        raise SystemExit(f"{page} is not what the program says; try: make docs")
