"""docs/configuration.md has every setting, as the program has it, and its examples are read as they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from willitcompile.backends.kubernetes import settings as kubernetes
from willitcompile.config import SETTINGS, Settings, resolve
from willitcompile.config.files import from_yaml

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


SECTION = PAGE.partition("\n## The section `kubernetes`\n")[2].partition("\n## ")[0]

KEYS = {("", name): key for name, key in kubernetes.KEYS.items()}
KEYS |= {("warm", name): key for name, key in kubernetes.WARM.items()}

KEY_ROWS = {
    (parent, name): [cell.strip().strip("`") for cell in rest.split("|")]
    for name, parent, rest in re.findall(
        r"^\| `(?:kubernetes\.)?([a-z-]+)`(?: in `kubernetes\.([a-z]+)`)? \|(.*)\|$", SECTION, re.MULTILINE
    )
}
"""By key, and the key that it is in: default, example, explanation."""


def section(parent: str, name: str, value: str) -> kubernetes.Settings:
    """Of a section that says this, in YAML."""
    text = f"{parent}: {{{name}: {value}}}" if parent else f"{name}: {value}"
    (entry,) = from_yaml(f"kubernetes: {{{text}}}\n", "x.yaml")
    return kubernetes.parse(entry.section or {})


def test_every_key_of_the_section_is_in_its_table() -> None:
    assert list(KEY_ROWS) == list(KEYS)


@pytest.mark.parametrize(("parent", "name"), KEYS)
def test_a_key_of_the_section_is_as_the_table_says(parent: str, name: str) -> None:
    default, example, explanation = KEY_ROWS[parent, name]
    assert example == KEYS[parent, name].example
    assert explanation
    assert section(parent, name, example) != kubernetes.Settings()
    if default in {"none", "this machine's"} or " " in default:
        assert getattr(kubernetes.Settings(), KEYS[parent, name].field) in (None, (), {}, kubernetes.Warm())
    else:
        assert section(parent, name, default) == kubernetes.Settings()


def test_the_sections_of_the_examples_say_the_same(tmp_path: Path) -> None:
    read = []
    for kind in ("yaml", "toml"):
        block = re.search(rf"^```{kind}\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
        assert block
        file = tmp_path / f"cluster.{kind}"
        file.write_text(block[1])
        read.append(resolve({}, environment={}, file=str(file)).options["kubernetes"])
    assert read[0] == read[1]
    assert kubernetes.parse(read[0]).memory == 2**30
