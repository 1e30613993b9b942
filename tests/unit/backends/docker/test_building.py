from __future__ import annotations

import doctest
import io
import os
import tarfile
import tomllib
from pathlib import Path

import pytest

from willitcompile.backends.docker import building
from willitcompile.backends.docker.building import Recipe, bases, options, recipe, step
from willitcompile.toolchains import load_catalogue

CATALOGUE = load_catalogue()
RECIPE = Recipe("gcc-13", "will-it-compile/gcc:13", "/images/gcc", {"VERSION": "13"})


@pytest.mark.parametrize("name", CATALOGUE.names)
def test_each_toolchain_has_a_dockerfile_that_begins_with_its_release(name: str) -> None:
    found = recipe(name, CATALOGUE)
    assert found
    text = Path(found.directory, "Dockerfile").read_text()
    assert bases(text, found.arguments) == [f"debian:{found.arguments['RELEASE']}-slim"]


def test_what_is_not_in_the_catalogue_has_none() -> None:
    assert recipe("gcc-99", CATALOGUE) is None
    assert recipe("nosuch", CATALOGUE) is None


def test_build_arguments_of_the_user_count_more() -> None:
    found = recipe("gcc-13", CATALOGUE, {"RELEASE": "sid", "GOPROXY": "x"})
    assert found
    assert found.arguments == {"RELEASE": "sid", "VERSION": "13", "GOPROXY": "x"}


@pytest.mark.parametrize(
    ("dockerfile", "found"),
    [
        ("FROM a", ["a"]),
        ("from a as b\nFROM b\nFROM scratch\nfrom a", ["a"]),
        ("FROM --platform=linux/amd64 a:1 AS x\nCOPY --from=y . .", ["a:1"]),
        ("ARG X=1\nARG Y\nFROM a:$X-${Y}", ["a:1-2"]),
        ("# FROM a\n", []),
    ],
)
def test_the_images_that_a_build_begins_with(dockerfile: str, found: list[str]) -> None:
    assert bases(dockerfile, {"Y": "2"}) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Step 12/17 : RUN a", "12/17 RUN a"),
        ("#9 [build 3/7] RUN a", "3/7 RUN a"),
        ("#9 [3/7] RUN a", "3/7 RUN a"),
        ("#9 0.312 Step 1/2 : x", None),
        ("#1 [internal] load build definition", None),
        ("", None),
    ],
)
def test_both_builders_say_how_far_they_are(line: str, found: str | None) -> None:
    assert step(line) == found


def test_the_builder_gets_words_and_no_line_for_a_shell() -> None:
    assert options(RECIPE._replace(network="host", arguments={"A": "; rm x"})) == [
        "--build-arg=A=; rm x",
        "--network=host",
        "--tag=will-it-compile/gcc:13",
        "/images/gcc",
    ]


@pytest.mark.parametrize(
    ("network", "said", "remedy"),
    [
        (None, "E: Temporary failure resolving 'deb.debian.org'", "images build gcc-13 --network host"),
        (None, "dial tcp: lookup proxy.golang.org: no such host", "images build gcc-13 --network host"),
        ("host", "E: Temporary failure resolving 'deb.debian.org'", "see it alone: docker build "),
        (None, "E: Unable to locate package g++-77", "see it alone: docker build --build-arg=VERSION=13 "),
    ],
)
def test_what_to_do_depends_on_what_was_said(network: str | None, said: str, remedy: str) -> None:
    assert remedy in building._remedy(RECIPE._replace(network=network), ["x", said])


def test_what_the_daemon_sends_in_pieces_comes_in_lines() -> None:
    events = ({"stream": text} for text in ("Step 1/1", " : RUN x\n\x1b[91mE", "\n", "50%\r100%\n", "last"))
    assert list(building._lines(events)) == ["Step 1/1 : RUN x", "\x1b[91mE", "50%", "100%", "last"]


def test_an_error_ends_them_and_what_came_before_is_told() -> None:
    lines = building._lines(iter([{"stream": "half"}, {"error": "no", "errorDetail": {}}, {"stream": "never"}]))
    assert next(lines) == "half"
    with pytest.raises(building._BuildFailed, match="no"):
        next(lines)


def test_the_same_files_are_sent_as_the_same_bytes(tmp_path: Path) -> None:
    """Or the daemon would build anew what it has."""
    (tmp_path / "Dockerfile").write_text("FROM a\n")
    first = building._context(str(tmp_path))
    os.utime(tmp_path / "Dockerfile", (1, 1))
    assert building._context(str(tmp_path)) == first
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert archive.getnames() == ["Dockerfile"]
    # Nothing stands behind the end mark: see there.
    assert len(first) == 512 + 512 + 1024


def test_the_examples_of_the_documentation_hold() -> None:
    assert doctest.testmod(building).failed == 0


def test_an_installed_package_has_the_dockerfiles_in_it() -> None:
    project = tomllib.loads(Path(__file__).parents[4].joinpath("pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {"images": "willitcompile/images"}
    assert building.directory() == str(Path(__file__).parents[4] / "images")
