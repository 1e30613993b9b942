"""The launcher as process 1 of a container that bubblewrap makes, run by an ordinary user."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sandbox.launching import ENVIRONMENT, USER, Container, job, prepared, runs, wait_until
from willitcompile.backends.launcher import Seed, encode, hello, lay_out, mkdir, run, write
from willitcompile.backends.sandbox.landlock import abi_version
from willitcompile.backends.seccomp import bpf_filter
from willitcompile.model import MIB, CompileJob, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def directory(unavailable: Callable[..., None]) -> Iterator[Path]:
    """With programs that take more than they may."""
    with prepared(unavailable, "bomb", "stubborn", "signals") as path:
        yield path


@pytest.fixture
def container(directory: Path) -> Iterator[Container]:
    with Container(directory) as made:
        yield made


@pytest.fixture
def cgroup(directory: Path) -> Iterator[Path]:
    """What stands for a container's /sys/fs/cgroup: the tests write what the kernel would."""
    path = Path(tempfile.mkdtemp(prefix="launcher-cgroup-"))
    if os.geteuid() == 0:
        os.chown(path, USER, USER)
    yield path
    shutil.rmtree(path)


def put(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o666)


# How a compile ends


def test_exit_codes_and_signals_are_told(container: Container) -> None:
    assert container.run("true").ending[:3] == (0, None, None)
    assert container.shell("exit 3").ending[:3] == (3, None, None)
    assert container.shell("exit 255").ending[:3] == (255, None, None)
    assert container.shell("kill -SEGV $$").ending[:3] == (None, 11, None)
    assert container.shell("kill -PIPE $$").ending[:3] == (None, 13, None)


def test_what_it_prints_arrives_as_it_was(container: Container) -> None:
    everything = bytes(range(256)) * 40
    container.send(lay_out({"all": everything}))
    said = container.shell("cat all; cat all all >&2")
    assert (said.stdout, said.stderr) == (everything, everything * 2)


def test_the_duration_is_that_of_the_compile(container: Container) -> None:
    assert 0.3 <= container.run("sleep", "0.3").ending.duration_seconds < 2


@pytest.mark.parametrize(("stream", "redirection"), [("stdout", ""), ("stderr", ">&2")])
def test_output_is_kept_up_to_its_limit_exactly(container: Container, stream: str, redirection: str) -> None:
    for limit in (0, 1, 4090, 4091, 4092, 100_000):
        within = container.shell(f"head -c {limit} /dev/zero {redirection}", output_bytes=limit)
        assert (within.ending.stopped, getattr(within, stream)) == (None, bytes(limit))
        beyond = container.shell(f"head -c {limit + 1} /dev/zero {redirection}", output_bytes=limit)
        assert (beyond.ending.stopped, getattr(beyond, stream)) == ("output", bytes(limit))


@pytest.mark.parametrize("redirection", ["", ">&2"])
def test_a_flood_is_stopped(container: Container, redirection: str) -> None:
    said = container.shell(f"yes {redirection}", output_bytes=50_000)
    assert said.truncated
    assert len(said.stdout) + len(said.stderr) == 50_000
    assert said.ending.duration_seconds < 5


def test_the_limit_holds_for_each_stream(container: Container) -> None:
    said = container.shell("head -c 1000 /dev/zero; head -c 1000 /dev/zero >&2", output_bytes=1000)
    assert (said.ending.stopped, len(said.stdout), len(said.stderr)) == (None, 1000, 1000)


def test_a_timeout_ends_what_ignores_signals_and_left_its_session(container: Container) -> None:
    said = container.run("/opt/stubborn", wall_seconds=0.5)
    assert (said.ending.stopped, said.stdout) == ("wall", b"running\n")
    assert 0.5 <= said.ending.duration_seconds < 3
    assert only_the_launcher_runs(container)


def test_a_timeout_ends_what_is_stopped(container: Container) -> None:
    said = container.shell("sleep 50 & kill -STOP $!; kill -STOP $$", wall_seconds=0.3)
    assert said.ending.stopped == "wall"
    assert only_the_launcher_runs(container)


