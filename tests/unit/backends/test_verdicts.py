"""What each way to end means."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends.verdicts import judge
from willitcompile.model import Verdict


def verdict(**changed: Any) -> tuple[Verdict, str | None]:
    ending: dict[str, Any] = {
        "exit_code": 1, "killed_by": None, "stopped": None, "oom_kills": 0, "process_limit_hits": 0,
        "truncated": False, "stderr": b"", "rejected_exit_codes": frozenset({1}),
    }  # fmt: skip
    return judge(**(ending | changed))


def test_exit_codes_say_compiled_rejected_and_crashed() -> None:
    assert verdict(exit_code=0) == (Verdict.COMPILED, None)
    assert verdict(exit_code=1) == (Verdict.REJECTED, None)
    assert verdict(exit_code=4) == (Verdict.CRASHED, None)
    assert verdict(exit_code=None, killed_by=signal.SIGSEGV) == (Verdict.CRASHED, None)


def test_clang_crashes_with_the_exit_code_of_an_error() -> None:
    dump = b"Stack dump:\n0.\tProgram arguments: clang++ -c c.cpp\n1.\tc.cpp:1:2: current parser token 'pragma'\n"
    last = (
        b"clang++: error: clang frontend command failed with exit code 132 (use -v to see invocation)\n"
        b"Debian clang version 19.1.7 (3+b1)\nTarget: x86_64-pc-linux-gnu\nThread model: posix\n"
        b"clang++: note: diagnostic msg: /tmp/c-d0fdab.sh\n\n********************\n"
    )
    assert verdict(stderr=dump + last) == (Verdict.CRASHED, None)
    assert verdict(stderr=b"c.cpp:1:2: error: no\n" + last) == (Verdict.REJECTED, None)


def test_a_stop_outweighs_the_exit_code() -> None:
    assert verdict(stopped="wall", exit_code=0) == (Verdict.TIMEOUT, "wall")
    assert verdict(stopped="memory") == (Verdict.OUT_OF_MEMORY, "memory")
    assert verdict(oom_kills=1, exit_code=1) == (Verdict.OUT_OF_MEMORY, "memory")
    assert verdict(truncated=True, stopped="cancelled") == (Verdict.OUTPUT_LIMIT, "output")
    assert verdict(process_limit_hits=3) == (Verdict.CRASHED, "processes")


def test_what_compiled_although_a_helper_hit_a_limit_compiled() -> None:
    assert verdict(exit_code=0, oom_kills=1, process_limit_hits=1) == (Verdict.COMPILED, None)


@pytest.mark.parametrize(
    "stderr",
    [
        b"m.cpp:1: note: x\ncc1plus: out of memory allocating 17179869184 bytes after a total of 9 bytes\n",
        b"\nvirtual memory exhausted: Cannot allocate memory\n",
        b"g++: fatal error: Killed signal terminated program cc1plus\ncompilation terminated.\n",
        b"memory allocation of 1099511627776 bytes failed\n",
        b"LLVM ERROR: out of memory\nAllocation failed\n",
    ],
)
def test_a_compiler_that_could_not_have_memory_has_rejected_nothing(stderr: bytes) -> None:
    assert verdict(stderr=stderr) == (Verdict.OUT_OF_MEMORY, "memory")


FORGED_BY_LINE_FEEDS_IN_A_STATIC_ASSERT = b"""\
m.cpp:1:15: error: static assertion failed: x
g++: fatal error: Killed signal terminated program cc1plus
compilation terminated.
    1 | static_assert(false, "x\\ng++: fatal error...");
      |               ^~~~~
"""
FORGED_BY_AN_ERROR_DIRECTIVE = b"""\
m.c:1:2: error: #error virtual memory exhausted: Cannot allocate memory
    1 | #error virtual memory exhausted: Cannot allocate memory
      |  ^~~~~
"""
FORGED_WITHOUT_AN_EXCERPT = b"""\
nowhere.c:1:15: error: static assertion failed: x
cc1plus: out of memory allocating 1 bytes after a total of 2 bytes
"""
FORGED_BY_THE_ASSEMBLER = b"""\
m.c: Assembler messages:
m.c:1: Error: x: Cannot allocate memory
"""


@pytest.mark.parametrize(
    "stderr",
    [
        FORGED_BY_LINE_FEEDS_IN_A_STATIC_ASSERT,
        FORGED_BY_AN_ERROR_DIRECTIVE,
        FORGED_WITHOUT_AN_EXCERPT,
        FORGED_BY_THE_ASSEMBLER,
        b"main.go:3:8: package fork/exec /a: resource temporarily unavailable\n",
        b"# x\nmain.go:3:8: x\nfmt: fork/exec /a: resource temporarily unavailable\n",
    ],
)
def test_a_source_cannot_forge_it(stderr: bytes) -> None:
    assert verdict(stderr=stderr) == (Verdict.REJECTED, None)


def test_a_file_that_grew_too_large() -> None:
    gcc = b"gcc: internal compiler error: File size limit exceeded signal terminated program as\nPlease submit\n"
    assert verdict(exit_code=4, stderr=gcc) == (Verdict.OUTPUT_LIMIT, "file-size")
    assert verdict(exit_code=None, killed_by=signal.SIGXFSZ) == (Verdict.OUTPUT_LIMIT, "file-size")


def test_a_source_cannot_forge_a_file_that_grew_too_large() -> None:
    forged = b"g++: internal compiler error: File size limit exceeded signal terminated program as\n"
    died = b"g++: internal compiler error: Segmentation fault signal terminated program cc1plus\nPlease submit\n"
    assert verdict(exit_code=4, stderr=b"m.cpp:1:1: note: x\n" + forged + died) == (Verdict.CRASHED, None)
    assert verdict(exit_code=4, stderr=b"m.cpp:1:1: note: File size limit exceeded\n") == (Verdict.CRASHED, None)


@pytest.mark.parametrize(
    "stderr",
    [
        b"g++: fatal error: cannot execute 'cc1': vfork: Resource temporarily unavailable\ncompilation terminated.\n",
        b"fmt: fork/exec /usr/local/go/pkg/tool/linux_amd64/compile: resource temporarily unavailable\n",
    ],
)
def test_a_compiler_that_could_not_fork_has_rejected_nothing(stderr: bytes) -> None:
    assert verdict(stderr=stderr) == (Verdict.CRASHED, "processes")


@given(st.binary(max_size=5000), st.sampled_from([1, 2, 4, 101, None]))
def test_no_output_makes_a_failure_a_success(stderr: bytes, exit_code: int | None) -> None:
    assert verdict(stderr=stderr, exit_code=exit_code)[0] is not Verdict.COMPILED
