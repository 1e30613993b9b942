"""What went wrong is ours."""

from __future__ import annotations

from willitcompile.errors import WillItCompileError


class InternalError(WillItCompileError):
    """A fault of will-it-compile. Raised from what it was, which `-v` shows whole."""

    exit_code = 3

    def __init__(self, asked: str, cause: BaseException) -> None:
        what = f"{type(cause).__name__}: {cause}".rstrip(": ")
        super().__init__(
            asked,
            f"will-it-compile itself broke: {what}",
            "the same with -v, and report it to the project with all that is printed then",
        )