def test_what_a_compile_leaves_running_is_ended_with_it(container: Container) -> None:
    said = container.run("/opt/stubborn", "leave")
    assert said.ending[:3] == (0, None, None)
    assert said.ending.duration_seconds < 5
    assert only_the_launcher_runs(container)


def only_the_launcher_runs(container: Container) -> bool:
    found = container.shell("echo /proc/[0-9]*").stdout.split()
    return len(found) == 2 and found[0] == b"/proc/1"  # and the shell that looks


def test_what_loses_its_parent_is_reaped_at_once(container: Container) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do (true &); done; sleep 0.3; cat /proc/[0-9]*/status"
    assert b"zombie" not in container.shell(script).stdout


def test_closed_pipes_cost_nothing_and_the_clock_still_runs(container: Container) -> None:
    assert container.shell("exec >&- 2>&-; sleep 0.2; exit 7").ending[:3] == (7, None, None)
    assert container.shell("exec >&- 2>&-; sleep 50", wall_seconds=1.0).ending.stopped == "wall"
    fields = container.run("cat", "/proc/1/stat").stdout.rpartition(b")")[2].split()
    assert int(fields[11]) + int(fields[12]) < 0.2 * os.sysconf("SC_CLK_TCK")


# Memory and processes


@pytest.mark.parametrize("kind", ["memory", "shared-memory-of-many", "shared", "files"])
def test_memory_is_counted_where_no_cgroup_tells(directory: Path, kind: str) -> None:
    with Container(directory, size=400 * MIB) as container:
        said = container.run("/opt/bomb", kind, memory_bytes=100 * MIB)
    assert said.ending.stopped == "memory"
    assert said.ending.peak_memory_bytes > 100 * MIB


def test_sources_are_not_counted_as_memory(container: Container) -> None:
    container.send(lay_out({"big": bytes(20 * MIB)}))
    said = container.run("sleep", "0.2", memory_bytes=10 * MIB)
    assert said.ending.stopped is None


@pytest.mark.parametrize(
    ("stat", "text"),
    [
        ("memory/memory.stat", "cache 9\nrss 7\nrss_huge 0\nshmem 1\ntotal_cache 9\ntotal_rss {}\ntotal_shmem 5\n"),
        ("memory.stat", "anon {}\nfile 99999999999\nkernel 5\nshmem 5\nanon_thp 99999999999\n"),
    ],
)
def test_memory_is_what_a_cgroup_tells(directory: Path, cgroup: Path, stat: str, text: str) -> None:
    put(cgroup / stat, text.format(70_000_000))
    put(cgroup / "memory.current", "1\n")
    with Container(directory, cgroup=cgroup) as container:
        assert container.run("sleep", "0.2", memory_bytes=MIB).ending[2:6] == (None, 0, 0, 0)
        grow = f"printf '{text}' > /sys/fs/cgroup/{stat}; sleep 5".replace("\n", "\\n")
        said = container.shell(grow.format(71_000_000), memory_bytes=10 * MIB, wall_seconds=0.5)
        assert (said.ending.stopped, said.ending.peak_memory_bytes) == ("wall", 1_000_000)
        said = container.shell(grow.format(90_000_000), memory_bytes=10 * MIB)
        assert (said.ending.stopped, said.ending.peak_memory_bytes) == ("memory", 19_000_000)


def test_the_numbers_of_the_whole_machine_are_nobodys(directory: Path, cgroup: Path) -> None:
    """At the root of cgroup version 2 there is a memory.stat, and no memory.current."""
    put(cgroup / "memory.stat", "anon 5\nshmem 5\n")
    with Container(directory, cgroup=cgroup) as container:
        said = container.shell("printf 'anon 99999999999\\nshmem 5\\n' >/sys/fs/cgroup/memory.stat; sleep 0.3")
    assert said.ending.stopped is None


