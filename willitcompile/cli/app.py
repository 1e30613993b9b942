"""The command line as typer has it: the authority on what is right, what is said about it, and the help."""

from __future__ import annotations

import io
import shlex
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from willitcompile.backends import Opening
from willitcompile.cli import COMPLETION, PROGRAM, completion
from willitcompile.cli.arguments import MANY, OPTIONS, SWITCHES, arguments
from willitcompile.cli.options import (
    DEFAULT,
    Backend,
    Config,
    Context,
    Define,
    Flag,
    Images,
    Include,
    Jobs,
    Language,
    Link,
    Many,
    Memory,
    Namespace,
    NoCache,
    Output,
    Timeout,
    Warn,
)
from willitcompile.cli.output import write_stdout
from willitcompile.cli.terminal import say
from willitcompile.config import SETTINGS, resolve
from willitcompile.errors import RequestError
from willitcompile.reports import REPORTS, units
from willitcompile.server.settings import ServeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from willitcompile.cli import Action, Opener
    from willitcompile.cli.arguments import CheckArguments

# typer exports no other name for it, and brings its own click or not, by its version.
UsageError: Any = typer.BadParameter.__mro__[1]

CHECK_SETTINGS = frozenset(SETTINGS)

app = typer.Typer(
    name=PROGRAM,
    help="Does this source compile, with this compiler, at this standard? Answered exactly and safely.",
    epilog="Exit codes: 0 everything compiles, 1 something does not, 2 the request is wrong, "
    "3 no answer could be had, 130 interrupted.",
    # rich would cost every --help more than all the rest.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def parse(argv: Sequence[str]) -> Action | int:
    """What the command line asks for; an exit code where it was for help, or for completion, and all is said.

    Raises RequestError, ReaderGone or NoAnswer.
    """
    chosen: list[Action] = []
    said = io.StringIO()
    code: object = 0
    try:
        with redirect_stdout(said):
            # The commands only choose: what they do must not run inside of typer, which has ways of its own
            # with interrupts and broken pipes.
            code = app(args=list(argv), prog_name=PROGRAM, complete_var=COMPLETION, obj=chosen, standalone_mode=False)
    except SystemExit as end:
        code = end.code
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            say(error.format_message())
            return 2
        raise _wrong(error, argv) from None
    if text := said.getvalue():
        write_stdout(text)
    if chosen:
        return chosen[0]
    return code if isinstance(code, int) else 0


def _wrong(error: Any, argv: Sequence[str]) -> RequestError:
    command = PROGRAM if argv[0].startswith("-") else f"{PROGRAM} {argv[0]}"
    if error.ctx:
        command = error.ctx.command_path
    obstacle = error.format_message().rstrip(".")
    remedy = f"{command} --help"
    # Only a slip of the compiler's own flags, as -O2, is of one dash and unknown.
    option = getattr(error, "option_name", "")
    if command.endswith(" check") and option.startswith("-") and not option.startswith("--"):
        flag = next((word for word in argv if word.startswith(option)), option)
        remedy = f"for a flag of the compiler write: --flag={flag}; else see: {remedy}"
    return RequestError(shlex.join([PROGRAM, *argv]), obstacle[:1].lower() + obstacle[1:], remedy)


def _version(asked: bool) -> None:
    if asked:
        from willitcompile.cli.version import version

        typer.echo(version())
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    _ = version  # its callback has done it


def _serving(name: str, metavar: str, text: str, field: str) -> Any:
    """An option of `serve`, its help with its default."""
    default = getattr(ServeSettings(), field)
    if metavar == "SIZE":
        default = units.size(default)
    elif metavar == "TIME":
        default = f"{default:g} s"
    elif isinstance(default, float):
        default = f"{default:g}"
    return typer.Option(f"--{name}", metavar=metavar, help=f"{text} (default {default}).")


@app.command(epilog="Settings also come from willitcompile.yaml or pyproject.toml, see --config.")
def check(
    ctx: typer.Context,
    paths: Annotated[
        Many,
        typer.Argument(metavar="[PATH]...", help="Files, directories, or - for standard input."),
    ] = None,
    compiler: Annotated[
        Many,
        typer.Option(
            "--compiler",
            "-c",
            metavar="NAME",
            help="gcc, gcc-13, 'gcc>=10', all; repeat, or use commas.",
            autocompletion=completion.toolchains,
        ),
    ] = None,
    std: Annotated[
        Many,
        typer.Option(
            "--std",
            "-s",
            metavar="STD",
            help="A standard or edition: c++20, c17, 2021; repeat or separate by commas.",
            autocompletion=completion.standards,
        ),
    ] = None,
    language: Language = None,
    backend: Backend = None,
    include: Include = None,
    define: Define = None,
    warning: Warn = None,
    flag: Flag = None,
    images: Images = None,
    link: Link = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and check again what a changed file affects; Ctrl-C ends it.")
    ] = False,
    jobs: Jobs = None,
    timeout: Timeout = None,
    memory: Memory = None,
    cpus: Annotated[
        str | None,
        typer.Option("--cpus", metavar="N", help="Cores one compile may keep busy: 1.5 (default all)."),
    ] = None,
    max_output: Annotated[
        str | None,
        typer.Option(
            "--max-output",
            metavar="SIZE",
            help=f"What one compile may print (default {units.size(DEFAULT.max_output)}).",
        ),
    ] = None,
    max_file_size: Annotated[
        str | None,
        typer.Option(
            "--max-file-size",
            metavar="SIZE",
            help=f"The largest source file to take (default {units.size(DEFAULT.max_file_size)}).",
        ),
    ] = None,
    max_unit_size: Annotated[
        str | None,
        typer.Option(
            "--max-unit-size",
            metavar="SIZE",
            help=f"The largest source with its local headers (default {units.size(DEFAULT.max_unit_size)}).",
        ),
    ] = None,
    format_: Annotated[
        Many,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME[:FILE]",
            help=f"text (the default), {', '.join(list(REPORTS)[1:])}; repeat for several: -f text -f json:out.json.",
            autocompletion=completion.formats,
        ),
    ] = None,
    output: Output = None,
    no_cache: NoCache = False,
    cache_size: Annotated[
        str | None,
        typer.Option(
            "--cache-size",
            metavar="SIZE",
            help=f"What answers that are kept may take (default {units.size(DEFAULT.cache_size)}).",
        ),
    ] = None,
    shared_cache: Annotated[
        str | None,
        typer.Option(
            "--shared-cache", metavar="PLACE", help="Share answers with others: a directory, or redis://HOST/0."
        ),
    ] = None,
    no_expectations: Annotated[
        bool, typer.Option("--no-expectations", help="What does not compile is bad, whatever its comments expect.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say only what does not compile; no progress bar.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more: the compiler's version, memory, tracebacks.")
    ] = False,
    color: Annotated[
        str | None,
        typer.Option(
            "--color",
            metavar="WHEN",
            help="auto (the default), always or never.",
            autocompletion=completion.colors,
        ),
    ] = None,
    context: Context = None,
    namespace: Namespace = None,
    config: Config = None,
) -> None:
    """Compile sources, each in a sandbox, and say how it ended.

    \b
    will-it-compile check main.cpp
    will-it-compile check src/ --compiler gcc,clang --std c++17,c++20
    cat main.cpp | will-it-compile check - --language c++
    """
    asked = _check_arguments(locals())
    ctx.obj.append(lambda open_backend: _check(asked, open_backend))


