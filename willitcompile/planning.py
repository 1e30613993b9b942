"""What a request asks for: which sources there are, and each with the toolchains and standards that fit it.

Planning walks directories and looks at the files that were named, so that a wrong request is told before anything runs,
but keeps no source.
"""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile import languages, listings, toolchains
from willitcompile.backends import Wanted
from willitcompile.errors import SourceError, ToolchainMissing, UnknownStandard
from willitcompile.files import below, current_directory, files_below
from willitcompile.languages import CompileOptions
from willitcompile.model import SourceUnit
from willitcompile.sources import SizeLimits, SourceTree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from willitcompile.backends import Backend
    from willitcompile.errors import RequestError
    from willitcompile.languages import Language
    from willitcompile.listings import Entry
    from willitcompile.model import Toolchain

STDIN = "-"

LISTING_BYTES = 256 * 1024 * 1024
"""At most, of a listing, which is never sent anywhere. 20,000 commands of CMake's take some 18 MiB."""

SENT = "/sent"
"""Where files are that were sent, for those who read them: no directory of this machine."""


class CheckRequest(NamedTuple):
    """What a user asks: each source with each toolchain at each standard, as far as they fit each other."""

    paths: tuple[str, ...]
    """Files, directories, or `-` for `stdin`, as typed."""

    compilers: tuple[str, ...] = ()
    """As typed; empty for the default toolchain of each source's language. Each source is compiled with those
    that speak its language."""

    standards: tuple[str, ...] = ()
    """As typed; empty for each toolchain's default. Each source is compiled at those of its language, and at
    the default where none of them is."""

    language: str | None = None
    """As typed; None to tell by extension and content."""

    stdin: bytes | None = None
    files: Mapping[str, bytes] | None = None
    """What there is instead of the files of this machine, by relative path; then `paths` are some of them, or empty for
    each source among them."""

    include_dirs: tuple[str, ...] = ()
    documents: Mapping[str, object] = MappingProxyType({})
    """What the configuration says of documents: see `willitcompile.listings.fragments`."""
    options: CompileOptions = CompileOptions()
    limits: Mapping[str, Any] = MappingProxyType({})
    """The fields of `Limits` that somebody has named; for the others the backend knows what suits it."""
    sizes: SizeLimits = SizeLimits()
    jobs: int = 0
    """Compiles at one time; 0 for what suits the backend: one on each core that this process may use, where they run
    here."""
    expectations: bool = True
    """Whether a source may say how it is to end: not where it is a stranger's, whose word counts for nothing."""
    hint: bool = False
    """Whether to look for a later standard at which a source compiles, where one compile at the default is all that is
    asked for and the compiler says no. That takes more compiles."""
    on_look: Callable[[str, str], None] | None = None
    """Is told of a source, empty while sources are looked for, and of each path that it depends on, before that is
    looked at: from whatever thread. See `SourceTree`."""


class PlannedCheck(NamedTuple):
    """One result to come."""

    source: str
    """As the user named it, or would: a file of a directory begins as the directory was typed."""

    language: Language
    toolchain: Toolchain
    standard: str | None
    """One of the toolchain's; None for the default, which the source's project may say."""

    root: str | None = None
    """The directory asked for, whose files the source may need; None where the source was named itself."""

    entry: Entry | None = None
    """What a listing says of it; None where the source is a file that was named or found."""


class Source(NamedTuple):
    """What was found to be checked. The fields are those of `PlannedCheck`."""

    name: str
    language: Language
    root: str | None = None
    entry: Entry | None = None


def find(request: CheckRequest) -> list[Source]:
    """What to check, in the order asked and each once. Looks at what was named, but keeps no content.

    Raises RequestError.
    """
    seen: set[object] = set()
    found = []
    if request.files is not None:
        return list(dict.fromkeys(_sources_among(request.files, request)))
    for path in request.paths:
        for source in _sources_of(path, request):
            # The same file may be named twice, or named and found in a directory; a listing may repeat itself.
            where = source.entry or (STDIN if source.name == STDIN else os.path.abspath(source.name))
            if where not in seen:
                seen.add(where)
                found.append(source)
    return apart(found)


