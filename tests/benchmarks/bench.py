"""How much will-it-compile costs beside the bare compiler, measured side by side in one run.

See docs/performance.md. Judges nothing and always exits 0: a figure on a busy machine is no failure.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from willitcompile.backends.sandbox import SandboxBackend

ROOT = Path(__file__).parents[2]
HELLO = ROOT / "docs" / "examples" / "hello.cpp"
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

TIME_LIMIT = 1.0
"""Seconds, of the compile that never ends."""

ENDLESS = """\
#if __INCLUDE_LEVEL__ < 150
#include __FILE__
#include __FILE__
#endif
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. Times in seconds."""

    part: str
    name: str
    times: Sequence[float]
    """One for each round: of this alone, or less what it is measured beside."""
    goal: str = ""
    unit: str = "ms"
    """`ms`, `x` for a ratio, or what was counted."""

    def cells(self) -> tuple[str, ...]:
        scale, form = {"ms": (1000, "{:.1f} ms"), "x": (1, "{:.3f} x")}.get(self.unit, (1, f"{{:.2f}} {self.unit}"))
        shown = (statistics.median(self.times), min(self.times), max(self.times))
        return (self.name, *(form.format(scale * value) for value in shown), str(len(self.times)), self.goal)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the parts need."""

    program: str
    """The console script of the Python that runs this."""
    scratch: Path
    """A directory in memory."""
    quick: bool

    def rounds(self, many: int, few: int) -> int:
        return few if self.quick else many


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default all)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and 40 files for 200")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/performance.md")
    asked = parser.parse_args(argv)
    for part in asked.parts:
        if part not in PARTS:
            parser.error(f"there is no part {part!r}; use {', '.join(PARTS)}")
    # What a part has made somewhere else goes with it, however it ends.
    # The compile is what is measured, but for the part about the cache.
    os.environ["WIC_CACHE"] = "false"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    program = shutil.which("will-it-compile", path=str(Path(sys.executable).parent))
    if program is None:
        print("skipped: will-it-compile is not installed beside this Python: make bench")
        return 0
    figures: list[Figure] = []
    in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="wic-bench-", dir=in_memory) as scratch:
        machine = Machine(program, Path(scratch), asked.quick)
        for name in asked.parts or PARTS:
            try:
                for figure in PARTS[name](machine):
                    figures.append(figure)
                    print(f"{name}: {'  '.join(figure.cells())}", file=sys.stderr, flush=True)
            except Exception as error:  # noqa: BLE001 - one part must not cost the others their figures
                print(f"{name}: skipped, {error}", file=sys.stderr)
    print(_table(figures, markdown=asked.markdown))
    return 0


def hello(machine: Machine) -> Iterator[Figure]:
    """From process start to exit, for one small file."""
    compiler = ["g++", "-c", str(HELLO), "-o", str(machine.scratch / "hello.o")]
    check = [machine.program, "check", "-b", "sandbox", str(HELLO)]
    bare, ours = alternate(machine.rounds(30, 7), lambda: wall(compiler), lambda: wall(check))
    more = [mine - its for its, mine in zip(bare, ours, strict=True)]
    yield Figure("hello", "g++ -c hello.cpp", bare)
    yield Figure("hello", "will-it-compile check hello.cpp", ours)
    yield Figure("hello", "more than g++, of each pair", more, "at most 60 ms")


def sandbox(machine: Machine) -> Iterator[Figure]:
    """One compile of next to nothing by a backend that is open, beside the same program without it."""
    source = machine.scratch / "one.cpp"
    source.write_text("int x;\n")
    # Not through a shell and with as few variables as a job has.
    compiler = [str(shutil.which("g++")), "-pipe", "-x", "c++", "-c", str(source), "-o", f"{source}.o"]
    for isolation in ("namespaces", "landlock"):
        try:
            backend = _open(isolation)
        except Exception as error:  # noqa: BLE001
            print(f"sandbox: {isolation} skipped, {error}", file=sys.stderr)
            continue
        with backend:
            in_sandbox = _trivial(backend)
            in_sandbox()
            bare, ours = alternate(machine.rounds(60, 15), lambda: wall(compiler), in_sandbox)
        more = [mine - its for its, mine in zip(bare, ours, strict=True)]
        yield Figure("sandbox", "g++ -c, one line", bare)
        yield Figure("sandbox", f"the same in {isolation}", ours)
        yield Figure("sandbox", f"{isolation}, of each pair", more, "at most 10 ms")


