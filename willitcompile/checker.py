"""The heart: plan a check, run its compiles in parallel, and give the results in the order asked.

Planning walks directories and looks at the files that were named, so that a wrong request is told before
anything runs, but keeps no source. The worker that compiles a unit gathers it right before: however
many files are checked, no more units are in memory than jobs run.

A unit that cannot be gathered, as it was deleted meanwhile or is a binary that a directory holds, costs no
other unit its answer: all other results come first, and then one SourceError names every such file.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from contextlib import closing, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile import languages, toolchains
from willitcompile.backends import CancelToken, Wanted
from willitcompile.errors import (
    Interrupted,
    RequestError,
    SourceError,
    ToolchainMissing,
    UnknownStandard,
    WillItCompileError,
)
from willitcompile.files import below, current_directory, files_below
from willitcompile.languages import CompileOptions
from willitcompile.model import EXPECTATION_MARK, MIB, CheckResult, CompileJob, Limits, SourceUnit, Verdict
from willitcompile.sources import SizeLimits, SourceTree

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from willitcompile.backends import Backend
    from willitcompile.cache import Cache
    from willitcompile.cache.recall import Recall
    from willitcompile.languages import Language
    from willitcompile.model import CompileResult, Expectation, Toolchain

    Answer = CheckResult | RequestError
    """A result, or why there is none for this source."""

STDIN = "-"

SENT = "/sent"
"""Where files are that were sent, for those who read them: no directory of this machine."""

_MARK = EXPECTATION_MARK.encode()

COLD = 32
"""Checks after which, where none of their answers was kept, the others are looked up when it is their turn."""

HELD_BYTES = 64 * MIB
"""Of answers that were kept, and wait for their turn."""

MOST_SHOWN = 20
"""Of the sources that cannot be checked, in one message."""

LOOK_AHEAD = 32
"""Results for each job that may wait for an earlier one, so that a slow compile does not hold up the others.
Most have a few KB, none more than some copies of `Limits.output_bytes`."""


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


class About(NamedTuple):
    """What it takes to tell what a compile means, besides how it ended."""

    source: str
    language: str
    toolchain: str
    standard: str
    prefix: str = ""
    """See `SourceUnit`, as for the notes."""
    notes: tuple[str, ...] = ()
    limits: Limits = Limits()
    expected: Expectation | None = None


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


class Source(NamedTuple):
    """What was found to be checked. The fields are those of `PlannedCheck`."""

    name: str
    language: Language
    root: str | None = None


def find(request: CheckRequest) -> list[Source]:
    """What to check, in the order asked and each once. Looks at what was named, but keeps no content.

    Raises RequestError.
    """
    seen = set()
    found = []
    if request.files is not None:
        return list(dict.fromkeys(_sources_among(request.files, request)))
    for path in request.paths:
        for source in _sources_of(path, request):
            # The same file may be named twice, or named and found in a directory.
            where = STDIN if source.name == STDIN else os.path.abspath(source.name)
            if where not in seen:
                seen.add(where)
                found.append(source)
    return found


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
        PlannedCheck(source.name, source.language, toolchain, standard, source.root)
        for source in sources
        for toolchain, standard in pairs[source.language.name]
    ]


def run(
    request: CheckRequest,
    backend: Backend,
    *,
    cancel: CancelToken | None = None,
    on_result: Callable[[CheckResult], None] | None = None,
    checks: list[PlannedCheck] | None = None,
    cache: Cache | None = None,
) -> Generator[CheckResult]:
    """Run a check: its results in the order asked, each as soon as it and all before it are there.

    `on_result` hears of each result as soon as it alone is there: one at a time, in whatever thread. `cancel`
    is this run's own: an error, Ctrl-C or closing the iterator cancels it. When the iterator has ended, in
    whatever way, nothing runs any more. A caller that may leave it early closes it: contextlib.closing. `checks` are
    what `plan` has planned, where it was asked already. What was answered before is taken from `cache`, and what was
    not is kept there; the caller closes it.

    Raises RequestError at once. The iterator raises RequestError for single sources after all other results
    (see the module), and NoAnswer or Interrupted as soon as everything has stopped.
    """
    checks = plan(request, backend) if checks is None else checks
    cancel = cancel or CancelToken()
    if cache is None:
        return _results(checks, request, backend, cancel, on_result, None)
    from willitcompile.cache.recall import Recall

    return _results(checks, request, backend, cancel, on_result, Recall(cache, backend))


def prepare(check: PlannedCheck, request: CheckRequest, limits: Limits) -> tuple[CompileJob, About]:
    """Read the source and what it needs: its job, and what is known of it. Raises RequestError."""
    language, toolchain = check.language, check.toolchain
    tree = _tree(request, check.source, language, check.root)
    unit = language.gather(tree)
    standard = check.standard or language.default_standard(unit, toolchain)
    if standard not in toolchain.standards[language.name]:
        raise _unknown_standard(check.source, language, [toolchain], standard)
    command = language.command(unit, toolchain, standard, request.options)
    job = CompileJob(
        toolchain=toolchain.name,
        language=language.name,
        files=unit.files,
        argv=command.argv,
        workdir=unit.workdir,
        environment=command.environment,
        limits=limits,
        link=request.options.link,
        rejected_exit_codes=command.rejected_exit_codes,
    )
    expected = None
    if request.expectations and _MARK in tree.content:
        from willitcompile.expectations import expectation

        expected = expectation(check.source, tree.content, language, toolchain, standard)
    about = About(check.source, language.name, toolchain.name, standard, unit.prefix, unit.notes, limits, expected)
    return job, about


def judge(about: About, result: CompileResult, backend: str) -> CheckResult:
    """What a compile means, by how it ended on the backend of this name."""
    said = languages.language(about.language).messages(result.stdout, result.stderr, about.prefix)
    return CheckResult(
        source=about.source,
        language=about.language,
        toolchain=about.toolchain,
        standard=about.standard,
        backend=backend,
        result=result,
        stdout=said.stdout,
        stderr=said.stderr,
        diagnostics=said.diagnostics,
        notes=about.notes if result.verdict is Verdict.REJECTED else (),
        limits=about.limits,
        expected=about.expected,
    )


def _sources_among(files: Mapping[str, bytes], request: CheckRequest) -> Iterable[Source]:
    asked = request.language
    for path in request.paths:
        if path not in files:
            raise SourceError(f"check {path}", "there is no such file", "name one of the files that were sent")
        yield Source(path, languages.detect(path, files[path], asked))
    if request.include_dirs and request.files:
        _tree(request, next(iter(request.files)))  # tells of a wrong one
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
    if path == STDIN or not os.path.isdir(path):
        named = languages.language(asked) if asked and path == STDIN else None
        return [Source(path, languages.detect(path, _tree(request, path, named).content, asked))]
    # Tells of a wrong include directory before anything runs.
    SourceTree("stdin", include_dirs=request.include_dirs, virtual={"stdin": b""})
    files = list(files_below(path, _on_look(request, "")))
    spoken = [languages.language(asked)] if asked else languages.languages()
    found = {file: Source(file, each, path) for each in spoken for file in each.sources(files)}
    if not found:
        what = f"{asked} source" if asked else "source of a language that we know"
        remedy = "name a file, and its language with --language"
        raise SourceError(f"check the directory {path}", f"there is no {what} in it or below it", remedy)
    return [found[file] for file in files if file in found]


def _tree(request: CheckRequest, source: str, language: Language | None = None, root: str | None = None) -> SourceTree:
    """Read a source. Raises SourceError."""
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
        source = "stdin" + (_extension(language) if language else "")
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


def _extension(language: Language) -> str:
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
            raise _unknown_standard(first.name, language, chosen, standard)
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


def _unknown_standard(source: str, language: Language, chosen: Sequence[Toolchain], standard: str) -> UnknownStandard:
    names = ", ".join(map(str, chosen))
    accepted = dict.fromkeys(name for each in chosen for name in each.standards[language.name])
    return UnknownStandard(
        f"check {source} with {names} at {standard}",
        f"{names} {'does' if len(chosen) == 1 else 'do'} not know {standard}",
        f"use one of: {', '.join(accepted)}",
    )


def _results(
    checks: list[PlannedCheck],
    request: CheckRequest,
    backend: Backend,
    cancel: CancelToken,
    on_result: Callable[[CheckResult], None] | None,
    recall: Recall | None,
) -> Generator[CheckResult]:
    one_at_a_time = allocate_lock()
    limits = backend.limits._replace(**request.limits)
    kept: dict[int, CheckResult] = {}
    looked = 0

    is_plain = request.hint and len(checks) == 1 and checks[0].standard is None

    def found(job: CompileJob, about: About) -> CheckResult | None:
        answer = recall.find(job) if recall else None
        return judge(about, answer, backend.name)._replace(cached=True) if answer else None

    def compiled(job: CompileJob, about: About) -> CheckResult:
        answer = recall.compile(job, cancel) if recall else backend.compile(job, cancel)
        return judge(about, answer, backend.name)

    def hint(check: PlannedCheck, rejected: CheckResult) -> str | None:
        from willitcompile.hints import later_standard

        def accepts(standard: str) -> bool:
            prepared = prepare(check._replace(standard=standard), request, limits)
            return (found(*prepared) or compiled(*prepared)).verdict is Verdict.COMPILED

        try:
            return later_standard(rejected, tuple(check.toolchain.standards[rejected.language]), accepts)
        except WillItCompileError:
            return None  # The answer is there: whatever stands in the way of a hint must not cost it.

    def answer(place: int) -> Answer:
        if cancel.cancelled:
            raise Interrupted("check", "it was cancelled", "run it again")
        check, result = checks[place], kept.pop(place, None)
        if result is None:
            try:
                prepared = prepare(check, request, limits)
            except RequestError as error:
                return error
            result = (found(*prepared) if place >= looked else None) or compiled(*prepared)
        if is_plain and result.verdict is Verdict.REJECTED and not result.is_as_expected:
            result = result._replace(hint=hint(check, result))
        if on_result:
            with one_at_a_time:
                on_result(result)
        return result

    # Before anything is prepared for compiles that may not be needed.
    if recall:
        kept, looked = _look_up(checks, lambda check: found(*prepare(check, request, limits)), cancel)
    at_once = backend.at_once(request.jobs)
    coming: dict[str, list[str]] = {}
    for place, check in enumerate(checks):
        if place not in kept:
            coming.setdefault(check.toolchain.name, []).append(check.source)
    for name, sources in coming.items():
        backend.expect(name, limits, len(sources), at_once, cancel, len(set(sources)))
    jobs = min(at_once, len(checks) - len(kept))
    # One job needs no thread, nor the time to import them.
    answers = (
        _in_parallel(answer, checks, jobs, cancel) if jobs > 1 else (answer(place) for place in range(len(checks)))
    )
    failed: dict[str, RequestError] = {}
    with closing(recall) if recall else nullcontext(), closing(answers):
        for check, answered in zip(checks, answers, strict=True):
            if isinstance(answered, RequestError):
                failed.setdefault(check.source, answered)
            else:
                yield answered
    if failed:
        raise _together(list(failed.values()))


def _look_up(
    checks: Sequence[PlannedCheck], find: Callable[[PlannedCheck], CheckResult | None], cancel: CancelToken
) -> tuple[dict[int, CheckResult], int]:
    """Of the first checks those whose answer was kept, by their place, and how many these first ones are."""
    kept: dict[int, CheckResult] = {}
    held = 0
    for place, check in enumerate(checks):
        if cancel.cancelled or held > HELD_BYTES or (place >= COLD and not kept):
            return kept, place
        try:
            result = find(check)
        except RequestError:
            continue  # which is told when it is its turn
        if result:
            kept[place] = result
            held += len(result.stdout) + len(result.stderr)
    return kept, len(checks)


def _in_parallel(
    answer: Callable[[int], Answer], checks: Sequence[PlannedCheck], jobs: int, cancel: CancelToken
) -> Generator[Answer]:
    """The answers in order, by the places of the checks. The first error cancels all that run, and is raised when they
    have stopped.

    Of one source every toolchain gets a compile before any gets its next: so a backend that has something ready for a
    toolchain needs it once, and not for each of those that run at the same time.
    """
    from collections import deque
    from concurrent.futures import Future, ThreadPoolExecutor
    from itertools import groupby
    from threading import Semaphore

    errors: list[BaseException] = []
    free = Semaphore(jobs)

    def answer_or_stop_all(place: int) -> Answer:
        try:
            with free:
                return answer(place)
        except BaseException as error:
            errors.append(error)
            cancel.cancel()
            raise

    pool = ThreadPoolExecutor(jobs, thread_name_prefix="will-it-compile")
    try:
        waiting: deque[Future[Answer]] = deque()
        for _, group in groupby(range(len(checks)), lambda place: checks[place].source):
            places = list(group)
            submitted = {place: pool.submit(answer_or_stop_all, place) for place in _in_turns(places, checks)}
            waiting.extend(submitted[place] for place in places)
            while len(waiting) >= jobs * LOOK_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BaseException as error:
        cancel.cancel()
        pool.shutdown(cancel_futures=True)
        # Where Ctrl-C comes while the pool starts a thread, the pool does not know of it, nor wait for it.
        for _ in range(jobs):
            free.acquire()
        free.release(jobs)
        if errors and isinstance(error, Exception):
            # What comes first in order may only have been interrupted because of it.
            raise errors[0] from None
        raise
    pool.shutdown()


def _in_turns(places: Sequence[int], checks: Sequence[PlannedCheck]) -> list[int]:
    """Each toolchain's first, then each one's second, and so on."""
    turns: dict[str, int] = {}
    keys = {}
    for place in places:
        name = checks[place].toolchain.name
        turns[name] = keys[place] = turns.get(name, 0) + 1
    return sorted(places, key=keys.__getitem__)


def _together(errors: list[RequestError]) -> RequestError:
    if len(errors) == 1:
        return errors[0]
    shown = [f"{error}" for error in errors[:MOST_SHOWN]]
    more = [f"and {len(errors) - MOST_SHOWN} more"] if len(errors) > MOST_SHOWN else []
    return SourceError(f"check {len(errors)} of the sources", "\n  ".join(["", *shown, *more]), errors[0].remedy)
