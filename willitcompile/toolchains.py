"""The catalogue of toolchains, and which toolchain a name means.

`select`, `resolve` and `default` choose among what a backend offers. The catalogue is what could be offered: it is read
only where a name was not found, and by the backends that run images.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.errors import ConfigError, ToolchainMissing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import yaml

    from willitcompile.model import Toolchain
    from willitcompile.ranges import Range

ENVIRONMENTS = os.path.join(os.path.dirname(__file__), "environments.yaml")

SYNONYMS = {"g++": "gcc", "clang++": "clang", "golang": "go", "rust": "rustc"}
"""What people call a family, and the family."""

EVERY = "all"
"""Asks for every toolchain that is there."""

_RANGE = frozenset("<>=")
"""What no name has, and every range."""


_MAX_BYTES = 1024 * 1024
_ours: dict[str, Family] = {}
"""Of our own catalogue, once it was read: that takes 20 ms, and a service is asked often."""
_NAME = re.compile(r"[a-z][a-z+]*")
_VERSION = re.compile(r"[0-9a-z][0-9a-z._]*")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
_RELEASE = re.compile(r"[a-z]+")
_DIRECTORY = re.compile(r"[a-z0-9][a-z0-9-]*")
_FIELDS = ("languages", "versions", "image", "build", "directory")


class Family(NamedTuple):
    """One compiler in its versions."""

    name: str
    languages: tuple[str, ...]
    versions: tuple[str, ...]
    """The default first."""

    image: str | None = None
    """The official image, with `{version}` for the version; None where there is none."""

    recipes: Mapping[str, tuple[str, str]] = {}
    """By version: the Debian release that builds our own image, and the version as that build needs it."""

    directory: str = ""
    """Where the Dockerfile is, below `images/`."""


class Catalogue(NamedTuple):
    """Every toolchain that there are images of."""

    families: Mapping[str, Family]

    @property
    def names(self) -> tuple[str, ...]:
        """`gcc-14`, `gcc-13`, … in the order of the catalogue, the first of a family being its default."""
        return tuple(f"{family.name}-{version}" for family in self.families.values() for version in family.versions)

    def official_image(self, name: str) -> str | None:
        """`gcc:13` for `gcc-13`; None where there is none, or no such toolchain."""
        family, _, version = name.partition("-")
        known = self.families.get(family)
        if known is None or known.image is None or version not in known.versions:
            return None
        return known.image.replace("{version}", version)

    def own_image(self, name: str) -> str | None:
        """`will-it-compile/gcc:13` for `gcc-13`; None where there is no way to build one."""
        return own_image(name) if self._recipe(name) else None

    def build_arguments(self, name: str) -> Mapping[str, str] | None:
        """`{"RELEASE": "trixie", "VERSION": "13"}` for `gcc-13`; None where there is no way to build it."""
        recipe = self._recipe(name)
        return {"RELEASE": recipe[0], "VERSION": recipe[1]} if recipe else None

    def build_directory(self, name: str) -> str | None:
        """`gcc` for `gcc-13`, `rust` for `rustc-1.85`: the Dockerfile's, below `images/`."""
        return self.families[name.partition("-")[0]].directory if self._recipe(name) else None

    def _recipe(self, name: str) -> tuple[str, str] | None:
        family, _, version = name.partition("-")
        return self.families[family].recipes.get(version) if family in self.families else None


def own_image(name: str) -> str:
    """`will-it-compile/gcc:13` for `gcc-13`: what `will-it-compile images build gcc-13` makes."""
    family, _, version = name.partition("-")
    return f"will-it-compile/{family}:{version}"


def load_catalogue(extra: Path | None = None) -> Catalogue:
    """Ours, and what the user's own file adds to it.

    A family that is in both has the versions of both, the user's first, and the user's image where one is
    given. Raises ConfigError for a file that is missing, unreadable or wrong.
    """
    if not _ours:
        _ours.update((family.name, family) for family in _read(ENVIRONMENTS, {}))
    families = dict(_ours)
    if extra is not None:
        families.update((family.name, family) for family in _read(os.fspath(extra), families))
    return Catalogue(families)


