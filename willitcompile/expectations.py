"""What a source says of its own compile, in a comment: such sources are tests of what has to be rejected.

    // will-it-compile: expect rejected "no matching function"
    /* will-it-compile: expect rejected with gcc>=12, clang at c++20 */

A comment counts where nothing but its own start stands before the mark: at the start of a line, or behind code. A
string that holds the same text is none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from willitcompile import toolchains
from willitcompile.errors import SourceError, ToolchainMissing, UnknownStandard
from willitcompile.model import EXPECTATION_MARK, Expectation, Verdict

if TYPE_CHECKING:
    from willitcompile.languages import Language
    from willitcompile.model import Toolchain

MOST_TEXT = 1000
"""Characters of what the messages are to hold, and of the whole comment four times as many. It travels with the job."""

MOST_RULES = 100
"""Comments in one source."""

_EXAMPLE = f'{EXPECTATION_MARK} expect rejected with gcc>=12 at c++20 "no matching function"'
_MARK = EXPECTATION_MARK.encode()
# Also one that does not end here, to its last character: then what looks like a comment is within it. Without it the
# time for a hostile line would grow with the square of its length.
_STRINGS = re.compile(rb'"(?:\\.|[^"\\])*(?:"|\\?\Z)|`[^`]*(?:`|\Z)|\'(?:\\.|[^\'\\])\'')
_LIST = r'[^\s,"]+(?:\s*,\s*[^\s,"]+)*'
_SAID = re.compile(
    rf"expect\s+(?P<verdict>[a-z-]+)(?:\s+with\s+(?P<compilers>{_LIST}))?(?:\s+at\s+(?P<standards>{_LIST}))?"
    r'(?:\s+"(?P<text>(?:[^"\\]|\\["\\])+)")?'
)


class Rule(NamedTuple):
    """One comment."""

    expected: Expectation
    compilers: tuple[str, ...] = ()
    """Names and ranges, as typed; empty for every toolchain."""
    standards: tuple[str, ...] = ()
    """By their canonical names; empty for every one."""

    def is_about(self, toolchain: Toolchain, standard: str) -> bool:
        return (not self.standards or standard in self.standards) and (
            not self.compilers or any(toolchains.fits(name, toolchain) for name in self.compilers)
        )


def expectation(
    source: str, content: bytes, language: Language, toolchain: Toolchain, standard: str
) -> Expectation | None:
    """What a source says of its compile with this toolchain at this standard: the first comment that is about it.

    None where none is. Raises SourceError for a comment that cannot be read, whatever it is about.
    """
    said = rules(source, content, language)
    return next((rule.expected for rule in said if rule.is_about(toolchain, standard)), None)


def rules(source: str, content: bytes, language: Language) -> list[Rule]:
    """Every comment, in its order. Raises SourceError."""
    found: list[Rule] = []
    line, start = 1, 0
    while (at := content.find(_MARK, start)) >= 0:
        line += content.count(b"\n", start, at)
        before = content[content.rfind(b"\n", 0, at) + 1 : at]
        # From the end of this line, so that only the first mark of a line is looked at.
        start = end if (end := content.find(b"\n", at)) >= 0 else len(content)
        if _begins_a_comment(before):
            where = f"{source}:{line}"
            if len(found) == MOST_RULES:
                raise _wrong(where, f"the source has more than {MOST_RULES} such comments")
            found.append(_rule(content[at + len(_MARK) : start], where, language))
    return found


def _begins_a_comment(line: bytes) -> bool:
    """Whether a comment begins with the last characters of a line, of which this is the head."""
    code = _STRINGS.sub(b"", line).rstrip(b" \t").removesuffix(b"!")
    if code.endswith(b"//"):
        return not code.endswith(b"://")
    before = code.rstrip(b"*")
    return before != code and (before.endswith(b"/") or not before.strip())


def _rule(comment: bytes, where: str, language: Language) -> Rule:
    """From what follows the mark in its line. Raises SourceError."""
    if len(comment) > 4 * MOST_TEXT:
        raise _wrong(where, "the comment is too long")
    said = comment.decode(errors="replace").strip().removesuffix("*/").strip()
    match = _SAID.fullmatch(said)
    if not match:
        raise _wrong(where, "this does not say what to expect")
    verdict, text = match["verdict"], re.sub(r"\\(.)", r"\1", match["text"] or "")
    if verdict not in set(Verdict):
        raise _wrong(where, f"{verdict} is no verdict: {', '.join(Verdict)}")
    if len(text) > MOST_TEXT:
        raise _wrong(where, f"the text has more than {MOST_TEXT} characters")
    compilers, standards = _words(match["compilers"]), _words(match["standards"])
    try:
        for name in compilers:
            if toolchains.family(name) not in (toolchains.EVERY, *language.families):
                raise _wrong(where, f"{name!r} does not compile {language.name}: {', '.join(language.families)} do")
        return Rule(Expectation(Verdict(verdict), text), compilers, tuple(map(language.canonical, standards)))
    except (ToolchainMissing, UnknownStandard) as error:
        raise SourceError(f"check {where}", f"{error.asked}: {error.obstacle}", error.remedy) from None


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",")) if text else ()


def _wrong(where: str, obstacle: str) -> SourceError:
    return SourceError(f"check {where}", obstacle, f"write for example: {_EXAMPLE}")
