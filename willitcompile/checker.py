"""The heart: run the compiles of a check in parallel, and give the results in the order asked.

The worker that compiles a unit gathers it right before: however many files are checked, no more units are in memory
than jobs run. A unit that cannot be gathered, as it was deleted meanwhile or is a binary that a directory holds, costs
no other unit its answer: all other results come first, and then one SourceError names every such file.
"""

from __future__ import annotations

from _thread import allocate_lock
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from willitcompile import languages
from willitcompile.backends import CancelToken
from willitcompile.errors import Interrupted, RequestError, WillItCompileError
from willitcompile.model import EXPECTATION_MARK, MIB, CheckResult, CompileJob, Limits, Verdict
from willitcompile.planning import plan, together, tree, unknown_standard

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from willitcompile.backends import Backend
    from willitcompile.cache import Cache
    from willitcompile.cache.recall import Recall
    from willitcompile.model import CompileResult, Expectation
    from willitcompile.planning import CheckRequest, PlannedCheck

    Answer = CheckResult | RequestError
    """A result, or why there is none for this source."""

_MARK = EXPECTATION_MARK.encode()

COLD = 32
"""Checks after which, where none of their answers was kept, the others are looked up when it is their turn."""

HELD_BYTES = 64 * MIB
"""Of answers that were kept, and wait for their turn."""

LOOK_AHEAD = 32
"""Results for each job that may wait for an earlier one, so that a slow compile does not hold up the others.
Most have a few KB, none more than some copies of `Limits.output_bytes`."""


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
    path: str | None = None
    line: int | None = None
    missing: str = ""
    """What to do where a header is not there."""


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
    entry = check.entry
    files = tree(request, check.source, language, check.root, entry)
    unit = language.gather(files)
    standard = check.standard or language.default_standard(unit, toolchain)
    if standard not in toolchain.standards[language.name]:
        raise unknown_standard(check.source, language, [toolchain], standard)
    options = entry.options.joined(request.options) if entry else request.options
    command = language.command(unit, toolchain, standard, options)
    job = CompileJob(
        toolchain=toolchain.name,
        language=language.name,
        files=unit.files,
        argv=command.argv,
        workdir=unit.workdir,
        environment=command.environment,
        limits=limits,
        link=options.link,
        rejected_exit_codes=command.rejected_exit_codes,
    )
    expected = entry.expected if entry and request.expectations else None
    if expected is None and request.expectations and _MARK in files.content:
        from willitcompile.expectations import expectation

        expected = expectation(check.source, files.content, language, toolchain, standard)
    about = About(check.source, language.name, toolchain.name, standard, unit.prefix, unit.notes, limits, expected)
    if entry:
        file = entry.document or entry.path
        about = about._replace(path=file if file != check.source else None, line=entry.line, missing=entry.missing)
    return job, about


def judge(about: About, result: CompileResult, backend: str) -> CheckResult:
    """What a compile means, by how it ended on the backend of this name."""
    said = languages.language(about.language).messages(result.stdout, result.stderr, about.prefix)
    notes = about.notes
    if about.missing and result.verdict is Verdict.REJECTED:
        from willitcompile.listings.missing import headers

        notes += tuple(f"{name} is not there: {about.missing}" for name in headers(said.diagnostics))
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
        notes=notes if result.verdict is Verdict.REJECTED else (),
        limits=about.limits,
        expected=about.expected,
        path=about.path,
        line=about.line,
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
        raise together(list(failed.values()))


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
