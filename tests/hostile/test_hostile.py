"""Hostile sources, really compiled: each gets its verdict, and nothing more.

See cases.py for what stands in `sources/`.
"""

from __future__ import annotations

import os
import re
import secrets as randomness
import shutil
import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.backends import opened, those
from tests.contract.leftovers import PREFIX
from tests.hostile.cases import FAMILIES, LANGUAGES, SOURCES, Case, fill, load
from tests.hostile.generate import RECIPES
from willitcompile.backends import Wanted
from willitcompile.checker import run
from willitcompile.errors import BackendUnavailable, SourceError
from willitcompile.languages import CompileOptions
from willitcompile.planning import CheckRequest
from willitcompile.reports import Style
from willitcompile.reports.text import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from willitcompile.backends import Backend
    from willitcompile.model import CheckResult

CASES = load()
TOKEN = randomness.token_hex(16)
"""What nothing that is hostile may get hold of."""

VARIABLE = "WIC_HOSTILE_SECRET"
NOT_SAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

PASSWD = re.compile(r"\b(root|daemon|bin|sys|www-data|nobody):[x*!]?:\d+:\d+:")
"""Lines of any host's; the one that a sandbox makes up has other users."""


@pytest.fixture(scope="module")
def secrets() -> Iterator[Mapping[str, str]]:
    """Planted on this host: what `@NAME@` in a source stands for."""
    home = os.environ.get("HOME", "/root")
    directories = [tempfile.mkdtemp(prefix="wic-hostile-", dir=where) for where in ("/tmp", home, "/dev/shm")]
    planted = {"HOME": home, "SECRET_VARIABLE": VARIABLE}
    for name, directory in zip(("SECRET_TMP", "SECRET_HOME", "SECRET_SHM"), directories, strict=True):
        os.chmod(directory, 0o755)
        planted[name] = f"{directory}/secret"
        # Of each of the languages it would compile, were it read.
        Path(planted[name]).write_text(f"// {TOKEN}\n")
    os.environ[VARIABLE] = TOKEN
    yield planted
    del os.environ[VARIABLE]
    found = [name for directory in directories for name in os.listdir(directory)]
    for directory in directories:
        shutil.rmtree(directory)
    assert found == ["secret"] * len(directories), "something was written beside the secrets"
    assert not list(Path("/tmp").glob("evil*"))


@pytest.fixture(scope="module", params=those("sandbox", "docker", "kubernetes"))
def backend(request: pytest.FixtureRequest, secrets: Mapping[str, str]) -> Iterator[Backend]:
    with opened(request) as backend:
        yield backend


HARMLESS = {
    "gcc": ("a.c", "int x;"),
    "clang": ("a.c", "int x;"),
    "go": ("a.go", "package main\nfunc main() {}"),
    "rustc": ("a.rs", "fn main() {}"),
}


@pytest.fixture(scope="module")
def need(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[..., None]
) -> Callable[[str], None]:
    """Asks a compiler family for something harmless, so that what a backend makes only once is made."""
    families = {toolchain.family for toolchain in backend.toolchains()}

    @cache
    def ask(family: str) -> None:
        if family not in families:
            unavailable(backend.name, f"it has no {family}", f"install {family}")
        name, text = HARMLESS[family]
        path = tmp_path_factory.mktemp("harmless") / name
        path.write_text(text)
        (result,) = run(CheckRequest((str(path),), compilers=(family,)), backend)
        assert result.verdict == "compiled", result

    return ask


