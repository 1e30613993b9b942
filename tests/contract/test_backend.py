"""What every backend promises, asked with real compiles.

The fake backend reads the `// fake:` lines, which are comments to a compiler: see its module.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.contract.leftovers import MARK, compiling
from willitcompile.backends import CancelToken
from willitcompile.errors import BackendFailed, Interrupted, ToolchainMissing
from willitcompile.model import KIB, MIB, CompileJob, Limits, Verdict, output_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from willitcompile.backends import Backend
    from willitcompile.model import Toolchain

    Wait = Callable[[], None]

FINE = b"int main(void) { return 0; }\n"

WRONG = b"""\
// fake: stderr main.c:3:9: error: 'nothing' undeclared here
// fake: exit 1
int x = nothing;
"""

ENDLESS = b"""\
// fake: hang
#if __INCLUDE_LEVEL__ < 150
#include __FILE__
#include __FILE__
#endif
"""
"""Includes itself 2^150 times, for which gcc takes some 90 MB of memory a second."""

ENDLESS_STDOUT = b"""\
// fake: stderr main.c:5:2: warning: the other stream
// fake: flood stdout
#if __INCLUDE_LEVEL__ == 0
#warning the other stream
#endif
flood __COUNTER__
""" + ENDLESS.partition(b"\n")[2]

ENDLESS_STDERR = b"// fake: flood stderr\n#warning flood\n" + ENDLESS.partition(b"\n")[2]

HUNGRY = b"// fake: allocate 1099511627776\n#define TWICE(x) x x\nint a = %s 1 %s;\n" % (
    b"TWICE(" * 40,
    b")" * 40,
)
"""A macro argument that doubles 40 times: it would take 2^40 tokens."""

FAT = b"// fake: write 67108864\nchar fat[64 << 20] = {1};\n"

DEADLY = b"// fake: crash 11\nint a = %s1%s;\n" % (b"(" * 1_000_000, b")" * 1_000_000)
"""Nested too deeply for the stack of cc1, which dies of SIGSEGV: gcc has no limit of its own."""


def job(
    gcc: Toolchain,
    source: bytes,
    *flags: str,
    main: str = "main.c",
    files: Mapping[str, bytes] | None = None,
    workdir: str = ".",
    environment: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> CompileJob:
    """Compile a C or C++ file that lies in `workdir`, to an object unless a flag is `-E`."""
    program, language = ("g++", "c++") if main.endswith(".cpp") else ("gcc", "c")
    what = () if "-E" in flags else ("-c", "-o", output_path(workdir, "out.o"))
    path = main if workdir == "." else f"{workdir}/{main}"
    return CompileJob(
        toolchain=gcc.name,
        language=language,
        files={path: source, **(files or {})},
        argv=(program, *flags, *what, main),
        workdir=workdir,
        environment={**MARK, **(environment or {})},
        limits=limits or Limits(),
    )


def test_a_correct_source_compiles(backend: Backend, gcc: Toolchain) -> None:
    result = backend.compile(job(gcc, FINE))
    assert (result.verdict, result.exit_code, result.limit, result.signal) == (
        Verdict.COMPILED,
        0,
        None,
        None,
    )
    assert (result.stdout, result.stderr, result.truncated) == (b"", b"", False)


def test_a_wrong_source_is_rejected_with_the_compilers_words(backend: Backend, gcc: Toolchain) -> None:
    result = backend.compile(job(gcc, WRONG))
    assert (result.verdict, result.exit_code, result.limit) == (Verdict.REJECTED, 1, None)
    assert result.stderr.startswith(b"main.c:3:9: error: ")


def test_a_result_names_its_compiler_and_its_isolation(backend: Backend, gcc: Toolchain) -> None:
    result = backend.compile(job(gcc, FINE))
    # A backend that has to ask first says it with the result alone.
    assert result.compiler == (gcc.compilers["c"] or result.compiler)
    assert gcc.version in result.compiler
    assert result.isolation
    assert result.duration_seconds > 0


def test_each_language_of_a_toolchain_has_its_compiler(backend: Backend, gcc: Toolchain) -> None:
    result = backend.compile(job(gcc, b"class Empty {};\n", main="main.cpp"))
    assert result.verdict is Verdict.COMPILED
    assert result.compiler == (gcc.compilers["c++"] or result.compiler)
    assert gcc.version in result.compiler


def test_every_toolchain_tells_its_compilers_and_standards(backend: Backend) -> None:
    for toolchain in backend.toolchains():
        assert set(toolchain.compilers) == set(toolchain.standards) == set(toolchain.defaults)
        for language, default in toolchain.defaults.items():
            assert default in toolchain.standards[language]


def test_the_time_limit_ends_a_compile_and_all_its_processes(backend: Backend, gcc: Toolchain) -> None:
    result = backend.compile(job(gcc, ENDLESS, limits=Limits(wall_seconds=0.5)))
    assert compiling() == frozenset()
    assert (result.verdict, result.limit, result.exit_code) == (Verdict.TIMEOUT, "wall", None)
    assert result.duration_seconds >= 0.5


def test_the_memory_limit_ends_a_compile(backend: Backend, gcc: Toolchain) -> None:
    result = backend.compile(job(gcc, HUNGRY, limits=Limits(memory_bytes=128 * MIB, wall_seconds=120)))
    assert (result.verdict, result.limit) == (Verdict.OUT_OF_MEMORY, "memory")


def test_what_fits_the_memory_limit_compiles(backend: Backend, gcc: Toolchain) -> None:
    result = backend.compile(job(gcc, FINE, limits=Limits(memory_bytes=128 * MIB)))
    assert result.verdict is Verdict.COMPILED


def test_endless_stdout_is_cut_and_its_head_kept(backend: Backend, gcc: Toolchain) -> None:
    result = backend.compile(job(gcc, ENDLESS_STDOUT, "-E", limits=Limits(output_bytes=64 * KIB)))
    assert (result.verdict, result.limit, result.truncated) == (Verdict.OUTPUT_LIMIT, "output", True)
    assert len(result.stdout) == 64 * KIB
    assert b"flood" in result.stdout[: 8 * KIB]
    assert b"the other stream" in result.stderr


def test_endless_stderr_is_cut_and_its_head_kept(backend: Backend, gcc: Toolchain) -> None:
    result = backend.compile(job(gcc, ENDLESS_STDERR, limits=Limits(output_bytes=64 * KIB)))
    assert (result.verdict, result.limit, result.truncated) == (Verdict.OUTPUT_LIMIT, "output", True)
    assert len(result.stderr) == 64 * KIB
    assert b"flood" in result.stderr[: 8 * KIB]


def test_much_output_below_the_limit_arrives_whole(backend: Backend, gcc: Toolchain) -> None:
    lines = 20_000
    source = b"".join(b"// fake: stdout int name_%d;\nint name_%d;\n" % (n, n) for n in range(lines))
    result = backend.compile(job(gcc, source, "-E", "-P"))
    assert result.verdict is Verdict.COMPILED
    assert not result.truncated
    assert result.stdout.split(b"\n") == [*(b"int name_%d;" % n for n in range(lines)), b""]


def test_the_file_size_limit_ends_a_compile(backend: Backend, gcc: Toolchain) -> None:
    result = backend.compile(job(gcc, FAT, limits=Limits(file_bytes=1 * MIB)))
    assert (result.verdict, result.limit) == (Verdict.OUTPUT_LIMIT, "file-size")


def test_a_compiler_that_dies_has_crashed(backend: Backend, gcc: Toolchain) -> None:
    result = backend.compile(job(gcc, DEADLY))
    assert (result.verdict, result.limit) == (Verdict.CRASHED, None)
    assert result.signal is not None or result.exit_code not in {None, 0, 1}


def test_stdout_and_stderr_stay_apart(backend: Backend, gcc: Toolchain) -> None:
    source = b"// fake: stdout int printed;\n// fake: stderr warned\nint printed;\n#warning warned\n"
    result = backend.compile(job(gcc, source, "-E"))
    assert b"int printed;" in result.stdout
    assert b"warned" not in result.stdout
    assert b"warned" in result.stderr
    assert b"int printed;" not in result.stderr


def test_files_lie_in_their_directories_and_the_compile_in_its_workdir(backend: Backend, gcc: Toolchain) -> None:
    includes = b'#include "../lib/deep/util.h"\n#include "near.h"\n'
    source = b"// fake: needs lib/deep/util.h\n" + includes + b"int x = UTIL + NEAR;\n"
    files = {"lib/deep/util.h": b"#define UTIL 1\n", "app/near.h": b"#define NEAR 2\n"}
    result = backend.compile(job(gcc, source, workdir="app", files=files))
    assert (result.verdict, result.stderr) == (Verdict.COMPILED, b"")


def test_a_name_that_ends_with_a_slash_is_an_empty_directory(backend: Backend, gcc: Toolchain) -> None:
    source = b"// fake: needs include/empty/\nint x;\n"
    flags = ("-Iinclude/empty", "-Werror=missing-include-dirs")
    result = backend.compile(job(gcc, source, *flags, files={"include/empty/": b""}))
    assert (result.verdict, result.stderr) == (Verdict.COMPILED, b"")
    assert backend.compile(job(gcc, source, *flags)).verdict is Verdict.REJECTED


def test_names_sources_and_output_are_bytes(backend: Backend, gcc: Toolchain) -> None:
    name = b"caf\xe9 \xff.c".decode(errors="surrogateescape")
    source = b"// fake: stderr caf\xe9 \xff.c:3:2: error: #error na\xefve\n// fake: exit 1\n#error na\xefve\n"
    result = backend.compile(job(gcc, source, main=name))
    assert result.verdict is Verdict.REJECTED
    assert result.stderr.startswith(b"caf\xe9 \xff.c:3:2: error: #error na\xefve\n")


def test_names_are_never_read_by_a_shell(backend: Backend, gcc: Toolchain) -> None:
    name = "$(echo a); 'b' \"c\" & | * ? ~ #{}.c"
    assert backend.compile(job(gcc, FINE, main=name)).verdict is Verdict.COMPILED


def test_an_empty_file_is_a_file(backend: Backend, gcc: Toolchain) -> None:
    assert backend.compile(job(gcc, b"")).verdict is Verdict.COMPILED


def test_a_job_brings_its_own_variables(backend: Backend, gcc: Toolchain) -> None:
    source = b"// fake: needs $SOURCE_DATE_EPOCH\nstatic_assert(__DATE__[7] == '1', \"not 1970\");\n"
    asked = job(gcc, source, main="main.cpp", environment={"SOURCE_DATE_EPOCH": "0"})
    assert backend.compile(asked).verdict is Verdict.COMPILED


def test_the_variables_of_this_process_do_not_reach_a_compile(
    backend: Backend, gcc: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    source = b"// fake: stdout this year\nstatic_assert(__DATE__[7] == '2', \"1970\");\n"
    assert backend.compile(job(gcc, source, main="main.cpp")).verdict is Verdict.COMPILED


@pytest.mark.parametrize("variable", ["PATH", "HOME", "TMPDIR", "LC_ALL"])
def test_a_backend_sets_the_promised_variables(backend: Backend, gcc: Toolchain, variable: str) -> None:
    """rustc alone can tell; the others read them but do not say so."""
    rust = next((each for each in backend.toolchains() if each.family == "rustc"), None)
    if rust is None:
        pytest.skip(f"{backend.name}: skipped, it has no rustc: apt-get install rustc")
    source = b'// fake: needs $%s\npub const VALUE: &str = env!("%s");\n' % (
        variable.encode(),
        variable.encode(),
    )
    asked = CompileJob(
        toolchain=rust.name,
        language="rust",
        files={"main.rs": source},
        argv=("rustc", "--crate-type=lib", "--emit=metadata", "-o", output_path("."), "main.rs"),
        environment=MARK,
    )
    result = backend.compile(asked)
    assert (result.verdict, result.stderr) == (Verdict.COMPILED, b"")


def test_a_missing_toolchain_is_an_error_that_says_what_there_is(backend: Backend, gcc: Toolchain) -> None:
    with pytest.raises(ToolchainMissing) as error:
        backend.compile(job(gcc, FINE)._replace(toolchain="gcc-1.42"))
    assert "gcc-1.42" in str(error.value)
    assert gcc.name in error.value.remedy


def test_a_cancelled_compile_stops_and_leaves_nothing(
    backend: Backend, gcc: Toolchain, wait_until_running: Wait
) -> None:
    cancel = CancelToken()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(backend.compile, job(gcc, ENDLESS, limits=Limits(wall_seconds=120)), cancel)
        wait_until_running()
        cancel.cancel()
        assert isinstance(running.exception(), Interrupted)
        assert compiling() == frozenset()


def test_one_token_stops_many_compiles(backend: Backend, gcc: Toolchain, wait_until_running: Wait) -> None:
    cancel = CancelToken()
    with ThreadPoolExecutor(3) as pool:
        asked = job(gcc, ENDLESS, limits=Limits(wall_seconds=120))
        running = [pool.submit(backend.compile, asked, cancel) for _ in range(3)]
        cancel.cancel()
        assert [type(each.exception()) for each in running] == [Interrupted] * 3


def test_a_token_cancelled_before_starts_nothing(backend: Backend, gcc: Toolchain) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Interrupted):
        backend.compile(job(gcc, FINE), cancel)


def test_a_token_that_nobody_cancels_changes_nothing(backend: Backend, gcc: Toolchain) -> None:
    assert backend.compile(job(gcc, FINE), CancelToken()).verdict is Verdict.COMPILED


def test_a_job_does_not_see_the_files_of_another(backend: Backend, gcc: Toolchain, wait_until_running: Wait) -> None:
    cancel = CancelToken()
    with ThreadPoolExecutor(1) as pool:
        secretive = job(gcc, ENDLESS, files={"secret.h": b""}, limits=Limits(wall_seconds=120))
        running = pool.submit(backend.compile, secretive, cancel)
        wait_until_running()
        nosy = backend.compile(job(gcc, b'// fake: needs secret.h\n#include "secret.h"\n'))
        cancel.cancel()
        assert isinstance(running.exception(), Interrupted)
    assert nosy.verdict is Verdict.REJECTED


def test_a_job_does_not_see_the_files_of_the_one_before(backend: Backend, gcc: Toolchain) -> None:
    backend.compile(job(gcc, FINE, files={"secret.h": b""}))
    nosy = backend.compile(job(gcc, b'// fake: needs secret.h\n#include "secret.h"\n'))
    assert nosy.verdict is Verdict.REJECTED


def test_sixty_four_jobs_at_once_each_get_their_own_answer(backend: Backend, gcc: Toolchain) -> None:
    together = threading.Barrier(64)

    def ask(number: int) -> tuple[Verdict, bool]:
        name = b"number_%d;" % number
        lines = b"// fake: stdout %s\n%s\n" % (name, name)
        if number % 2:
            lines += b"// fake: exit 1\n#error odd\n"
        together.wait(60)
        result = backend.compile(job(gcc, lines, "-E", limits=Limits(wall_seconds=120)))
        return result.verdict, name in result.stdout

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(ask, range(64)))
    assert answers == [(Verdict.REJECTED if number % 2 else Verdict.COMPILED, True) for number in range(64)]


def test_a_backend_may_be_closed_twice(backend: Backend) -> None:
    backend.close()
    backend.close()


def test_closing_ends_what_is_running(backend: Backend, gcc: Toolchain, wait_until_running: Wait) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(backend.compile, job(gcc, ENDLESS, limits=Limits(wall_seconds=120)))
        wait_until_running()
        backend.close()
        assert compiling() == frozenset()
        assert isinstance(running.exception(), Interrupted | BackendFailed)


def test_an_image_that_nobody_has_does_not_exist(backend: Backend) -> None:
    assert not backend.image_exists("will-it-compile.invalid/nothing:0")