def start(machine: Machine) -> Iterator[Figure]:
    """What the interpreter costs, and --help beside it."""
    python = sys.executable
    nothing, typer, helped = alternate(
        machine.rounds(30, 7),
        lambda: wall([python, "-c", "pass"]),
        lambda: wall([python, "-c", "import typer"]),
        lambda: wall([machine.program, "--help"]),
    )
    yield Figure("start", "python -c pass", nothing)
    yield Figure("start", "python -c 'import typer'", typer)
    yield Figure("start", "will-it-compile --help", helped, "at most 100 ms")


def files(machine: Machine) -> Iterator[Figure]:
    """Many real files, two compiles at one time on both sides."""
    import corpus

    where = corpus.corpus()
    found = corpus.sources(where)
    paths = sorted({path.partition("/")[0] for path in found})
    if machine.quick:
        found = paths = found[:: len(found) // 40][:40]
    count = len(found)
    names = machine.scratch / "names"
    names.write_text("\0".join(found))
    objects = machine.scratch / "objects"
    objects.mkdir()
    includes = [f"-I{directory}" for directory in corpus.INCLUDE_DIRS]
    std = corpus.STANDARD
    # The name of each object is the file's with its slashes: as many directories as there are.
    for directory in {os.path.dirname(path) for path in found}:
        (objects / directory).mkdir(parents=True, exist_ok=True)
    compiler = ["xargs", "-0", "-a", str(names), "-P2", "-I{}", "g++", f"-std={std}", *includes, "-c", "{}"]
    compiler += ["-o", f"{objects}/{{}}.o"]
    check = [machine.program, "check", "-b", "sandbox", "-c", "gcc", "-s", std, "-j", "2", "-q", *includes, *paths]
    codes: dict[str, int] = {}

    def measured(name: str, argv: list[str]) -> Callable[[], float]:
        def once() -> float:
            begin = time.perf_counter()
            codes[name] = subprocess.run(
                argv, cwd=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
            ).returncode
            return time.perf_counter() - begin

        return once

    bare, ours = alternate(machine.rounds(2, 1), measured("bare", compiler), measured("ours", check), warm=False)
    if any(codes.values()):
        print(f"files: not all of them compiled, exit codes {codes}", file=sys.stderr)
    pairs = list(zip(bare, ours, strict=True))
    yield Figure("files", f"xargs -P2 g++ -c, {count} files", bare)
    yield Figure("files", f"will-it-compile check -j2, {count} files", ours)
    yield Figure("files", "ratio, of each pair", [mine / its for its, mine in pairs], "at most 1.05 x", "x")
    # Two run at one time, so that a file costs twice its share of the elapsed time.
    each = [2 * (mine - its) / count for its, mine in pairs]
    yield Figure("files", "more for each file", each)


def timeout(machine: Machine) -> Iterator[Figure]:
    """How long after the time limit the command has its answer, and nothing runs any more."""
    quick, endless = machine.scratch / "quick.c", machine.scratch / "endless.c"
    quick.write_text("int x;\n")
    endless.write_text(ENDLESS)
    check = [machine.program, "check", "-b", "sandbox", "--memory", "2GiB", "--timeout", f"{TIME_LIMIT:g}"]
    base, ended = alternate(
        machine.rounds(5, 2), lambda: wall([*check, str(quick)]), lambda: wall([*check, str(endless)])
    )
    late = [end - TIME_LIMIT - its for its, end in zip(base, ended, strict=True)]
    yield Figure("timeout", "will-it-compile check, int x;", base)
    yield Figure("timeout", f"the same, endless, limit {TIME_LIMIT:g} s", ended)
    yield Figure("timeout", "after the limit, of each pair", late, "at most 200 ms")


def watch(machine: Machine) -> Iterator[Figure]:
    """What `check --watch` takes of a core while nothing changes."""
    for count in (100, 1000, 10_000):
        directory = machine.scratch / f"watched-{count}"
        directory.mkdir()
        # One source, so that the first check is soon over.
        (directory / "main.c").write_text("".join(f'#include "h{number}.h"\n' for number in range(count - 1)))
        for number in range(count - 1):
            (directory / f"h{number}.h").touch()
        argv = [
            machine.program,
            "check",
            "--watch",
            "-b",
            "sandbox",
            "--timeout",
            "5m",
            "-q",
            str(directory / "main.c"),
        ]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            try:
                assert process.stdout
                process.stdout.readline()
                shares = [_share_of_a_core(process.pid, 4) for _ in range(machine.rounds(5, 2))]
            finally:
                process.terminate()
        yield Figure("watch", f"of one core, watching {count} files", shares, unit="%")


def _share_of_a_core(pid: int, seconds: float) -> float:
    """In percent."""

    def used() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    begin, before = time.perf_counter(), used()
    time.sleep(seconds)
    return 100 * (used() - before) / (time.perf_counter() - begin)


def containers(part: str) -> Callable[[Machine], Iterator[Figure]]:
    """A part of containers.py, which needs a daemon with our image of its toolchain."""

    def run(machine: Machine) -> Iterator[Figure]:
        import containers as module

        module.prepare()
        measure: Callable[[Machine], Iterator[Figure]] = getattr(module, part)
        return measure(machine)

    return run


def part_of(name: str, part: str) -> Callable[[Machine], Iterator[Figure]]:
    """A part of another module here, which may need more than this one."""

    def run(machine: Machine) -> Iterator[Figure]:
        measure: Callable[[Machine], Iterator[Figure]] = getattr(import_module(name), part)
        return measure(machine)

    return run


PARTS: dict[str, Callable[[Machine], Iterator[Figure]]] = {
    "hello": hello,
    "sandbox": sandbox,
    "start": start,
    "timeout": timeout,
    "files": files,
    "cache": part_of("cache", "recheck"),
    "serve": part_of("serving", "requests"),
    "serve-compiles": part_of("serving", "compiles"),
    "serve-cluster": part_of("serving", "in_cluster"),
    "serve-warm": part_of("serving", "warm"),
    "docker": containers("one_file"),
    "docker-files": containers("many_files"),
    "docker-warm": containers("warm"),
    "matrix": containers("matrix"),
    "watch": watch,
    "batch": part_of("batch", "in_sandbox"),
    "batch-docker": part_of("batch", "in_docker"),
    "batch-kubernetes": part_of("batch", "in_cluster"),
    "kubernetes": part_of("cluster", "one_file"),
    "kubernetes-warm": part_of("cluster", "warm"),
    "kubernetes-files": part_of("cluster", "many_files"),
    "kubernetes-requests": part_of("cluster", "requests"),
    "kubernetes-simulated": part_of("simulated", "many_pods"),
}


def alternate(rounds: int, *measures: Callable[[], float], warm: bool = True) -> list[list[float]]:
    """Each in turn, A B A B: what else this machine does meanwhile slows all of them alike."""
    if warm:
        for measure in measures:
            measure()
    times: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for measure, taken in zip(measures, times, strict=True):
            taken.append(measure())
    return times


def wall(argv: Sequence[str]) -> float:
    """Seconds from the start of a process to its end."""
    begin = time.perf_counter()
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - begin


def _open(isolation: str) -> SandboxBackend:
    from willitcompile.backends.sandbox import SandboxBackend

    return SandboxBackend(isolation=isolation)


def _trivial(backend: SandboxBackend) -> Callable[[], float]:
    from willitcompile.model import CompileJob, Verdict, output_path

    gcc = next(each for each in backend.toolchains() if each.family == "gcc" and "c++" in each.languages)
    argv = ("g++", "-pipe", "-x", "c++", "-c", "one.cpp", "-o", output_path("."))
    job = CompileJob(gcc.name, "c++", {"one.cpp": b"int x;\n"}, argv)

    def once() -> float:
        begin = time.perf_counter()
        result = backend.compile(job)
        taken = time.perf_counter() - begin
        if result.verdict is not Verdict.COMPILED:
            raise RuntimeError(f"int x; is {result.verdict}: {result.stderr.decode(errors='replace')}")
        return taken

    return once


def _table(figures: Sequence[Figure], *, markdown: bool) -> str:
    head = ("what", "median", "least", "most", "rounds", "goal")
    if markdown:
        rows = [head, ("---", "---:", "---:", "---:", "---:", "---"), *(each.cells() for each in figures)]
        return "\n".join([f"{_machine()}.\n", *(f"| {' | '.join(row)} |" for row in rows)])
    rows = [head, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [_machine(), ""]
    for row in rows:
        cells = [
            cell.ljust(width) if column in {0, 5} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _machine() -> str:
    """The machine in a line, and how busy it was: a figure means nothing without it."""
    load = os.getloadavg()[0]
    return ", ".join(
        [
            f"{len(os.sched_getaffinity(0))} cores",
            f"load {load:.1f}",
            f"Linux {platform.release()}",
            f"Python {platform.python_version()}",
            *filter(None, map(_version, ("g++", "bwrap"))),
        ]
    )


def _version(program: str) -> str:
    try:
        ran = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return f"no {program}"
    return (ran.stdout or ran.stderr).partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