def default(available: Sequence[Toolchain], language: str, backend: str) -> Toolchain:
    """The toolchain for a language where none is asked for: the first that speaks it.

    Raises ToolchainMissing where there is none.
    """
    for toolchain in available:
        if language in toolchain.languages:
            return toolchain
    raise ToolchainMissing(
        f"compile {language} on the {backend} backend",
        f"it has no compiler for {language}",
        _remedy(available, None),
    )


def resolve(asked: str, available: Sequence[Toolchain], language: str | None, backend: str) -> Toolchain:
    """The toolchain that a name means: `gcc`, `g++-12`, `go1.26`, `rust`, `gcc-12.2.0`.

    A family stands for the first of its toolchains that speaks `language` (None for any). Raises
    ToolchainMissing, which tells what there is instead.
    """
    family, version = parts(asked)
    wanted = f"{family}-{version}" if version else family
    named = [each for each in available if wanted in (each.family, each.name, *each.aliases)]
    named = named or [each for each in available if _is_more_exact(wanted, each)]
    for toolchain in named:
        if language is None or language in toolchain.languages:
            return toolchain
    about = f"compile with {_shown(asked)}"
    if named:
        raise ToolchainMissing(about, f"{named[0]} does not compile {language}", _remedy(available, language))
    raise ToolchainMissing(
        about, _why_missing(asked, family, version, available, backend), _remedy(available, language)
    )


def is_selector(asked: str) -> bool:
    """Whether this asks for as many toolchains as there are, `all` or a range, and not for one by its name."""
    return asked == EVERY or not _RANGE.isdisjoint(asked)


def select(asked: str, available: Sequence[Toolchain], language: str | None, backend: str) -> list[Toolchain]:
    """Every toolchain that is asked for and speaks `language` (None for any): `all`, `gcc>=10`, or one by its name.

    Raises ToolchainMissing, as `resolve` does. Of `all` there may be none.
    """
    if not is_selector(asked):
        return [resolve(asked, available, language, backend)]
    named = [each for each in available if fits(asked, each)]
    meant = [each for each in named if language is None or language in each.languages]
    if meant or asked == EVERY:
        return meant
    if named:
        obstacle = f"{named[0]} does not compile {language}"
    else:
        family = _range(asked).family
        obstacle = f"no {family} {_where(backend)} is in this range"
        if not any(each.family == family for each in available):
            obstacle = _why_missing(family, family, "", available, backend)
    raise ToolchainMissing(f"compile with {_shown(asked)}", obstacle, _remedy(available, language))


def fits(asked: str, toolchain: Toolchain) -> bool:
    """Whether a toolchain is among those that a name or a selector may mean: every gcc for `gcc`."""
    if is_selector(asked):
        exact = next((name for name in toolchain.aliases if _is_of(toolchain.name, name)), toolchain.name)
        return is_meant(asked, exact)
    family, version = parts(asked)
    wanted = f"{family}-{version}" if version else family
    return wanted in (toolchain.family, toolchain.name, *toolchain.aliases) or _is_more_exact(wanted, toolchain)


def is_meant(selector: str, name: str) -> bool:
    """Whether `all` or a range means a toolchain of this name, as `gcc-12` or `gcc-12.2.0`."""
    if selector == EVERY:
        return True
    wanted = _range(selector)
    family, _, version = name.partition("-")
    return family == wanted.family and wanted.holds(version)


def family(asked: str) -> str:
    """The family that a name or a range is of, known or not; `all` for itself. Raises ToolchainMissing."""
    return _range(asked).family if is_selector(asked) and asked != EVERY else parts(asked)[0]


