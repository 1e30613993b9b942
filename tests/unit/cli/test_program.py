"""The program as a process: signals, pipes, terminals, and real compiles."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Start: TypeAlias = Callable[..., subprocess.Popen[str]]
    Program: TypeAlias = Callable[..., "tuple[int, str, str]"]

ON_FAKE = """
import sys
from willitcompile.backends.fake import FakeBackend
from willitcompile.cli import leave, run

class Fake(FakeBackend):
    def compile(self, job, cancel=None):
        print("compiling", file=sys.stderr, flush=True)
        return super().compile(job, cancel)

leave(run(sys.argv[1:], lambda name, opening: Fake()))
"""
"""The command line on the fake backend, which says when it begins."""

ASKING = """
import subprocess, sys
from concurrent.futures import ThreadPoolExecutor
from willitcompile.backends.fake import FakeBackend
from willitcompile.cli import leave, run

def ask(_):
    process = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    print("asking", process.pid, file=sys.stderr, flush=True)
    process.wait()

class Fake(FakeBackend):
    def toolchains(self, wanted=None):
        with ThreadPoolExecutor() as pool:
            list(pool.map(ask, range(1)))
        return super().toolchains()

leave(run(sys.argv[1:], lambda name, opening: Fake()))
"""
"""The command line on a backend whose compilers never answer what they can."""

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

ENDLESS = """
constexpr long sum(long n) { long s = 0; for (long i = 0; i < n; ++i) s += i % 7; return s; }
constexpr long never = sum(100'000'000'000);
"""
ENDLESS_FLAGS = ("--flag=-fconstexpr-ops-limit=999999999", "--flag=-fconstexpr-loop-limit=999999999")


@pytest.fixture(autouse=True)
def sources(project: Path) -> None:
    (project / "good.cpp").write_text("int main() {}\n")
    (project / "bad.cpp").write_text("int main() { return 0 }\n")
    (project / "hang.cpp").write_text("// fake: hang\n")
    (project / "endless.cpp").write_text(ENDLESS)


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stderr
    while said := process.stderr.readline():
        if said == f"{line}\n":
            return
    raise AssertionError(f"it ended before it said {line!r}")


class TestInterrupt:
    @pytest.mark.parametrize("number", SIGNALS)
    def test_ends_everything_in_order(self, start: Start, number: signal.Signals) -> None:
        process = start("check", "hang.cpp", "good.cpp", "-j1", "--timeout", "1h", code=ON_FAKE)
        wait_for(process, "compiling")
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (130, "", "interrupted: 0 checked\n")

    def test_in_json_is_told_too(self, start: Start) -> None:
        process = start("check", "hang.cpp", "-fjson", "--timeout", "1h", code=ON_FAKE)
        wait_for(process, "compiling")
        process.terminate()
        assert '"obstacle": "0 checked"' in process.communicate(timeout=20)[0]

    def test_leaves_no_half_file(self, start: Start, project: Path) -> None:
        before = set(project.iterdir())
        process = start("check", "hang.cpp", "-o", "report", "--timeout", "1h", code=ON_FAKE)
        wait_for(process, "compiling")
        process.terminate()
        assert process.wait(timeout=20) == 130
        assert set(project.iterdir()) == before

    def test_that_is_ignored_stays_so(self, start: Start, project: Path) -> None:
        def ignore() -> None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        process = start("check", "hang.cpp", "--timeout", "1s", code=ON_FAKE, preexec_fn=ignore)
        wait_for(process, "compiling")
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=20) == 1

    @pytest.mark.parametrize("argv", [("check", "good.cpp", "-o", "report"), ("environments",)])
    @pytest.mark.parametrize("number", SIGNALS)
    def test_waits_for_no_compiler_that_is_asked_what_it_can(
        self, start: Start, project: Path, number: signal.Signals, argv: tuple[str, ...]
    ) -> None:
        before = set(project.iterdir())
        process = start(*argv, code=ASKING)
        assert process.stderr
        asked = process.stderr.readline().split()
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err[:11]) == (130, "interrupted")
        assert set(project.iterdir()) == before
        deadline = time.monotonic() + 10
        while Path("/proc", asked[1], "exe").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    @pytest.mark.sandbox
    @pytest.mark.usefixtures("sandbox")
    def test_of_a_real_compile_leaves_no_process(self, start: Start) -> None:
        process = start("check", "endless.cpp", "--timeout", "1h", "-j2", "good.cpp", *ENDLESS_FLAGS)
        deadline = time.monotonic() + 60
        while "cc1plus" not in (names := descendants(process.pid)).values():
            assert time.monotonic() < deadline, names
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        start_of_end = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert time.monotonic() - start_of_end < 5
        assert process.returncode == 130
        assert err.splitlines()[-1].startswith("interrupted: ")
        assert not [pid for pid, name in names.items() if name == "cc1plus" and os.path.exists(f"/proc/{pid}/exe")]


def descendants(of: int) -> dict[int, str]:
    """By process id, the names of all processes below one."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text(errors="replace").partition("(")[2].rpartition(")")
            except OSError:  # it has just ended
                continue
            names[int(entry.name)] = name
            parents[int(entry.name)] = int(rest.split()[1])
    found = {of}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: names[pid] for pid in found - {of} if pid in names}


