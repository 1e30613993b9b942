"""The files of the page: what they are sent with, and what they may not hold."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers

from willitcompile.server import page

if TYPE_CHECKING:
    from starlette.types import Message

FOLDER = Path(str(files("willitcompile.server"))) / "page"
SCRIPTS = ["page.js", *(f"modules/{name}.js" for name in page.MODULES)]


APP = Starlette(routes=page.routes())


class Reply(NamedTuple):
    status: int
    headers: Headers
    content: bytes


def ask(path: str, method: str = "GET", known: str | None = None) -> Reply:
    """`known` is what the browser says it has already."""
    sent: list[Message] = []
    headers = [] if known is None else [(b"if-none-match", known.encode())]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(APP(scope, receive, send))
    start, *bodies = sent
    return Reply(start["status"], Headers(raw=start["headers"]), b"".join(each.get("body", b"") for each in bodies))


class Tags(HTMLParser):
    """Each tag of the page with its attributes, and the text of those that a policy cares for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed((FOLDER / "index.html").read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in names]


@pytest.mark.parametrize(("path", "name"), page.FILES.items())
def test_each_file_is_sent_as_it_is(path: str, name: str) -> None:
    reply = ask(path)
    assert reply.status == 200
    assert reply.content == (FOLDER / name).read_bytes()
    assert reply.headers["Content-Type"] == page.MEDIA_TYPES[Path(name).suffix]
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")


def test_nothing_but_get_and_head_is_answered() -> None:
    reply = ask("/", "POST")
    assert reply.status == 405
    assert set(reply.headers["Allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', "*"])
def test_a_file_that_a_browser_has_is_not_sent_again(known: str) -> None:
    first = ask("/page.js")
    assert first.headers["Cache-Control"] == "no-cache"
    reply = ask("/page.js", known=known.format(first.headers["ETag"]))
    assert reply.status == 304
    assert reply.content == b""
    assert reply.headers["ETag"] == first.headers["ETag"]


@pytest.mark.parametrize("known", ["", '"other"', "nonsense", ","])
def test_a_file_that_has_changed_is_sent(known: str) -> None:
    assert ask("/page.js", known=known).status == 200


def test_every_file_of_the_package_is_served() -> None:
    there = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    assert set(page.FILES.values()) == there


def test_nothing_is_inline() -> None:
    tags = Tags()
    assert all("src" in each for each in tags.all("script"))
    assert not tags.all("style")
    assert not [name for _, attributes in tags.found for name in attributes if name == "style" or name.startswith("on")]


def test_nothing_comes_from_another_host() -> None:
    named = [each[name] for _, each in Tags().found for name in ("src", "href", "action") if name in each]
    assert set(named) <= set(page.FILES)
    assert "url(" not in (FOLDER / "page.css").read_text()


@pytest.mark.parametrize("name", SCRIPTS)
def test_text_never_becomes_markup(name: str) -> None:
    makes_markup = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|\.style\b"
    assert not re.search(makes_markup, (FOLDER / name).read_text())


def test_the_page_asks_for_all_modules_at_once() -> None:
    imported = {found for name in SCRIPTS for found in re.findall(r'from "\./(?:modules/)?(.+)"', _script(name))}
    preloaded = [each["href"] for each in Tags().all("link") if each["rel"] == "modulepreload"]
    assert preloaded == [f"/modules/{name}" for name in sorted(imported)]


def test_every_control_has_a_name() -> None:
    tags = Tags()
    labels = {each.get("for") for each in tags.all("label")}
    controls = [each for each in tags.all("input", "select", "textarea") if each.get("type") != "checkbox"]
    assert controls
    assert {each["id"] for each in controls} <= labels


def test_every_name_that_is_referred_to_is_there() -> None:
    tags = Tags()
    ids = [each["id"] for _, each in tags.found if "id" in each]
    assert len(ids) == len(set(ids))
    referring = ("for", "aria-labelledby", "aria-describedby")
    referred = {name for _, each in tags.found for key in referring for name in (each.get(key) or "").split()}
    in_scripts = {name for script in SCRIPTS for name in re.findall(r'\$\("([^"]+)"\)', _script(script))}
    assert referred | in_scripts <= set(ids)


def _script(name: str) -> str:
    return (FOLDER / name).read_text()
