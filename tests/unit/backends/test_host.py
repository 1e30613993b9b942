"""Which compilers this host has, and that each works with nothing but the files that it is said to need."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING, NoReturn

import pytest

from willitcompile.backends.sandbox import host, host_run
from willitcompile.backends.sandbox.host_files import interpreter, minimal, own_prefix, trail, wide
from willitcompile.backends.sandbox.host_go import QUIET
from willitcompile.errors import BackendFailed
from willitcompile.model import Toolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Choose = Callable[[str], host.HostToolchain]
    Unavailable = Callable[[str, str, str], NoReturn]

HELLO = {
    "c": '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n',
    "c++": '#include <iostream>\nint main() { std::cout << "hello\\n"; }\n',
    "rust": 'fn main() { println!("hello"); }\n',
    "go": 'package main\nimport "fmt"\nfunc main() { fmt.Println("hello") }\n',
}

CLANG_NEEDS = {
    "-fsanitize=address": ("/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux", "libclang-rt-14-dev"),
    "-fopenmp": ("/usr/lib/llvm-14/lib/libomp.so", "libomp-14-dev"),
    "-flto": ("/usr/lib/llvm-14/lib/LLVMgold.so", "llvm-14-dev"),
}


@pytest.fixture(scope="session")
def here() -> dict[str, host.HostToolchain]:
    return {item.toolchain.name: item for item in host.host_toolchains()}


def confined(
    item: host.HostToolchain,
    role: str,
    flags: Sequence[str],
    directory: Path,
    *,
    seeds: Sequence[tuple[str, str]] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run in bubblewrap with only the toolchain's files, `directory` at /job, and no /proc."""
    arguments = ["--unshare-all", "--die-with-parent", "--dev-bind", "/dev/null", "/dev/null"]
    caches = {os.path.dirname(os.path.dirname(target)) for _, target in seeds}
    for path in (*(item.readable_to_link or item.readable), *caches):
        if os.path.islink(path):
            arguments += ["--symlink", os.readlink(path), path]
        else:
            arguments += ["--ro-bind", path, path]
    arguments += ["--ro-bind", str(directory), "/job", "--tmpfs", "/scratch", "--tmpfs", "/tmp"]
    for path, target in item.links:
        arguments += ["--symlink", target, path]
    for name, target in seeds:
        arguments += ["--symlink", target, f"/scratch/{name}"]
    arguments += ["--chdir", "/job", "--remount-ro", "/", "--clearenv"]
    settings = {"HOME": "/scratch", "TMPDIR": "/scratch", **item.environment, **(environment or {})}
    for name, value in settings.items():
        arguments += ["--setenv", name, value]
    read, write = os.pipe()
    os.set_inheritable(read, True)
    if os.fork() == 0:
        os.close(read)
        with open(write, "wb") as pipe:
            pipe.write(b"".join(os.fsencode(argument) + b"\0" for argument in arguments))
        os._exit(0)
    os.close(write)
    try:
        return subprocess.run(
            ["bwrap", "--args", str(read), "--", item.programs[role], *item.arguments.get(role, ()), *flags],
            capture_output=True,
            text=True,
            timeout=120,
            pass_fds=(read,),
            check=False,
        )
    finally:
        os.close(read)
        os.wait()


