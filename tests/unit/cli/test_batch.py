"""`will-it-compile batch` with the fake backend: every record is answered exactly once, whatever happens."""

from __future__ import annotations

import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from willitcompile.backends.fake import FakeBackend
from willitcompile.cli import run
from willitcompile.errors import BackendFailed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from willitcompile.model import CompileJob, CompileResult

ON_FAKE = """
import sys
from collections import deque
from willitcompile.backends.fake import FakeBackend
from willitcompile.cli import leave, run

backend = FakeBackend()
backend.jobs = deque(maxlen=1)
backend.expected = deque(maxlen=1)
leave(run(["batch", "--no-cache", "-l", "c", *sys.argv[1:]], lambda name, opening: backend))
"""
"""The command line, with a backend that remembers nothing."""

GOOD, BAD = "int x;", "// fake: stderr no\n// fake: exit 1"
PATIENCE = 120.0


def record(name: str | int, code: str = GOOD, **more: object) -> str:
    return json.dumps({"id": name, "code": code, **more}) + "\n"


def batch(
    tmp_path: Path, lines: Iterable[str], *argv: str, backend: FakeBackend | None = None
) -> tuple[int, list[Any]]:
    """Its exit code, and what is in the file of answers."""
    (tmp_path / "in.jsonl").write_text("".join(lines))
    words = ["batch", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl"), "--no-cache", "-l", "c", *argv]
    code = run(words, lambda name, opening: backend or FakeBackend())
    out = tmp_path / "out.jsonl"
    return code, [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def started(*argv: str, **more: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", ON_FAKE, *argv], **more)


def test_each_record_has_its_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [record(number, BAD if number % 4 == 0 else GOOD, group="ab"[number % 2]) for number in range(40)]
    code, answers = batch(tmp_path, lines, "--summary", str(tmp_path / "summary.json"))
    assert code == 1
    assert {each["id"]: each["compiled"] for each in answers} == {number: number % 4 != 0 for number in range(40)}
    [result] = next(each for each in answers if each["id"] == 4)["results"]
    assert (result["source"], result["verdict"], result["stderr"]) == ("main.c", "rejected", "no\n")
    said = capsys.readouterr().err
    assert "40 records: 30 compiled (75.0%), 10 rejected" in said
    assert "  a           20     50.0%  10 rejected" in said
    assert "  b           20    100.0%\n" in said
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["records"], summary["compiled"], summary["groups"]["a"]["compile_rate"]) == (40, 30, 0.5)


@pytest.mark.parametrize(
    ("lines", "code"), [([], 0), ([record(1)], 0), ([record(1, BAD)], 1), ([record(1, BAD), "{"], 2)]
)
def test_the_exit_code_says_it_all(tmp_path: Path, lines: list[str], code: int) -> None:
    assert batch(tmp_path, lines)[0] == code


def test_what_is_wrong_costs_no_other_its_answer(tmp_path: Path) -> None:
    lines = [
        record("a"),
        "{broken\n",
        "\n",
        record("a", BAD),
        record("flag", flags=["-fplugin=x.so"]),
        record("nobody", compilers=["gcc-99"]),
        record("binary", code="int x;\x00"),
        record("b"),
    ]
    code, answers = batch(tmp_path, lines)
    assert code == 2
    told = {each.get("line", each["id"]): each for each in answers}
    assert set(told) == {"a", 2, 4, 5, 6, 7, "b"}
    assert told[2]["id"] is None
    assert "it is not JSON" in told[2]["error"]["obstacle"]
    assert told[4]["error"]["obstacle"] == "this id was there before"
    assert all(told[number]["error"]["remedy"] for number in (2, 4, 5, 6, 7))
    assert told["a"]["compiled"]
    assert told["b"]["compiled"]


@pytest.mark.parametrize("order", ["finished", "input"])
def test_the_order_is_as_asked(tmp_path: Path, order: str) -> None:
    class Uneven(FakeBackend):
        """The first of all is the last to end."""

        def at_once(self, jobs: int) -> int:
            return 2

        def compile(self, job: CompileJob, cancel: Any = None) -> CompileResult:
            if b"first" in job.files["main.c"]:
                self.wait_jobs(3)
            return super().compile(job, cancel)

        def wait_jobs(self, count: int) -> None:
            end = time.monotonic() + PATIENCE
            while len(self.jobs) < count and time.monotonic() < end:
                time.sleep(0.001)

    lines = [record(0, "first"), *(record(number) for number in range(1, 20))]
    lines[5] = "{\n"
    _, answers = batch(tmp_path, lines, "--order", order, backend=Uneven())
    names = [each["id"] for each in answers]
    expected = [number if number != 5 else None for number in range(20)]
    assert (names == expected) == (order == "input")
    assert sorted(map(str, names)) == sorted(map(str, expected))


def test_resuming_asks_nothing_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [record(number) for number in range(10)] + ["{\n", record(3)]
    first = batch(tmp_path, lines[:4])
    assert len(first[1]) == 4
    # Without being told to, nothing that is there is touched.
    assert batch(tmp_path, lines)[0] == 2
    assert "to go on where it ended add --resume" in capsys.readouterr().err
    backend = FakeBackend()
    code, answers = batch(tmp_path, lines, "--resume", backend=backend)
    assert code == 2
    assert len(backend.jobs) == 6
    assert Counter(str(each["id"]) for each in answers) == {**{str(n): 1 for n in range(10)}, "None": 1, "3": 2}
    assert "12 records: 10 compiled (100.0%), 2 wrong; 4 of them were answered before" in capsys.readouterr().err
    backend = FakeBackend()
    assert batch(tmp_path, lines, "--resume", backend=backend)[1] == answers
    assert not backend.jobs


def test_killed_ten_times_each_record_is_answered_exactly_once(tmp_path: Path) -> None:
    count = 4000
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(record(number, BAD if number % 3 == 0 else GOOD) for number in range(count)))
    draw = random.Random(7)
    killed = 0
    for _ in range(10):
        size = out.stat().st_size if out.exists() else 0
        process = started(str(source), "-o", str(out), "--resume", "-q")
        target = size + draw.randrange(1, 150_000)
        end = time.monotonic() + PATIENCE
        while process.poll() is None and (out.stat().st_size if out.exists() else 0) < target:
            assert time.monotonic() < end
            time.sleep(0.001)
        process.kill()
        killed += process.wait() == -signal.SIGKILL
    assert killed == 10
    assert started(str(source), "-o", str(out), "--resume", "-q").wait() == 1
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert Counter(each["id"] for each in answers) == dict.fromkeys(range(count), 1)
    assert all(each["compiled"] == (each["id"] % 3 != 0) for each in answers)


def test_a_hundred_thousand_records_take_no_more_memory_than_a_few(tmp_path: Path) -> None:
    count = 100_000
    process = started("-q", "-o", str(tmp_path / "out.jsonl"), stdin=subprocess.PIPE)
    assert process.stdin

    def resident() -> int:
        with open(f"/proc/{process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    after = {}
    with process.stdin as pipe:
        for number in range(count):
            # It is taken only as fast as it is answered: all but some hundreds of those before have been.
            pipe.write(record(f"record number {number}", f"int x{number};").encode())
            if number % 10_000 == 9_999:
                pipe.flush()
                after[number + 1] = resident()
    assert process.wait() == 0
    with open(tmp_path / "out.jsonl", "rb") as file:
        assert sum(1 for _ in file) == count
    # 16 bytes of each id in a table that is at most two thirds full, and doubles: 2 MiB more, 4 while it doubles.
    assert max(after.values()) - after[10_000] < 12 << 20, after


def test_who_reads_slowly_is_waited_for() -> None:
    """No more is read than there is room for, and nothing is lost."""
    process = started("-q", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    os.set_blocking(process.stdin.fileno(), False)
    sent = bytearray()
    lines = 0
    # Until it takes no more, as its answers fill the pipe: for a second, which would do for thousands.
    while select.select([], [process.stdin], [], 1)[1]:
        line = record(lines, "//" + "x" * 50_000).encode()
        rest = line[len(sent) - sent.rfind(b"\n") - 1 :]
        try:
            sent += rest[: os.write(process.stdin.fileno(), rest)]
        except BlockingIOError:
            continue
        lines += sent.endswith(b"\n")
        assert len(sent) < 64 << 20
    os.set_blocking(process.stdin.fileno(), True)
    said = process.communicate(b"\n")[0]
    answers = [json.loads(line) for line in said.splitlines()]
    assert sorted(each["id"] for each in answers if each["id"] is not None) == list(range(lines))


@pytest.mark.parametrize("where", ["file", "stdout"])
def test_a_disk_that_is_full_ends_it_and_it_goes_on_after(tmp_path: Path, where: str) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(record(number) for number in range(100)))

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    with out.open("ab") as stdout:
        argv = ["-o", str(out)] if where == "file" else []
        process = started(str(source), *argv, preexec_fn=small, stdout=stdout, stderr=subprocess.PIPE)
        said = process.communicate()[1].decode()
    assert process.returncode == 3
    assert "make room" in said
    assert out.read_bytes().endswith(b"\n"), "a part of a line is none"
    assert started(str(source), "-o", str(out), "--resume", "-q").wait() == 0
    assert Counter(json.loads(line)["id"] for line in out.read_text().splitlines()) == dict.fromkeys(range(100), 1)


def test_a_backend_that_fails_ends_it_with_what_it_has(tmp_path: Path) -> None:
    class Failing(FakeBackend):
        def compile(self, job: CompileJob, cancel: Any = None) -> CompileResult:
            if len(self.jobs) >= 5:
                raise BackendFailed("compile", "the daemon is gone", "start it")
            return super().compile(job, cancel)

    lines = [record(number) for number in range(20)]
    code, answers = batch(tmp_path, lines, backend=Failing())
    assert code == 3
    assert len(answers) <= 7
    code, answers = batch(tmp_path, lines, "--resume")
    assert code == 0
    assert sorted(each["id"] for each in answers) == list(range(20))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: int) -> None:
    out = tmp_path / "out.jsonl"
    process = started("-o", str(out), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin
    assert process.stderr
    process.stdin.write("".join([record(1), record(2, "// fake: hang")]).encode())
    process.stdin.flush()
    end = time.monotonic() + PATIENCE
    while not (out.exists() and out.stat().st_size) and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(number)
    said = process.communicate()[1].decode()
    assert process.returncode == 130
    assert "interrupted: 1 answered" in said
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == [1]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--order", "random"], "there is none of that name"),
        (["--resume"], "nothing tells which answers are there"),
        (["missing.jsonl"], "read missing.jsonl"),
        (["-o", "/nowhere/out.jsonl"], "write to /nowhere/out.jsonl"),
    ],
)
def test_what_is_wrong_with_the_request_is_told(
    tmp_path: Path, argv: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").touch()
    words = argv if "missing.jsonl" in argv else ["in.jsonl", *argv]
    assert run(["batch", *words], lambda name, opening: FakeBackend()) == 2
    assert said in capsys.readouterr().err
