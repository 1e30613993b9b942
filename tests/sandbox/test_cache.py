"""The cache with the compilers of this host: whatever an answer depends on, a change of it is noticed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends.sandbox import SandboxBackend
from willitcompile.backends.sandbox.host import HostToolchain, host_toolchains
from willitcompile.cache import Cache, inputs
from willitcompile.checker import run
from willitcompile.languages import CompileOptions
from willitcompile.model import Verdict
from willitcompile.planning import CheckRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from willitcompile.model import CheckResult

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).parents[2]

SOURCES = {
    "good.c": '#include <stdio.h>\nint main(void) { return puts(""); }\n',
    "bad.c": '#include <stdio.h>\nint main(void) { return put(""); }\n#error no\n',
    "good.cpp": '#include <string>\nstd::string text = "a b";\n',
    "bad.cpp": "#include <string>\nstd::string text = nothing;\n",
    "warned.cpp": "#warning well\nint x;\n",
    "head.hpp": "#pragma once\n#include <cstddef>\nusing size = std::size_t;\n",
    "good.go": 'package main\nimport "fmt"\nfunc main() { fmt.Println() }\n',
    "bad.go": "package main\nfunc main() { x }\n",
    "good.rs": "pub fn f() -> u8 { 1 }\n",
    "bad.rs": 'pub fn f() -> u8 { "" }\n',
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    return tmp_path / "src"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test has just written counts as settled: it takes longer to compile than a kernel's clock to move on."""
    monkeypatch.setattr(inputs, "SETTLED_SECONDS", 0.0)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    (tmp_path / "cache").mkdir()
    with closing(Cache(str(tmp_path / "cache"))) as opened:
        yield opened


def check(
    backend: SandboxBackend, cache: Cache | None, name: str, text: str | None = None, **asked: object
) -> CheckResult:
    if text is not None:
        Path(name).write_text(text)
    with closing(run(CheckRequest((name,), **asked), backend, cache=cache)) as results:  # type: ignore[arg-type]
        (result,) = results
    return result


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_cached_is_what_it_would_be_without(name: str, cache: Cache) -> None:
    with SandboxBackend() as backend:
        language = {".go": "go", ".rs": "rust"}.get(os.path.splitext(name)[1])
        if language and not any(language in each.languages for each in backend.toolchains()):
            pytest.skip(f"there is no compiler of {language}")
        asked = {"options": CompileOptions(warnings=("-Wall",))} if not language else {}
        without = check(backend, None, name, SOURCES[name], **asked)
        first, second = (check(backend, cache, name, **asked) for _ in range(2))
    assert (first.cached, second.cached) == (False, True)
    assert without.verdict is (Verdict.REJECTED if name.startswith("bad") else Verdict.COMPILED)
    for each in (first, second):
        assert each.result.exit_code == without.result.exit_code
        assert (each.stdout, each.stderr, each.diagnostics) == (without.stdout, without.stderr, without.diagnostics)


class Headers:
    """A gcc that looks for headers in two directories more, before all others."""

    def __init__(self, gcc: HostToolchain) -> None:
        # Not below pytest's directory, which it closes to others.
        self.root = Path(tempfile.mkdtemp(prefix="headers-"))
        self.root.chmod(0o755)
        self.first, self.second = self.root / "first", self.root / "second"
        for directory in (self.first, self.second):
            directory.mkdir()
        own = (str(self.first), str(self.second))
        self.host = gcc._replace(
            readable=(*gcc.readable, str(self.root)),
            environment={**gcc.environment, "C_INCLUDE_PATH": ":".join(own)},
            headers={language: (*own, *places) for language, places in gcc.headers.items()},
        )


@pytest.fixture
def headers(gcc: HostToolchain) -> Iterator[Headers]:
    made = Headers(gcc)
    yield made
    shutil.rmtree(made.root)


@pytest.fixture
def backend(headers: Headers) -> Iterator[SandboxBackend]:
    with SandboxBackend(toolchains=[headers.host]) as opened:
        yield opened


SOURCE = "#include <part/value.h>\n#include <stddef.h>\nint value = VALUE;\n"
ONE, TWO = "#define VALUE 1\n", '#define VALUE ""[\n'


