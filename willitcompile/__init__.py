"""Does this source compile, with this compiler, at this standard?

from willitcompile import check

for result in check("main.cpp", compiler="gcc", std=["c++17", "c++20"]):
    print(result.source, result.standard, result.verdict)
"""

from __future__ import annotations

from willitcompile.version import __version__ as __version__

TYPE_CHECKING = False  # as typing has it, whose import takes longer than all else here

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    from willitcompile.backends import Backend
    from willitcompile.cache import Cache
    from willitcompile.errors import (
        BackendFailed,
        BackendUnavailable,
        ConfigError,
        FlagRefused,
        Interrupted,
        NoAnswer,
        RequestError,
        SourceError,
        ToolchainMissing,
        UnknownLanguage,
        UnknownStandard,
        WillItCompileError,
    )
    from willitcompile.model import CheckResult, Diagnostic, Limits, Verdict

__all__ = [
    "BackendFailed",
    "BackendUnavailable",
    "CheckResult",
    "ConfigError",
    "Diagnostic",
    "FlagRefused",
    "Interrupted",
    "Limits",
    "NoAnswer",
    "RequestError",
    "SourceError",
    "ToolchainMissing",
    "UnknownLanguage",
    "UnknownStandard",
    "Verdict",
    "WillItCompileError",
    "check",
]

_MODEL = frozenset({"CheckResult", "Diagnostic", "Limits", "Verdict"})


def check(
    *paths: str | os.PathLike[str],
    source: str | bytes | None = None,
    compiler: str | Iterable[str] | None = None,
    std: str | Iterable[str] | None = None,
    language: str | None = None,
    include_dirs: str | Iterable[str | os.PathLike[str]] = (),
    defines: str | Iterable[str] = (),
    warnings: str | Iterable[str] = (),
    flags: str | Iterable[str] = (),
    link: bool = False,
    backend: str | Backend = "auto",
    timeout: float | None = None,
    memory: int | None = None,
    jobs: int = 0,
    cache: bool = False,
    options: Mapping[str, Mapping[str, object]] | None = None,
) -> list[CheckResult]:
    """Whether files, or those of directories, compile. Prints nothing, and reads no configuration.

    source: a source itself, instead of paths; `language` says which it is of.
    compiler, std: one or more, as `-c` and `-s` of the command line; None for the default of each language.
    defines, warnings, flags: as `["NAME=1"]`, `["-Wall"]`, `["-O2"]`; other flags than those of the allowlist
        are refused.
    backend: a name, or an open backend, which stays open.
    timeout, memory: of each compile, in seconds and bytes; None for what suits the backend.
    jobs: compiles at one time; 0 for what suits the backend, which is one on each core where they run here.
    cache: whether to take answers from the cache of the command line, and to keep new ones there.
    options: by backend, what a configuration file has in its section: `{"kubernetes": {"namespace": "builds"}}`.
        An open backend has been told already.

    Returns a result for each source, toolchain and standard, in this order. A source that does not compile is
    a result; what has no answer raises a WillItCompileError, whose `remedy` says what to do.
    """
    import os

    from willitcompile.backends import Opening, open_backend
    from willitcompile.checker import run
    from willitcompile.errors import RequestError
    from willitcompile.languages import CompileOptions
    from willitcompile.planning import STDIN, CheckRequest, find, plan, wanted

    if bool(paths) == (source is not None):
        raise RequestError("check()", "it takes paths or a source", "pass one of them, and not both")
    for name, value in {"timeout": timeout, "memory": memory}.items():
        # Written so that NaN is refused too.
        if value is not None and not (isinstance(value, int | float) and 0 < value < 2**62):
            raise RequestError(
                f"check({name}={value!r})", "it is not a positive number", f"pass {name} in {_UNITS[name]}: {name}=60"
            )
    if jobs < 0:
        raise RequestError(f"check(jobs={jobs})", "it is negative", "pass how many, or 0 for one on each core")
    named = {"wall_seconds": timeout, "memory_bytes": None if memory is None else int(memory)}
    request = CheckRequest(
        paths=tuple(os.fspath(path) for path in paths) or (STDIN,),
        compilers=_each(compiler),
        standards=_each(std),
        language=language,
        stdin=source.encode(errors="surrogatepass") if isinstance(source, str) else source,
        include_dirs=tuple(map(os.fspath, _each(include_dirs))),
        options=CompileOptions(_each(defines), _each(warnings), _each(flags), link),
        limits={name: value for name, value in named.items() if value is not None},
        jobs=jobs,
    )
    with _opened_cache(wanted=cache) as kept:
        if not isinstance(backend, str):
            return list(run(request, backend, cache=kept))
        sources = find(request)
        with open_backend(backend, Opening(wanted=wanted(request, sources), options=options or {})) as opened:
            return list(run(request, opened, checks=plan(request, opened, sources), cache=kept))


def _opened_cache(*, wanted: bool) -> AbstractContextManager[Cache | None]:
    from contextlib import closing, nullcontext

    if not wanted:
        return nullcontext()
    from willitcompile.cache import Cache

    return closing(Cache())


_UNITS = {"timeout": "seconds", "memory": "bytes"}


def _each(asked: str | Iterable[Any] | None) -> tuple[Any, ...]:
    """
    >>> _each(None), _each("gcc"), _each(["gcc", "clang"])
    ((), ('gcc',), ('gcc', 'clang'))
    """
    if asked is None:
        return ()
    return (asked,) if isinstance(asked, str) else tuple(asked)


def __getattr__(name: str) -> object:
    """What costs an import is imported when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module("willitcompile.model" if name in _MODEL else "willitcompile.errors"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
