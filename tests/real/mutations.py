"""Real sources made wrong, so that rejections are compared as well as what compiles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN = {
    ".c": "int wrong = nothing_of_this_name;",
    ".go": "var wrong = nothingOfThisName",
    ".rs": "pub const WRONG: u8 = NOTHING_OF_THIS_NAME;",
}

MUTATIONS = ("unknown-name", "lost-brace", "lost-token")


def mutate(path: Path, mutation: str) -> None:
    """Rewrite a source. With `unknown-name` it never compiles; the others may hit a comment."""
    text = path.read_text(encoding="utf-8")
    if mutation == "unknown-name":
        text = f"{text}\n{UNKNOWN[path.suffix]}\n"
    elif mutation == "lost-brace":
        head, _, tail = text.rpartition("}")
        text = head + tail
    else:
        middle = len(text) // 2
        text = text[:middle] + re.sub("[;)]", "", text[middle:], count=1)
    path.write_text(text, encoding="utf-8")
