"""Telling a C++ header from a C header by its text. Cheap: a shape that only C++ has is enough."""

from __future__ import annotations

import re

_NOISE = rb"""//[^\n]*|/\*.*?(?:\*/|\Z)|"(?:[^"\\\n]++|\\.)*+"?|'(?:[^'\\\n]++|\\.)*+'?"""

# What a C header shows to C++ alone: from `#ifdef __cplusplus` to its #else or #endif.
_GUARD = rb"[ \t]*#[ \t]*if(?:def[ \t]+|[ \t]+defined[ \t]*+\(?[ \t]*)__cplusplus\b"
_GUARD_END = rb"[ \t]*#[ \t]*e(?:ndif|lse|lif)"

_CPP_INCLUDE = rb"^[ \t]*\#[ \t]*include[ \t]*<(?:[a-z_]+|[\w/.-]+\.(?:hpp|hh|hxx))>"

# Two runs of blanks with nothing certain between them are possessive, or a long run would take quadratic time.
_CPP = rb"""(?x)
    \b(?:class | struct)\s+\w+(?:\s+final)?\s*:
  | \bclass\s+\w+\s*[{;]
  | \bnamespace\s++[\w:]*+\s*[{=] | \bnamespace\s*\{
  | \btemplate\s*<
  | \busing\s+[A-Za-z_]
  | \w\s*::\s*~?\w
  | \bconst(?:expr|eval|init)\b
  | \b(?:public|private|protected)\s*:
  | \b(?:static|dynamic|const|reinterpret)_cast\s*<
  | \boperator\s*(?:[^\w\s;,)=]|==|\(\))
  | \b(?:virtual|explicit|mutable|friend|typename|concept|noexcept)\s+[A-Za-z_~]
  | \b(?:decltype|noexcept)\s*\(
  | =\s*(?:default|delete)\s*;
  | \w\s*&&?\s*\w+\s*[,)]\s*+(?:const)?\s*(?:\{|;|noexcept|=)
"""

HEAD = 256 * 1024
"""How much of a header is looked at."""


def looks_like_cpp(text: bytes) -> bool:
    """Whether a text has something that C++ has and C has not, outside of comments and strings.

    >>> looks_like_cpp(b"namespace a { int b; }"), looks_like_cpp(b"int a(void); // class b;")
    (True, False)
    """
    text = re.sub(_NOISE, b" ", text[:HEAD], flags=re.DOTALL)
    if b"__cplusplus" in text:
        text = _unguarded(text)
    return bool(re.search(_CPP_INCLUDE, text, re.MULTILINE) or re.search(_CPP, text))


def _unguarded(text: bytes) -> bytes:
    kept = []
    guarded = False
    for line in text.split(b"\n"):
        guarded = not re.match(_GUARD_END, line) if guarded else bool(re.match(_GUARD, line))
        if not guarded:
            kept.append(line)
    return b"\n".join(kept)