@pytest.fixture
def chosen(here: dict[str, host.HostToolchain], unavailable: Unavailable) -> Choose:
    """The toolchain of this name, or a skip that says what is missing."""

    def choose(name: str) -> host.HostToolchain:
        if shutil.which("bwrap") is None:
            unavailable("sandbox", "no bubblewrap", "apt-get install bubblewrap")
        if name not in here:
            unavailable("sandbox", f"no {name} on this host", f"install {name}")
        return here[name]

    return choose


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["gcc-12", "gcc-11", "clang-14"])
@pytest.mark.parametrize("language", ["c", "c++"])
@pytest.mark.parametrize("flags", [(), ("-fsanitize=address",), ("-fopenmp",), ("-flto",), ("-g", "-O2")], ids=" ".join)
def test_builds_a_program_with_nothing_but_its_own_files(
    chosen: Choose,
    unavailable: Unavailable,
    tmp_path: Path,
    *,
    name: str,
    language: str,
    flags: tuple[str, ...],
) -> None:
    item = chosen(name)
    role = {"c": item.toolchain.family, "c++": {"gcc": "g++", "clang": "clang++"}[item.toolchain.family]}[language]
    needed, package = CLANG_NEEDS.get(flags[0] if flags else "", ("/", ""))
    if name == "clang-14" and not os.path.exists(needed):
        unavailable("sandbox", f"clang has no {needed}", f"apt-get install {package}")
    (tmp_path / "main").write_text(HELLO[language])
    done = confined(item, role, [*flags, "-x", language, "main", "-o", "/scratch/out"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["gcc-12", "gcc-11", "clang-14"])
def test_finds_the_headers_of_the_system(chosen: Choose, tmp_path: Path, name: str) -> None:
    item = chosen(name)
    role = "g++" if "g++" in item.programs else "clang++"
    includes = ["regex"]
    if os.path.exists("/usr/include/eigen3/Eigen/Dense"):
        includes.append("Eigen/Dense")
    (tmp_path / "main.cpp").write_text("".join(f"#include <{name}>\n" for name in includes))
    done = confined(item, role, ["-I/usr/include/eigen3", "-fsyntax-only", "main.cpp"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["rustc-1.95", "rustc-1.63", "rustc-nightly"])
@pytest.mark.parametrize("emit", ["metadata", "link"])
def test_builds_rust_with_nothing_but_its_own_files(chosen: Choose, tmp_path: Path, name: str, emit: str) -> None:
    item = chosen(name)
    (tmp_path / "main.rs").write_text(HELLO["rust"])
    flags = ["--edition=2021", f"--emit={emit}", "-o", "/scratch/out", "main.rs"]
    done = confined(item, "rustc", flags, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.sandbox
@pytest.mark.parametrize("command", [("list", "-export", "-f="), ("build", "-o", "/scratch/out")], ids=" ".join)
def test_builds_go_from_the_prepared_standard_library(chosen: Choose, tmp_path: Path, command: tuple[str, ...]) -> None:
    item = chosen("go-1.26")
    (tmp_path / "main.go").write_text(HELLO["go"])
    (tmp_path / "go.mod").write_text("module hello\n\ngo 1.26\n")
    seeds = item.seeds(print)
    assert seeds, "the standard library could not be prepared"
    done = confined(item, "go", [*command, "-x", "."], tmp_path, seeds=seeds, environment=QUIET)
    assert done.returncode == 0, done.stderr
    # One compile, of what was asked about: nothing of the standard library is built again.
    assert done.stderr.count("/compile -o") == 1


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["gcc-12", "clang-14", "go-1.26", "rustc-1.95"])
def test_shows_nothing_of_the_host_but_the_toolchain(chosen: Choose, name: str) -> None:
    item = chosen(name)
    home = os.path.expanduser("~")
    hidden = ["/etc/passwd", "/proc/1/status", "/usr/bin/env", "/bin/sh", f"{home}/.bashrc", "/usr/share"]
    shown = [path for path in (item.readable_to_link or item.readable) if not os.path.islink(path)]
    for path in hidden:
        assert not any(path == entry or path.startswith(entry + "/") for entry in shown)
    for entry in item.readable_to_link or item.readable:
        assert os.path.isabs(entry)
        assert os.path.lexists(entry)
        # The sandbox can make each entry at its place, since its parents are no links.
        assert os.path.realpath(os.path.dirname(entry)) == os.path.dirname(entry)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory of the test's own, as yet without a file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("RUSTUP_HOME", str(tmp_path / "rustup"))
    monkeypatch.setenv("HOME", str(tmp_path))
    # Also what lies in the usual places beside PATH.
    monkeypatch.setattr("willitcompile.backends.sandbox.host_probes._ELSEWHERE", {})
    file = tmp_path / "cache" / "will-it-compile" / "toolchains.json"
    monkeypatch.setattr("willitcompile.backends.sandbox.host._cache_file", lambda _: str(file))
    return file


def test_each_environment_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for number in range(host.MOST_ENVIRONMENTS + 3):
        host.host_toolchains(str(tmp_path / f"nothing-{number}"))
    assert len(list((tmp_path / "will-it-compile").glob("toolchains-*.json"))) == host.MOST_ENVIRONMENTS


def program(directory: Path, name: str, target: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / name).symlink_to(target)
    return directory / name


def reasons(path: object) -> dict[str, str]:
    return {item.program: item.reason for item in host.left_out(str(path))}


def real(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on this host")
    return found


def test_leaves_out_what_only_has_the_name_of_a_compiler(tmp_path: Path, cache: Path) -> None:
    directory = tmp_path / "bin"
    garbage = program(directory, "gcc", real("echo"))
    failing = program(directory, "clang-99", real("false"))
    script = directory / "gcc-9"
    script.write_text('#!/bin/sh\nexec gcc "$@"\n')
    script.chmod(0o755)
    not_executable = directory / "go"
    not_executable.write_text("")
    (directory / "gcc-10").mkdir()
    program(directory, "gcc-11", "/nonexistent")
    program(directory, "gcc-12-arm", real("echo"))
    assert host.host_toolchains(str(directory)) == ()
    said = reasons(directory)
    assert set(said) == {str(garbage), str(failing), str(script)}
    assert said[str(garbage)] == "does not answer like a gcc"
    assert "failed" in said[str(failing)]
    assert said[str(script)] == "is a script, which would need a shell in the sandbox"


def test_a_hanging_compiler_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_run, "TIMEOUT_SECONDS", 0.2)
    with pytest.raises(host_run.Unusable, match="did not answer within"):
        host_run.ask([real("sleep"), "60"], {})


def test_a_babbling_compiler_is_given_up() -> None:
    with pytest.raises(host_run.Unusable, match="printed more than"):
        host_run.ask([real("yes")], {})


def test_a_compiler_is_asked_in_an_empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPATH", "/home/me/include")
    assert host_run.ask([real("env")], {"PATH": "/x"}).out.split() == ["LC_ALL=C", "PATH=/x"]


def test_clang_under_the_name_of_gcc_is_left_out(tmp_path: Path, cache: Path) -> None:
    named = program(tmp_path / "bin", "gcc", os.path.realpath(real("clang")))
    assert host.host_toolchains(str(tmp_path / "bin")) == ()
    assert reasons(tmp_path / "bin") == {str(named): "is clang under the name of gcc"}


def test_directories_that_cannot_be_trusted_are_skipped(tmp_path: Path, cache: Path) -> None:
    everybody = tmp_path / "everybody"
    program(everybody, "gcc", os.path.realpath(real("gcc")))
    everybody.chmod(0o777)
    program(tmp_path / "relative", "gcc", os.path.realpath(real("gcc")))
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        found = host.host_toolchains(f"relative:.::{everybody}:/nonexistent:{tmp_path / 'nowhere'}")
    finally:
        os.chdir(before)
    assert found == ()
    assert "everybody can write to" in reasons(everybody)[str(everybody)]


def test_a_compiler_with_two_names_is_one_toolchain(tmp_path: Path, cache: Path) -> None:
    directory = tmp_path / "bin"
    for name in ("gcc", "g++"):
        program(directory, name, os.path.realpath(real(name)))
    program(directory, "gcc-77", os.path.realpath(real("gcc")))
    (item,) = host.host_toolchains(f"{directory}:{os.path.dirname(real('as'))}")[:1]
    assert item.toolchain.family == "gcc"
    assert item.toolchain.aliases[:2] == ("gcc", "gcc-77")
    assert item.programs == {"gcc": str(directory / "gcc"), "g++": str(directory / "g++")}
    assert item.toolchain.compilers["c"].startswith("gcc")
    assert item.toolchain.compilers["c++"].startswith("g++")


def test_the_cpp_driver_is_also_found_beside_the_real_file(tmp_path: Path, cache: Path) -> None:
    program(tmp_path / "bin", "gcc", os.path.realpath(real("gcc")))
    (item,) = host.host_toolchains(str(tmp_path / "bin"))
    assert item.toolchain.languages == ("c", "c++")


@pytest.fixture
def discovered(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A PATH with a compiler that was discovered once, and what is discovered again from now on."""
    from willitcompile.backends.sandbox import host_probes

    program(tmp_path / "bin", "gcc", os.path.realpath(real("gcc")))
    path = str(tmp_path / "bin")
    assert host.host_toolchains(path)
    again: list[str] = []
    original = host_probes.look_around

    def look_around(variables: Mapping[str, str]) -> host.Survey:
        again.append(variables["PATH"])
        return original(variables)

    monkeypatch.setattr(host_probes, "look_around", look_around)
    return path, again


def test_the_answer_is_kept(discovered: tuple[str, list[str]], cache: Path) -> None:
    path, again = discovered
    assert host.survey(path) == host.survey(path)
    assert again == []
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    assert list(cache.parent.iterdir()) == [cache]


@pytest.mark.parametrize("change", ["new program", "other PATH", "other compiler", "other HOME", "rustup"])
def test_the_answer_is_asked_for_again_when_something_changed(
    discovered: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path, again = discovered
    match change:
        case "new program":
            program(tmp_path / "bin", "gcc-99", real("echo"))
        case "other PATH":
            path += ":/nonexistent"
        case "other compiler":
            (tmp_path / "bin" / "gcc").unlink()
            program(tmp_path / "bin", "gcc", real("echo"))
        case "other HOME":
            monkeypatch.setenv("HOME", str(tmp_path / "bin"))
        case "rustup":
            (tmp_path / "rustup" / "toolchains").mkdir(parents=True)
    host.survey(path)
    assert again == [path]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"format": 1}', b"\xff", b"[" * 100_000, b'{"format": 1, "variables": 3}'],
)
def test_a_corrupt_file_is_not_used(discovered: tuple[str, list[str]], cache: Path, content: bytes) -> None:
    path, again = discovered
    cache.write_bytes(content)
    assert host.host_toolchains(path)
    assert again == [path]
    host.host_toolchains(path)
    assert again == [path]


@pytest.mark.parametrize("field", ["toolchains", "left_out", "watched", "variables", "format"])
def test_a_file_of_another_shape_is_not_used(discovered: tuple[str, list[str]], cache: Path, field: str) -> None:
    path, again = discovered
    document = json.loads(cache.read_text())
    document[field] = [{"toolchain": {"family": "gcc"}}]
    cache.write_text(json.dumps(document))
    assert host.host_toolchains(path)
    assert again == [path]


def test_a_file_that_others_could_write_is_not_used(
    discovered: tuple[str, list[str]], cache: Path, tmp_path: Path
) -> None:
    path, again = discovered
    cache.chmod(0o666)
    host.host_toolchains(path)
    assert again == [path]
    # Nor is one that a link leads to.
    cache.rename(tmp_path / "elsewhere")
    cache.symlink_to(tmp_path / "elsewhere")
    host.host_toolchains(path)
    assert again == [path, path]
    assert not cache.is_symlink()


def test_a_cache_that_cannot_be_written_does_no_harm(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    program(tmp_path / "bin", "gcc", os.path.realpath(real("gcc")))
    assert host.host_toolchains(str(tmp_path / "bin"))


def test_go_without_a_place_for_its_cache_has_no_answer(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each job would build what it imports, and be told to have run out of time."""
    item = host.HostToolchain(
        Toolchain("go", "1.26", {}, {}, {}), {"go": real("false")}, (), {"PATH": "/usr/bin"}, "identity"
    )
    said: list[str] = []
    with pytest.raises(BackendFailed, match="go build std failed"):
        item.seeds(said.append)
    assert "preparing the standard library of go-1.26, once" in said[0]
    # What failed leaves nothing but the lock.
    assert os.listdir(cache.parent / "go" / "identity") == ["lock"]
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(BackendFailed) as refused:
        item.seeds(said.append)
    assert "XDG_CACHE_HOME" in refused.value.remedy


def test_only_go_has_seeds() -> None:
    item = host.HostToolchain(Toolchain("gcc", "12", {}, {}, {}), {"gcc": "/usr/bin/gcc"}, (), {}, "identity")
    assert item.seeds(pytest.fail) == ()


def test_a_trail_names_each_link_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "usr" / "lib").mkdir(parents=True)
    (tmp_path / "usr" / "lib" / "x.so.1").write_text("")
    (tmp_path / "usr" / "lib" / "x.so").symlink_to("x.so.1")
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "loop").symlink_to("loop")
    top = str(tmp_path)
    assert trail(f"{top}/lib/x.so") == (f"{top}/lib", f"{top}/usr/lib/x.so", f"{top}/usr/lib/x.so.1")
    assert trail(f"{top}/lib/../lib/./x.so.1")[-1] == f"{top}/usr/lib/x.so.1"
    assert trail(f"{top}/loop") == ()
    assert trail(f"{top}/lib/none") == ()


def test_what_lies_below_another_entry_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("")
    (tmp_path / "a-b").write_text("")
    (tmp_path / "empty").mkdir()
    top = str(tmp_path)
    assert minimal([f"{top}/a/b/c", f"{top}/a-b", f"{top}/a", f"{top}/empty", f"{top}/none"]) == (
        f"{top}/a",
        f"{top}/a-b",
    )


@pytest.mark.parametrize("path", ["/", "/usr", "/home", "/etc", "/usr/bin", "/usr/share"])
def test_what_is_not_a_toolchains_own_is_never_shown_as_a_whole(path: str) -> None:
    assert wide(path)
    assert path not in minimal([path, "/usr/include"])


def test_the_home_directory_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home" / "me"
    (home / ".local" / "bin").mkdir(parents=True)
    (home / "llvm" / "bin").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    assert [wide(str(path)) for path in (home, home.parent, tmp_path, home / ".local")] == [True] * 4
    assert own_prefix(f"{home}/llvm/bin/clang") == f"{home}/llvm"
    assert own_prefix(f"{home}/.local/bin/gcc") is None
    assert own_prefix(f"{home}/bin/gcc") is None
    assert own_prefix("/usr/bin/gcc") is None
    assert own_prefix("/opt/gcc-15/bin/gcc") == "/opt/gcc-15"


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 80, b"#!/bin/sh\n"])
def test_a_broken_program_has_no_loader(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken").write_bytes(content)
    assert interpreter(str(tmp_path / "broken")) is None
