"""Finding and keeping the answers of checks, on the fake backend."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import say_unavailable
from willitcompile.backends import Identity
from willitcompile.backends.fake import FakeBackend, answer
from willitcompile.cache import Cache
from willitcompile.cache.store import NAME
from willitcompile.checker import run
from willitcompile.errors import RequestError
from willitcompile.languages import CompileOptions
from willitcompile.model import Verdict
from willitcompile.planning import CheckRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from willitcompile.model import CheckResult, CompileJob, CompileResult

ONE = Identity("one")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    return tmp_path / "src"


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def open_cache(tmp_path: Path, notes: list[str]) -> Iterator[Callable[..., Cache]]:
    """`open_cache("a")`: the cache in the directory of this name."""
    opened: list[Cache] = []

    def call(name: str = "cache", shared: str | None = None) -> Cache:
        (tmp_path / name).mkdir(exist_ok=True, mode=0o700)
        opened.append(Cache(str(tmp_path / name), shared=shared, notify=notes.append))
        return opened[-1]

    yield call
    for each in opened:
        each.close()


@pytest.fixture
def cache(open_cache: Callable[..., Cache]) -> Cache:
    return open_cache()


class Checked:
    """What a check of the current directory came to."""

    def __init__(
        self,
        cache: Cache | None,
        identity: Identity | None = ONE,
        script: Callable[[CompileJob], CompileResult] | None = None,
        **asked: object,
    ) -> None:
        with FakeBackend(identity=identity, script=script) as self.backend:
            request = CheckRequest(paths=(".",), **asked)  # type: ignore[arg-type]
            with closing(run(request, self.backend, cache=cache)) as results:
                self.results: list[CheckResult] = list(results)

    @property
    def cached(self) -> list[bool]:
        return [each.cached for each in self.results]

    @property
    def compiles(self) -> int:
        return len(self.backend.jobs)


def write(**texts: str) -> None:
    for name, text in texts.items():
        with open(name.replace("_", "."), "w") as file:
            file.write(text)


def test_the_same_check_is_answered_without_a_compile(cache: Cache) -> None:
    write(a_c="// fake: stderr a.c:1:1: error: no\n// fake: exit 1\n", b_c="int b;\n")
    first, second = Checked(cache), Checked(cache)
    assert (first.compiles, first.cached) == (2, [False, False])
    assert (second.compiles, second.cached) == (0, [True, True])
    assert [each._replace(cached=False) for each in second.results] == first.results
    assert second.results[0].diagnostics[0].message == "no"
    assert second.backend.expected == []


def test_only_what_is_new_is_compiled_and_prepared_for(cache: Cache) -> None:
    write(a_c="int a;\n", c_c="int c;\n")
    Checked(cache)
    write(b_c="int b;\n")
    checked = Checked(cache)
    assert [(each.source, each.cached) for each in checked.results] == [
        ("./a.c", True),
        ("./b.c", False),
        ("./c.c", True),
    ]
    assert [count for _, _, count, _ in checked.backend.expected] == [1]


def test_more_checks_than_are_looked_up_ahead(cache: Cache) -> None:
    for number in range(100):
        write(**{f"f{number}_c": f"int f{number};\n"})
    assert Checked(cache).compiles == 100
    assert Checked(cache).compiles == 0
    for number in range(60):  # so many that nothing is found among the first
        write(**{f"a{number}_c": f"int a{number};\n"})
    checked = Checked(cache)
    assert checked.compiles == 60
    assert sum(checked.cached) == 100


@pytest.mark.parametrize(
    "change",
    [
        {"std": "c99"},
        {"options": CompileOptions(defines=("A=1",))},
        {"options": CompileOptions(flags=("-O2",))},
        {"limits": {"wall_seconds": 5.0}},
        {"identity": Identity("another")},
    ],
)
def test_another_question_has_another_answer(cache: Cache, change: dict[str, object]) -> None:
    write(a_c="int a;\n")
    Checked(cache)
    asked = {"standards": (change["std"],)} if "std" in change else change
    assert Checked(cache, **asked).compiles == 1  # type: ignore[arg-type]
    assert Checked(cache).compiles == 0


def test_a_changed_source_or_header_is_compiled(cache: Cache) -> None:
    write(a_c='#include "b.h"\n', b_h="int b;\n")
    Checked(cache)
    write(b_h="int c;\n")
    assert Checked(cache).compiles == 1
    write(a_c='#include "b.h"\nint a;\n')
    assert Checked(cache).compiles == 1
    assert Checked(cache).compiles == 0


@pytest.mark.parametrize("text", ["char *a = __DATE__;\n", "// fake: hang\n", "// fake: crash 11\n"])
def test_what_time_or_a_limit_had_a_part_in_is_compiled_again(cache: Cache, text: str) -> None:
    write(a_c=text)
    for _ in range(2):
        assert Checked(cache, limits={"wall_seconds": 0.05}).compiles == 1


def test_a_backend_that_does_not_know_what_it_runs_keeps_nothing(cache: Cache) -> None:
    write(a_c="int a;\n")
    assert [Checked(cache, identity=None).compiles for _ in range(2)] == [1, 1]


def test_answers_of_a_compiler_that_is_replaced_meanwhile_are_not_kept(cache: Cache) -> None:
    write(a_c="int a;\n")

    def replace(job: CompileJob) -> CompileResult:
        backend._identity = Identity("two")
        return answer()

    with (
        FakeBackend(identity=ONE, script=replace) as backend,
        closing(run(CheckRequest((".",)), backend, cache=cache)) as results,
    ):
        assert [each.verdict for each in results] == [Verdict.COMPILED]
    assert Checked(cache).compiles == 1


def test_a_source_that_cannot_be_read_is_told_after_the_others(cache: Cache) -> None:
    write(a_c="int a;\n", b_c="int \0;\n", c_c="int c;\n")
    for expected in (2, 0):
        with FakeBackend(identity=ONE) as backend, closing(run(CheckRequest((".",)), backend, cache=cache)) as results:
            assert [next(results).source, next(results).source] == ["./a.c", "./c.c"]
            with pytest.raises(RequestError, match="binary"):
                next(results)
            assert len(backend.jobs) == expected


def test_a_torn_file_costs_compiles_and_no_answer(
    open_cache: Callable[..., Cache], tmp_path: Path, notes: list[str]
) -> None:
    write(a_c="int a;\n")
    Checked(open_cache())
    path = tmp_path / "cache" / NAME
    path.write_bytes(b"torn" + path.read_bytes()[4:])
    assert [Checked(open_cache()).compiles for _ in range(2)] == [1, 0]
    assert notes == []


def test_where_nothing_can_be_kept_it_is_told_once(
    open_cache: Callable[..., Cache], tmp_path: Path, notes: list[str]
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / NAME).mkdir()
    write(a_c="int a;\n", b_c="int b;\n")
    cache = open_cache()
    assert [Checked(cache).compiles for _ in range(2)] == [2, 2]
    assert len(notes) == 1
    assert notes[0].startswith("answers are not kept: ")


class TestDirectory:
    """A shared cache in a directory."""

    @pytest.fixture
    def shared(self, tmp_path: Path) -> str:
        (tmp_path / "shared").mkdir()
        return str(tmp_path / "shared")

    def test_others_find_what_one_has_kept(self, open_cache: Callable[..., Cache], shared: str) -> None:
        write(a_c="// fake: stderr what\n// fake: exit 1\n")
        mine = Checked(open_cache("mine", shared))
        theirs = Checked(open_cache("theirs", shared))
        assert (mine.compiles, theirs.compiles, theirs.cached) == (1, 0, [True])
        assert theirs.results[0].stderr == mine.results[0].stderr
        assert Checked(open_cache("theirs")).compiles == 0  # which now has it itself

    def test_what_depends_on_files_of_this_machine_stays_here(
        self, open_cache: Callable[..., Cache], shared: str
    ) -> None:
        write(a_c="int a;\n")
        host = Identity("host", headers={})
        Checked(open_cache("mine", shared), identity=host)
        Checked(open_cache("theirs", shared), identity=host)
        assert Checked(open_cache("mine", shared), identity=host).compiles == 0
        assert Checked(open_cache("others", shared), identity=host).compiles == 1
        assert os.listdir(shared) == []

    @pytest.mark.parametrize("torn", [b"", b"=", b"torn", bytes(20)])
    def test_a_torn_file_is_compiled_over(self, open_cache: Callable[..., Cache], shared: str, torn: bytes) -> None:
        write(a_c="int a;\n")
        Checked(open_cache("mine", shared))
        (file,) = [os.path.join(at, name) for at, _, names in os.walk(shared) for name in names]
        whole = Path(file).read_bytes()
        Path(file).write_bytes(torn or whole[:-1])
        assert Checked(open_cache("theirs", shared)).compiles == 1
        assert Checked(open_cache("others", shared)).compiles == 0

    def test_a_link_is_not_followed(self, open_cache: Callable[..., Cache], shared: str, tmp_path: Path) -> None:
        write(a_c="int a;\n")
        Checked(open_cache("mine", shared))
        (file,) = [os.path.join(at, name) for at, _, names in os.walk(shared) for name in names]
        os.rename(file, tmp_path / "elsewhere")
        os.symlink(tmp_path / "elsewhere", file)
        assert Checked(open_cache("theirs", shared)).compiles == 1

    def test_one_that_is_no_directory_is_told_of_once(
        self, open_cache: Callable[..., Cache], tmp_path: Path, notes: list[str]
    ) -> None:
        (tmp_path / "file").write_text("")
        write(a_c="int a;\n", b_c="int b;\n")
        assert Checked(open_cache("mine", str(tmp_path / "file"))).compiles == 2
        assert Checked(open_cache("mine")).compiles == 0
        assert [note.partition(":")[0] for note in notes] == ["the shared cache is not asked any more"]


def test_a_shared_directory_that_is_gone_is_told_of_and_not_made(
    open_cache: Callable[..., Cache], tmp_path: Path, notes: list[str]
) -> None:
    gone = tmp_path / "mount" / "answers"
    write(a_c="int a;\n")
    assert Checked(open_cache("mine", str(gone))).compiles == 1
    assert len(notes) == 1
    assert notes[0].endswith(f"it is no directory: {gone}")
    assert not gone.exists()


class TestRedis:
    """A shared cache in a Redis of the test's own."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
        argv = [
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            str(tmp_path / "redis"),
            "--save",
            "",
            "--dir",
            str(tmp_path),
        ]
        try:
            process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        except FileNotFoundError:
            say_unavailable("unit", "there is no redis-server", "apt-get install redis-server")
        with process:
            deadline = time.monotonic() + 30
            while not (tmp_path / "redis").exists() and time.monotonic() < deadline:
                assert process.poll() is None
                time.sleep(0.01)
            yield process
            process.kill()

    @pytest.fixture
    def shared(self, server: subprocess.Popen[bytes], tmp_path: Path) -> str:
        return f"unix://{tmp_path / 'redis'}"

    def test_others_find_what_one_has_kept(self, open_cache: Callable[..., Cache], shared: str) -> None:
        write(a_c="// fake: stderr what\n// fake: exit 1\n", b_c="int b;\n")
        mine = Checked(open_cache("mine", shared))
        theirs = Checked(open_cache("theirs", shared))
        assert (mine.compiles, theirs.compiles, theirs.cached) == (2, 0, [True, True])
        assert theirs.results[0].stderr == mine.results[0].stderr

    def test_what_somebody_else_has_put_there_is_no_answer(self, open_cache: Callable[..., Cache], shared: str) -> None:
        import redis

        write(a_c="int a;\n")
        Checked(open_cache("mine", shared))
        with redis.Redis.from_url(shared) as client:
            (name,) = client.keys()
            client.set(name, b"torn")
            assert Checked(open_cache("theirs", shared)).compiles == 1
            client.delete(name)
            client.lpush(name, b"another type")
            assert Checked(open_cache("others", shared)).compiles == 1

    def test_one_that_ends_meanwhile_costs_compiles_and_no_answer(
        self, open_cache: Callable[..., Cache], shared: str, server: subprocess.Popen[bytes], notes: list[str]
    ) -> None:
        write(a_c="int a;\n", b_c="int b;\n")
        cache = open_cache("mine", shared)
        Checked(cache)
        server.kill()
        server.wait()
        write(a_c="int aa;\n", b_c="int bb;\n")
        assert [Checked(cache).compiles for _ in range(2)] == [2, 0]
        assert len(notes) == 1