def put(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def known(backend: SandboxBackend, cache: Cache, text: str = SOURCE) -> CheckResult:
    """An answer that is cached."""
    first = check(backend, cache, "a.c", text)
    again = check(backend, cache, "a.c")
    assert (first.cached, again.cached) == (False, True)
    assert again.verdict is first.verdict
    return again


def test_a_changed_system_header_is_noticed(backend: SandboxBackend, cache: Cache, headers: Headers) -> None:
    path = put(headers.second, "part/value.h", ONE)
    assert known(backend, cache).verdict is Verdict.COMPILED
    path.write_text(TWO)
    assert check(backend, cache, "a.c").verdict is Verdict.REJECTED
    assert check(backend, cache, "a.c").cached


def test_a_changed_header_of_the_same_size_and_time_is_noticed(
    backend: SandboxBackend, cache: Cache, headers: Headers
) -> None:
    path = put(headers.second, "part/value.h", ONE)
    os.utime(path, (1, 1))
    assert known(backend, cache).verdict is Verdict.COMPILED
    path.write_text(ONE.replace("1", "]"))
    os.utime(path, (1, 1))
    assert check(backend, cache, "a.c").verdict is Verdict.REJECTED


def test_a_header_that_is_gone_is_noticed(backend: SandboxBackend, cache: Cache, headers: Headers) -> None:
    path = put(headers.second, "part/value.h", ONE)
    known(backend, cache)
    path.unlink()
    assert check(backend, cache, "a.c").verdict is Verdict.REJECTED


def test_a_new_header_that_goes_before_another_is_noticed(
    backend: SandboxBackend, cache: Cache, headers: Headers
) -> None:
    put(headers.second, "part/value.h", ONE)
    assert known(backend, cache).verdict is Verdict.COMPILED
    put(headers.first, "part/value.h", TWO)
    assert check(backend, cache, "a.c").verdict is Verdict.REJECTED


@pytest.mark.parametrize(
    "text",
    [
        "#if __has_include(<new/value.h>)\n#error it is there\n#endif\n",
        '#if __has_include("new/value.h")\n#error it is there\n#endif\n',
        "#include <part/asks.h>\n",
        "#include <part/has.h>\n#if HAS(<new/value.h>)\n#error it is there\n#endif\n",
    ],
)
def test_a_header_that_was_asked_for_and_is_there_now_is_noticed(
    backend: SandboxBackend, cache: Cache, headers: Headers, text: str
) -> None:
    put(headers.second, "part/asks.h", "#if __has_include(<new/value.h>)\n#error it is there\n#endif\n")
    put(headers.second, "part/has.h", "#define HAS(x) __has_include(x)\n")
    assert known(backend, cache, text).verdict is Verdict.COMPILED
    put(headers.second, "new/value.h", "")
    assert check(backend, cache, "a.c").verdict is Verdict.REJECTED


@pytest.mark.parametrize("asked", ["__has_include(<part/later on.h>)", "__has_\\\ninclude\\\n(<part/later on.h>)"])
def test_however_it_was_asked_for(backend: SandboxBackend, cache: Cache, headers: Headers, asked: str) -> None:
    put(headers.first, "part/value.h", ONE)
    known(backend, cache, f"#include <part/value.h>\n#if {asked}\n#error it is here\n#endif\n")
    put(headers.first, "part/later on.h", ONE)
    assert check(backend, cache, "a.c").verdict is Verdict.REJECTED


def test_a_rejection_goes_with_what_it_was_about(backend: SandboxBackend, cache: Cache, headers: Headers) -> None:
    path = put(headers.second, "part/value.h", TWO)
    assert known(backend, cache).verdict is Verdict.REJECTED
    path.write_text(ONE)
    assert check(backend, cache, "a.c").verdict is Verdict.COMPILED


def test_a_header_that_was_missing_is_looked_for_each_time(
    backend: SandboxBackend, cache: Cache, headers: Headers
) -> None:
    for _ in range(2):
        result = check(backend, cache, "a.c", SOURCE)
        assert (result.verdict, result.cached) == (Verdict.REJECTED, False)
    put(headers.first, "part/value.h", ONE)
    assert check(backend, cache, "a.c").verdict is Verdict.COMPILED


def test_a_changed_compiler_is_noticed(backend: SandboxBackend, cache: Cache, headers: Headers) -> None:
    put(headers.second, "part/value.h", ONE)
    known(backend, cache)
    for another in (
        headers.host._replace(identity="another"),
        headers.host._replace(environment={**headers.host.environment, "LANGUAGE": "C"}),
    ):
        with SandboxBackend(toolchains=[another]) as changed:
            assert not check(changed, cache, "a.c").cached


def test_a_compiler_that_changes_under_an_open_backend_is_asked_no_more(
    gcc: HostToolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Cache
) -> None:
    from willitcompile.backends import sandbox
    from willitcompile.backends.sandbox import host

    part = tmp_path / "part"
    part.write_text("")
    found = host.Survey((gcc,), (), host.fingerprints([str(part)]))
    monkeypatch.setattr(sandbox, "survey", lambda: found)
    with SandboxBackend() as backend:
        known(backend, cache, "int x;\n")
        part.write_text("another")
        assert not check(backend, cache, "a.c").cached


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("const char *now = __TIME__;\n", {}),
        ("const char *now = __DA\\\nTE__;\n", {}),
        ("const char *now = NOW;\n", {"defines": ("NOW=__TIME__",)}),
        ("#define CAT(a, b) a##b\nconst char *now = CAT(__TI, ME__);\n", {}),
        ("#include <sys/cdefs.h>\nconst char *now = __CONCAT(__TI, ME__);\n", {}),
        ("#define CAT(a, b, c) a##b##c\nconst char *now = CAT(__, TIME, __);\n", {}),
        ("#define CAT(a, b) a##b\n#if CAT(__has_, include)(<part/none.h>)\n#endif\n", {}),
        ('#if __has_include("/usr/include/part/none.h")\n#endif\n', {}),
        ("#define NAME(x) <x/none.h>\n#if __has_include(NAME(part))\n#endif\n", {}),
        ('#define CAT(a, b) a##b\nCAT(as, m)("nop");\n', {}),
        ("#define NAME </usr/include/stdio.h>\n#include NAME\n", {}),
        ("#include <../include/stdio.h>\n", {}),
        ("#pragma GCC dependency <part/clock.h>\nint x;\n", {}),
        ("#include <part/clock.h>\n", {}),
        ('__asm__(".print \\"printed\\"");\n', {}),
        ("int x;\n", {"flags": ("-march=native",)}),
        ("int main(void) { return 0; }\n", {"link": True}),
    ],
)
def test_what_may_be_another_answer_next_time_is_not_kept(
    backend: SandboxBackend, cache: Cache, headers: Headers, text: str, options: dict[str, object]
) -> None:
    put(headers.first, "part/clock.h", "static const char *now = __DATE__;\n")
    asked = CompileOptions(**options)  # type: ignore[arg-type]
    without = check(backend, None, "a.c", text, options=asked)
    for _ in range(2):
        result = check(backend, cache, "a.c", options=asked)
        assert not result.cached
        assert (result.verdict, result.stdout, result.stderr) == (without.verdict, without.stdout, without.stderr)


