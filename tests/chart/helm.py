"""Helm, and the chart."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests import go_tools

if TYPE_CHECKING:
    from collections.abc import Mapping

CHART = Path(__file__).parents[2] / "helm" / "will-it-compile"
VALUE_FILES = {
    "default": CHART / "values.yaml",
    "dev": CHART / "values-dev.yaml",
    "production": CHART / "values-production.yaml",
}

RELEASE = "wic"
NAMESPACE = "wic-release"
"""Of what is only rendered."""

OLDEST = (3, 18)
"""The first that tells of a wrong value where it is, as `at '/server/grace'`."""

BUILT = "4.3.1"
"""The version that is built where none is on the PATH."""

RUN_SECONDS = 240


class Helm:
    """The program, without the settings and plugins of whoever runs the tests."""

    def __init__(self, program: str, home: Path) -> None:
        self.program = program
        self._home = {f"HELM_{what}_HOME": str(home / what.lower()) for what in ("CACHE", "CONFIG", "DATA")}

    @property
    def environment(self) -> dict[str, str]:
        """Of the program."""
        return {**{name: value for name, value in os.environ.items() if not name.startswith("HELM_")}, **self._home}

    def run(
        self,
        *argv: str,
        values: Mapping[str, Any] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """What it says, with the cluster of KUBECONFIG; `values` become the last file of values.

        Raises AssertionError with what it says on stderr where it fails and `check` is set.
        """
        done = subprocess.run(
            [self.program, *argv, *([] if values is None else ["--values", "-"])],
            input=yaml.safe_dump(values) if values is not None else "",
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert done.returncode == 0 or not check, f"helm {' '.join(argv)}: {done.stderr}"
        return done

    def template(self, *arguments: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The objects of the chart with these values, its hooks and tests too. No cluster is asked."""
        said = self.run("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *arguments, values=values).stdout
        return [each for each in yaml.safe_load_all(said) if each]


def found() -> str | None:
    """The helm on the PATH that is new enough, or the one that was built."""
    for program in filter(None, (shutil.which("helm"), str(_built()) if _built().exists() else None)):
        said = subprocess.run([program, "version", "--short"], capture_output=True, text=True, check=False).stdout
        if (version := re.match(r"v(\d+)\.(\d+)", said)) and (int(version[1]), int(version[2])) >= OLDEST:
            return program
    return None


def build() -> str:
    """Build it from its source, once. Raises OSError."""
    return str(go_tools.install("helm.sh/helm/v4/cmd/helm", BUILT))


def _built() -> Path:
    return go_tools.installed("helm.sh/helm/v4/cmd/helm", BUILT)