def apart(sources: Sequence[Source]) -> list[Source]:
    """Each with a name of its own: a file that is compiled in several ways is `a.cpp`, `a.cpp (2)`, and so on."""
    taken: set[str] = set()
    counts: dict[str, int] = {}
    found = []
    for source in sources:
        name = source.name
        while name in taken:
            counts[source.name] = counts.get(source.name, 1) + 1
            name = f"{source.name} ({counts[source.name]})"
        taken.add(name)
        found.append(source._replace(name=name) if name != source.name else source)
    return found


MOST_SHOWN = 20
"""Of the sources that cannot be checked, in one message."""


def together(errors: Sequence[RequestError]) -> RequestError:
    """One error that tells of all of these."""
    if len(errors) == 1:
        return errors[0]
    shown = [f"{error}" for error in errors[:MOST_SHOWN]]
    more = [f"and {len(errors) - MOST_SHOWN} more"] if len(errors) > MOST_SHOWN else []
    return SourceError(f"check {len(errors)} of the sources", "\n  ".join(["", *shown, *more]), errors[0].remedy)


def wanted(request: CheckRequest, sources: Sequence[Source]) -> Wanted:
    """What it takes of a backend to check these. Raises ToolchainMissing for a range of versions that is none."""
    for text in request.compilers:
        toolchains.family(text)
    return Wanted(request.compilers, tuple(dict.fromkeys(source.language.name for source in sources)))


def plan(request: CheckRequest, backend: Backend, sources: Sequence[Source] | None = None) -> list[PlannedCheck]:
    """Every compile that the request asks for, in its order: by source, then toolchain, then standard.

    `sources` are those that `find` has found, where it was asked already. Raises RequestError for anything that is
    wrong with the request, without having compiled, and NoAnswer where the backend cannot say what it has.
    """
    sources = find(request) if sources is None else sources
    return combine(request, sources, backend.toolchains(wanted(request, sources)), backend.name)


def combine(
    request: CheckRequest, sources: Sequence[Source], available: Sequence[Toolchain], backend: str
) -> list[PlannedCheck]:
    """The same for a backend of this name that has these toolchains. Raises RequestError."""
    firsts = {source.language.name: source for source in reversed(sources)}
    _refuse_strange_standards(request, [source.language for source in reversed(firsts.values())])
    pairs = {name: _pairs(request, available, backend, first) for name, first in firsts.items()}
    return [
        PlannedCheck(source.name, source.language, toolchain, standard, source.root, source.entry)
        for source in sources
        for toolchain, standard in _pairs_of(source, pairs[source.language.name])
    ]


def _pairs_of(source: Source, pairs: list[tuple[Toolchain, str | None]]) -> list[tuple[Toolchain, str | None]]:
    """Those of its language, at the standard that a listing says where the request says none."""
    entry = source.entry
    if entry is None:
        return pairs
    if entry.problem:
        return pairs[:1]
    return [
        # One that the toolchain does not know is told when it is its turn: another one would be another question.
        (toolchain, standard or entry.standard)
        for toolchain, standard in pairs
    ]


def _sources_among(files: Mapping[str, bytes], request: CheckRequest) -> Iterable[Source]:
    asked = request.language
    for path in request.paths:
        if path not in files:
            raise SourceError(f"check {path}", "there is no such file", "name one of the files that were sent")
        yield Source(path, languages.detect(path, files[path], asked))
    if request.include_dirs and request.files:
        tree(request, next(iter(request.files)))  # tells of a wrong one
    if request.paths:
        return
    spoken = [languages.language(asked)] if asked else list(languages.languages())
    found = {file: Source(file, each) for each in spoken for file in each.sources(list(files))}
    if not found:
        what = f"{asked} source" if asked else "source of a language that we know"
        raise SourceError("check the files that were sent", f"there is no {what} among them", "say which to check")
    yield from (found[file] for file in files if file in found)


