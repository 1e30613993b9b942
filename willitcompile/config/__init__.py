"""Settings: defaults < willitcompile.yaml or [tool.willitcompile] < environment < flags.

`SETTINGS` is the one table of them. Files and variables say nothing that a flag could not say, and every
value goes through the same parser, so that each means the same wherever it is written.
"""

from __future__ import annotations

import os
import re
from stat import S_ISREG, S_IWOTH
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from willitcompile.errors import ConfigError, RequestError
from willitcompile.files import CACHE_BYTES, below, read_regular
from willitcompile.model import GIB, KIB, MIB, Limits
from willitcompile.sources import SizeLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from willitcompile.config.files import Entry

FILE = "willitcompile.yaml"
PYPROJECT = "pyproject.toml"

SERVICE_SECTION = "serve"
DOCUMENTS_SECTION = "documents"
SECTIONS = {
    "kubernetes": "{namespace: builds}",
    SERVICE_SECTION: "{port: 8080}",
    DOCUMENTS_SECTION: "{c++: {before: 'void f() {', after: '}'}}",
}
"""What has a section of its own in a file, which it judges itself: backends, `will-it-compile serve`, documents. Each
with an example."""

CLUSTER_SECTION = "kubernetes"
CLUSTER = ("context", "namespace")
"""Where in a cluster compiles run: settings with an option of their own that belong to that section."""

MAX_FILE_BYTES = 1 * MIB
"""Of a configuration file. The pyproject.toml of a large project has 100 KB."""

# To parse a TOML file that has nothing for us would cost 8 ms. It may name us for other reasons, as ours does.
_MENTION = re.compile(
    rb"""^[ \t]*(?:\[[ \t]*)?(?:["']?tool["']?[ \t]*\.[ \t]*)?"""
    rb"""(?:willitcompile|"willitcompile"|'willitcompile')[ \t]*[].=]"""
    rb"""|^[ \t]*["']?tool["']?[ \t]*=""",
    re.MULTILINE,
)

S = TypeVar("S", bound=Any)
_LIMITS = Limits()
_SIZES = SizeLimits()
_NOTHING: Mapping[str, Mapping[str, object]] = MappingProxyType({})


class Format(NamedTuple):
    """A report that is asked for."""

    name: str
    """One of `willitcompile.reports.REPORTS`, if it is right."""

    file: str | None = None
    """Where it goes; None for stdout, or where `--output` says."""


class Settings(NamedTuple):
    """All that can be set, with its defaults. See `SETTINGS` for what each is called outside."""

    compilers: tuple[str, ...] = ()
    """Empty for the preferred one of each language."""

    standards: tuple[str, ...] = ()
    """Empty for each compiler's own default."""

    language: str | None = None
    backend: str = "auto"
    include_dirs: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """Whole flags: `-Wall`."""

    flags: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    """`gcc-13=registry.example.org/gcc:13`: see `willitcompile.backends.references`."""

    link: bool = False
    jobs: int | None = None
    """None for one on each core."""

    timeout: float = _LIMITS.wall_seconds
    memory: int | None = None
    """None for the backend's own, as with `cpus`."""

    cpus: float | None = None
    max_output: int = _LIMITS.output_bytes
    max_file_size: int = _SIZES.file_bytes
    max_unit_size: int = _SIZES.unit_bytes
    formats: tuple[Format, ...] = (Format("text"),)
    expectations: bool = True
    cache: bool = True
    cache_size: int = CACHE_BYTES
    shared_cache: str | None = None
    """A directory, or the URL of a Redis."""

    color: str = "auto"
    context: str | None = None
    namespace: str | None = None
    options: Mapping[str, Mapping[str, object]] = _NOTHING
    """By backend, the section of the file that is its own, as plain data: texts, lists, mappings and None. What has an
    option too, as `namespace`, stands in it from wherever it was set last."""

    file: str | None = None
    """The configuration file that was read, as a path from the current directory."""

    are_images_found: bool = False
    """Whether some of the images are from a file that nobody named."""

    notes: tuple[str, ...] = ()
    """What a person should know about how these came to be."""


