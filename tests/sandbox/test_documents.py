"""Documents, with real compilers: messages point at the document, in every report."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sandbox

README = """# Title

> - ```c
>   int x = nothing_c;
>   ```

```cpp
#include "part.hpp"
int y = nothing_cpp;
```

```go
func f() int { return nothing_go }
```

```rust
# let hidden = 1;
println!("{}", hidden + nothing_rust);
```

```cpp
int good;
```
"""
PLACES = {"c": (4, 13), "cpp": (9, 9), "go": (13, 23), "rust": (18, 25)}


def check(directory: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "willitcompile.cli", "check", "-b", "sandbox", "--no-cache", *argv]
    return subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for directory in ("", "docs", "src"):
        (tmp_path / directory).mkdir(exist_ok=True)
        (tmp_path / directory / "README.md").write_text(README)
        (tmp_path / directory / "part.hpp").write_text("#pragma once\n")
    (tmp_path / "src" / "main.c").write_text("int main(void) { return 0; }\n")
    (tmp_path / "src" / "other.go").write_text("package other\n")
    return tmp_path


@pytest.mark.parametrize("name", ["README.md", "docs/README.md"])
def test_messages_point_at_the_document(project: Path, name: str) -> None:
    done = check(project, name, "-f", "json")
    assert done.returncode == 1, done.stderr
    results = {each["source"]: each for each in json.loads(done.stdout)["results"]}
    assert [each.rpartition(":")[2] for each in results] == ["4", "8", "13", "17", "22"]
    for line, column in PLACES.values():
        [found] = [
            message
            for each in results.values()
            for message in each["diagnostics"]
            if message["severity"] == "error" and message["line"] == line
        ]
        assert (found["path"], found["line"], found["column"]) == (name, line, column)
    assert results[f"{name}:22"]["verdict"] == "compiled"
    assert results[f"{name}:13"]["path"] == name
    assert results[f"{name}:13"]["line"] == 13


def test_a_file_and_a_line_are_in_every_report(project: Path) -> None:
    done = check(project, "docs/README.md", "-f", "github", "-f", "gitlab:out.json", "-f", "sarif:out.sarif")
    for line, _ in PLACES.values():
        assert f"file=docs/README.md,line={line}," in done.stdout
    places = [each["location"] for each in json.loads((project / "out.json").read_text())]
    assert {(each["path"], each["lines"]["begin"]) for each in places} == {
        ("docs/README.md", line) for line, _ in PLACES.values()
    }
    assert '"uri": "docs/README.md"' in (project / "out.sarif").read_text()


def test_of_a_directory_documents_count_where_one_is_named_or_nothing_else_is_there(project: Path) -> None:
    def sources(*paths: str) -> set[str]:
        report = json.loads(check(project, *paths, "-f", "json").stdout)
        return {each["source"].rpartition(":")[0] or each["source"] for each in report["results"]}

    assert sources("src") == {"src/main.c", "src/other.go"} | {each for each in sources("src") if "hpp" in each}
    assert "src/README.md" in sources("src", "README.md")
    (project / "docs" / "part.hpp").unlink()
    assert sources("docs") == {"docs/README.md"}


def test_what_is_wrong_with_one_block_costs_no_other_its_answer(project: Path) -> None:
    blocks = [b"```c\nint x;\n```\n", b"```c std=c98\nint y;\n```\n", b"```c\nint z;\n```\n", b"```c\nint \xffz;\n"]
    (project / "README.md").write_bytes(b"\n".join(blocks))
    done = check(project, "README.md")
    assert done.returncode == 2
    assert "README.md:2: compiled" in done.stdout
    assert "README.md:10: compiled" in done.stdout
    for told in ("check README.md:5", "c98", "check README.md:13"):
        assert told in done.stderr
    assert "not closed" in done.stderr


def test_expectations_count(project: Path) -> None:
    (project / "README.md").write_text("```cpp compile_fail\nint x = y;\n```\n\n```cpp compile_fail\nint x;\n```\n")
    done = check(project, "README.md")
    assert done.returncode == 1
    assert "README.md:2: rejected as expected" in done.stdout
    assert check(project, "README.md", "--no-expectations").stdout.count("as expected") == 0


def test_a_matrix_of_a_document(project: Path) -> None:
    (project / "README.md").write_text("```cpp\nauto f = [](auto x) consteval { return x; };\n```\n")
    done = check(project, "README.md", "-s", "c++17,c++20", "-f", "json")
    assert [each["verdict"] for each in json.loads(done.stdout)["results"]] == ["rejected", "compiled"]


def test_a_setting_wraps_fragments(project: Path) -> None:
    (project / "willitcompile.yaml").write_text(
        "documents:\n  c++:\n    before: |\n      #include <vector>\n      void f() {\n"
        "    after: '}'\n    every: true\n"
    )
    (project / "README.md").write_text("\n\n```cpp\nstd::vector<int> v; v.push_back(1);\n```\n")
    done = check(project, "README.md")
    assert done.returncode == 0, done.stdout + done.stderr
    (project / "willitcompile.yaml").write_text("documents: {c++: {befor: x}}\n")
    done = check(project, "README.md")
    assert done.returncode == 2
    assert "documents.c++" in done.stderr