def test_what_has_changed_just_now_is_not_kept(
    backend: SandboxBackend, cache: Cache, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "SETTLED_SECONDS", 3600.0)
    put(headers.second, "part/value.h", ONE)
    assert not any(check(backend, cache, "a.c", SOURCE).cached for _ in range(2))


def test_what_a_compiler_tells_counts_for_no_limit(backend: SandboxBackend, cache: Cache) -> None:
    """The names of the headers of <stdio.h> alone are longer."""
    asked = {"limits": {"output_bytes": 200}}
    text = "#include <stdio.h>\nint x;\n"
    assert check(backend, cache, "a.c", text, **asked).verdict is Verdict.COMPILED


def test_where_a_compiler_looks_for_headers_is_known() -> None:
    for host in host_toolchains():
        for places in host.headers.values():
            assert "/usr/include" in places
        assert set(host.headers) == set(host.toolchain.languages) & {"c", "c++"}


FULL = """
import os, sys
from contextlib import closing
from pathlib import Path
from willitcompile.backends import Identity
from willitcompile.backends.fake import FakeBackend
from willitcompile.cache import Cache
from willitcompile.checker import run
from willitcompile.planning import CheckRequest

directory, notes = sys.argv[1], []
sources = {f"{number}.c": b"int x;\\n" * number for number in range(60)}

def check(names):
    with closing(Cache(directory, notify=notes.append)) as cache:
        backend = FakeBackend(identity=Identity("1"))
        results = list(run(CheckRequest(names, files=sources), backend, cache=cache))
    assert [result.verdict for result in results] == ["compiled"] * len(names)
    return len(backend.jobs)

first, rest = tuple(sources)[:5], tuple(sources)
counts = [check(first), check(first)]
assert counts == [5, 0], (counts, notes)
with open(os.path.join(directory, "filler"), "wb", buffering=0) as filler:
    try:
        while True:
            filler.write(bytes(4096))
    except OSError as error:
        assert error.errno == 28, error
# What it has is found, what it cannot keep is compiled each time, and of that one note tells.
counts = [check(rest), check(rest)]
assert counts == [55, 55], (counts, notes)
assert len(notes) == 2 and all("full" in note for note in notes), notes
os.unlink(os.path.join(directory, "filler"))
counts = [check(rest), check(rest)]
assert counts == [55, 0], (counts, notes)
"""


@pytest.mark.skipif(not shutil.which("bwrap"), reason="a disk that is full is made with bubblewrap")
def test_a_full_disk_costs_compiles_and_no_answer(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    disk = ["--size", str(512 << 10), "--tmpfs", str(tmp_path / "disk")]
    inside = ["bwrap", "--dev-bind", "/", "/", *disk, sys.executable, "-c", FULL, str(tmp_path / "disk")]
    ended = subprocess.run(inside, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
