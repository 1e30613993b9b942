"""What a gcc or a clang of this host is: version, standards, and the files that it needs."""

from __future__ import annotations

import os
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.backends.compilers import (
    VERSION_MACROS,
    Unusable,
    Version,
    c_standards,
    c_version,
    first_line,
    macros,
)
from willitcompile.backends.sandbox.host_files import is_elf, libraries, links_in, own_prefix
from willitcompile.languages.c_family import CPP, DRIVERS, C

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from willitcompile.backends.sandbox.host_run import Asker

_LINKERS = ("ld", "ld.bfd", "ld.gold", "ld.lld", "ld.mold")
_TOOLS = ("as", *_LINKERS, "objcopy")
"""What a driver runs by name. objcopy is for -gsplit-dwarf."""
_INNER = ("cc1", "cc1plus", "collect2", "lto-wrapper", "lto1")
"""What gcc keeps in a directory of its own."""
_INNER_OF = {C.name: "cc1", CPP.name: "cc1plus"}
_LIBRARY_ROOTS = frozenset({"/lib", "/lib64", "/usr/lib", "/usr/lib64"})
_STANDARD_LIBRARY_PLACE = re.compile(r"(/usr)?/lib(64|32)?(/[^/]+-linux-[^/]+)?")
"""Where a dynamic loader looks without /etc/ld.so.cache."""


class Found(NamedTuple):
    """A compiler that answers, before it is put in order with its siblings."""

    family: str
    version: str
    full_version: str
    compilers: Mapping[str, str]
    standards: Mapping[str, Mapping[str, str]]
    defaults: Mapping[str, str]
    programs: Mapping[str, str]
    needs: tuple[str, ...]
    """Paths to show, as they are used: with symlinks on the way, nested, perhaps missing."""
    link_needs: tuple[str, ...]
    """What only building a program needs beyond that."""
    environment: Mapping[str, str]
    parts: tuple[str, ...]
    """The files that make it this compiler and no other."""
    headers: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """By language, the directories where it looks for headers, with those that are not there."""
    arguments: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    links: tuple[tuple[str, str], ...] = ()


def investigate_c(family: str, program: str, asker: Asker) -> Found:
    """Ask the `gcc` or `clang` at this path what it is. Raises Unusable and OSError."""
    if not is_elf(os.path.realpath(program)):
        raise Unusable("is a script, which would need a shell in the sandbox")
    version = c_version(family, asker.ask(program, "-x", "c", "-dM", "-E", "/dev/null").out)
    if family == "clang":
        # It finds its own files by argv[0] where there is no /proc.
        program = _clang_itself(program)
    programs = {family: program}
    sibling = _sibling(version, program, asker)
    if sibling is not None:
        programs[DRIVERS[family, CPP.name]] = sibling
    accepted = c_standards(family, programs, asker, lambda driver, language: _complete(family, driver, language, asker))
    if not accepted:
        raise Unusable("compiles neither C nor C++")
    parts = _parts(program, programs.values(), asker)
    linkers = [part for part in parts if os.path.basename(part) in _LINKERS]
    loaded = shared_libraries(parts, asker)
    said = _said_verbosely(family, programs, asker)
    headers = {language: _header_directories(said.get(language, "")) for language in accepted}
    needs = [*_needs(family, program, asker), *_selected_gcc(said.values())]
    needs += [place for places in headers.values() for place in places]
    return Found(
        family=family,
        version=version.version,
        full_version=version.full,
        compilers={
            language: first_line(asker.ask(programs[DRIVERS[family, language]], "--version").out)
            for language in accepted
        },
        standards={language: standards for language, (standards, _) in accepted.items()},
        defaults={language: default for language, (_, default) in accepted.items()},
        programs=programs,
        needs=(*(part for part in parts if part not in linkers), *loaded, *filter(os.path.isabs, needs)),
        link_needs=tuple(linkers),
        environment=_environment(parts, loaded),
        parts=(*parts, *loaded),
        headers=headers,
    )


def _clang_itself(program: str) -> str:
    real = os.path.realpath(program)
    plain = os.path.join(os.path.dirname(real), "clang")
    return plain if os.path.realpath(plain) == real else real


def _sibling(version: Version, program: str, asker: Asker) -> str | None:
    """The C++ driver of the same installation, or None. A sibling of another version is none."""
    family = version.family
    places = dict.fromkeys((program, os.path.realpath(program)))
    for place in places:
        directory, name = os.path.split(place)
        before, found, after = name.rpartition(family)
        for sibling in (before + DRIVERS[family, CPP.name] + after, DRIVERS[family, CPP.name]):
            candidate = os.path.join(directory, sibling)
            if not found or not os.access(candidate, os.X_OK) or not is_elf(os.path.realpath(candidate)):
                continue
            defined = macros(asker.tell([candidate, "-x", "c++", "-dM", "-E", "/dev/null"]))
            if ".".join(defined.get(macro, "") for macro in VERSION_MACROS[family]) == version.full:
                return candidate
    return None