class UnfitError(ValueError):
    """A value that a setting cannot have. `args[0]` says why."""


class Setting(NamedTuple):
    """One setting: what it is called in a file and, after `--`, on the command line."""

    name: str
    field: str
    """Of `Settings`."""

    parse: Callable[[str], object]
    """From text to the field's value. Raises UnfitError."""

    example: str
    adds: bool = False
    """The values of a flag stand after those of the configuration, instead of replacing them."""

    variable: bool = True
    """Whether WIC_<NAME> sets it. Not for those whose values may hold any character that would part them."""

    section: str = ""
    """Of the file, where it is in one; then its variable is WIC_<SECTION>_<NAME>."""

    @property
    def variable_name(self) -> str:
        return "_".join(filter(None, ("WIC", self.section.upper(), self.name.upper().replace("-", "_"))))


def parse_seconds(text: str) -> float:
    """
    >>> parse_seconds("30"), parse_seconds("1.5m"), parse_seconds("500ms")
    (30.0, 90.0, 0.5)
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{0,9})?) ?(ms|s|m|h|)", text.strip())
    if not match:
        raise UnfitError("it is not a time in seconds, or with ms, s, m or h after it")
    seconds = float(match[1]) * {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}[match[2]]
    if not 0.001 <= seconds <= 86_400:
        raise UnfitError("it must be more than nothing and at most a day")
    return seconds


def parse_bytes(text: str) -> int:
    """
    >>> parse_bytes("512MiB") == parse_bytes("512M") == parse_bytes("0.5g")
    True
    """
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{0,9})?) ?([kmg]?)(?:i?b)?", text.strip().lower())
    if not match:
        raise UnfitError("it is not a number of bytes, or of K, M or G (powers of 1024)")
    number = float(match[1]) * {"": 1, "k": KIB, "m": MIB, "g": GIB}[match[2]]
    if not 1 <= number <= 1024 * 1024 * GIB:
        raise UnfitError("it must be at least 1 byte, and a size that a computer can have")
    return int(number)


def parse_memory(text: str) -> int:
    """As `parse_bytes`, and enough for a process to start: `--memory 512` is a slip for 512M."""
    number = parse_bytes(text)
    if number < MIB:
        raise UnfitError("no compiler starts in less than 1 MiB")
    return number


def parse_jobs(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text.strip()) or not 1 <= int(text) <= 1024:
        raise UnfitError("it is not a whole number from 1 to 1024")
    return int(text)


def parse_cpus(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{0,9})?", text.strip()) or not 0.01 <= float(text) <= 1024:
        raise UnfitError("it is not a number of cores from 0.01 to 1024")
    return float(text)


def parse_switch(text: str) -> bool:
    """As YAML, TOML and people write it."""
    if text.strip().lower() in {"true", "yes", "on", "1"}:
        return True
    if text.strip().lower() in {"false", "no", "off", "0"}:
        return False
    raise UnfitError("it is neither true nor false")


def parse_color(text: str) -> str:
    if text not in {"auto", "always", "never"}:
        raise UnfitError("it is none of auto, always, never")
    return text


def parse_word(text: str) -> str:
    return parse_one(text.strip())[0]


def parse_words(text: str) -> tuple[str, ...]:
    """
    >>> parse_words("gcc-12, clang")
    ('gcc-12', 'clang')
    """
    return tuple(parse_word(word) for word in text.split(","))


def parse_images(text: str) -> tuple[str, ...]:
    """Which image serves as a toolchain, or as a family; judged by the backend."""
    words = parse_words(text)
    if not all("=" in word for word in words):
        raise UnfitError("it does not say which image serves for which toolchain")
    return words


def parse_standards(text: str) -> tuple[str, ...]:
    """`-std=c++20`, as compilers spell it, reaches us as `-s td=c++20`; nothing else begins so."""
    return parse_words(text.removeprefix("td="))


def parse_one(text: str) -> tuple[str, ...]:
    """A definition, a flag or a directory may hold any character."""
    if not text:
        raise UnfitError("it is empty")
    if "\0" in text:  # which only a file can hold
        raise UnfitError("it holds a NUL character")
    return (text,)


def parse_format(text: str) -> tuple[Format, ...]:
    """
    >>> parse_format("text"), parse_format("sarif:out.sarif")
    ((Format(name='text', file=None),), (Format(name='sarif', file='out.sarif'),))
    """
    name, colon, file = text.strip().partition(":")
    if colon and not file:
        raise UnfitError("it names no file after the colon")
    return (Format(parse_word(name), parse_one(file)[0] if colon else None),)


def parse_context(text: str) -> str:
    """The name of a context may hold almost anything: a cloud's has colons and slashes."""
    if not text.strip():
        raise UnfitError("it is empty")
    if len(text) > 1000 or not text.isprintable():
        raise UnfitError("it holds more than 1000 characters, or one that cannot be shown")
    return text


