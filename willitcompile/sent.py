"""Files that somebody has sent, rather than that lie here: their names and contents are hostile."""

from __future__ import annotations

import base64
import posixpath
from typing import TYPE_CHECKING

from willitcompile.errors import SourceError
from willitcompile.files import has_control

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME_BYTES = 255
"""Of each part of a path: file systems take no more."""


def refuse_paths(files: Iterable[str], others: Iterable[str] = ()) -> None:
    """Raises SourceError for a path that is not below where the files are, or has two names; `others` name files or
    directories among them."""
    files = list(files)
    for path in (*files, *others):
        _refuse_path(path)
    directories = {"."}
    for path in files:
        while (path := posixpath.dirname(path)) and path not in directories:
            directories.add(path)
    for path in directories.intersection(files):
        raise SourceError(f"check {path!r}", "that is a directory too", "give the file another name")


def decoded(path: str, text: str) -> bytes:
    """What a file holds that was sent as base64. Raises SourceError."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise SourceError(f"read {path!r}", "it is not base64", "encode it again, or send it as text") from None


def _refuse_path(path: str) -> None:
    is_plain = not has_control(path) and "\\" not in path and not path.startswith(("/", "-", "@"))
    is_plain = is_plain and max(map(len, path.encode(errors="surrogatepass").split(b"/"))) <= NAME_BYTES
    if is_plain and (path == posixpath.normpath(path)) and path != ".." and not path.startswith("../"):
        return
    raise SourceError(
        f"check {path!r}", "that is no path of a file that was sent", "use relative paths without . and .., as src/a.c"
    )
