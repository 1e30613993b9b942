"""The page in a real browser, on the real server with real compilers.

Each test fails where the browser has complained of something, or has asked another host for something.
"""

from __future__ import annotations

import base64
import json
import zlib
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser import started
from tests.serve.harness import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

    from tests.serve.harness import Place

pytestmark = pytest.mark.sandbox

SECONDS = 60.0
"""A deadline for what takes a second."""

REJECTED = """\
#include <vector>

int first(const std::vector<int>& all) {
    int unused = 1;
    return all.frnt();
}
"""
SLOW = (Path(__file__).parent.parent / "hostile" / "sources" / "constexpr_tree.cpp").read_text()
SIZES = [(320, 640), (360, 780), (768, 1024), (1280, 800)]


class Page:
    """What a person does with it, and sees."""

    def __init__(self, driver: WebDriver, server: Server) -> None:
        self.driver = driver
        self.server = server
        self.may_say: list[str] = []
        """What the browser may complain of in this test: parts of its messages."""

    def open(self, fragment: str = "") -> Page:
        # Only its fragment would not make it another page.
        self.driver.get("about:blank")
        self.driver.get(f"{self.server.url}/{fragment}")
        return self

    def ready(self) -> Page:
        self.until(lambda: self.text("#limits"))
        return self

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.find(selector).text

    def script(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, SECONDS, 0.05).until(lambda _: condition())

    def press(self, *keys: str, control: bool = False) -> None:
        """Whatever has the focus gets them."""
        actions = ActionChains(self.driver)
        if control:
            actions.key_down(Keys.CONTROL)
        actions.send_keys(*keys)
        if control:
            actions.key_up(Keys.CONTROL)
        actions.perform()

    @property
    def source(self) -> str:
        return str(self.find("#source").get_property("value"))

    def paste(self, source: str) -> None:
        """In place of all that is in the editor."""
        self.script("const s = document.getElementById('source'); s.focus(); s.select()")
        self.script("document.execCommand('insertText', false, arguments[0])", source)
        assert self.source == source

    def choose(self, picker: str, *values: str) -> None:
        self.find(f"#{picker} summary").click()
        for value in values:
            self.find(f"#{picker} input[value='{value}']").click()
        self.press(Keys.ESCAPE)
        assert not self.find(f"#{picker}").get_attribute("open")

    def start(self) -> None:
        self.find("#run").click()

    def run(self) -> str:
        """The verdict in words."""
        self.start()
        return self.finished()

    def finished(self) -> str:
        self.until(lambda: not self.find("#cancel").is_displayed())
        return self.text(".badge")

    @property
    def caret(self) -> tuple[int, int]:
        """Line and column from 1, in characters."""
        before = self.source[: self.find("#source").get_property("selectionStart")]
        return before.count("\n") + 1, len(before) - before.rfind("\n")

    def marks(self, severity: str = "error") -> list[str]:
        found = f"document.querySelectorAll('#gutter .marked.{severity}')"
        return list(self.script(f"return [...{found}].map((each) => each.textContent)"))

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def background(self) -> str:
        return str(self.script("return getComputedStyle(document.body).backgroundColor"))

    def toolchains(self) -> list[dict[str, Any]]:
        """Of C++, as the API has them."""
        return [each for each in self.server.get("/api/v2/toolchains").json["toolchains"] if "c++" in each["languages"]]

    def requested(self) -> list[str]:
        """What it asked for since this was last asked: methods and addresses."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [each["params"]["request"] for each in events if each["method"] == "Network.requestWillBeSent"]
        return [f"{each['method']} {each['url']}" for each in sent]

    def assert_calm(self) -> None:
        complaints = [entry["message"] for entry in self.driver.get_log("browser")]
        assert not [each for each in complaints if not any(part in each for part in self.may_say)]
        own = (f" {self.server.url}/", " about:blank", " data:")
        assert not [each for each in self.requested() if not any(part in each for part in own)]


@pytest.fixture(scope="module")
def driver(unavailable: Callable[..., None]) -> Iterator[WebDriver]:
    with started(unavailable) as driver:
        yield driver


@pytest.fixture(scope="module")
def server(place: Callable[[str], Place], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(place("sandbox"), tmp_path_factory.mktemp("page")).start()
    yield server
    server.close()


@pytest.fixture
def visit(driver: WebDriver) -> Iterator[Callable[[Server], Page]]:
    """`visit(server)`: its page, not yet opened, in a browser that knows nothing of it."""
    visited: list[Page] = []

    def begin(server: Server) -> Page:
        page = Page(driver, server)
        driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": server.url, "storageTypes": "all"})
        visited.append(page)
        page.resize(1280, 800)
        page.prefer("light")
        return page

    driver.get("about:blank")
    driver.get_log("browser")
    driver.get_log("performance")
    yield begin
    for page in visited:
        page.assert_calm()


@pytest.fixture
def page(visit: Callable[[Server], Page], server: Server) -> Page:
    return visit(server).open().ready()


def link(settings: object, kind: str = "d") -> str:
    """The fragment of a link, by another hand than that of the page."""
    raw = settings if isinstance(settings, bytes) else json.dumps(settings).encode()
    packed = zlib.compress(raw, wbits=-15) if kind == "d" else raw
    return f"#{kind}{base64.urlsafe_b64encode(packed).decode().rstrip('=')}"


def test_a_program_compiles(page: Page) -> None:
    assert page.run() == "✓ Compiles"
    compiler = page.toolchains()[0]["languages"]["c++"]["compiler"]
    assert compiler in page.text("#detail")
    assert page.text("#status") == "Compiles: no errors or warnings."
    assert not page.marks()
    assert not page.find("#matrix").is_displayed()


def test_each_language_begins_with_a_program_that_compiles(page: Page) -> None:
    names = [each.get_property("value") for each in page.all("#language option")]
    assert names
    for name in names:
        page.find(f"#language option[value='{name}']").click()
        assert page.run() == "✓ Compiles", page.text("#detail")
        assert "The compiler has nothing to say." in page.text("#detail")


def test_a_source_stays_while_another_language_is_looked_at(page: Page) -> None:
    page.paste("int mine;\n")
    page.find("#language option[value='c']").click()
    assert "stdio.h" in page.source
    page.find("#language option[value='c++']").click()
    assert page.source == "int mine;\n"


def test_a_rejection_marks_its_line(page: Page) -> None:
    page.paste(REJECTED)
    page.choose("options", "-Wall")
    assert page.run() == "✗ Does not compile"
    assert page.marks() == ["✗ 5"]
    assert page.marks("warning") == ["▲ 4"]
    assert "main.cpp:5:16: error: " in page.text("#detail pre")
    assert page.text("#status") == "Does not compile: 1 error, 1 warning."


def test_a_message_leads_to_its_place(page: Page) -> None:
    page.paste("int first;\nint second = nothing;\n")
    page.run()
    page.find("button.diagnostic").click()
    assert page.script("return document.activeElement.id") == "source"
    assert page.caret == (2, len("int second = ") + 1)


def test_marks_move_with_their_lines(page: Page) -> None:
    page.paste(REJECTED)
    page.run()
    assert not page.find("#stale").is_displayed()
    page.find("#source").click()
    page.press(Keys.HOME, control=True)
    page.press(Keys.ENTER, Keys.ENTER)
    assert page.marks() == ["✗ 7"]
    assert page.find("#stale").is_displayed()
    page.press(Keys.BACKSPACE)
    assert page.marks() == ["✗ 6"]
    page.find("button.diagnostic").click()
    assert page.caret[0] == 6
    page.press(Keys.HOME, control=True)
    page.press(Keys.DELETE)
    assert page.marks() == ["✗ 5"]
    assert not page.find("#stale").is_displayed()


def test_a_matrix(page: Page) -> None:
    names = [each["name"] for each in page.toolchains()][:2]
    page.paste("#include <span>\nstd::span<int> some;\n")
    page.choose("compilers", *names)
    page.choose("standards", "c++17", "c++20")
    page.start()
    page.until(lambda: page.text("#status") == f"{len(names)} of {2 * len(names)} compile.")
    rows = [row.text.split() for row in page.all("#matrix tbody tr")]
    assert rows == [[name, "✗", "Rejected", "✓", "Compiles"] for name in names]
    assert [each.text for each in page.all("#matrix thead th")] == ["Compiler", "c++17", "c++20"]
    # What failed is shown first, and any other when it is asked for.
    assert page.text(".badge") == "✗ Does not compile"
    page.all("#matrix button")[1].click()
    assert page.text(".badge") == "✓ Compiles"
    assert page.text(".which") == f"{names[0]}, c++20"
    assert not page.marks()


def test_a_standard_that_one_compiler_lacks_has_no_cell(
    visit: Callable[[Server], Page], server: Server, unavailable: Callable[..., None]
) -> None:
    page = visit(server)
    names = [each["name"] for each in page.toolchains()][:2]
    if len(names) < 2:
        unavailable("sandbox", "there is one C++ compiler alone", "apt-get install clang")
    forgetful = """
        const real = window.fetch;
        window.fetch = async (path, ...more) => {
          const response = await real(path, ...more);
          if (path !== "/api/v2/toolchains") return response;
          const told = await response.json();
          const [, second] = told.toolchains.filter((each) => "c++" in each.languages);
          second.languages["c++"].standards = ["c++98"];
          return new Response(JSON.stringify(told));
        };
    """
    script = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": forgetful})
    try:
        page.open().ready()
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    page.choose("compilers", *names)
    page.choose("standards", "c++17")
    page.paste("int x;\n")
    page.run()
    rows = [row.text.split() for row in page.all("#matrix tbody tr")]
    assert rows == [[names[0], "✓", "Compiles"], [names[1], "\N{EN DASH}"]]


def test_a_link_shares_source_and_settings(page: Page) -> None:
    source = "// ünïcödé 🦀 <&> \\n\t%\n#error said\n"
    page.find("#language option[value='c']").click()
    page.paste(source)
    page.choose("standards", "c99", "c11")
    page.choose("options", "-Wextra")
    page.find("#share").click()
    page.until(lambda: page.text("#share-said").startswith(("It is copied.", "Copy it from here.")))
    address = page.find("#share-link").get_property("value")
    assert address == page.driver.current_url
    page.open(address.removeprefix(f"{page.server.url}/")).ready()
    assert page.source == source
    assert page.find("#language").get_property("value") == "c"
    assert page.text("#standards-chosen") == "c99 c11"
    assert page.text("#options-chosen") == "-Wextra"
    assert not page.find("#notice").is_displayed()
    assert not [each for each in page.requested() if each.startswith("POST")], "a link runs nothing by itself"
    page.start()
    page.until(lambda: page.text("#status") == "0 of 2 compile.")


@pytest.mark.parametrize("kind", ["d", "p"])
def test_a_link_by_another_hand(visit: Callable[[Server], Page], server: Server, kind: str) -> None:
    page = visit(server).open(link({"language": "c", "source": "int x;", "flags": ["-O2"], "link": True}, kind)).ready()
    assert page.source == "int x;"
    assert page.text("#options-chosen") == "link -O2"


@pytest.mark.parametrize(
    "fragment",
    [
        pytest.param("#nonsense", id="words"),
        pytest.param("#d", id="nothing"),
        pytest.param("#p%%%", id="no base64"),
        pytest.param("#dAAAA", id="not deflated"),
        pytest.param("#<script>alert(1)</script>", id="markup"),
        pytest.param(link(b"not json", "p"), id="no JSON"),
        pytest.param(link(b"\xff\xfe", "p"), id="no UTF-8"),
        pytest.param(link(None), id="null"),
        pytest.param(link([1, 2]), id="a list"),
        pytest.param(link({"language": "__proto__", "source": "x"}), id="no language"),
        pytest.param(link({"language": "c", "source": {"a": 1}}), id="no source"),
        pytest.param(link(b" " * (8 << 20)), id="8 MiB"),
    ],
)
def test_a_damaged_link_does_no_harm(visit: Callable[[Server], Page], server: Server, fragment: str) -> None:
    page = visit(server).open(fragment).ready()
    assert page.text("#notice").startswith("This link is damaged")
    assert "#include <iostream>" in page.source


def test_a_link_with_strange_settings_still_has_its_source(visit: Callable[[Server], Page], server: Server) -> None:
    strange = {"toolchains": ["gcc-1", 7, None], "standards": {"a": 1}, "warnings": ["<img src=x>"], "flags": 5}
    page = visit(server).open(link({"language": "c", "source": "int x;", "link": "yes", **strange})).ready()
    assert page.source == "int x;"
    assert page.text("#notice") == "This server does not have gcc-1."
    assert page.run() == "✓ Compiles"


def test_all_of_it_by_keyboard(page: Page) -> None:
    page.find("#source").click()
    page.press("a", control=True)
    page.press("int f() {", Keys.ENTER, Keys.TAB, "return 1;", Keys.ENTER, "}")
    assert page.source == "int f() {\n    return 1;\n    }"
    page.press(Keys.ENTER, control=True)
    assert page.finished() == "✓ Compiles"
    # Esc then Tab leaves the editor.
    page.press(Keys.ESCAPE, Keys.TAB)
    assert page.script("return document.activeElement.id") != "source"


def test_what_the_example_replaces_is_not_lost(page: Page) -> None:
    page.paste("int mine;\n")
    page.find("#example").click()
    assert "#include <iostream>" in page.source
    page.press("z", control=True)
    page.until(lambda: page.source == "int mine;\n")


def test_every_control_can_be_reached_and_says_what_it_is(page: Page) -> None:
    page.paste(REJECTED)
    page.run()
    for picker in ("compilers", "standards", "options"):
        page.find(f"#{picker} summary").click()
        for control in page.all("button, select, textarea, input, summary, pre"):
            if control.is_displayed():
                assert control.accessible_name, control.get_attribute("outerHTML")
        page.press(Keys.ESCAPE)
    page.script("document.activeElement.blur(); scrollTo(0, 0)")
    reached = set()
    for _ in range(20):
        page.press(Keys.ESCAPE, Keys.TAB)
        reached.add(page.script("return document.activeElement.id || document.activeElement.parentElement.id"))
    assert {"share", "theme", "language", "compilers", "standards", "options", "run", "source"} <= reached


def test_what_a_compiler_prints_is_only_text(page: Page) -> None:
    hostile = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    page.paste(f"#error {hostile}\nint main() {{ return nothing; }}\n#warning <b>{hostile}\n")
    assert page.run() == "✗ Does not compile"
    assert hostile in page.text("#detail pre")
    assert hostile in page.text(".diagnostics")
    assert hostile in page.find("#gutter .marked").get_attribute("title")
    assert not page.all("main img, main script, main b")
    assert page.driver.title == "Will it compile?"


def test_a_string_cannot_become_markup(page: Page) -> None:
    """Were there ever a mistake in a script, the policy would stop it."""
    page.may_say = ["TrustedHTML", "Content Security Policy", "trusted-types", "Trusted Type"]
    assert page.script(
        "try { document.body.innerHTML = '<p>x'; return 'made' } catch (error) { return error.name }"
    ) == ("TypeError")
    forbidden = page.driver.execute_async_script(
        "const [done] = arguments;"
        "addEventListener('securitypolicyviolation', (event) => done(event.violatedDirective), {once: true});"
        "document.body.append(Object.assign(new Image(), {src: 'http://192.0.2.1/x.png'}))"
    )
    assert forbidden == "img-src"
    page.requested()  # it was not sent, but it is listed
    page.script("document.querySelector('main').setAttribute('style', 'display: none')")
    assert page.find("main").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_as_light_as_the_system_until_somebody_says_otherwise(
    visit: Callable[[Server], Page], server: Server, scheme: str
) -> None:
    page = visit(server)
    page.prefer(scheme)
    page.open().ready()
    other = {"light": "dark", "dark": "light"}[scheme]
    shown = page.background()
    assert page.find("#theme").accessible_name == f"{other.capitalize()} theme"
    page.find("#theme").click()
    assert page.background() != shown
    page.open().ready()
    assert page.background() != shown, "it is kept"
    page.find("#theme").click()
    assert page.background() == shown


@pytest.mark.parametrize(("width", "height"), SIZES, ids=str)
def test_nothing_is_wider_than_the_screen(page: Page, width: int, height: int) -> None:
    page.resize(width, height)
    page.paste(REJECTED + f"// {'long ' * 200}\n#error {'x' * 500}\n")
    page.choose("standards", "c++11", "c++14", "c++17", "c++20", "c++23")
    page.run()
    assert len(page.all("#matrix td")) == 5
    for picker in ("compilers", "standards", "options"):
        page.find(f"#{picker} summary").click()
        widths = page.script("const of = document.documentElement; return [of.scrollWidth, of.clientWidth]")
        assert widths[0] == widths[1] <= width
        panel = page.script(f"return document.querySelector('#{picker} .panel').getBoundingClientRect().toJSON()")
        assert panel["left"] >= 0
        assert panel["right"] <= widths[1]
        page.press(Keys.ESCAPE)


def test_a_long_source_is_led_to_its_line(page: Page) -> None:
    long = "int a();\n" * 5000 + "int wrong = nothing;\n" + "int b();\n" * 5000
    # As one who pastes does it: a browser takes minutes for so many lines that a script types.
    page.script(
        "const source = document.getElementById('source');"
        "source.value = arguments[0]; source.dispatchEvent(new Event('input'))",
        long,
    )
    page.run()
    page.find("button.diagnostic").click()
    assert page.caret == (5001, len("int wrong = ") + 1)
    middle = (
        "const of = (selector) => document.querySelector(selector).getBoundingClientRect();"
        "const [mark, line, editor] = ['#gutter .marked', '#backdrop .marked', '.editor'].map(of);"
        "return [mark.top - line.top, (mark.top - editor.top) / editor.height]"
    )
    page.until(lambda: page.script("return document.getElementById('gutter').scrollTop") > 1000)
    apart, place = page.script(middle)
    assert apart == 0
    assert 0.3 < place < 0.7


def test_a_run_can_be_cancelled(page: Page) -> None:
    page.paste(SLOW)
    page.choose("standards", "c++17", "c++20")
    page.start()
    page.until(lambda: page.text("#status").startswith("Compiling…"))
    page.requested()
    page.find("#cancel").click()
    assert page.text("#status").startswith("Cancelled.")
    assert page.script("return document.activeElement.id") == "run"
    address = page.until(lambda: next((each for each in page.requested() if each.startswith("DELETE ")), None))
    path = address.removeprefix(f"DELETE {page.server.url}")
    page.until(lambda: page.server.get(path).json["status"] == "cancelled")
    page.paste("int x;\n")
    page.start()
    page.until(lambda: page.text("#status") == "All 2 compile.")


def test_another_run_takes_the_place_of_the_first(page: Page) -> None:
    page.paste(SLOW)
    page.start()
    page.until(lambda: page.text("#status") in {"Compiling…", "Waiting for its turn…"})
    page.paste("int x;\n")
    assert page.run() == "✓ Compiles"


def test_a_server_that_is_away_for_a_moment(visit: Callable[[Server], Page], server_on: Callable[..., Server]) -> None:
    server = server_on("sandbox")
    page = visit(server).open().ready()
    page.may_say = ["Failed to load resource: net::"]
    page.paste(SLOW)
    page.choose("standards", "c++17")
    page.start()
    page.until(lambda: page.text("#status") == "Compiling…")
    server.restart(port=server.address[1], timeout="2s")
    assert page.finished() == "◷ Took too long"
    server.kill()
    page.start()
    page.until(lambda: page.text("#notice").startswith("The server cannot be reached."))
    assert page.source == SLOW


def test_a_server_that_wants_a_token(
    visit: Callable[[Server], Page], server_on: Callable[..., Server], tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"page:{sha256(b'the right one').hexdigest()}\nother:{sha256(b'right').hexdigest()}\n")
    tokens.chmod(0o600)
    page = visit(server_on("sandbox", tokens=tokens)).open()
    page.may_say = ["401 (Unauthorized)"]
    page.until(lambda: page.find("#token-dialog").is_displayed())
    page.press("wrong", Keys.ENTER)
    page.until(lambda: page.text("#token-why") == "The server does not know the token that it was given.")
    page.press("right", Keys.ENTER)
    page.ready()
    assert page.run() == "✓ Compiles"
    page.open().ready()
    assert not page.find("#token-dialog").is_displayed()
    assert page.script("return Object.keys(localStorage)") == []


def test_a_token_may_be_given_later(
    visit: Callable[[Server], Page], server_on: Callable[..., Server], tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"page:{sha256(b'right').hexdigest()}\n")
    tokens.chmod(0o600)
    page = visit(server_on("sandbox", tokens=tokens)).open()
    page.may_say = ["401 (Unauthorized)"]
    page.until(lambda: page.find("#token-dialog").is_displayed())
    page.find("#token-leave").click()
    page.until(lambda: page.text("#notice").startswith("This server answers only with a token."))
    page.start()
    page.until(lambda: page.find("#token-dialog").is_displayed())
    page.press("right", Keys.ENTER)
    page.until(lambda: page.all(".badge"))
    assert page.text(".badge") == "✓ Compiles"


def test_more_than_the_server_takes(visit: Callable[[Server], Page], server_on: Callable[..., Server]) -> None:
    page = visit(server_on("sandbox", rate_limit=1)).open().ready()
    page.may_say = ["429 (Too Many Requests)"]
    page.run()
    page.start()
    page.until(lambda: page.text("#notice"))
    said = page.text("#notice")
    assert said.startswith("That is more than the server takes just now (Rate limit exceeded). Try again in ")
    assert said.endswith(" seconds.")


def test_a_source_that_is_too_large(visit: Callable[[Server], Page], server_on: Callable[..., Server]) -> None:
    page = visit(server_on("sandbox", max_body="100KiB")).open().ready()
    page.may_say = ["413", "net::ERR"]
    page.paste(f"// {'much ' * 40000}\n")
    page.start()
    page.until(lambda: page.text("#notice") == "The source is larger than this server takes.")


def test_a_flag_that_is_refused(page: Page) -> None:
    page.may_say = ["400 (Bad Request)"]
    page.find("#options summary").click()
    page.find("#flags").send_keys("-fplugin=x")
    page.press(Keys.ENTER)
    page.until(lambda: "-fplugin" in page.text("#notice"))
    assert page.text("#notice").startswith("The server says: use the flag")


def test_head_is_answered_without_the_file(server: Server) -> None:
    reply = server.call("HEAD", "/")
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["Content-Length"]) > 1000