def parse_namespace(text: str) -> str:
    """As Kubernetes has it: RFC 1123, a label."""
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", text):
        raise UnfitError("it is not of at most 63 of a-z, 0-9 and -, with no - at either end")
    return text


def parse_shared_cache(text: str) -> str:
    if not text.isprintable() or not text.startswith(("/", "redis://", "rediss://", "unix://")):
        raise UnfitError("it is neither the absolute path of a directory nor the URL of a Redis")
    return text


def parse_warning(text: str) -> tuple[str, ...]:
    """
    >>> parse_warning("all") == parse_warning("-Wall")
    True
    """
    return ("-W" + parse_one(text.removeprefix("-W"))[0],)


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("compiler", "compilers", parse_words, "gcc-12,clang"),
        Setting("std", "standards", parse_standards, "c++20"),
        Setting("language", "language", parse_word, "c++"),
        Setting("backend", "backend", parse_word, "sandbox"),
        Setting("include", "include_dirs", parse_one, "include", adds=True, variable=False),
        Setting("define", "defines", parse_one, "NDEBUG", adds=True, variable=False),
        Setting("warning", "warnings", parse_warning, "all", adds=True, variable=False),
        Setting("flag", "flags", parse_one, "-O2", adds=True, variable=False),
        Setting("images", "images", parse_images, "gcc-13=registry.example.org/gcc:13", adds=True),
        Setting("link", "link", parse_switch, "true"),
        Setting("jobs", "jobs", parse_jobs, "4"),
        Setting("timeout", "timeout", parse_seconds, "60"),
        Setting("memory", "memory", parse_memory, "2GiB"),
        Setting("cpus", "cpus", parse_cpus, "1.5"),
        Setting("max-output", "max_output", parse_bytes, "4MiB"),
        Setting("max-file-size", "max_file_size", parse_bytes, "32MiB"),
        Setting("max-unit-size", "max_unit_size", parse_bytes, "128MiB"),
        Setting("format", "formats", parse_format, "json"),
        Setting("expectations", "expectations", parse_switch, "false"),
        Setting("cache", "cache", parse_switch, "false"),
        Setting("cache-size", "cache_size", parse_bytes, "2GiB"),
        Setting("shared-cache", "shared_cache", parse_shared_cache, "redis://redis.example.org/0"),
        Setting("color", "color", parse_color, "never"),
        Setting("context", "context", parse_context, "kind-kind"),
        Setting("namespace", "namespace", parse_namespace, "builds"),
    )
}