def _sources_of(path: str, request: CheckRequest) -> Iterable[Source]:
    asked = request.language
    if path == STDIN and request.stdin is None:
        raise SourceError("check -", "nothing was piped in", "pipe a source in, or name a file")
    if path != STDIN and listings.listing(path) and not os.path.isdir(path):
        return _listed(path, request)
    if path == STDIN or not os.path.isdir(path):
        named = languages.language(asked) if asked and path == STDIN else None
        return [Source(path, languages.detect(path, tree(request, path, named).content, asked))]
    # Tells of a wrong include directory before anything runs.
    SourceTree("stdin", include_dirs=request.include_dirs, virtual={"stdin": b""})
    files = list(files_below(path, _on_look(request, "")))
    spoken = [languages.language(asked)] if asked else languages.languages()
    found = {file: Source(file, each, path) for each in spoken for file in each.sources(files)}
    documents = [file for file in files if (known := listings.listing(file)) and known.in_directories]
    if found and not any(map(listings.listing, request.paths)):
        documents = []  # most directories of sources have one that nobody has asked about
    if documents and (blocks := {file: listed for file in documents if (listed := _tells(file, request))}):
        return [source for file in files for source in ([found[file]] if file in found else blocks.get(file, ()))]
    if not found:
        what = f"{asked} source" if asked else "source of a language that we know"
        remedy = "name a file, and its language with --language"
        raise SourceError(f"check the directory {path}", f"there is no {what} in it or below it", remedy)
    return [found[file] for file in files if file in found]


def _listed(path: str, request: CheckRequest) -> list[Source]:
    """What a listing tells of. Raises RequestError where it cannot be read, or tells of nothing that can be checked."""
    sources = _tells(path, request)
    problems = [source.entry.problem for source in sources if source.entry and source.entry.problem]
    if problems and len(problems) == len(sources):
        raise together(problems)
    if not sources:
        what = f"{request.language} source" if request.language else "source of a language that we know"
        raise SourceError(f"check {path}", f"there is no {what} in it", "name a file that has one")
    return sources


def _tells(path: str, request: CheckRequest) -> list[Source]:
    """What a listing tells of in the language asked for, and what is wrong with it. Raises RequestError."""
    asked = languages.language(request.language).name if request.language else None
    sizes = SizeLimits(max(LISTING_BYTES, request.sizes.file_bytes), max(LISTING_BYTES, request.sizes.unit_bytes))
    text = SourceTree(path, limits=sizes, on_look=_on_look(request, "")).content
    entries = listings.entries(path, text, listings.Given(request.include_dirs, request.documents))
    return [
        Source(entry.name, languages.language(entry.language), None, entry)
        for entry in entries
        if entry.problem or asked in {None, entry.language}
    ]


def tree(
    request: CheckRequest,
    source: str,
    language: Language | None = None,
    root: str | None = None,
    entry: Entry | None = None,
) -> SourceTree:
    """Read a source. Raises RequestError."""
    if entry:
        if entry.problem:
            raise entry.problem
        if entry.is_alone:
            virtual = {entry.path: entry.text or b""}
            return SourceTree(entry.path, cwd=SENT, limits=request.sizes, virtual=virtual, disk=False)
        return SourceTree(
            entry.path,
            include_dirs=(*request.include_dirs, *entry.include_dirs),
            limits=request.sizes,
            virtual=None if entry.text is None else {entry.path: entry.text},
            on_look=_on_look(request, source),
            search=entry.search,
            forced=entry.forced,
            workdir=entry.workdir,
        )
    if request.files is not None:
        return SourceTree(
            source,
            roots=["."],
            include_dirs=request.include_dirs,
            cwd=SENT,
            limits=request.sizes,
            virtual=request.files,
            disk=False,
        )
    on_look = _on_look(request, source)
    stdin = None
    if source == STDIN:
        # As gcc and go want a name with an extension, it gets one, which stands in their messages too.
        source = "stdin" + (extension(language) if language else "")
        stdin = {source: request.stdin or b""}
    roots = [root] if root else []
    if language and language.project_file and source != STDIN and not stdin:
        roots += _project(source, language.project_file, on_look)
    return SourceTree(
        source,
        roots=roots,
        include_dirs=request.include_dirs,
        limits=request.sizes,
        virtual=stdin,
        on_look=on_look,
    )


