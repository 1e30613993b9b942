from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from willitcompile.model import CheckResult, CompileResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_CODES = {Verdict.COMPILED: 0, Verdict.REJECTED: 1}


@pytest.fixture
def result() -> Callable[..., CheckResult]:
    """`result(source, verdict, **fields of CheckResult or of CompileResult)`."""

    def make(source: str = "main.cpp", verdict: Verdict = Verdict.COMPILED, **fields: Any) -> CheckResult:
        compiled = CompileResult(
            verdict=verdict,
            exit_code=EXIT_CODES.get(verdict),
            stdout=b"",
            stderr=b"",
            duration_seconds=0.314159,
            compiler="g++ (Debian 12.2.0-14) 12.2.0",
            isolation="namespaces",
        )
        mine = {name: fields.pop(name) for name in list(fields) if name in CompileResult._fields}
        for name in ("stdout", "stderr"):  # those of CheckResult, decoded
            fields.setdefault(name, mine.pop(name, ""))
        base = CheckResult(
            source=source,
            language="c++",
            toolchain="gcc-12",
            standard="c++17",
            backend="sandbox",
            result=compiled._replace(**mine),
            stdout="",
            stderr="",
        )
        return base._replace(**fields)

    return make