@pytest.mark.parametrize(
    ("oom", "pids"),
    [("memory/memory.oom_control", "pids/pids.events"), ("memory.events", "pids.events")],
)
def test_what_the_kernel_counted_is_told(directory: Path, cgroup: Path, oom: str, pids: str) -> None:
    put(cgroup / oom, "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    put(cgroup / pids, "max 10\n")
    with Container(directory, cgroup=cgroup) as container:
        said = container.shell(
            f"printf 'oom_kill_disable 0\\noom_kill 5\\n' >/sys/fs/cgroup/{oom}; echo max 17 >/sys/fs/cgroup/{pids}"
        )
        assert said.ending[3:5] == (2, 7)
        assert container.run("true").ending[3:5] == (0, 0)


SLEEPERS = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done; wait"


def test_processes_are_counted_where_no_cgroup_tells(container: Container) -> None:
    assert container.shell(SLEEPERS, processes=20).ending.stopped == "processes"
    assert container.shell(SLEEPERS, processes=60, wall_seconds=0.5).ending.stopped == "wall"


def test_no_name_of_a_process_changes_what_is_counted(container: Container) -> None:
    script = (
        "for name in 'a) Z 1 1' \"$(printf 'x\\nThreads:\\t999')\" \"$(printf 'x\\nVmRSS:9999')\"; do "
        'ln -s "$(command -v sleep)" "../tmp/$name"; "../tmp/$name" 5 & done; wait'
    )
    assert container.shell(script, processes=20, wall_seconds=0.5).ending.stopped == "wall"


@pytest.mark.parametrize("file", ["pids/pids.current", "pids.current"])
def test_processes_are_what_a_cgroup_tells(directory: Path, cgroup: Path, file: str) -> None:
    put(cgroup / file, "1\n")
    with Container(directory, cgroup=cgroup) as container:
        said = container.shell(f"echo 21 >/sys/fs/cgroup/{file}; sleep 5", processes=20, wall_seconds=0.3)
        assert said.ending.stopped == "wall"
        put(cgroup / file, "1\n")
        assert container.shell(f"echo 22 >/sys/fs/cgroup/{file}; sleep 5", processes=20).ending.stopped == "processes"


def test_a_file_larger_than_it_may_be_ends_what_writes_it(container: Container) -> None:
    assert container.run("/opt/bomb", "file", file_bytes=MIB).ending[:3] == (None, 25, None)


# The leash


def test_the_end_of_stdin_ends_the_launcher(directory: Path) -> None:
    with Container(directory) as container:
        container.read()
        container.close_stdin()
        assert container.wait() == 0


def test_whoever_goes_takes_the_compile_along(directory: Path) -> None:
    with Container(directory) as container:
        container.send([run(["/opt/stubborn", "stay"], ENVIRONMENT, Limits(wall_seconds=50))])
        before = b""
        while b"running" not in before:
            before += container.read()
        assert runs("/opt/stubborn\0stay")
        container.close_stdin()
        container.wait()
        assert not runs("/opt/stubborn\0stay")


def test_nobody_to_read_takes_the_compile_along(directory: Path) -> None:
    with Container(directory) as container:
        container.read()
        container.close_stdout()
        container.send([run(["sleep", "54.321"], ENVIRONMENT, Limits(wall_seconds=50))])
        container.wait()
        assert not runs("sleep\00054.321")


def test_the_clock_runs_also_where_nobody_reads(directory: Path) -> None:
    with Container(directory) as container:
        script = "yes & exec sleep 65.432"
        container.send([run(["sh", "-c", script], ENVIRONMENT, Limits(wall_seconds=1, output_bytes=9 * MIB))])
        wait_until(lambda: runs("sleep\00065.432"))
        wait_until(lambda: not runs("sleep\00065.432"))
        assert container.receive(9 * MIB).ending.stopped == "wall"


def test_without_a_job_it_goes_after_its_time(directory: Path) -> None:
    with Container(directory, idle="1") as container:
        container.run("sleep", "1.5")  # which is no idling
        begin = time.monotonic()
        assert container.wait() == 0
        assert time.monotonic() - begin < 5


# SIGTERM


def test_a_sigterm_from_outside_ends_it_while_it_waits(directory: Path) -> None:
    with Container(directory) as container:
        container.read()
        container.terminate()
        assert container.wait() == 143


def test_a_sigterm_from_outside_ends_it_and_the_compile(directory: Path) -> None:
    with Container(directory) as container:
        container.send([run(["/opt/stubborn", "terminated"], ENVIRONMENT, Limits(wall_seconds=50))])
        before = b""
        while b"running" not in before:
            before += container.read()
        assert runs("/opt/stubborn\0terminated")
        begin = time.monotonic()
        container.terminate()
        assert container.wait() == 143
        assert time.monotonic() - begin < 2
        assert not runs("/opt/stubborn\0terminated")


@pytest.mark.parametrize("seconds", [1.0, 50.0], ids=["after the compile", "during the compile"])
def test_a_sigterm_from_outside_ends_it_where_nobody_reads(directory: Path, seconds: float) -> None:
    with Container(directory) as container:
        script = f"yes & exec sleep 76.{seconds:.0f}"
        container.send([run(["sh", "-c", script], ENVIRONMENT, Limits(wall_seconds=seconds, output_bytes=9 * MIB))])
        wait_until(lambda: runs(f"sleep\00076.{seconds:.0f}"))
        if seconds == 1:
            wait_until(lambda: not runs("sleep\00076.1"))
        container.terminate()
        assert container.wait() == 143


def test_a_sigterm_from_inside_is_nothing(container: Container) -> None:
    """Without a filter, which leaves only one of the ways, and Landlock, which leaves none."""
    assert container.run("/opt/signals").stdout == b"sent\n"
    assert container.shell("/opt/signals & /opt/signals & /opt/signals; wait; exit 3").ending.exit_code == 3
    assert container.run("true").ending.exit_code == 0
    container.terminate()
    assert container.wait() == 143


# What the compile may


def test_it_has_no_descriptor_but_its_own_three(directory: Path) -> None:
    read, write = os.pipe()
    try:
        with Container(directory, pass_fds=(read, write)) as container:
            said = container.shell("ls -l /proc/self/fd; wc -c")
    finally:
        os.close(read)
        os.close(write)
    lines = [line.split(b" -> ")[-1] for line in said.stdout.splitlines() if b" -> " in line]
    assert lines[0] == b"/dev/null"
    assert [line[:5] for line in lines[1:3]] == [b"pipe:", b"pipe:"]
    assert len(lines) == 4  # and the directory that ls lists
    assert said.stdout.splitlines()[-1].strip() == b"0"


def test_it_cannot_reach_the_launcher(container: Container) -> None:
    said = container.shell(
        "for file in fd mem environ maps cwd; do ls /proc/1/$file/ >/dev/null 2>&1 && echo can list $file; done;"
        "for file in fd/0 fd/1 mem environ maps; do (: </proc/1/$file) 2>/dev/null && cat /proc/1/$file; done;"
        "(: >/proc/1/fd/1) 2>/dev/null && echo can write; for s in KILL TERM STOP INT SEGV CHLD; do kill -$s 1; done"
    )
    assert (said.stdout, said.stderr, said.ending[:3]) == (b"", b"", (0, None, None))
    assert container.run("true").ending.exit_code == 0


@pytest.mark.parametrize("how", ["bwrap", "unshare"] if os.geteuid() == 0 else ["bwrap"])
def test_it_is_confined(directory: Path, how: str) -> None:
    """Not by bubblewrap, which gives up privileges for all that it starts."""
    with Container(directory, how=how) as container:
        made = CompileJob("gcc-12", "c", {}, ("sleep", "314.15"), limits=Limits(wall_seconds=60))
        container.send(encode(made, environment=ENVIRONMENT, seccomp=bpf_filter()))
        process = container.process_called(b"sleep\x00314.15\x00")
        lines = (process / "status").read_text().splitlines()
        score = (process / "oom_score_adj").read_text()
    found = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert (found["NoNewPrivs"], found["Seccomp"], found["Umask"]) == ("1", "2", "0022")
    assert {found[name].strip("0") for name in ("SigIgn", "SigBlk", "CapEff", "CapPrm")} == {""}
    assert score == "1000\n"


def test_it_sees_no_files_but_the_images_and_its_own(container: Container, unavailable: Callable[..., None]) -> None:
    if not abi_version():
        unavailable("sandbox", "this kernel has no Landlock", "boot with lsm=landlock,…")
    script = """
        for file in /proc/self/status /proc/version /sys/kernel/notes /dev/random /dev/tty /proc/1/environ; do
            cat $file && echo "$file can be read"
        done
        for directory in / /proc /sys /dev ..; do ls $directory && echo "$directory can be listed"; done
        cat x.c /usr/include/stdio.h >../tmp/made || echo what it needs cannot be read
        echo >/dev/null; head -c 9 /dev/zero /dev/urandom >../tmp/noise || echo a device cannot be read
        mkdir ../tmp/a ../tmp/b; mv ../tmp/made ../tmp/a/made; mv ../tmp/a/made ../tmp/b || echo tmp is not its own
        exec 2>&1; echo >new; echo >>x.c
    """
    container.send(job({"x.c": b"mine"}, script))
    said = container.receive()
    assert b"can be" not in said.stdout
    assert said.stdout.count(b"Permission denied") == 2


def test_its_limits(container: Container) -> None:
    said = container.shell("cat /proc/self/limits; cut -d' ' -f1,6 /proc/$$/stat", file_bytes=12345, wall_seconds=10.0)
    lines = {line[:26].strip(): line[26:].split()[:2] for line in said.stdout.decode().splitlines()}
    assert lines["Max core file size"] == ["1", "1"]
    assert lines["Max file size"] == ["12345", "12345"]
    assert lines["Max open files"] == ["1024", "1024"]
    assert lines["Max stack size"] == [str(8 * MIB), str(64 * MIB)]
    assert lines["Max locked memory"] == lines["Max msgqueue size"] == ["0", "0"]
    assert int(lines["Max cpu time"][0]) >= 15
    pid, session = said.stdout.split()[-2:]
    assert pid == session


def test_its_environment_is_what_it_was_given(container: Container) -> None:
    first = container.run("env", environment={**ENVIRONMENT, "A": "1 =\n2", "LC_ALL": "C"})
    assert first.stdout == b"PATH=/usr/bin:/bin\nA=1 =\n2\nLC_ALL=C\n"
    assert container.run("env").stdout == b"PATH=/usr/bin:/bin\n"


def test_its_environment_may_have_some_of_the_launchers(directory: Path) -> None:
    with Container(directory, variables={"A": "1", "AB": "2", "C": "x=\n", "D": ""}) as container:
        inherited = ["C", "A", "PATH", "B", "D", "C"]
        container.send([run(["env"], {"A": "mine"}, Limits(), inherited=inherited)])
        assert container.receive().stdout == b"A=mine\nC=x=\n\nPATH=/usr/bin:/bin\nD=\n"
        assert container.run("env", environment={"PATH": "/bin"}).stdout == b"PATH=/bin\n"


def test_a_program_is_looked_for_along_the_launchers_path(directory: Path) -> None:
    with Container(directory, variables={"PATH": "/opt:/usr/bin:/bin"}) as container:
        limits = Limits(wall_seconds=0.5)
        container.send([run(["stubborn"], {}, limits)])
        assert container.receive().failure is not None
        container.send([run(["stubborn"], {}, limits, inherited=["PATH"])])
        assert container.receive().stdout == b"running\n"
        container.send([run(["stubborn"], {"PATH": "/usr/bin"}, limits, inherited=["PATH"])])
        assert container.receive().failure is not None


def test_sources_cannot_be_replaced(container: Container) -> None:
    script = """
        chmod 777 .. . a ../src a/x.c && rm -f a/x.c; mv a b; echo >a/new; echo >>a/x.c; echo >new
        mv ../src ../tmp/old; mv ../src ../old; mkdir ../new; rm -rf ../src; cat a/x.c
        ls -d ../src ../tmp ../new ../old
    """
    container.send(job({"a/x.c": b"mine"}, script))
    assert container.receive().stdout == b"mine../src\n../tmp\n"


def test_its_workdir(container: Container) -> None:
    container.send(job({"app/sub/main.c": b"x", "app/other": b""}, "pwd; ls; cat main.c; ls ../../../tmp", "app/sub"))
    assert container.receive().stdout == b"/work/src/app/sub\nmain.c\nx"


# Laying out


def test_files_are_as_they_were_sent(container: Container) -> None:
    large = os.urandom(3 * MIB)
    container.send(lay_out({"large": large, "a/b/empty": b"", "none/": b""}))
    container.send([mkdir("tmp/d"), *write("tmp/d/w", b"w")])
    said = container.shell("find ../src ../tmp/* -printf '%m %p\n'; cat large >&2", output_bytes=4 * MIB)
    assert said.stderr == large
    assert sorted(said.stdout.decode().splitlines()) == [
        "444 ../src/a/b/empty",
        "444 ../src/large",
        "555 ../src",
        "555 ../src/a",
        "555 ../src/a/b",
        "555 ../src/none",
        "644 ../tmp/d/w",
        "755 ../tmp/d",
    ]


def test_a_prepared_cache_is_linked_quickly(container: Container) -> None:
    names = [f"{i % 256:02x}/{i:04x}-d" for i in range(2500)]
    container.send([*write("tmp/list", "\n".join(names).encode())])
    seeds = [Seed("/work/tmp/list", "/usr/prepared", "go-build")]
    made = CompileJob("go", "go", {}, ("sh", "-c", "readlink ../tmp/go-build/ff/00ff-d; find ../tmp -type l | wc -l"))
    begin = time.monotonic()
    container.send(encode(made, environment=ENVIRONMENT, seccomp=bpf_filter(), seeds=seeds))
    said = container.receive()
    assert said.stdout.split() == [b"/usr/prepared/ff/00ff-d", b"2500"]
    assert time.monotonic() - begin - said.ending.duration_seconds < 1


def test_without_a_prepared_cache_nothing_is_linked(container: Container) -> None:
    made = CompileJob("go", "go", {}, ("find", "../tmp"))
    container.send(encode(made, environment=ENVIRONMENT, seeds=[Seed("/none/list", "/none", "go-build")]))
    assert container.receive().stdout == b"../tmp\n"


def test_no_room_is_a_failure(directory: Path) -> None:
    with Container(directory, size=MIB) as container:
        container.send(job({"a/large": bytes(3 * MIB)}, "true"))
        assert container.receive().failure == "cannot write src/a/large: No space left (28)"


def record(kind: str, payload: bytes) -> bytes:
    return kind.encode() + len(payload).to_bytes(4, "little") + payload


@pytest.mark.parametrize(
    "record",
    [
        record("?", b"abc"),
        record("d", b"../x"),
        record("d", b""),
        record("d", b"a" * 5000),
        record("w", b"/x\0yz"),
        record("w", b"tmp/../..\0"),
        record("w", b"no/x\0yz"),
        record("c", b"no"),
        record("s", b"/usr\0/f\0to"),
        record("i", b"A" * 5000),
        record("s", b"/etc/passwd\0/f\0../to"),
        record("e", bytes(4 << 20)),
        record("p", b"abcdefg"),
        record("p", b"\xff\xff\xff\xff\0\0\0\0"),
        record("x", b"abc"),
    ],
)
def test_what_cannot_be_done_fails_its_job_and_not_the_next(container: Container, record: bytes) -> None:
    last = [] if record[:1] == b"x" else [run(["true"], ENVIRONMENT, Limits())]
    container.send([record, *last])
    failure = container.receive().failure
    assert failure is not None
    assert failure.startswith("cannot ")
    assert container.run("true").ending[:3] == (0, None, None)


# Starting


def test_a_program_that_is_not_there_is_a_failure(container: Container) -> None:
    assert container.run("gcc-0").failure == "cannot run gcc-0: No such file or directory (2)"
    assert container.run("/usr/bin/gcc-0").failure == "cannot run /usr/bin/gcc-0: No such file or directory (2)"
    assert container.run("/etc/passwd").failure == "cannot run /etc/passwd: Permission denied (13)"
    assert container.run("true", workdir="src/none").failure == "cannot enter src/none: No such file or directory (2)"
    assert container.run().failure == "cannot run a command without words: Invalid argument (22)"


def test_a_program_is_looked_for_along_path(container: Container) -> None:
    container.send([mkdir("tmp/a"), *write("tmp/a/true", b""), *write("tmp/sh", b"")])
    path = "/none:/etc/passwd::/work/tmp/a:/usr/bin:/bin"
    assert container.run("true", environment={"PATH": path}).ending.exit_code == 0
    assert container.run("true", environment={}).ending.exit_code == 0
    assert (
        container.run("true", environment={"PATH": "/work/tmp/a"}).failure == "cannot run true: Permission denied (13)"
    )
    here = container.run("sh", environment={"PATH": ":"}, workdir="tmp")
    assert here.failure == "cannot run sh: No such file or directory (2)"


def test_there_are_many_jobs_in_one_launcher(directory: Path) -> None:
    """Which keeps nothing open: it could not run so many."""
    with Container(directory, descriptors=24) as container:
        for i in range(100):
            assert container.run("echo", str(i)).stdout == b"%d\n" % i
            assert container.run("no-such-program").failure is not None
            container.send([*write(f"tmp/{i}", b""), run(["true"], ENVIRONMENT, Limits())])
            assert container.receive().ending.exit_code == 0


def test_jobs_may_be_sent_ahead(container: Container) -> None:
    script = ["sh", "-c", "echo $0; sleep 0.1; cut -d' ' -f14,15 /proc/1/stat"]
    container.send([run(["sleep", "1"], ENVIRONMENT, Limits())])
    time.sleep(0.2)
    container.send(run([*script, str(i)], ENVIRONMENT, Limits()) for i in range(9))
    said = b""
    while said.count(b"T\x2c\0\0\0") < 10:
        said += container.read()
    printed = b"".join(re.findall(rb"O..\0\0([0-9 \n]*)", said, re.DOTALL)).split()
    assert printed[::3] == [b"%d" % i for i in range(9)]
    # It does not look again and again at what it has not taken yet.
    assert sum(map(int, printed[-2:])) < 0.3 * os.sysconf("SC_CLK_TCK")


def test_whoever_comes_later_is_greeted(container: Container) -> None:
    container.run("echo", "what was before")
    nonce = bytes(range(64))
    container.send([hello(nonce), run(["echo", "hello"], ENVIRONMENT, Limits())])
    said = container.receive()
    assert (said.greeted, said.stdout) == (nonce, b"hello\n")
    container.send([hello(b"again")])
    assert container.read() == b"H\x05\0\0\0again"


@pytest.mark.parametrize("size", [65, 100_000])
def test_a_nonce_is_short(container: Container, size: int) -> None:
    container.send([record("h", bytes(size)), run(["true"], ENVIRONMENT, Limits())])
    said = container.receive()
    assert (said.greeted, said.failure) == (None, "cannot take the nonce: Invalid argument (22)")
    assert container.run("true").ending.exit_code == 0


def test_it_refuses_where_it_is_not_process_1(directory: Path) -> None:
    with Container(directory, first=False) as container:
        assert container.wait() == 2
        assert b"only as process 1" in container.said()


def test_it_tells_how_it_wants_to_be_called(directory: Path) -> None:
    with Container(directory, idle="soon") as container:
        assert container.wait() == 2
        assert container.said() == b"usage: launcher ROOT IDLE_SECONDS [PART...]\n"


def test_a_root_that_is_not_there_is_a_failure(directory: Path) -> None:
    with Container(directory, root="/none/none") as container:
        assert container.receive().failure == "cannot make /none/none: No such file or directory (2)"
        assert container.wait() == 1


def test_a_root_is_made_where_its_directory_is_there(directory: Path) -> None:
    with Container(directory, root="/work/root") as container:
        container.send(job({"x.c": b"mine"}, "pwd; cat x.c; ls -ld .. | cut -c-10; mv ../src ../old ../tmp"))
        assert container.receive().stdout == b"/work/root/src\nminedr-xr-xr-x\n"
