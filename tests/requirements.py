"""Print what development needs, one requirement a line, from pyproject.toml: older pips know no dependency groups."""

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())

for group in (*PROJECT["project"]["optional-dependencies"].values(), *PROJECT["dependency-groups"].values()):
    # Without blanks, so that a shell can split the list.
    print(*(requirement.replace(" ", "") for requirement in group), sep="\n")
