"""`from willitcompile import check`: what a program uses."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import willitcompile
from willitcompile import check, errors, model
from willitcompile.backends.fake import FakeBackend

if TYPE_CHECKING:
    from pathlib import Path


def in_new_python(code: str) -> object:
    root = os.path.dirname(os.path.dirname(willitcompile.__file__))
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONPATH": root}
    )
    return ast.literal_eval(out.stdout)


def test_a_file_is_checked(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("// fake: exit 1\n")
    with FakeBackend() as backend:
        [result] = check(tmp_path / "a.c", backend=backend)
    assert result.verdict is willitcompile.Verdict.REJECTED
    assert result.source == str(tmp_path / "a.c")


def test_several_paths_give_a_result_each(tmp_path: Path) -> None:
    for name in ("a.c", "b.c", "c.cpp"):
        (tmp_path / name).touch()
    with FakeBackend() as backend:
        results = check(str(tmp_path / "b.c"), tmp_path, backend=backend)
    assert [os.path.basename(result.source) for result in results] == ["b.c", "a.c", "c.cpp"]


@pytest.mark.parametrize("source", ["// fake: stdout caf\xe9\n", "// fake: stdout café\n".encode()])
def test_a_source_may_be_text_or_bytes(source: str | bytes) -> None:
    with FakeBackend() as backend:
        [result] = check(source=source, language="c", backend=backend)
    assert result.stdout == "café\n"


def test_one_compiler_and_standard_or_many() -> None:
    with FakeBackend() as backend:
        one = check(source="", language="c++", compiler="clang", std="c++17", backend=backend)
        many = check(source="", language="c++", compiler=["gcc", "clang"], std=("c++17", "c++20"), backend=backend)
    assert [(result.toolchain, result.standard) for result in one] == [("clang-19", "c++17")]
    assert [(result.toolchain, result.standard) for result in many] == [
        ("gcc-13", "c++17"),
        ("gcc-13", "c++20"),
        ("clang-19", "c++17"),
        ("clang-19", "c++20"),
    ]


def test_options_and_limits_reach_the_job(tmp_path: Path) -> None:
    with FakeBackend() as backend:
        check(
            source="",
            language="c",
            defines=["A=1"],
            warnings=["-Wall"],
            flags=["-O2"],
            include_dirs=[tmp_path],
            timeout=2.5,
            memory=300 * model.MIB,
            backend=backend,
        )
    [job] = backend.jobs
    assert {"-DA=1", "-Wall", "-O2"} <= set(job.argv)
    assert any(argument.startswith("-I") for argument in job.argv)
    assert (job.limits.wall_seconds, job.limits.memory_bytes) == (2.5, 300 * model.MIB)
    assert job.limits.output_bytes == model.Limits().output_bytes


def test_linking_builds_a_program() -> None:
    with FakeBackend() as backend:
        check(source="", language="c", backend=backend)
        check(source="", language="c", link=True, backend=backend)
    assert ["-c" in job.argv for job in backend.jobs] == [True, False]


def test_a_backend_that_is_given_stays_open() -> None:
    with FakeBackend() as backend:
        check(source="", language="c", backend=backend)
        assert not backend.closed


def test_a_backend_may_be_named() -> None:
    [result] = check(source="", language="c", backend="fake")
    assert result.backend == "fake"


def test_it_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    check(source="// fake: exit 1\n// fake: stderr no\n", language="c", backend="fake")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("asked", [{}, {"paths": ("a.c",), "source": "int x;"}])
def test_it_takes_either_paths_or_a_source(asked: dict[str, object]) -> None:
    paths = asked.pop("paths", ())
    with pytest.raises(willitcompile.RequestError, match="paths or a source") as error:
        check(*paths, **asked)  # type: ignore[misc, arg-type]
    assert error.value.remedy


def test_an_error_is_a_class_of_the_package() -> None:
    with pytest.raises(willitcompile.ToolchainMissing):
        check(source="", language="c", compiler="gcc-1.42", backend="fake")
    with pytest.raises(willitcompile.WillItCompileError):
        check("missing.c", backend="fake")


def test_every_exported_name_is_there() -> None:
    for name in willitcompile.__all__:
        assert getattr(willitcompile, name) is getattr(errors, name, getattr(model, name, check))
        assert name in dir(willitcompile)


def test_every_error_is_exported() -> None:
    kinds = {name for name, each in vars(errors).items() if isinstance(each, type)}
    assert kinds <= set(willitcompile.__all__)


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'compile_everything'"):
        willitcompile.compile_everything  # noqa: B018


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; old = set(sys.modules); import willitcompile; print(set(sys.modules) - old)"
    assert in_new_python(code) == {"willitcompile", "willitcompile.version", "__future__"}


def test_a_name_is_imported_when_it_is_first_asked_for() -> None:
    code = "import willitcompile, sys; willitcompile.Limits; print({n for n in sys.modules if 'willit' in n})"
    assert in_new_python(code) == {"willitcompile", "willitcompile.model", "willitcompile.version"}
