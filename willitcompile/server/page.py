"""The page at `/`, for people: files of this package, as they are, with headers that let nothing else in."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

MODULES = ("choices", "dom", "editor", "languages", "link", "results", "server")

FILES = {
    "/": "index.html",
    **{f"/{name}": name for name in ("page.css", "page.js", "favicon.svg")},
    **{f"/modules/{name}.js": f"modules/{name}.js" for name in MODULES},
}
"""By path, for GET and HEAD. Who has no token may see them: the page asks for one."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';"
    " form-action 'none'; frame-ancestors 'none'; base-uri 'none';"
    # What compilers print is hostile: no string at all becomes markup or a script.
    " require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # A browser keeps them, but asks each time: they are one version together.
    "Cache-Control": "no-cache",
}


def routes() -> list[Route]:
    """One for each file, which is read now and never again. They answer GET and HEAD."""
    package = files("willitcompile.server") / "page"
    return [
        Route(path, _file((package / name).read_bytes(), MEDIA_TYPES[PurePath(name).suffix]), include_in_schema=False)
        for path, name in FILES.items()
    ]


def _file(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    async def answer(request: Request) -> Response:
        headers = {**HEADERS, "ETag": etag}
        if _is_known(etag, request.headers.get("If-None-Match", "")):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media_type)

    return answer


def _is_known(etag: str, if_none_match: str) -> bool:
    """Whether who asks has it already. A proxy that compresses makes a tag weak, which is as good here."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or "*" in tags
