"""`will-it-compile environments`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from willitcompile.cli.interrupt import abandonable, cancelling
from willitcompile.cli.output import write_stdout
from willitcompile.errors import RequestError
from willitcompile.reports.safe import safe_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from willitcompile.backends import Opening
    from willitcompile.cli import Opener
    from willitcompile.model import Toolchain


def environments(backend: str, form: str, opening: Opening, open_backend: Opener) -> int:
    if form not in FORMATS:
        raise RequestError(
            f"list environments as {form!r}",
            "there is no format of that name",
            f"use one of: {', '.join(FORMATS)}",
        )
    with cancelling(), open_backend(backend, opening) as opened:
        write_stdout(FORMATS[form](opened.name, abandonable(opened.toolchains)))
    return 0


def as_text(backend: str, toolchains: Sequence[Toolchain]) -> str:
    return "".join(f"{line}\n" for line in _lines(backend, toolchains))


def _lines(backend: str, toolchains: Sequence[Toolchain]) -> Iterator[str]:
    yield f"backend: {safe_line(backend)}"
    if not toolchains:
        yield "no toolchain; see: will-it-compile doctor"
    for toolchain in toolchains:
        also = f" (also {', '.join(toolchain.aliases)})" if toolchain.aliases else ""
        origin = f", from {toolchain.origin}" if toolchain.origin else ""
        yield ""
        yield safe_line(f"{toolchain}{also}{origin}")
        for language, standards in toolchain.standards.items():
            default = toolchain.defaults.get(language)
            names = (f"{name} (default)" if name == default else name for name in standards)
            yield safe_line(f"  {language}: {', '.join(names)}")
        for compiler in dict.fromkeys(toolchain.compilers.values()):
            yield safe_line(f"  {compiler}")


def as_json(backend: str, toolchains: Sequence[Toolchain]) -> str:
    """Version 1; docs/json.md tells each field."""
    from willitcompile.reports.json import dumps

    described = [
        {
            "name": toolchain.name,
            "family": toolchain.family,
            "version": toolchain.version,
            "aliases": list(toolchain.aliases),
            "origin": toolchain.origin,
            "languages": {
                language: {
                    "compiler": toolchain.compilers.get(language),
                    "standards": list(standards),
                    "default": toolchain.defaults.get(language),
                }
                for language, standards in toolchain.standards.items()
            },
        }
        for toolchain in toolchains
    ]
    document = {"version": 1, "backend": backend, "toolchains": described}
    return dumps(document) + "\n"


FORMATS: dict[str, Callable[[str, Sequence[Toolchain]], str]] = {"text": as_text, "json": as_json}