def _on_look(request: CheckRequest, source: str) -> Callable[[str], None] | None:
    told = request.on_look
    return (lambda path: told(source, path)) if told else None


def _project(source: str, project_file: str, on_look: Callable[[str], None] | None) -> list[str]:
    """The nearest directory above a source that has this file, as far up as the current directory: it is given too.

    A source typed as `cmd/tool/main.go` belongs to the module whose directory one stands in.
    """
    here = current_directory()
    directory = os.path.dirname(os.path.abspath(source))
    while below(directory, here):
        path = os.path.join(directory, project_file)
        if on_look:
            on_look(path)
        if os.path.isfile(path):
            return [directory]
        directory = os.path.dirname(directory)
    return []


def extension(language: Language) -> str:
    """The one that is called as the language is: `.c`, `.cpp`, `.go`, `.rs`."""
    named = (f".{name}" for name in (*language.aliases, language.name))
    return next((each for each in named if each in language.extensions), min(language.extensions))


def _pairs(
    request: CheckRequest, available: Sequence[Toolchain], backend: str, first: Source
) -> list[tuple[Toolchain, str | None]]:
    """The toolchains and standards for all sources of a language, of which this is the first."""
    language = first.language
    chosen = _toolchains(request, available, backend, first)
    standards = [known for text in request.standards if (known := _canonical(language, text))]
    for standard in standards:
        if not any(standard in toolchain.standards[language.name] for toolchain in chosen):
            raise unknown_standard(first.name, language, chosen, standard)
    pairs: list[tuple[Toolchain, str | None]] = [
        (toolchain, standard)
        for toolchain in chosen
        for standard in dict.fromkeys(standards)
        if standard in toolchain.standards[language.name]
    ]
    pairs = pairs or [(toolchain, None) for toolchain in chosen]
    # Flags are judged without any source, so that a wrong one is told before anything runs.
    nothing = SourceUnit(source=first.name, language=language.name, files={"main": b""}, main=("main",))
    for toolchain, known in pairs:
        language.command(nothing, toolchain, known or toolchain.defaults[language.name], request.options)
    return pairs


def _toolchains(request: CheckRequest, available: Sequence[Toolchain], backend: str, first: Source) -> list[Toolchain]:
    """Those asked for that speak the language, or the default. Raises ToolchainMissing."""
    language = first.language.name
    if not request.compilers:
        return [toolchains.default(available, language, backend)]
    chosen: dict[str, Toolchain] = {}
    unfit: list[ToolchainMissing] = []
    for text in request.compilers:
        toolchains.select(text, available, None, backend)  # raises for what is nobody's name
        try:
            found = toolchains.select(text, available, language, backend)
        except ToolchainMissing as error:
            unfit.append(error)
        else:
            chosen |= {toolchain.name: toolchain for toolchain in found}
    if unfit and not chosen:
        raise unfit[0]
    return list(chosen.values()) or [toolchains.default(available, language, backend)]


def _canonical(language: Language, text: str) -> str | None:
    try:
        return language.canonical(text)
    except UnknownStandard:
        return None


def _refuse_strange_standards(request: CheckRequest, spoken: list[Language]) -> None:
    """Raises UnknownStandard for one that no language of the sources has."""
    for text in request.standards:
        if not any(_canonical(language, text) for language in spoken):
            if len(spoken) == 1:
                spoken[0].canonical(text)  # raises, and knows best what to say
            raise UnknownStandard(
                f"use the standard {text!r}",
                f"none of {', '.join(language.name for language in spoken)} has one of that name",
                f"use one of: {', '.join(name for language in spoken for name in language.standards)}",
            )


def unknown_standard(source: str, language: Language, chosen: Sequence[Toolchain], standard: str) -> UnknownStandard:
    names = ", ".join(map(str, chosen))
    accepted = dict.fromkeys(name for each in chosen for name in each.standards[language.name])
    return UnknownStandard(
        f"check {source} with {names} at {standard}",
        f"{names} {'does' if len(chosen) == 1 else 'do'} not know {standard}",
        f"use one of: {', '.join(accepted)}",
    )