def _check_arguments(given: Mapping[str, Any]) -> CheckArguments:
    """The same that `willitcompile.cli.quick` makes of it."""
    values = {}
    for name in set(OPTIONS.values()):
        value = given[_parameter(name)]
        if value is not None:
            values[name] = list(value) if name in MANY else [value]
    switches = frozenset(name for name in SWITCHES.values() if given[_parameter(name)])
    return arguments(given["paths"] or [], values, switches)


def _parameter(name: str) -> str:
    return "format_" if name == "format" else name.replace("-", "_")


def _check(asked: CheckArguments, open_backend: Opener) -> int:
    from willitcompile.cli.check import check as act

    return act(asked, open_backend)


def _opening(config: str | None, context: str | None, namespace: str | None) -> Opening:
    """For commands that ask of backends what the settings say of them. Raises RequestError."""
    given = {"context": context, "namespace": namespace}
    settings = resolve({name: (value,) for name, value in given.items() if value is not None}, file=config)
    for note in settings.notes:
        say(f"note: {note}")
    return Opening(lambda text: say(f"note: {text}"), images=settings.images, options=settings.options)


@app.command(
    epilog="Settings also come from willitcompile.yaml or pyproject.toml, but for compilers, standards and reports."
)
def minimum(
    ctx: typer.Context,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files, directories, or - for standard input.")],
    compiler: Annotated[
        Many,
        typer.Option(
            "--compiler",
            "-c",
            metavar="NAME",
            help="gcc for all of its versions, gcc-12, 'gcc>=10' (default all).",
            autocompletion=completion.toolchains,
        ),
    ] = None,
    language: Language = None,
    backend: Backend = None,
    include: Include = None,
    define: Define = None,
    warning: Warn = None,
    flag: Flag = None,
    images: Images = None,
    link: Link = False,
    jobs: Jobs = None,
    timeout: Timeout = None,
    memory: Memory = None,
    format_: Annotated[str, typer.Option("--format", "-f", metavar="NAME", help="text or json.")] = "text",
    output: Output = None,
    no_cache: NoCache = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say the answer alone.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more: each standard that was tried, tracebacks.")
    ] = False,
    context: Context = None,
    namespace: Namespace = None,
    config: Config = None,
) -> None:
    """Find the lowest standard, and the earliest version of each compiler, that take a source."""
    given = {name: value for name, value in locals().items() if name in CHECK_SETTINGS}
    given["link"] = "true" if link else None
    given["cache"] = "false" if no_cache else None

    def act(open_backend: Opener) -> int:
        from willitcompile.cli.minimum import MinimumArguments, find_minimum

        asked = MinimumArguments(tuple(paths), _typed(given), format_, output, config, quiet, verbose)
        return find_minimum(asked, open_backend)

    ctx.obj.append(act)