def _complete(family: str, driver: str, language: str, asker: Asker) -> bool:
    """A g++ may be there without the compiler proper that it runs."""
    inner = asker.tell([driver, f"-print-prog-name={_INNER_OF[language]}"]).strip()
    return family != "gcc" or (os.path.isabs(inner) and os.path.isfile(inner))


def _parts(program: str, drivers: Iterable[str], asker: Asker) -> tuple[str, ...]:
    """The programs that a compile runs: the drivers, the compilers proper, assembler and linkers."""
    found = list(drivers)
    names = (*_INNER, *_TOOLS)
    answers = asker.try_each([program, f"-print-prog-name={name}"] for name in names)
    for name, answer in zip(names, answers, strict=True):
        said = answer.out.strip() if answer else name
        place = said if os.path.isabs(said) else asker.find(name)
        if place and os.path.isfile(place):
            found.append(place)
    return tuple(dict.fromkeys(found))


def _needs(family: str, program: str, asker: Asker) -> list[str]:
    """The directories that compiling and linking looks in, but for those of headers: see `Found.needs`."""
    search = asker.tell([program, "-print-search-dirs"])
    needs = []
    for line in search.splitlines():
        kind, _, places = line.partition(": ")
        if kind == "install":
            needs.append(places)
        elif kind == "libraries":
            needs += _library_directories(places.removeprefix("=").split(":"))
    prefix = own_prefix(os.path.realpath(program))
    if prefix is not None:
        needs.append(prefix)
    if family == "clang":
        resources = asker.tell([program, "-print-resource-dir"]).strip()
        needs += [resources, *links_in(resources)]
    return needs


def _said_verbosely(family: str, programs: Mapping[str, str], asker: Asker) -> dict[str, str]:
    """By language, what its driver prints with `-v`."""
    drivers = {language: programs.get(DRIVERS[family, language]) for language in (C.name, CPP.name)}
    questions = {
        language: [driver, "-v", "-E", "-x", language, "/dev/null"] for language, driver in drivers.items() if driver
    }
    answers = asker.try_each(questions.values())
    return {language: answer.err for language, answer in zip(questions, answers, strict=True) if answer}


def _header_directories(text: str) -> tuple[str, ...]:
    """Those that are searched, and those that would be if they were there."""
    missing = re.findall(r'^ignoring nonexistent directory "(.+)"$', text, re.MULTILINE)
    _, _, after = text.partition("#include <...> search starts here:\n")
    found = [line.strip() for line in after.partition("End of search list.")[0].splitlines()]
    return tuple(dict.fromkeys((*found, *missing)))


def _selected_gcc(texts: Iterable[str]) -> list[str]:
    """For clang, the gcc whose libraries it uses."""
    return [place for text in texts for place in re.findall(r"^Selected GCC installation: (.+)$", text, re.MULTILINE)]


def _library_directories(places: Iterable[str]) -> list[str]:
    """Those of a driver's that it needs. /usr/lib holds half the system, and goes where libc is elsewhere."""
    found = dict.fromkeys(os.path.realpath(place) for place in places if os.path.isabs(place))
    return [
        place
        for place in found
        if os.path.isdir(place) and (place not in _LIBRARY_ROOTS or os.path.exists(os.path.join(place, "crt1.o")))
    ]


def shared_libraries(programs: Iterable[str], asker: Asker) -> list[str]:
    """The loaders and libraries of these programs, as the loader names them."""
    real = dict.fromkeys(os.path.realpath(program) for program in programs)
    loaded = asker.for_each(lambda program: libraries(program, asker.tell), real)
    return list(dict.fromkeys(path for paths in loaded for path in paths))


def loader_environment(paths: Iterable[str]) -> dict[str, str]:
    """LD_LIBRARY_PATH, where a library lies in none of the usual places.

    A loader finds it by /etc/ld.so.cache, or by $ORIGIN through /proc, and the sandbox has neither.
    """
    directories = dict.fromkeys(os.path.realpath(os.path.dirname(path)) for path in paths)
    unusual = [path for path in directories if not _STANDARD_LIBRARY_PLACE.fullmatch(path)]
    return {"LD_LIBRARY_PATH": ":".join(unusual)} if unusual else {}


def _environment(parts: Iterable[str], loaded: Iterable[str]) -> dict[str, str]:
    """PATH with the drivers and what they run by name, and where the loader looks."""
    tools = [part for part in parts if os.path.basename(part) not in _INNER]
    path = ":".join(dict.fromkeys(os.path.dirname(tool) for tool in tools))
    return {"PATH": path, **loader_environment(loaded)}
