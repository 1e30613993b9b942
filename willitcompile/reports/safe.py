"""Text from sources and compilers, made safe for a terminal.

A source file can hold escape sequences, and a compiler quotes them: they clear the screen, rename the window,
or hide an error. Bidirectional controls show code in another order than it has ("Trojan Source",
CVE-2021-42574). Whatever is not printable is shown by its number instead.
"""

from __future__ import annotations

import re

# Printable ASCII, tab and newline need no look. All else comes in runs, to be fast on a text full of it.
_SUSPECT = re.compile(r"[^\n\t -~]+")


def safe(text: str) -> str:
    r"""The text with every character that is not printable shown by its number.

    Newlines and tabs stay, and CRLF becomes a newline. A control character is `\x1b`, an undecodable byte
    `\xff`, any other `<U+202E>`.

    >>> safe("a\x1b[2Jb\u202ec\r\n")
    'a\\x1b[2Jb<U+202E>c\n'
    """
    return _SUSPECT.sub(_shown, text.replace("\r\n", "\n"))


def safe_line(text: str) -> str:
    """As `safe`, for what must stay on one line: a name, a version."""
    return safe(text.replace("\r", "\\x0d")).replace("\n", "\\n").replace("\t", "\\t")


def _shown(run: re.Match[str]) -> str:
    # Not printable, by Python's definition, are the Unicode categories Cc (controls), Cf (formats, with all
    # bidirectional ones), Cs, Co, Cn, Zl, Zp and, harmless, Zs: spaces.
    text = run[0]
    return text if text.isprintable() else "".join(map(_character, text))


def _character(character: str) -> str:
    if character.isprintable() or character in _SPACES:
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as the file system's names have it
        return f"\\x{code - 0xDC00:02x}"
    return f"<U+{code:04X}>"


_SPACES = frozenset("\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000")