def resolve(
    flags: Mapping[str, Sequence[str]],
    *,
    environment: Mapping[str, str] = os.environ,
    directory: str = ".",
    file: str | None = None,
    also: Mapping[str, str] = MappingProxyType({}),
) -> Settings:
    """Put the four layers together.

    `flags` holds, by a setting's name, the values it was given on the command line, in their order. `file` is
    a configuration file to use instead of the nearest one in or above `directory`. `also` has, by a setting's name,
    a variable that counts where its own is not set. Raises ConfigError where a file or a variable is wrong,
    RequestError where a flag is.
    """
    notes: list[str] = []
    settings = Settings()
    found = file or find_file(directory, environment.get("HOME"), notes)
    if found:
        from willitcompile.config.files import entries

        # What was found may have been written by anybody, and what it is may have changed since it was judged.
        roots, ceilings = ((), {}) if file else ((os.path.dirname(found),), _ceilings())
        options: dict[str, Mapping[str, object]] = {}
        said = _allowed(entries(found, roots), found) if not file else entries(found, roots)
        settings = apply(settings, _from_file(found, said, ceilings, options), ConfigError)
        settings = settings._replace(file=shown(found), options=options)
        if settings.images and not file:
            # It may have come with the sources, and an image can answer what it likes.
            notes.append(f"{shown(found)} chooses images: {', '.join(settings.images)}")
            settings = settings._replace(are_images_found=True)
    settings = settings._replace(notes=tuple(notes))
    settings = apply(settings, from_environment(environment, SETTINGS, also), ConfigError)
    return _in_options(apply(settings, from_flags(flags, SETTINGS), RequestError))


def _in_options(settings: Settings) -> Settings:
    """With the settings that are a backend's own put where it looks for them."""
    own = {name: value for name in CLUSTER if (value := getattr(settings, name)) is not None}
    if not own:
        return settings
    options = {**settings.options, CLUSTER_SECTION: {**settings.options.get(CLUSTER_SECTION, {}), **own}}
    return settings._replace(options=options)


def find_file(directory: str, home: str | None, notes: list[str]) -> str | None:
    """The nearest configuration file: in `directory`, or above it up to a repository's root or `home`.

    A pyproject.toml that does not mention us does not count. One that is not to be trusted is passed over, and
    `notes` gets the reason.
    """
    try:
        directory = os.path.realpath(directory)
    except OSError:  # the current directory is gone
        return None
    last = os.path.realpath(home) if home else "/"
    while True:
        for path in (os.path.join(directory, FILE), os.path.join(directory, PYPROJECT)):
            if not os.path.lexists(path) or (path.endswith(PYPROJECT) and not _mentions_us(path)):
                continue
            if not (doubt := _doubt(path)):
                return path
            notes.append(f"{shown(path)} {doubt} and is not read; name it with --config to use it")
        if directory in {"/", last} or os.path.lexists(os.path.join(directory, ".git")):
            return None
        directory = os.path.dirname(directory)


def _doubt(path: str) -> str | None:
    """Why a file that was found, not named, is not read: anybody may have put it there, as into /tmp."""
    real = os.path.realpath(path)
    if not below(real, os.path.dirname(path)):
        return "is a link that leaves its directory"
    try:
        link, state = os.lstat(path), os.lstat(real)
    except OSError:
        return "leads nowhere"
    if not S_ISREG(state.st_mode):
        return "is not a regular file"
    if not {link.st_uid, state.st_uid} <= {0, os.getuid()}:
        return "belongs to another user"
    return "can be written to by everybody" if state.st_mode & S_IWOTH else None


def _mentions_us(path: str) -> bool:
    """Whether a pyproject.toml may have something for us. What cannot be read has not."""
    try:
        data = read_regular(os.path.realpath(path), MAX_FILE_BYTES, (os.path.dirname(path),))
    except OSError:
        return False
    return bool(data and _MENTION.search(data))


