"""The heart, on the fake backend: see its module for what the `// fake:` lines do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Self

import pytest

from willitcompile.backends import CancelToken
from willitcompile.backends.fake import FakeBackend, answer, toolchain
from willitcompile.checker import run
from willitcompile.errors import (
    BackendFailed,
    FlagRefused,
    Interrupted,
    RequestError,
    SourceError,
    ToolchainMissing,
    UnknownLanguage,
    UnknownStandard,
)
from willitcompile.languages import CompileOptions
from willitcompile.model import Limits, Verdict
from willitcompile.planning import CheckRequest, plan
from willitcompile.sources import SizeLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from willitcompile.model import CheckResult, CompileJob, CompileResult

    Write = Callable[..., None]

HANG = "// fake: hang\n"
FAIL = "// fake: dance\n"
"""The fake breaks down over it, as a daemon may: BackendFailed."""


@pytest.fixture
def backend() -> Iterator[FakeBackend]:
    with FakeBackend() as opened:
        yield opened


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """`write("a.c", "b/c.cpp")` or `write(**{"a.c": text})` writes files in the current directory."""
    monkeypatch.chdir(tmp_path)

    def write_files(*names: str, **texts: str | bytes) -> None:
        for name, text in {**dict.fromkeys(names, "int x;\n"), **texts}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)

    return write_files


def planned(backend: FakeBackend, *paths: str, **asked: object) -> list[tuple[str, str, str | None]]:
    request = CheckRequest(paths=paths, **asked)  # type: ignore[arg-type]
    return [(each.source, each.toolchain.name, each.standard) for each in plan(request, backend)]


def sources(results: list[CheckResult]) -> list[str]:
    return [result.source for result in results]


class TestPlan:
    def test_all_is_every_toolchain_that_speaks_the_language(self, backend: FakeBackend, write: Write) -> None:
        write("a.c", "b.go")
        assert [name for _, name, _ in planned(backend, "a.c", "b.go", compilers=("all",))] == [
            "gcc-13", "clang-19", "go-1.24",
        ]  # fmt: skip

    def test_a_file_gets_the_default_toolchain_of_its_language(self, backend: FakeBackend, write: Write) -> None:
        write("a.c", "b.cpp")
        assert planned(backend, "b.cpp", "a.c") == [("b.cpp", "gcc-13", None), ("a.c", "gcc-13", None)]

    def test_a_directory_gives_the_sources_below_it_in_order(self, backend: FakeBackend, write: Write) -> None:
        write("src/z.c", "src/a.cpp", "src/deep/b.c", "src/c.h", "src/README", "other.c")
        names = [source for source, _, _ in planned(backend, "src")]
        assert names == ["src/a.cpp", "src/deep/b.c", "src/z.c"]

    def test_hidden_and_foreign_directories_and_links_to_directories_are_passed_over(
        self, backend: FakeBackend, write: Write
    ) -> None:
        write("a.c", ".git/b.c", ".hidden/c.c", "node_modules/d.c", "real/e.c")
        os.symlink("real", "link")
        assert [source for source, _, _ in planned(backend, ".")] == ["./a.c", "./real/e.c"]

    def test_a_file_that_is_named_twice_is_checked_once(self, backend: FakeBackend, write: Write) -> None:
        write("a.c", "b.c")
        assert [source for source, _, _ in planned(backend, "b.c", ".", "./b.c")] == ["b.c", "./a.c"]

    def test_the_order_is_source_then_toolchain_then_standard(self, backend: FakeBackend, write: Write) -> None:
        write("a.cpp", "b.cpp")
        asked = planned(backend, "b.cpp", "a.cpp", compilers=("clang", "gcc"), standards=("c++20", "c++17"))
        assert asked == [
            (source, compiler, standard)
            for source in ("b.cpp", "a.cpp")
            for compiler in ("clang-19", "gcc-13")
            for standard in ("c++20", "c++17")
        ]

    def test_the_same_toolchain_and_standard_by_two_names_are_one(self, backend: FakeBackend, write: Write) -> None:
        write("a.cpp")
        asked = planned(backend, "a.cpp", compilers=("gcc", "gcc-13"), standards=("c++20", "c++2a"))
        assert asked == [("a.cpp", "gcc-13", "c++20")]

    def test_a_header_is_of_the_language_of_its_content(self, backend: FakeBackend, write: Write) -> None:
        write(**{"c.h": "int f(void);\n", "cpp.h": "namespace a { class B; }\n"})
        languages = [each.language.name for each in plan(CheckRequest(("c.h", "cpp.h")), backend)]
        assert languages == ["c", "c++"]

    def test_the_language_asked_for_stands_above_the_extension(self, backend: FakeBackend, write: Write) -> None:
        write("a.c", "noextension")
        request = CheckRequest(("a.c", "noextension"), language="cpp")
        assert [each.language.name for each in plan(request, backend)] == ["c++", "c++"]

    def test_a_directory_gives_only_the_sources_of_the_language_asked_for(
        self, backend: FakeBackend, write: Write
    ) -> None:
        write("a.c", "b.cpp")
        assert planned(backend, ".", language="c") == [("./a.c", "gcc-13", None)]

    def test_stdin_is_a_source(self, backend: FakeBackend) -> None:
        assert planned(backend, "-", stdin=b"int x;", language="c") == [("-", "gcc-13", None)]

    def test_over_mixed_sources_each_compiler_is_used_where_it_fits(self, backend: FakeBackend, write: Write) -> None:
        write("a.c", "b.rs")
        assert planned(backend, "a.c", "b.rs", compilers=("rustc", "clang")) == [
            ("a.c", "clang-19", None),
            ("b.rs", "rustc-1.85", None),
        ]

    def test_over_mixed_sources_each_standard_is_used_where_it_fits(self, backend: FakeBackend, write: Write) -> None:
        write("a.c", "b.cpp")
        assert planned(backend, "a.c", "b.cpp", standards=("c++20",)) == [
            ("a.c", "gcc-13", None),
            ("b.cpp", "gcc-13", "c++20"),
        ]

    def test_a_toolchain_is_left_out_of_standards_it_does_not_know(self, write: Write) -> None:
        write("a.cpp")
        old, new = (
            toolchain("gcc", "9", {"c++": ["c++17"]}),
            toolchain("clang", "19", {"c++": ["c++17", "c++20"]}),
        )
        with FakeBackend([old, new]) as backend:
            asked = planned(backend, "a.cpp", compilers=("gcc", "clang"), standards=("c++17", "c++20"))
        assert asked == [
            ("a.cpp", "gcc-9", "c++17"),
            ("a.cpp", "clang-19", "c++17"),
            ("a.cpp", "clang-19", "c++20"),
        ]


@pytest.mark.parametrize(
    ("asked", "kind", "says"),
    [
        (CheckRequest(("missing.c",)), SourceError, "missing.c"),
        (CheckRequest(("fine.c", "missing.c")), SourceError, "missing.c"),
        (CheckRequest(("",)), SourceError, "the name is empty"),
        (CheckRequest(("pipe.c",)), SourceError, "pipe.c"),
        (CheckRequest(("binary.c",)), SourceError, "binary.c"),
        (CheckRequest(("empty",)), SourceError, "empty"),
        (CheckRequest((".",), language="go"), SourceError, "go source"),
        (CheckRequest(("-",), language="c"), SourceError, "piped"),
        (CheckRequest(("-",), stdin=b"int\0", language="c"), SourceError, "binary"),
        (CheckRequest(("-",), stdin=b"int x;", language="c", sizes=SizeLimits(3)), SourceError, "more than"),
        (CheckRequest(("fine.c",), sizes=SizeLimits(file_bytes=3)), SourceError, "fine.c"),
        (CheckRequest(("fine.c",), include_dirs=("nowhere",)), SourceError, "nowhere"),
        (CheckRequest((".",), include_dirs=("nowhere",)), SourceError, "nowhere"),
        (CheckRequest(("text.txt",)), UnknownLanguage, "txt"),
        (CheckRequest(("fine.c",), language="cobol"), UnknownLanguage, "cobol"),
        (CheckRequest(("-",), stdin=b""), UnknownLanguage, "-"),
        (CheckRequest(("fine.c",), compilers=("gcc-1.42",)), ToolchainMissing, "gcc-1.42"),
        (CheckRequest(("fine.c",), compilers=("gcc", "gcc-1.42")), ToolchainMissing, "gcc-1.42"),
        (CheckRequest(("fine.c",), compilers=("rustc",)), ToolchainMissing, "rustc"),
        (CheckRequest(("fine.c",), standards=("c42",)), UnknownStandard, "c42"),
        (CheckRequest(("fine.c",), standards=("c++20",)), UnknownStandard, "c++20"),
        (CheckRequest(("fine.c",), standards=("c17", "c++20")), UnknownStandard, "c++20"),
        (CheckRequest(("fine.c",), standards=("c23",)), UnknownStandard, "gcc-13 does not know c23"),
        (CheckRequest(("fine.c",), options=CompileOptions(flags=("-fplugin=x",))), FlagRefused, "-fplugin"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_request_is_an_error_before_anything_runs(
    backend: FakeBackend, write: Write, asked: CheckRequest, kind: type[RequestError], says: str
) -> None:
    write("fine.c", **{"binary.c": b"int\0", "text.txt": "", "empty/README": ""})
    os.mkfifo("pipe.c")
    with pytest.raises(kind) as error:
        run(asked, backend)
    assert says in str(error.value)
    assert error.value.remedy
    assert backend.jobs == []


def test_a_standard_that_the_toolchain_lacks_is_told_with_those_it_has(backend: FakeBackend, write: Write) -> None:
    write("a.cpp")
    with pytest.raises(UnknownStandard) as error:
        run(CheckRequest(("a.cpp",), standards=("c++23",)), backend)
    assert "c++11, c++14, c++17, c++20" in error.value.remedy


def test_a_compiler_of_another_language_is_told_with_that_language(backend: FakeBackend, write: Write) -> None:
    write("a.c")
    with pytest.raises(ToolchainMissing) as error:
        run(CheckRequest(("a.c",), compilers=("rustc",)), backend)
    assert error.value.obstacle == "rustc-1.85 does not compile c"


class TestResults:
    def test_a_result_has_all_there_is_to_know(self, backend: FakeBackend, write: Write) -> None:
        write(**{"a.c": "// fake: stderr a.c:2:5: error: no such thing\n// fake: exit 1\n"})
        [result] = run(CheckRequest(("a.c",), compilers=("clang",)), backend)
        assert (result.source, result.language, result.toolchain) == ("a.c", "c", "clang-19")
        assert (result.standard, result.backend, result.verdict) == ("c17", "fake", Verdict.REJECTED)
        assert result.stderr == "a.c:2:5: error: no such thing\n"
        [diagnostic] = result.diagnostics
        assert (diagnostic.path, diagnostic.line, diagnostic.message) == ("a.c", 2, "no such thing")

    def test_the_backend_knows_the_limits_that_nobody_named(self, backend: FakeBackend, write: Write) -> None:
        write(**{"a.c": "int a;\n"})
        backend.limits = Limits(memory_bytes=384 << 20, cpus=0.5)
        (result,) = run(CheckRequest(("a.c",), limits={"memory_bytes": 1 << 30}), backend)
        assert result.limits == backend.jobs[0].limits == Limits(memory_bytes=1 << 30, cpus=0.5)
        assert backend.expected[0][1] == result.limits

    def test_the_job_is_the_units_with_what_was_asked(self, backend: FakeBackend, write: Write) -> None:
        write(**{"a.cpp": '#include "b.h"\n', "b.h": "int b;\n"})
        limits = Limits(wall_seconds=7)
        options = CompileOptions(defines=("A=1",), warnings=("-Wall",))
        list(run(CheckRequest(("a.cpp",), standards=("c++20",), options=options, limits=limits._asdict()), backend))
        [job] = backend.jobs
        assert job.toolchain == "gcc-13"
        assert {path for path in job.files if not path.endswith("/")} == {"a.cpp", "b.h"}
        assert {"-std=c++20", "-DA=1", "-Wall"} <= set(job.argv)
        assert job.limits == limits

    def test_notes_are_for_what_is_rejected(self, backend: FakeBackend, write: Write) -> None:
        outside = '#include "../outside/secret.h"\n'
        write(**{"in/a.c": outside, "in/b.c": outside + "// fake: exit 1\n", "outside/secret.h": ""})
        os.chdir("in")
        fine, rejected = run(CheckRequest(("a.c", "b.c")), backend)
        assert fine.notes == ()
        assert "outside" in rejected.notes[0]

    def test_stdin_is_compiled_under_the_name_that_was_asked(self, backend: FakeBackend) -> None:
        [result] = run(CheckRequest(("-",), stdin=b"// fake: stdout hello\n", language="c++"), backend)
        assert (result.source, result.stdout) == ("-", "hello\n")

    @pytest.mark.parametrize(
        ("language", "name"), [("c", "stdin.c"), ("c++", "stdin.cpp"), ("go", "stdin.go"), ("rust", "stdin.rs")]
    )
    def test_stdin_has_the_extension_of_its_language_in_messages(
        self, backend: FakeBackend, language: str, name: str
    ) -> None:
        list(run(CheckRequest(("-",), stdin=b"", language=language), backend))
        assert name in backend.jobs[0].files

    @pytest.mark.parametrize(("stdin", "sizes"), [(b"int\0", SizeLimits()), (b"int x;", SizeLimits(3))])
    def test_stdin_has_that_name_in_errors_too(self, backend: FakeBackend, stdin: bytes, sizes: SizeLimits) -> None:
        with pytest.raises(SourceError, match=r"^check stdin\.cpp: "):
            run(CheckRequest(("-",), stdin=stdin, sizes=sizes, language="c++"), backend)

    def test_an_include_directory_is_part_of_the_unit(self, backend: FakeBackend, write: Write) -> None:
        write(**{"a.c": '// fake: needs include/b.h\n#include "b.h"\n', "include/b.h": ""})
        [result] = run(CheckRequest(("a.c",), include_dirs=("include",)), backend)
        assert result.verdict is Verdict.COMPILED

    def test_a_source_of_a_directory_may_need_other_files_of_it(self, backend: FakeBackend, write: Write) -> None:
        needy = '// fake: needs lib/b.h\n#include "../lib/b.h"\n'
        write(**{"all/src/a.c": needy, "all/lib/b.h": ""})
        os.chdir("all")
        [result] = run(CheckRequest((".",)), backend)
        assert result.verdict is Verdict.COMPILED


class TestOrder:
    def test_results_come_in_the_order_asked_whichever_ends_first(self, write: Write) -> None:
        names = [f"{number}.c" for number in range(8)]
        write(**{name: name for name in names})
        done = {name.encode(): threading.Event() for name in (*names, "8.c")}
        done[b"8.c"].set()

        def last_first(job: CompileJob) -> CompileResult:
            [content] = [content for path, content in job.files.items() if not path.endswith("/")]
            assert done[b"%d.c" % (int(content[:1]) + 1)].wait(10)
            done[content].set()
            return answer()

        heard: list[str] = []
        with FakeBackend(script=last_first) as backend:
            asked = CheckRequest(tuple(names), jobs=8)
            results = list(run(asked, backend, on_result=lambda result: heard.append(result.source)))
        assert sources(results) == names
        assert sorted(heard) == names

    def test_a_result_comes_as_soon_as_it_and_all_before_it_are_there(self, backend: FakeBackend, write: Write) -> None:
        write("a.c", **{"b.c": HANG})
        with closing(run(CheckRequest(("a.c", "b.c"), jobs=2), backend)) as results:
            assert next(results).source == "a.c"
            backend.wait_running(1)

    def test_no_more_run_at_once_than_jobs(self, write: Write) -> None:
        names = tuple(f"{number}.c" for number in range(12))
        write(*names)
        together = threading.Barrier(3)

        def script(job: CompileJob) -> CompileResult:
            together.wait(10)
            return answer()

        with FakeBackend(script=script) as backend:
            assert sources(list(run(CheckRequest(names, jobs=3), backend))) == list(names)
            assert backend.most_running == 3

    def test_one_job_runs_in_the_thread_that_asks(self, write: Write) -> None:
        write("a.c", "b.c")
        threads = []

        def script(job: CompileJob) -> CompileResult:
            threads.append(threading.current_thread())
            return answer()

        with FakeBackend(script=script) as backend:
            list(run(CheckRequest(("a.c", "b.c"), jobs=1), backend))
            list(run(CheckRequest(("a.c",), jobs=4), backend))
        assert threads == [threading.current_thread()] * 3

    def test_by_default_each_core_has_a_job(self, backend: FakeBackend, write: Write) -> None:
        cores = len(os.sched_getaffinity(0))
        write(**{f"{number}.c": HANG for number in range(cores + 1)})
        with ended_by(backend, CheckRequest((".",))) as ask:
            if cores > 1:
                backend.wait_running(cores)
            ask.cancel.cancel()

    def test_a_source_is_read_right_before_its_compile(self, write: Write) -> None:
        names = tuple(f"{number}.c" for number in range(6))
        write(**dict.fromkeys(names, "old"))
        rewritten = threading.Event()
        seen: list[bytes] = []

        def script(job: CompileJob) -> CompileResult:
            assert rewritten.wait(10)
            seen.extend(content for path, content in job.files.items() if not path.endswith("/"))
            return answer()

        with FakeBackend(script=script) as backend:
            results = run(CheckRequest(names, jobs=2), backend)

            def rewrite() -> None:
                backend.wait_running(2)
                write(**dict.fromkeys(names, "new"))
                rewritten.set()

            writer = threading.Thread(target=rewrite)
            writer.start()
            list(results)
            writer.join()
        assert sorted(seen) == [b"new"] * 4 + [b"old"] * 2

    def test_each_result_is_heard_of_one_at_a_time(self, backend: FakeBackend, write: Write) -> None:
        names = tuple(f"{number}.c" for number in range(50))
        write(*names)
        busy = threading.Lock()
        heard = []

        def on_result(result: CheckResult) -> None:
            assert busy.acquire(blocking=False)
            heard.append(result.source)
            busy.release()

        results = list(run(CheckRequest(names, jobs=4), backend, on_result=on_result))
        assert sorted(heard) == sorted(sources(results)) == sorted(names)

    def test_more_sources_than_may_wait_all_get_their_answer(self, backend: FakeBackend, write: Write) -> None:
        names = [f"{number:03}.c" for number in range(300)]
        write(**{name: f"// fake: stdout {name}\n" for name in names})
        results = list(run(CheckRequest((".",), jobs=2), backend))
        assert [result.stdout for result in results] == [f"{name}\n" for name in names]


class TestErrors:
    def test_a_file_of_a_directory_that_cannot_be_checked_costs_no_other_its_answer(
        self, backend: FakeBackend, write: Write
    ) -> None:
        write("a.c", "c.c", **{"b.c": b"\0", "d.c": b"\0"})
        results = run(CheckRequest((".",)), backend)
        assert [next(results).source, next(results).source] == ["./a.c", "./c.c"]
        with pytest.raises(SourceError) as error:
            next(results)
        assert "b.c" in str(error.value)
        assert "d.c" in str(error.value)
        assert "a.c" not in str(error.value)

    def test_a_single_one_is_told_by_its_own_error(self, backend: FakeBackend, write: Write) -> None:
        write("a.c", **{"b.c": b"\0"})
        with pytest.raises(SourceError, match=r"^check \./b\.c: it is binary"):
            list(run(CheckRequest((".",)), backend))

    def test_a_thousand_bad_files_do_not_make_a_thousand_lines(self, backend: FakeBackend, write: Write) -> None:
        write(**{f"{number}.c": b"\0" for number in range(100)})
        with pytest.raises(SourceError, match="and 80 more"):
            list(run(CheckRequest((".",)), backend))

    @pytest.mark.parametrize("jobs", [1, 3])
    def test_a_file_that_vanishes_meanwhile_is_told_at_the_end(
        self, backend: FakeBackend, write: Write, jobs: int
    ) -> None:
        write("a.c", "b.c")
        results = run(CheckRequest(("a.c", "b.c"), jobs=jobs), backend)
        os.unlink("a.c")
        assert next(results).source == "b.c"
        with pytest.raises(SourceError, match=r"a\.c"):
            next(results)

    def test_an_error_of_the_backend_stops_all_and_is_raised(self, backend: FakeBackend, write: Write) -> None:
        write(**{"a.c": HANG, "b.c": FAIL, "c.c": HANG})
        with pytest.raises(BackendFailed):
            list(run(CheckRequest(("a.c", "b.c", "c.c"), jobs=2), backend))
        assert backend.running == 0

    def test_results_before_an_error_are_given(self, backend: FakeBackend, write: Write) -> None:
        write("a.c", **{"b.c": FAIL})
        results = run(CheckRequest(("a.c", "b.c"), jobs=1), backend)
        assert next(results).source == "a.c"
        with pytest.raises(BackendFailed):
            next(results)

    def test_an_error_starts_no_further_compile(self, backend: FakeBackend, write: Write) -> None:
        names = tuple(f"{number:02}.c" for number in range(40))
        write(*names, **{"00.c": FAIL})
        with pytest.raises(BackendFailed):
            list(run(CheckRequest(names, jobs=1), backend))
        assert len(backend.jobs) == 1

    def test_an_error_of_the_listener_stops_all(self, backend: FakeBackend, write: Write) -> None:
        write("a.c", **{"b.c": HANG})

        def on_result(result: CheckResult) -> None:
            raise ValueError("no more")

        with pytest.raises(ValueError, match="no more"):
            list(run(CheckRequest(("b.c", "a.c"), jobs=2), backend, on_result=on_result))
        assert backend.running == 0


class ended_by:  # noqa: N801 - reads as a function
    """Run a check in a thread of its own until it ends with an error."""

    def __init__(self, backend: FakeBackend, request: CheckRequest) -> None:
        self.cancel = CancelToken()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(backend, request))

    def _run(self, backend: FakeBackend, request: CheckRequest) -> None:
        try:
            list(run(request, backend, cancel=self.cancel))
        except BaseException as error:  # noqa: BLE001
            self.error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel.cancel()
        self._thread.join()


class TestInterruption:
    @pytest.mark.parametrize("jobs", [1, 2])
    def test_a_cancelled_token_interrupts(self, backend: FakeBackend, write: Write, jobs: int) -> None:
        names = ("a.c", "b.c", "c.c")
        write(**dict.fromkeys(names, HANG))
        with ended_by(backend, CheckRequest(names, jobs=jobs)) as ask:
            backend.wait_running(jobs)
        assert isinstance(ask.error, Interrupted)
        assert backend.running == 0
        assert len(backend.jobs) == jobs

    def test_closing_the_results_stops_what_runs(self, backend: FakeBackend, write: Write) -> None:
        write("a.c", **{"b.c": HANG, "c.c": HANG})
        results = run(CheckRequest(("a.c", "b.c", "c.c"), jobs=2), backend)
        next(results)
        backend.wait_running(2)
        results.close()
        assert backend.running == 0

    def test_ctrl_c_stops_what_runs(self, backend: FakeBackend, write: Write) -> None:
        write(**{"a.c": HANG, "b.c": HANG})

        def press() -> None:
            backend.wait_running(2)
            os.kill(os.getpid(), signal.SIGINT)

        finger = threading.Thread(target=press)
        results = run(CheckRequest(("a.c", "b.c"), jobs=2), backend)
        finger.start()
        with pytest.raises(KeyboardInterrupt):
            list(results)
        finger.join()
        assert backend.running == 0


def test_a_check_of_one_file_imports_no_thread_pool(write: Write) -> None:
    write("a.c")
    code = (
        "import sys\n"
        "from willitcompile.backends.fake import FakeBackend\n"
        "from willitcompile.checker import run\nfrom willitcompile.planning import CheckRequest\n"
        "list(run(CheckRequest(('a.c',)), FakeBackend()))\n"
        "print(sorted({'concurrent.futures', 'asyncio', 'subprocess', 'pathlib'} & set(sys.modules)))\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONPATH": root}
    )
    assert out.stdout == "[]\n"
