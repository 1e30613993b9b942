"""Every way of having no answer. Each error is three things: what was asked, what stands in the way, what to do.

    WillItCompileError
    ├── RequestError            exit 2: the request is wrong
    │   ├── SourceError         a file or directory that cannot be checked
    │   ├── UnknownLanguage
    │   ├── UnknownStandard
    │   ├── ToolchainMissing
    │   ├── FlagRefused
    │   └── ConfigError
    ├── NoAnswer                exit 3: no answer could be had
    │   ├── BackendUnavailable  nothing here can run a compile safely
    │   └── BackendFailed       it could, and then broke
    └── Interrupted             exit 130

A source that does not compile is not an error but a result.
"""

from __future__ import annotations


class WillItCompileError(Exception):
    """There is no answer."""

    exit_code = 3

    def __init__(self, asked: str, obstacle: str, remedy: str) -> None:
        super().__init__(f"{asked}: {obstacle}")
        self.asked = asked
        """What was asked, as `check main.cpp with gcc-9`."""
        self.obstacle = obstacle
        """What stands in the way, as `gcc-9 is not on this host`."""
        self.remedy = remedy
        """What to type now."""


class RequestError(WillItCompileError):
    """The request is wrong, and will be wrong the next time too."""

    exit_code = 2


class SourceError(RequestError):
    """A file or a directory that cannot be checked: missing, unreadable, too large, not a source."""


class UnknownLanguage(RequestError):
    """Nothing tells which language this is, or it is none that we know."""


class UnknownStandard(RequestError):
    """The toolchain does not know this standard."""


class ToolchainMissing(RequestError):
    """No toolchain of this name can be run by the backend."""


class FlagRefused(RequestError):
    """A compiler flag that is not on the allowlist."""


class ConfigError(RequestError):
    """A configuration file or variable that cannot be read."""


class NoAnswer(WillItCompileError):
    """The request may be right, but nothing could answer it."""


class BackendUnavailable(NoAnswer):
    """Nothing here can run a compile safely."""


class BackendFailed(NoAnswer):
    """A backend that worked broke while it ran a job."""


class Interrupted(WillItCompileError):
    """Ctrl-C, SIGTERM or a cancelled token. Nothing is left running."""

    exit_code = 130