def offers(available: Sequence[Toolchain], compilers: Sequence[str], languages: Sequence[str]) -> bool:
    """Whether every compiler that is asked for is there, and each language has one."""
    try:
        for asked in compilers:
            select(asked, available, None, "")
    except ToolchainMissing:
        return False
    return all(any(language in each.languages for each in available) for language in languages)


def parts(asked: str) -> tuple[str, str]:
    """`g++-12`, `gcc12` and `go1.26` in a family and a version, which may be empty."""
    text = asked.strip().lower()
    match = re.fullmatch(r"([a-z+]+?)-?(\d[\w.]*|nightly|beta|dev)?", text)
    family, version = match.groups() if match else (text, None)
    return SYNONYMS.get(family, family), version or ""


def _range(asked: str) -> Range:
    """Raises ToolchainMissing."""
    from willitcompile import ranges

    found = ranges.read(asked)
    return found._replace(family=SYNONYMS.get(found.family, found.family))


def _is_more_exact(wanted: str, toolchain: Toolchain) -> bool:
    """Whether `gcc-12.2` is asked for and this is `gcc-12.2.0`."""
    return any(_is_of(wanted, name) for name in (toolchain.name, *toolchain.aliases))


def _is_of(name: str, exact: str) -> bool:
    return exact.startswith(f"{name}.")


def _why_missing(asked: str, family: str, version: str, available: Sequence[Toolchain], backend: str) -> str:
    where = _where(backend)
    catalogue = load_catalogue()
    families = dict.fromkeys((*catalogue.families, *(each.family for each in available)))
    if family in families:
        name = f"{family}-{version}" if version else family
        known = not version or name in catalogue.names
        return f"{name} is not {where}" if known else f"{name} is neither {where} nor in the catalogue"
    from difflib import get_close_matches

    names = [*families, *SYNONYMS, *(each.name for each in available), *catalogue.names]
    # Nothing is less alike than gxx and g++, letter by letter.
    close = get_close_matches(asked.strip().lower()[:100].replace("xx", "++"), names, n=1)
    return f"no toolchain is called {_shown(asked)}" + (f"; did you mean {close[0]}?" if close else "")


def _where(backend: str) -> str:
    return "on this host" if backend == "sandbox" else f"on the {backend} backend"


def _remedy(available: Sequence[Toolchain], language: str | None) -> str:
    names = [each.name for each in available if language is None or language in each.languages]
    if names:
        return f"use one of: {', '.join(names)}"
    return "see what this machine can run: will-it-compile doctor"


def _shown(text: str) -> str:
    """What a user typed, in a message: as it is where that is harmless."""
    return text if re.fullmatch(r"[\w.+<>=-]{1,60}", text, re.ASCII) else repr(text[:60])


def _read(path: str, known: Mapping[str, Family]) -> Iterator[Family]:
    """The families of a file. Only its text counts: `1.20` is no number here, and an alias is refused."""
    import yaml

    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ConfigError(f"read {path}", "it is larger than 1 MiB", "keep only toolchains in it")
        root = yaml.compose(data.decode(), Loader=yaml.SafeLoader)
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigError(f"read {path}", why, "name a file that can be read") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}", "it is not UTF-8 text", "save the file as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "something is wrong"
        raise ConfigError(where, f"it is not YAML: {problem}", "correct the line") from None
    except RecursionError:
        raise ConfigError(f"read {path}", "it nests too deep", "write it flatter") from None
    if root is None:
        return
    for key, value in _mapping(path, root, "families, as `gcc:`"):
        if not _NAME.fullmatch(key.value):
            raise _wrong(path, key, f"{key.value!r} is no name of a family", "write small letters, as gcc")
        yield _family(path, key, value, known.get(key.value))