class TestStandardStreams:
    @pytest.mark.parametrize(
        "argv", [("check", "good.cpp"), ("--help",), ("version",), ("check", "good.cpp", "-fjson")]
    )
    def test_a_reader_who_is_gone_ends_it_silently(self, program: Program, argv: tuple[str, ...]) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            code, _, err = program(*argv, code=ON_FAKE, stdout=writer)
        finally:
            os.close(writer)
        assert code == 141
        assert err in {"", "compiling\n"}

    def test_a_full_disk_is_no_answer(self, program: Program) -> None:
        with open("/dev/full", "w") as full:
            code, _, err = program("check", "good.cpp", code=ON_FAKE, stdout=full)
        assert code == 3
        assert "error: write the report to stdout\n  No space left on device\n" in err

    @pytest.mark.parametrize(("closed", "code"), [(0, 0), (1, 3), (2, 0)])
    def test_a_closed_stream_is_survived(self, program: Program, closed: int, code: int) -> None:
        ended = program("check", "good.cpp", code=ON_FAKE, preexec_fn=lambda: os.close(closed))
        assert ended[0] == code
        assert "Traceback" not in ended[2]

    def test_closed_standard_input_is_said_to_be(self, program: Program) -> None:
        code, _, err = program("check", "-", "-lc", code=ON_FAKE, preexec_fn=lambda: os.close(0))
        assert code == 2
        assert "it is closed" in err

    def test_another_encoding_shows_what_it_can(self, program: Program, project: Path) -> None:
        (project / "caf\u00e9.cpp").write_text("int x;\n")
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        code, out, _ = program("check", "caf\u00e9.cpp", code=ON_FAKE, env=environment)
        assert code == 0
        assert "caf\\xe9.cpp: compiled" in out


class TestTerminal:
    def on_terminal(self, start: Start, *argv: str, **environment: str) -> str:
        """What a terminal is sent."""
        master, slave = pty.openpty()
        streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), slave)
        variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **environment}
        process = start(*argv, code=ON_FAKE, env=variables, **streams)
        os.close(slave)
        said = b""
        try:
            while data := os.read(master, 65536):
                said += data
        except OSError:  # how Linux says that nobody has the other end any more
            pass
        os.close(master)
        assert process.wait(timeout=20) in {0, 1}
        return said.decode()

    def test_many_files_get_a_bar_that_goes_away(self, start: Start) -> None:
        said = self.on_terminal(start, "check", "hang.cpp", "good.cpp", "bad.cpp", "-j1", "--timeout", "1s")
        assert "checking" in said
        assert "/3" in said
        assert "checking" not in said.rpartition("\x1b[2K")[2]
        assert said.splitlines()[-1] == "3 files: 2 compiled, 1 timeout"

    def test_quiet_has_no_bar(self, start: Start) -> None:
        said = self.on_terminal(start, "check", "hang.cpp", "good.cpp", "-qj1", "--timeout", "1s")
        assert "checking" not in said

    def test_colours_are_those_of_the_user(self, start: Start) -> None:
        assert "\x1b[1;32mcompiled" in self.on_terminal(start, "check", "good.cpp")
        assert "\x1b" not in self.on_terminal(start, "check", "good.cpp", NO_COLOR="1")
        assert "\x1b" not in self.on_terminal(start, "check", "good.cpp", TERM="dumb")


@pytest.mark.sandbox
@pytest.mark.usefixtures("sandbox")
class TestRealCompile:
    def test_answers_by_its_exit_code(self, program: Program) -> None:
        code, out, _ = program("check", "good.cpp")
        assert code == 0
        assert "good.cpp: compiled (" in out
        code, out, _ = program("check", "bad.cpp", "good.cpp")
        assert code == 1
        assert "bad.cpp:1:" in out
        assert out.endswith("2 files: 1 compiled, 1 rejected\n")

    def test_takes_a_source_from_standard_input(self, program: Program) -> None:
        assert program("check", "-", "-l", "c", stdin="int x = 1;\n")[0] == 0
        assert program("check", "-", "-l", "c", stdin="int x = ;\n")[0] == 1

    def test_reaches_its_time_limit(self, program: Program) -> None:
        code, out, _ = program("check", "endless.cpp", "--timeout", "500ms", *ENDLESS_FLAGS)
        assert code == 1
        assert "stopped after 0.5 s; for more time: --timeout 1\n" in out

    def test_the_console_command_is_installed(self) -> None:
        command = Path(sys.executable).with_name("will-it-compile")
        done = subprocess.run([command, "check", "good.cpp", "-q"], capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (0, b"")

    def test_doctor_agrees_that_a_check_can_run(self, program: Program) -> None:
        code, out, _ = program("doctor")
        assert (code, out.splitlines()[-1]) == (0, "a check can run: sandbox")

    def test_environments_lists_what_is_here(self, program: Program) -> None:
        code, out, _ = program("environments")
        assert code == 0
        assert "(default)" in out


def test_the_quick_way_imports_nothing_slow(program: Program) -> None:
    """Each of these takes longer than reading the command line."""
    code = ON_FAKE.replace("leave(run(", "ended = (run(") + (
        "\nslow = 'typer click rich yaml tomllib subprocess tempfile shutil difflib traceback asyncio logging'.split()"
        "\nprint(*(name for name in slow if name in sys.modules))"
    )
    assert program("check", "good.cpp", "-q", code=code)[1] == "\n"