@app.command(epilog="Settings also come from willitcompile.yaml or pyproject.toml, but for reports.")
def batch(
    ctx: typer.Context,
    input_: Annotated[
        str, typer.Argument(metavar="[FILE]", help="Records, one JSON object a line; - for standard input.")
    ] = "-",
    compiler: Annotated[
        Many,
        typer.Option(
            "--compiler",
            "-c",
            metavar="NAME",
            help="For records that name none; repeat, or use commas.",
            autocompletion=completion.toolchains,
        ),
    ] = None,
    std: Annotated[
        Many,
        typer.Option(
            "--std",
            "-s",
            metavar="STD",
            help="For records that name none; repeat, or use commas.",
            autocompletion=completion.standards,
        ),
    ] = None,
    language: Language = None,
    backend: Backend = None,
    define: Define = None,
    warning: Warn = None,
    flag: Flag = None,
    images: Images = None,
    link: Link = False,
    jobs: Jobs = None,
    timeout: Timeout = None,
    memory: Memory = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the answers to this file.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with that file: what it answers is not asked again.")
    ] = False,
    order: Annotated[
        str,
        typer.Option(
            "--order",
            metavar="NAME",
            help="Of the answers: finished (as they come) or input.",
            autocompletion=completion.orders,
        ),
    ] = "finished",
    group_by: Annotated[
        str, typer.Option("--group-by", metavar="FIELD", help="The field of a record to count compile rates by.")
    ] = "group",
    summary: Annotated[
        str | None, typer.Option("--summary", metavar="FILE", help="Write the counts to this file, as JSON.")
    ] = None,
    no_cache: NoCache = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No counter, no summary.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more: tracebacks.")] = False,
    context: Context = None,
    namespace: Namespace = None,
    config: Config = None,
) -> None:
    """Check many sources, each a line of JSON, and answer each with a line.

    \b
    will-it-compile batch < in.jsonl > out.jsonl
    will-it-compile batch in.jsonl --output out.jsonl --resume
    """
    given = {name: value for name, value in locals().items() if name in CHECK_SETTINGS}
    given["link"] = "true" if link else None
    given["cache"] = "false" if no_cache else None
    _ = verbose  # which `willitcompile.cli` looks for itself

    def act(open_backend: Opener) -> int:
        from willitcompile.cli.batch import BatchArguments, batch

        asked = BatchArguments(input_, _typed(given), output, resume, order, group_by, summary, config, quiet)
        return batch(asked, open_backend)

    ctx.obj.append(act)