def read(path: str, roots: Sequence[str] = ()) -> bytes:
    """A configuration file, whole, which must be in `roots` where there are any. Raises ConfigError."""
    if path == os.devnull:  # how one says that there are to be no settings
        return b""
    asked = f"read {shown(path)}"
    try:
        data = read_regular(os.path.realpath(path), MAX_FILE_BYTES, roots)
    except OSError as error:
        raise ConfigError(
            asked, error.strerror or str(error), "make it readable, or name another with --config"
        ) from None
    if data is None:
        raise ConfigError(asked, "it is not a regular file", "name another with --config")
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(asked, "a configuration file has at most 1 MiB", "name another with --config")
    return data


def shown(path: str) -> str:
    """A path as people here would call it."""
    return os.path.relpath(path) if os.path.isabs(path) else path


class Given(NamedTuple):
    """A value for a setting, from whichever layer."""

    setting: Setting
    values: Sequence[str]
    where: str
    """What to call it in an error: `willitcompile.yaml:3`, `WIC_TIMEOUT`, `--timeout -5`."""

    remedy: str
    quotable: bool = True
    """Whether the error may show the value: a file may be one that its reader could not read himself."""

    ceiling: tuple[float, str] | None = None
    """The highest value that it may have, also in words."""


def apply(settings: S, layer: Iterable[Given], error: type[RequestError]) -> S:
    """Put a layer over settings, a NamedTuple, where it names their fields. Raises that error."""
    changed: dict[str, object] = {}
    for setting, values, where, remedy, quotable, ceiling in layer:
        parsed: list[object] = []
        for value in values:
            try:
                parsed.append(setting.parse(value))
            except UnfitError as unfit:
                obstacle = f"{setting.name} cannot be {repr(value) if quotable else 'so'}: {unfit}"
                raise error(where, obstacle, remedy.format(example=setting.example)) from None
        if ceiling and parsed[-1] > ceiling[0]:  # type: ignore[operator] # it is a number
            obstacle = f"{setting.name} can be at most {ceiling[1]} in a file that was not named with --config"
            raise error(where, obstacle, f"write less, or give it on the command line: --{setting.name}")
        if isinstance(parsed[-1], tuple):
            before = getattr(settings, setting.field) if setting.adds else ()
            changed[setting.field] = (*before, *(word for words in parsed for word in words))  # type: ignore[attr-defined]
        else:
            changed[setting.field] = parsed[-1]
    replaced: S = settings._replace(**changed) if changed else settings
    return replaced


def from_flags(flags: Mapping[str, Sequence[str]], known: Mapping[str, Setting]) -> Iterator[Given]:
    """The layer of the command line."""
    for name, values in flags.items():
        yield Given(known[name], values, f"use --{name}", f"write for example: --{name} {{example}}")


def from_environment(
    environment: Mapping[str, str], known: Mapping[str, Setting], also: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Given]:
    """The layer of the variables; for `also` see `resolve`."""
    for setting in known.values():
        if not setting.variable:
            continue
        for variable in (setting.variable_name, also.get(setting.name, "")):
            # Empty is the same as unset, as a shell script cannot always unset.
            if value := environment.get(variable):
                remedy = f"unset {variable}, or set it for example so: {variable}={{example}}"
                yield Given(setting, [value], f"use the variable {variable}", remedy)
                break