@pytest.mark.parametrize(
    ("case", "family"),
    [pytest.param(case, family, id=f"{case.name}-{family}") for case in CASES for family in case.verdicts],
)
def test_gets_its_verdict_and_nothing_else(
    *,
    case: Case,
    family: str,
    backend: Backend,
    need: Callable[[str], None],
    secrets: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    need(family)
    monkeypatch.chdir(tmp_path)
    main = case.write(tmp_path, secrets)
    before = remains()

    result = check(case, family, backend, main.name)

    end = time.monotonic() + 1
    while (left := remains() - before) and time.monotonic() < end:
        time.sleep(0.01)
    assert not left, "something outlived its job"
    if result is None:
        assert case.verdicts[family] == "refused"
        return
    report = "".join(render([result], Style(verbose=True)))
    expected = case.backends.get(result.result.isolation, case.verdicts[family])
    assert result.verdict == expected, report[-2000:]
    assert not NOT_SAFE.search(report)
    said = f"{result.stdout}\n{result.stderr}\n{report}"
    raw = (result.result.stdout + result.result.stderr).decode(errors="replace")
    assert TOKEN not in said + raw
    assert not PASSWD.search(said + raw)
    escaped = {name: re.escape(text) for name, text in secrets.items()}
    for pattern in case.must:
        assert re.search(fill(pattern, escaped), raw)
    for pattern in case.never:
        assert not re.search(fill(pattern, escaped), said + raw)
    assert max(len(result.result.stdout), len(result.result.stderr)) <= case.limits.output_bytes
    if result.verdict == "timeout":
        assert result.result.duration_seconds < case.limits.wall_seconds + 0.5


VERSIONS = {"gcc": "gcc-12", "clang": "clang-14"}
"""What was expected was seen with these; another may need more or less time for the same. Used where it is there."""


def check(case: Case, family: str, backend: Backend, main: str) -> CheckResult | None:
    """The one result; None where the source was refused without compiling."""
    known = VERSIONS.get(family, family)
    request = CheckRequest(
        (main,),
        compilers=(known if backend.has(Wanted((known,))) else family,),
        standards=(case.standard,) if case.standard else (),
        language=case.language,
        options=CompileOptions(link=case.link),
        limits=case.limits._asdict(),
        jobs=1,
    )
    try:
        (result,) = run(request, backend)
    except SourceError:
        return None
    return result


def remains() -> set[str]:
    """What is there of jobs: living processes below this one, and what is named as the jobs' sessions are."""
    sessions = set(re.findall(rf"{PREFIX}[\w-]+", " ".join(map(_target, Path("/proc/self/fd").iterdir()))))
    directories = [path for name in sessions for root in ("/dev/shm", "/tmp") for path in Path(root).glob(f"{name}*")]
    found = {str(path) for directory in directories for path in (directory, *directory.rglob("*"))}
    for directory, names, _ in os.walk("/sys/fs/cgroup"):
        found |= {f"{directory}/{name}" for name in names if name.startswith(tuple(sessions))}
    return found | {f"process {pid}" for pid in _descendants()}


def _target(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except OSError:
        return ""  # the one that listed the others


def _descendants() -> set[int]:
    """Processes below this one, without those that ended and that nobody has asked about yet, and without the
    backend's own, which run Python as this one does and wait for jobs."""
    parents: dict[int, int] = {}
    ended = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        pid = int(path.parent.name)
        parents[pid] = int(parent)
        if state == "Z":
            ended.add(pid)
    daemons = {pid for pid in parents if _name(pid) == "dockerd"}
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found - daemons:
        found |= more
    ours = _target(Path("/proc/self/exe"))
    below = {pid for pid in found - ended if _target(Path(f"/proc/{pid}/exe")) != ours}
    containers = _containers()
    return below | {pid for pid in set(parents) - ended if containers and _runs_in(pid, containers)}


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""  # it has ended


def _containers() -> set[str]:
    """The ids of those that this process has made; other runs may be busy with the same daemon."""
    from willitcompile.backends.clients import client_name
    from willitcompile.backends.docker.container import SESSION
    from willitcompile.backends.docker.engine import connect

    try:
        engine = connect()
    except BackendUnavailable:
        return set()
    return {
        each["Id"]
        for each in engine.call("GET", "/containers/json")
        if each["Labels"].get(SESSION, "").startswith(f"{client_name()}/")
    }


def _runs_in(pid: int, containers: set[str]) -> bool:
    """Whether it runs in one of these, and is not the launcher, which waits for the next job, or becomes it."""
    try:
        with open(f"/proc/{pid}/cgroup") as cgroup, open(f"/proc/{pid}/comm") as comm:
            groups = cgroup.read()
            return any(each in groups for each in containers) and not comm.read().startswith(("launcher", "runc:"))
    except OSError:
        return False


def test_there_are_many_in_each_language() -> None:
    count = Counter(case.language for case in CASES)
    assert len(CASES) >= 50
    assert all(count[language] >= 10 for language in LANGUAGES.values())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_says_what_is_expected_and_why(case: Case) -> None:
    allowed = {"compiled", "rejected", "timeout", "out-of-memory", "output-limit", "crashed", "refused"}
    assert set(case.verdicts) == set(FAMILIES[Path(case.main).suffix])
    assert set(case.verdicts.values()) <= allowed
    assert case.why.endswith((".", "!", "?"))


def test_none_is_without_an_expectation() -> None:
    sources = {path.stem for path in SOURCES.iterdir() if path.suffix != ".expect"}
    assert sources | {Path(name).stem for name in RECIPES} == {case.name for case in CASES}