def _typed(given: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Settings by name, of those that were named."""
    return {
        name: tuple(value) if isinstance(value, list) else (value,)
        for name, value in given.items()
        if value is not None
    }


@app.command()
def environments(
    ctx: typer.Context,
    backend: Annotated[str, typer.Option("--backend", "-b", metavar="NAME", help="Whose toolchains.")] = "auto",
    format_: Annotated[str, typer.Option("--format", "-f", metavar="NAME", help="text or json.")] = "text",
    context: Context = None,
    namespace: Namespace = None,
    config: Config = None,
) -> None:
    """List the toolchains that are there, with their standards."""

    def act(open_backend: Opener) -> int:
        from willitcompile.cli.environments import environments

        return environments(backend, format_, _opening(config, context, namespace), open_backend)

    ctx.obj.append(act)


@app.command()
def doctor(ctx: typer.Context, context: Context = None, namespace: Namespace = None, config: Config = None) -> None:
    """Say what this machine lacks, and how to mend it."""

    def act(_: Opener) -> int:
        from willitcompile.cli.doctor import doctor

        return doctor(lambda: _opening(config, context, namespace))

    ctx.obj.append(act)


@app.command()
def clean(ctx: typer.Context, context: Context = None, namespace: Namespace = None, config: Config = None) -> None:
    """Clear away what a killed run left behind."""

    def act(_: Opener) -> int:
        from willitcompile.cli.clean import clean

        return clean(_opening(config, context, namespace))

    ctx.obj.append(act)


@app.command()
def version(ctx: typer.Context) -> None:
    """Print the version, and those of Python and the system."""

    def act(_: Opener) -> int:
        from willitcompile.cli.version import version

        write_stdout(f"{version()}\n")
        return 0

    ctx.obj.append(act)


@app.command(
    epilog="Each is a setting too: port of the section serve in a file named with --config, and WIC_SERVE_PORT."
)
def serve(
    ctx: typer.Context,
    host: Annotated[str | None, _serving("host", "ADDRESS", "Where to listen", "host")] = None,
    port: Annotated[str | None, _serving("port", "N", "Also PORT; 0 for any that is free", "port")] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", "-b", metavar="NAME", help="Where to compile (default auto).")
    ] = None,
    jobs: Annotated[
        str | None,
        typer.Option(
            "--jobs", "-j", metavar="N", help="Compiles at one time, also MAX_WORKERS; else one on each core."
        ),
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help=f"For one compile (default {DEFAULT.timeout:g} s).")
    ] = None,
    memory: Annotated[str | None, typer.Option("--memory", metavar="SIZE", help="For one compile.")] = None,
    cpus: Annotated[str | None, typer.Option("--cpus", metavar="N", help="For one compile.")] = None,
    max_output: Annotated[
        str | None, typer.Option("--max-output", metavar="SIZE", help="What one compile may print.")
    ] = None,
    images: Annotated[Many, typer.Option("--images", metavar="NAME=IMAGE", help="The image for a toolchain.")] = None,
    queue_size: Annotated[
        str | None, _serving("queue-size", "N", "Compiles that may wait, also QUEUE_SIZE", "queue_size")
    ] = None,
    keep: Annotated[str | None, _serving("keep", "TIME", "How long results are kept", "keep")] = None,
    keep_results: Annotated[
        str | None, _serving("keep-results", "N", "How many checks that are over are kept", "keep_results")
    ] = None,
    keep_bytes: Annotated[str | None, _serving("keep-bytes", "SIZE", "And how much of them", "keep_bytes")] = None,
    state: Annotated[
        str | None, typer.Option("--state", metavar="DIR", help="Where queue and results are kept, without a cluster.")
    ] = None,
    rate_limit: Annotated[
        str | None, _serving("rate-limit", "N", "Checks a minute of one client, 0 for no limit", "rate_limit")
    ] = None,
    trusted_proxies: Annotated[
        Many,
        typer.Option("--trusted-proxies", metavar="NETWORK", help="Whose X-Forwarded-For is believed: 10.0.0.0/8."),
    ] = None,
    tokens: Annotated[
        str | None, typer.Option("--tokens", metavar="FILE", help="Who may ask: see will-it-compile token.")
    ] = None,
    cors_origin: Annotated[
        str | None, _serving("cors-origin", "ORIGIN", "Which sites' pages may ask", "cors_origin")
    ] = None,
    max_body: Annotated[str | None, _serving("max-body", "SIZE", "The largest request", "max_body")] = None,
    header_timeout: Annotated[
        str | None, _serving("header-timeout", "TIME", "For a request's head to be sent", "header_timeout")
    ] = None,
    body_timeout: Annotated[str | None, _serving("body-timeout", "TIME", "For its body", "body_timeout")] = None,
    max_connections: Annotated[str | None, _serving("max-connections", "N", "At one time", "max_connections")] = None,
    grace: Annotated[str | None, _serving("grace", "TIME", "For what runs, when told to end", "grace")] = None,
    log_format: Annotated[str | None, _serving("log-format", "NAME", "json or text", "log_format")] = None,
    log_level: Annotated[
        str | None, _serving("log-level", "NAME", "debug, info, warning or error", "log_level")
    ] = None,
    context: Context = None,
    namespace: Namespace = None,
    config: Config = None,
) -> None:
    """Answer checks over HTTP, with a page for people."""
    given = {name: value for name, value in locals().items() if value is not None and name not in {"ctx", "config"}}

    def act(open_backend: Opener) -> int:
        from willitcompile.cli.serve import serve as act

        typed = {
            name.replace("_", "-"): value if isinstance(value, list) else (value,) for name, value in given.items()
        }
        of_check = {name: values for name, values in typed.items() if name in CHECK_SETTINGS}
        own = {name: values for name, values in typed.items() if name not in of_check}
        return act(of_check, own, config, open_backend)

    ctx.obj.append(act)


@app.command()
def mcp(
    ctx: typer.Context,
    backend: Backend = None,
    images: Images = None,
    timeout: Timeout = None,
    memory: Memory = None,
    context: Context = None,
    namespace: Namespace = None,
    config: Config = None,
) -> None:
    """Answer a coding agent over stdin and stdout, by the Model Context Protocol."""
    given = {name: value for name, value in locals().items() if name in CHECK_SETTINGS}

    def act(open_backend: Opener) -> int:
        from willitcompile.cli.mcp import mcp as act

        return act(_typed(given), config, open_backend)

    ctx.obj.append(act)


@app.command()
def token(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is for.")],
) -> None:
    """Make a token for somebody to use a service with, and the line for its --tokens file."""

    def act(_: Opener) -> int:
        from willitcompile.cli.serve import token

        return token(name)

    ctx.obj.append(act)


images = typer.Typer(
    name="images",
    help="The toolchain images of the Docker daemon.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
app.add_typer(images)

Names = Annotated[
    list[str],
    typer.Argument(metavar="NAME...", help="gcc-13, gcc for the default, or all.", autocompletion=completion.images),
]
Pins = Annotated[
    Many, typer.Option("--images", metavar="NAME=IMAGE", help="The image for a toolchain, before all others.")
]


@images.command("list")
def list_images(
    ctx: typer.Context,
    format_: Annotated[str, typer.Option("--format", "-f", metavar="NAME", help="text or json.")] = "text",
    pins: Pins = None,
    config: Config = None,
) -> None:
    """List every toolchain: its image, or where that can be had from."""

    def act(_: Opener) -> int:
        from willitcompile.cli.images import list_images as act

        return act(format_, pins or (), config)

    ctx.obj.append(act)


@images.command("build")
def build_images(
    ctx: typer.Context,
    names: Names,
    network: Annotated[
        str | None,
        typer.Option("--network", metavar="NAME", help="What the build's commands reach others by: host."),
    ] = None,
    build_arg: Annotated[
        Many,
        typer.Option("--build-arg", metavar="NAME=VALUE", help="For the Dockerfile: GOPROXY=https://example.org."),
    ] = None,
    config: Config = None,
) -> None:
    """Build images of our own, the smallest ones."""

    def act(_: Opener) -> int:
        from willitcompile.cli.images import build

        return build(names, network, build_arg or (), config)

    ctx.obj.append(act)


@images.command("pull")
def pull_images(ctx: typer.Context, names: Names, pins: Pins = None, config: Config = None) -> None:
    """Pull official images, or those that the settings name."""

    def act(_: Opener) -> int:
        from willitcompile.cli.images import pull

        return pull(names, pins or (), config)

    ctx.obj.append(act)


cache = typer.Typer(
    name="cache",
    help="The answers that were given before.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
app.add_typer(cache)


@cache.command("stats")
def cache_stats(ctx: typer.Context, config: Config = None) -> None:
    """Say where they are, how many, and how often they were of use."""

    def act(_: Opener) -> int:
        from willitcompile.cli.cache import stats

        return stats(resolve({}, file=config))

    ctx.obj.append(act)


@cache.command("clear")
def cache_clear(ctx: typer.Context, config: Config = None) -> None:
    """Forget all of them."""

    def act(_: Opener) -> int:
        from willitcompile.cli.cache import clear

        return clear(resolve({}, file=config))

    ctx.obj.append(act)