def _ceilings() -> dict[str, tuple[float, str]]:
    """How far a file may go that came with the sources, for all we know: not so far as to take the machine."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "jobs": (4 * cores, f"{4 * cores}, 4 on each core"),
        "timeout": (3600, "1h"),
        "memory": (memory, f"{memory // MIB}MiB, what this machine has"),
        "max-output": (16 * MIB, "16MiB"),
        "max-file-size": (GIB, "1GiB"),
        "max-unit-size": (GIB, "1GiB"),
    }


def _allowed(entries: Iterable[Entry], path: str) -> Iterator[Entry]:
    """What a file that was only found says: it may have come with sources that are hostile, and must not choose a
    cluster, nor what may be done there by whoever runs the check, nor have files written, nor
    whose answers are believed."""
    for entry in entries:
        if entry.name == SERVICE_SECTION:
            continue  # for a service, whose file is named
        if entry.name in {CLUSTER_SECTION, *CLUSTER} or (
            entry.name == "backend" and CLUSTER_SECTION in {value.strip() for value in entry.values or ()}
        ):
            obstacle = "a file that was found, not named, may not say where in a cluster compiles run"
            raise ConfigError(f"{shown(path)}:{entry.line}", obstacle, f"name it: --config {shown(path)}")
        if entry.name in {"cache-size", "shared-cache"}:
            obstacle = "a file that was found, not named, may not say where answers are kept, nor how many"
            raise ConfigError(f"{shown(path)}:{entry.line}", obstacle, f"name it: --config {shown(path)}")
        if entry.name == "format" and any(":" in value for value in entry.values or ()):
            obstacle = "a file that was found, not named, may not say where a report is written"
            raise ConfigError(f"{shown(path)}:{entry.line}", obstacle, f"name it: --config {shown(path)}")
        yield entry


def _from_file(
    path: str,
    entries: Iterable[Entry],
    ceilings: Mapping[str, tuple[float, str]],
    options: dict[str, Mapping[str, object]],
) -> Iterator[Given]:
    """Each setting, and to `options` the sections of backends."""
    seen: dict[str, str] = {}
    for name, values, line, section in entries:
        where = f"{shown(path)}:{line}"
        if name in SECTIONS:
            if section is None:
                raise ConfigError(where, f"{name} is not a mapping", f"write for example {name}: {SECTIONS[name]}")
            if name in options:
                raise ConfigError(where, f"{name} is set twice", "leave one of the two")
            options[name] = section
            continue
        if name not in SETTINGS:
            raise _unknown(name, where)
        setting = SETTINGS[name]
        remedy = f"write for example {name}: {{example}}"
        example = remedy.format(example=setting.example)
        if name in seen:
            raise ConfigError(where, f"{name} is set twice", "leave one of the two")
        seen[name] = where
        if values is None:
            raise ConfigError(where, f"{name} is neither a word, a number nor a list of them", example)
        if len(values) > 1 and not isinstance(getattr(Settings(), setting.field), tuple):
            raise ConfigError(where, f"{name} takes one value, not a list", example)
        if setting.field == "include_dirs":
            values = [_below(path, value, where) for value in values]  # noqa: PLW2901 - as seen from here
        if values:
            yield Given(setting, values, where, remedy, quotable=False, ceiling=ceilings.get(name))
    for name in CLUSTER:
        if name in seen and name in options.get(CLUSTER_SECTION, {}):
            obstacle = f"{name} is set twice, here and in the section {CLUSTER_SECTION}"
            raise ConfigError(seen[name], obstacle, "leave one of the two")


def _unknown(name: str, where: str) -> ConfigError:
    from difflib import get_close_matches

    # Only what looks like a name is shown: in YAML, a whole line of /etc/shadow is one.
    shown = f" {name!r}" if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,30}", name) else ""
    known = (*SETTINGS, *SECTIONS)
    near = get_close_matches(name, known, n=1) if shown else []
    hint = f"; did you mean {near[0]}?" if near else ""
    return ConfigError(where, f"unknown setting{shown}{hint}", f"use one of: {', '.join(known)}")


def _below(file: str, value: str, where: str) -> str:
    """A directory for headers that a configuration file names, which counts from there.

    The file may lie in a tree that somebody else wrote. It chooses compilers, flags, which pass the allowlist
    as any others, and limits; it must not have us read directories that the tree does not hold.
    """
    home = os.path.realpath(os.path.dirname(file))
    inside = os.path.realpath(os.path.join(home, value))
    if not below(inside, home):
        raise ConfigError(
            where,
            "an include directory is not below the configuration file",
            "give it on the command line: -I DIR",
        )
    return os.path.relpath(inside)
