"""For pytest: the fixtures `compiles` and `toolchain`. See docs/pytest.md.

pytest imports this at each start, also of projects that never ask whether anything compiles: nothing else is imported
before a test, or its collection, needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from typing import Any

    from willitcompile.backends import Backend
    from willitcompile.model import CheckResult, Verdict

MARK = "toolchains"
_FIXTURE = "_willitcompile_toolchain"


class Answer:
    """Whether a source compiles: as a condition, True or False."""

    def __init__(self, results: list[CheckResult]) -> None:
        self.results = results
        """One for each compiler and standard that was asked, in this order."""

    @property
    def verdict(self) -> Verdict:
        """How it ended; of several, that of the first that did not compile."""
        return self._telling.verdict

    @property
    def messages(self) -> str:
        """What the compilers said."""
        return "\n".join(filter(None, (said.strip() for each in self.results for said in (each.stdout, each.stderr))))

    @property
    def _telling(self) -> CheckResult:
        from willitcompile.model import Verdict

        return next((each for each in self.results if each.verdict is not Verdict.COMPILED), self.results[0])

    def __bool__(self) -> bool:
        """Whether all of them compile it. Fails the test where one of them said neither yes nor no, as in a timeout: a
        test that something does not compile must not pass by that."""
        from willitcompile.model import Verdict

        __tracebackhide__ = True
        for each in self.results:
            if each.verdict not in {Verdict.COMPILED, Verdict.REJECTED}:
                pytest.fail(f"{_told(each)}, which is neither yes nor no; to test for that, look at .verdict")
        return self.verdict is Verdict.COMPILED

    def __repr__(self) -> str:
        """As <rejected by gcc-12 at c++17: 'y' was not declared in this scope>."""
        told = self._telling
        said = next((each.message for each in told.diagnostics if each.severity == "error"), "")
        return f"<{_told(told)}{': ' if said else ''}{said}>"


class Compiles:
    """The fixture of this name: see `__call__`."""

    def __init__(self, item: pytest.Item, toolchain: str | None) -> None:
        self._item = item
        self._toolchain = toolchain

    def __repr__(self) -> str:
        return "compiles"

    def __call__(
        self,
        source: str | bytes | os.PathLike[str],
        compiler: str | Iterable[str] | None = None,
        std: str | Iterable[str] | None = None,
        language: str | None = None,
        **options: Any,
    ) -> Answer:
        """Compile a source, or the file of a path, and say how it ended.

        compiler: else the one of the fixture `toolchain`, where the test has it, else the default of the language.
        language: of a source; else that of the ini option willitcompile_language. Of a file its name tells.
        options: the others of `willitcompile.check`, as `include_dirs`, `flags` or `timeout`.

        Fails the test where there is no answer, as where a compiler is missing.
        """
        from willitcompile import check
        from willitcompile.errors import WillItCompileError

        __tracebackhide__ = True
        opened = self._item.config.stash[_OPENED]
        paths: tuple[os.PathLike[str], ...] = ()
        if isinstance(source, str | bytes):
            options |= {"source": source, "language": language or opened.language}
        else:
            paths, options = (source,), options | {"language": language}
        try:
            results = check(*paths, compiler=compiler or self._toolchain, std=std, backend=opened.backend, **options)
        except WillItCompileError as error:
            pytest.fail(f"{error}; {error.remedy}")
        if not results:
            pytest.fail(f"there is nothing to compile in {source!r}")
        answer = Answer(results)
        for each in results:
            if said := (each.stdout + each.stderr).strip():
                # Which pytest shows where the test fails.
                self._item.add_report_section("call", f"compiler ({each.toolchain}, {each.standard})", said)
        return answer


class _Opened:
    """The backend of a session, opened when it is first needed: by xdist each of its processes has one."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._backend: Backend | None = None

    @property
    def language(self) -> str:
        return str(self._config.getini("willitcompile_language"))

    @property
    def backend(self) -> Backend:
        """Raises WillItCompileError."""
        if self._backend is None:
            from willitcompile.backends import Opening, open_backend

            self._backend = open_backend(str(self._config.getini("willitcompile_backend")), Opening(long_lived=True))
        return self._backend

    def toolchains(self, asked: str, language: str) -> list[str]:
        """The names of those that are there, for `gcc`, `gcc>=11` or `all`. Raises WillItCompileError for none."""
        from willitcompile.toolchains import select

        return [each.name for each in select(asked, self.backend.toolchains(), language, self.backend.name)]

    def close(self) -> None:
        if self._backend is not None:
            self._backend.close()
            self._backend = None


_OPENED = pytest.StashKey[_Opened]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "willitcompile_backend", "Where `compiles` compiles: auto, sandbox, docker, kubernetes", default="auto"
    )
    parser.addini("willitcompile_language", "The language of sources that `compiles` is given", default="c++")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_OPENED] = _Opened(config)
    config.addinivalue_line(
        "markers", f"{MARK}(*names, language=None): what the fixture `toolchain` is, one after the other: 'gcc>=11'"
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    if opened := config.stash.get(_OPENED, None):
        opened.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The test once for each toolchain that is there."""
    if _FIXTURE not in metafunc.fixturenames:
        return
    from willitcompile.errors import BackendUnavailable, ToolchainMissing
    from willitcompile.toolchains import EVERY

    opened = metafunc.config.stash[_OPENED]
    mark = metafunc.definition.get_closest_marker(MARK)
    language = (mark.kwargs.get("language") if mark else None) or opened.language
    names: dict[str, None] = {}
    reasons = []
    for name in (mark.args if mark else ()) or (EVERY,):
        try:
            names |= dict.fromkeys(opened.toolchains(name, language))
        except (BackendUnavailable, ToolchainMissing) as error:
            reasons.append(f"{error.obstacle}: {error.remedy}")
    params: list[Any] = list(names)
    if not params:
        reason = "; ".join(reasons) or f"no compiler for {language} is there"
        params = [pytest.param("none", marks=pytest.mark.skip(reason=reason))]
    metafunc.parametrize(_FIXTURE, params, indirect=True)


@pytest.fixture
def _willitcompile_toolchain(request: pytest.FixtureRequest) -> str:
    """Apart from `toolchain`, which a project may have a fixture of its own for."""
    return str(request.param)


@pytest.fixture
def toolchain(_willitcompile_toolchain: str) -> str:
    """The name of a toolchain that is there, as `gcc-12`: the test runs once for each. See the mark `toolchains`."""
    return _willitcompile_toolchain


@pytest.fixture
def compiles(request: pytest.FixtureRequest) -> Compiles:
    """`assert compiles("int main() {}")`: whether a source, or the file of a path, compiles."""
    toolchain = request.getfixturevalue(_FIXTURE) if _FIXTURE in request.fixturenames else None
    return Compiles(request.node, toolchain)


def _told(result: CheckResult) -> str:
    return f"{result.verdict} by {result.toolchain} at {result.standard}"
