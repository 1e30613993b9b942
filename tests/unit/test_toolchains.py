"""What a toolchain's name means, and what is said when there is none of that name."""

from __future__ import annotations

from pathlib import Path

import pytest

from willitcompile.errors import ConfigError, ToolchainMissing
from willitcompile.model import Toolchain
from willitcompile.toolchains import default, load_catalogue, resolve

IMAGES = Path(__file__).parents[2] / "images"
LANGUAGES = {"gcc": ("c", "c++"), "clang": ("c", "c++"), "go": ("go",), "rustc": ("rust",)}


def toolchain(family: str, version: str, *aliases: str, languages: tuple[str, ...] = ()) -> Toolchain:
    spoken = languages or LANGUAGES[family]
    return Toolchain(
        family=family,
        version=version,
        compilers=dict.fromkeys(spoken, f"{family} {version}"),
        standards={language: {f"{language}-1": "1"} for language in spoken},
        defaults=dict.fromkeys(spoken, "x"),
        aliases=aliases,
    )


HERE = (
    toolchain("gcc", "12", "gcc", "gcc-12.2.0"),
    toolchain("gcc", "11", "gcc-11.3.0"),
    toolchain("clang", "14", "clang", "clang-14.0.6"),
    toolchain("go", "1.26", "go", "go-1.26.8"),
    toolchain("rustc", "1.95", "rustc", "rustc-1.95.0"),
    toolchain("rustc", "nightly", "rustc-1.97.0-nightly"),
)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("gcc", "gcc-12"),
        ("g++", "gcc-12"),
        ("GCC-11", "gcc-11"),
        (" g++-11 ", "gcc-11"),
        ("gcc11", "gcc-11"),
        ("gcc-12.2.0", "gcc-12"),
        ("gcc-12.2", "gcc-12"),
        ("g++-11.3.0", "gcc-11"),
        ("clang++-14", "clang-14"),
        ("go1.26", "go-1.26"),
        ("go1.26.8", "go-1.26"),
        ("golang-1.26", "go-1.26"),
        ("rust", "rustc-1.95"),
        ("rust-1.95.0", "rustc-1.95"),
        ("rust-nightly", "rustc-nightly"),
    ],
)
def test_a_name_means_a_toolchain(asked: str, meant: str) -> None:
    assert resolve(asked, HERE, None, "sandbox").name == meant


@pytest.mark.parametrize(
    ("asked", "obstacle"),
    [
        ("gcc-9", "gcc-9 is not on this host"),
        ("g++-9", "gcc-9 is not on this host"),
        ("gcc-99", "gcc-99 is neither on this host nor in the catalogue"),
        ("gcc-1", "gcc-1 is neither on this host nor in the catalogue"),
        ("gxx", "no toolchain is called gxx; did you mean g++?"),
        ("", "no toolchain is called ''"),
        ("$(id)", "no toolchain is called '$(id)'"),
        ("\x1b[2Jgcc", "no toolchain is called '\\x1b[2Jgcc'; did you mean gcc?"),
    ],
)
def test_says_why_there_is_none(asked: str, obstacle: str) -> None:
    with pytest.raises(ToolchainMissing) as caught:
        resolve(asked, HERE, None, "sandbox")
    assert caught.value.obstacle == obstacle
    assert "gcc-12, gcc-11, clang-14, go-1.26, rustc-1.95, rustc-nightly" in caught.value.remedy


def test_a_very_long_name_is_cut_in_the_message() -> None:
    with pytest.raises(ToolchainMissing) as caught:
        resolve("x" * 1_000_000, HERE, None, "sandbox")
    assert len(str(caught.value)) < 300


def test_names_the_backend_that_lacks_it() -> None:
    with pytest.raises(ToolchainMissing, match="clang-19 is not on the docker backend"):
        resolve("clang-19", HERE, None, "docker")


