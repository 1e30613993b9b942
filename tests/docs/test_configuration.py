"""docs/configuration.md has every setting, as the program has it, and its examples are read as they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from willitcompile.config import SETTINGS, Settings, resolve

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()

ROWS = {
    cells[0].strip("`"): [cell.strip("`") for cell in cells[1:]]
    for line in re.findall(r"^\| `[a-z-]+` \|.*$", PAGE, re.MULTILINE)
    if (cells := [cell.strip() for cell in line.split("|")[1:-1]])
}
"""By setting: variable, default, example, explanation."""


def test_every_setting_is_in_the_table() -> None:
    assert list(ROWS) == list(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_as_the_table_says(name: str) -> None:
    setting = SETTINGS[name]
    variable, default, example, explanation = ROWS[name]
    assert variable == (setting.variable_name if setting.variable else "")
    assert example == setting.example
    assert explanation
    assert resolve({name: (example,)}, environment={}, directory="/") != Settings()
    fallback = getattr(Settings(), setting.field)
    if fallback in {None, ()}:
        assert " " in default or not default
    else:
        assert setting.parse(default) == fallback


def test_the_files_of_the_examples_say_the_same(tmp_path: Path) -> None:
    read = []
    for kind, name in (("yaml", "willitcompile.yaml"), ("toml", "pyproject.toml")):
        block = re.search(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        assert block
        file = tmp_path / kind / name
        file.parent.mkdir()
        file.write_text(block[1])
        settings = resolve({}, environment={}, directory=str(file.parent))
        read.append((settings.compilers, settings.standards, settings.warnings, settings.timeout))
    assert read[0] == read[1] == (("gcc", "clang"), ("c++20",), ("-Wall", "-Wextra"), 120)
