"""Which compilers this host has, and that each works with nothing but the files that it is said to need."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import textwrap
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends.sandbox import host
from willitcompile.backends.sandbox.host_files import interpreter, minimal, own_prefix, trail, wide
from willitcompile.backends.sandbox.host_go import QUIET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

HELLO = {
    "c": '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n',
    "c++": '#include <iostream>\nint main() { std::cout << "hello\\n"; }\n',
    "rust": 'fn main() { println!("hello"); }\n',
    "go": 'package main\nimport "fmt"\nfunc main() { fmt.Println("hello") }\n',
}


@pytest.fixture(scope="session")
def here() -> dict[str, host.HostToolchain]:
    return {item.toolchain.name: item for item in host.host_toolchains()}


def confined(
    item: host.HostToolchain,
    argv: Sequence[str],
    directory: Path,
    *,
    seeds: Sequence[tuple[str, str]] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run in bubblewrap with only the toolchain's files, `directory` at /job, and no /proc."""
    arguments = ["--unshare-all", "--die-with-parent", "--dev-bind", "/dev/null", "/dev/null"]
    for path in item.readable:
        if os.path.islink(path):
            arguments += ["--symlink", os.readlink(path), path]
        else:
            arguments += ["--ro-bind", path, path]
    arguments += ["--ro-bind", str(directory), "/job", "--tmpfs", "/scratch", "--tmpfs", "/tmp"]
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
            ["bwrap", "--args", str(read), "--", *argv],
            capture_output=True, text=True, timeout=120, pass_fds=(read,), check=False,
        )
    finally:
        os.close(read)
        os.wait()


@pytest.fixture
def chosen(here: dict[str, host.HostToolchain], unavailable: Callable[[str, str, str], None]) -> Callable[[str], host.HostToolchain]:
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
def test_builds_a_program_with_nothing_but_its_own_files(chosen, tmp_path, name, language, flags) -> None:
    item = chosen(name)
    role = {"c": item.toolchain.family, "c++": {"gcc": "g++", "clang": "clang++"}[item.toolchain.family]}[language]
    if name == "clang-14" and "-fopenmp" in flags and not os.path.exists("/usr/lib/llvm-14/lib/libomp.so"):
        pytest.skip("clang's OpenMP library is not installed: apt-get install libomp-14-dev")
    if name == "clang-14" and "-flto" in flags and not os.path.exists("/usr/lib/llvm-14/lib/LLVMgold.so"):
        pytest.skip("clang's plugin for the linker is not installed: apt-get install llvm-14-dev")
    (tmp_path / "main").write_text(HELLO[language])
    done = confined(item, [item.programs[role], *flags, "-x", language, "main", "-o", "/scratch/out"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["gcc-12", "gcc-11", "clang-14"])
def test_finds_the_headers_of_the_system(chosen, tmp_path, name) -> None:
    item = chosen(name)
    role = "g++" if "g++" in item.programs else "clang++"
    includes = ["regex"]
    if os.path.exists("/usr/include/eigen3/Eigen/Dense"):
        includes.append("Eigen/Dense")
    (tmp_path / "main.cpp").write_text("".join(f"#include <{name}>\n" for name in includes))
    argv = [item.programs[role], "-I/usr/include/eigen3", "-fsyntax-only", "main.cpp"]
    done = confined(item, argv, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["rustc-1.95", "rustc-1.63", "rustc-nightly"])
@pytest.mark.parametrize("emit", ["metadata", "link"])
def test_builds_rust_with_nothing_but_its_own_files(chosen, tmp_path, name, emit) -> None:
    item = chosen(name)
    (tmp_path / "main.rs").write_text(HELLO["rust"])
    argv = [item.programs["rustc"], "--edition=2021", f"--emit={emit}", "-o", "/scratch/out", "main.rs"]
    done = confined(item, argv, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.sandbox
@pytest.mark.parametrize("command", [("list", "-export", "-f="), ("build", "-o", "/scratch/out")], ids=" ".join)
def test_builds_go_from_the_prepared_standard_library(chosen, tmp_path, command) -> None:
    item = chosen("go-1.26")
    (tmp_path / "main.go").write_text(HELLO["go"])
    (tmp_path / "go.mod").write_text("module hello\n\ngo 1.26\n")
    seeds = item.seeds(print)
    assert seeds, "the standard library could not be prepared"
    argv = [item.programs["go"], *command, "-x", "."]
    done = confined(item, argv, tmp_path, seeds=seeds, environment=QUIET)
    assert done.returncode == 0, done.stderr
    # One compile, of what was asked about: nothing of the standard library is built again.
    assert done.stderr.count("/compile -o") == 1


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["gcc-12", "clang-14", "go-1.26", "rustc-1.95"])
def test_shows_nothing_of_the_host_but_the_toolchain(chosen, name) -> None:
    item = chosen(name)
    hidden = ["/etc/passwd", "/proc/1/status", "/usr/bin/env", "/bin/sh", os.path.expanduser("~/.bashrc"), "/usr/share"]
    shown = [path for path in item.readable if not os.path.islink(path)]
    for path in hidden:
        assert not any(path == entry or path.startswith(entry + "/") for entry in shown)
    for entry in item.readable:
        assert os.path.isabs(entry)
        assert os.path.lexists(entry)
        # The sandbox can make each entry at its place, since its parents are no links.
        assert os.path.realpath(os.path.dirname(entry)) == os.path.dirname(entry)