def test_offers_only_what_speaks_the_language() -> None:
    with pytest.raises(ToolchainMissing) as caught:
        resolve("gcc", HERE, "go", "sandbox")
    assert caught.value.obstacle == "gcc-12 does not compile go"
    assert caught.value.remedy == "use one of: go-1.26"


def test_a_family_means_its_first_toolchain_that_speaks_the_language() -> None:
    only_c = toolchain("gcc", "14", "gcc", languages=("c",))
    assert resolve("gcc", (only_c, *HERE), "c", "sandbox").name == "gcc-14"
    assert resolve("gcc", (only_c, *HERE), "c++", "sandbox").name == "gcc-12"


def test_the_default_is_the_first_that_speaks_the_language() -> None:
    assert default(HERE, "c++", "sandbox").name == "gcc-12"
    assert default(HERE[2:], "c++", "sandbox").name == "clang-14"
    assert default(HERE, "rust", "sandbox").name == "rustc-1.95"


def test_without_any_toolchain_the_remedy_is_the_doctor() -> None:
    with pytest.raises(ToolchainMissing) as caught:
        default((), "c", "sandbox")
    assert "will-it-compile doctor" in caught.value.remedy


def test_the_catalogue_knows_what_debian_carries() -> None:
    catalogue = load_catalogue()
    assert {f"gcc-{version}" for version in range(9, 15)} <= set(catalogue.names)
    assert {"clang-11", "clang-19", "clang-22", "go-1.15", "go-1.24", "rustc-1.63", "rustc-1.85"} <= set(
        catalogue.names
    )
    assert catalogue.official_image("gcc-13") == "gcc:13"
    assert catalogue.official_image("go-1.24") == "golang:1.24-alpine"
    assert catalogue.official_image("go-1.20") == "golang:1.20-alpine"
    assert catalogue.official_image("rustc-1.85") == "rust:1.85-alpine"
    assert catalogue.official_image("clang-19") is None
    assert catalogue.official_image("gcc-99") is None


def test_the_catalogue_knows_how_to_build_each_of_its_toolchains() -> None:
    catalogue = load_catalogue()
    for name in catalogue.names:
        family, _, version = name.partition("-")
        assert catalogue.own_image(name) == f"will-it-compile/{family}:{version}"
        arguments = catalogue.build_arguments(name)
        assert arguments is not None
        assert f"{arguments['VERSION']}.".startswith(f"{version}.")
        directory = catalogue.build_directory(name)
        assert directory is not None
        assert (IMAGES / directory / "Dockerfile").is_file()
    assert catalogue.build_arguments("gcc-13") == {"RELEASE": "trixie", "VERSION": "13"}
    assert catalogue.build_arguments("rustc-1.63") == {"RELEASE": "bookworm", "VERSION": "1.63"}
    assert catalogue.build_directory("rustc-1.63") == "rust"


@pytest.mark.parametrize("name", ["gcc-99", "gcc", "gxx-13", ""])
def test_there_is_no_image_of_ours_for_what_is_not_in_the_catalogue(name: str) -> None:
    catalogue = load_catalogue()
    assert catalogue.own_image(name) is None
    assert catalogue.build_arguments(name) is None
    assert catalogue.build_directory(name) is None


def test_a_version_of_ones_own_is_built_as_the_file_says(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "gcc:\n  versions: [15, 16]\n  build: {forky: [15]}\ngo:\n  versions: [1.30]\n  build: {sid: {1.30: 1.30.1}}\n"
        "zig:\n  languages: [zig]\n  versions: [1]\n  build: {trixie: [1]}\n  directory: zig-image\n"
    )
    catalogue = load_catalogue(own)
    assert catalogue.build_arguments("gcc-15") == {"RELEASE": "forky", "VERSION": "15"}
    assert catalogue.build_arguments("gcc-14") == {"RELEASE": "trixie", "VERSION": "14"}
    assert catalogue.own_image("gcc-16") is None
    assert catalogue.build_arguments("go-1.30") == {"RELEASE": "sid", "VERSION": "1.30.1"}
    assert catalogue.build_directory("go-1.30") == "go"
    assert catalogue.build_directory("zig-1") == "zig-image"