def _family(path: str, key: yaml.Node, node: yaml.Node, ours: Family | None) -> Family:
    import yaml

    name = str(key.value)
    fields = {field.value: (field, value) for field, value in _mapping(path, node, "languages and versions")}
    for field, (where, _) in fields.items():
        if field not in _FIELDS:
            raise _wrong(path, where, f"{name} has a {field!r}", f"use only: {', '.join(_FIELDS)}")
    for needed in ("versions",) if ours else ("languages", "versions"):
        if needed not in fields:
            raise _wrong(path, key, f"{name} has no {needed}", f"add a list: {needed}: […]")
    languages = _words(path, fields["languages"][1], _NAME) if "languages" in fields else ()
    versions = _words(path, fields["versions"][1], _VERSION)
    image = ours.image if ours else None
    if "image" in fields:
        node = fields["image"][1]
        image = str(node.value)
        if not isinstance(node, yaml.ScalarNode) or not _IMAGE.fullmatch(image.replace("{version}", "1")):
            raise _wrong(path, node, "this is no image", "write for example: gcc:{version}")
    recipes = dict(ours.recipes) if ours else {}
    if "build" in fields:
        recipes.update(_recipes(path, fields["build"][1], versions))
    directory = ours.directory if ours else name
    if "directory" in fields:
        node = fields["directory"][1]
        if not isinstance(node, yaml.ScalarNode) or not _DIRECTORY.fullmatch(node.value):
            raise _wrong(path, node, "this is no directory below images/", "write its name, as gcc")
        directory = str(node.value)
    return Family(
        name=name,
        languages=tuple(dict.fromkeys((*(ours.languages if ours else ()), *languages))),
        versions=tuple(dict.fromkeys((*versions, *(ours.versions if ours else ())))),
        image=image,
        recipes=recipes,
        directory=directory,
    )


def _recipes(path: str, node: yaml.Node, versions: Sequence[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """See `Family.recipes`, from `trixie: [14, 13]` and `trixie: {"1.26": 1.26.11}`."""
    import yaml

    for release, built in _mapping(path, node, "Debian releases, as `trixie: [14, 13]`"):
        if not _RELEASE.fullmatch(release.value):
            raise _wrong(path, release, f"{release.value!r} is no release of Debian", "write its name, as trixie")
        if isinstance(built, yaml.MappingNode):
            exact = {str(key.value): str(value.value) for key, value in _mapping(path, built, "versions")}
            if not all(_VERSION.fullmatch(each) for each in exact.values()):
                raise _wrong(path, built, "not all of these are versions", 'write for example: {"1.26": 1.26.11}')
        else:
            exact = {version: version for version in _words(path, built, _VERSION)}
        for version, wanted in exact.items():
            if version not in versions:
                raise _wrong(path, built, f"{version} is not among the versions", "add it there, or leave it out here")
            yield version, (release.value, wanted)


def _mapping(path: str, node: yaml.Node, what: str) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        raise _wrong(path, node, f"here belong {what}", "see willitcompile/environments.yaml for an example")
    seen = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _wrong(path, key, "a name is a word", "see willitcompile/environments.yaml for an example")
        if key.value in seen:
            raise _wrong(path, key, f"{key.value!r} is there twice", "keep one of them")
        seen.add(key.value)
        yield key, value


def _words(path: str, node: yaml.Node, shape: re.Pattern[str]) -> tuple[str, ...]:
    import yaml

    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise _wrong(path, node, "here belongs a list", "write for example: [13, 12]")
    for item in node.value:
        if not isinstance(item, yaml.ScalarNode) or not shape.fullmatch(item.value):
            shown = repr(item.value)[:60] if isinstance(item, yaml.ScalarNode) else "a list or a mapping"
            raise _wrong(path, item, f"{shown} does not fit here", "write words, as in [13, 12] or [c, c++]")
    return tuple(item.value for item in node.value)


def _wrong(path: str, node: yaml.Node, obstacle: str, remedy: str) -> ConfigError:
    return ConfigError(f"{path}:{node.start_mark.line + 1}", obstacle, remedy)