def test_a_file_of_ones_own_extends_the_catalogue(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("gcc:\n  versions: [15]\ngo:\n  versions: [1.30]\nzig:\n  languages: [zig]\n  versions: ['0.13']\n")
    catalogue = load_catalogue(own)
    assert catalogue.families["gcc"].versions[:2] == ("15", "14")
    assert catalogue.official_image("gcc-15") == "gcc:15"
    # As it is written, not as the number 1.3.
    assert "go-1.30" in catalogue.names
    assert catalogue.families["zig"].languages == ("zig",)


def test_an_empty_file_adds_nothing(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("# nothing yet\n")
    assert load_catalogue(own) == load_catalogue()


@pytest.mark.parametrize(
    ("text", "line", "obstacle"),
    [
        ("gcc: 13\n", 1, "here belong languages and versions"),
        ("- gcc\n", 1, "here belong families"),
        ("zig:\n  versions: [1]\n", 1, "zig has no languages"),
        ("gcc:\n  image: gcc:1\n", 1, "gcc has no versions"),
        ("gcc:\n  versions: 13\n", 2, "here belongs a list"),
        ("gcc:\n  versions: []\n", 2, "here belongs a list"),
        ("gcc:\n  versions:\n    - [13]\n", 3, "a list or a mapping does not fit here"),
        ("gcc:\n  versions: ['1 3']\n", 2, "'1 3' does not fit here"),
        ("gcc:\n  versions: [13]\n  version: 13\n", 3, "gcc has a 'version'"),
        ("gcc:\n  versions: [13]\n  image: '-v /:/host'\n", 3, "this is no image"),
        ("gcc:\n  versions: [13]\n  image: [a]\n", 3, "this is no image"),
        ("gcc:\n  versions: [13]\ngcc:\n  versions: [14]\n", 3, "'gcc' is there twice"),
        ("gcc:\n  versions: [13]\n  build: [13]\n", 3, "here belong Debian releases"),
        ("gcc:\n  versions: [13]\n  build: {13: [13]}\n", 3, "'13' is no release of Debian"),
        ("gcc:\n  versions: [13]\n  build: {trixie: 13}\n", 3, "here belongs a list"),
        ("gcc:\n  versions: [13]\n  build: {trixie: [15]}\n", 3, "15 is not among the versions"),
        ("gcc:\n  versions: [13]\n  build: {trixie: {13: a b}}\n", 3, "not all of these are versions"),
        ("gcc:\n  versions: [13]\n  build: {trixie: {13: [1]}}\n", 3, "not all of these are versions"),
        ("gcc:\n  versions: [13]\n  directory: ../x\n", 3, "no directory below images/"),
        ("gcc:\n  versions: [13]\n  directory: [x]\n", 3, "no directory below images/"),
        ("GCC:\n  versions: [13]\n", 1, "'GCC' is no name of a family"),
        ("? [a]\n: b\n", 1, "a name is a word"),
        ("gcc:\n  versions: [13\n", 3, "it is not YAML"),
        ("gcc: &a\n  versions: *b\n", 2, "it is not YAML"),
        ("a: 1\n---\nb: 2\n", 2, "it is not YAML"),
    ],
)
def test_names_the_line_that_is_wrong(tmp_path: Path, text: str, line: int, obstacle: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_catalogue(own)
    assert caught.value.asked == f"{own}:{line}"
    assert obstacle in caught.value.obstacle


@pytest.mark.parametrize(
    ("content", "obstacle"),
    [(b"gcc: \xff\n", "not UTF-8"), (b"[" * 5000, "nests too deep"), (b"#" * 1_100_000, "larger than 1 MiB")],
)
def test_refuses_a_file_that_is_no_catalogue(tmp_path: Path, content: bytes, obstacle: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_catalogue(own)
    assert obstacle in caught.value.obstacle


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_catalogue(tmp_path / "none.yaml")
