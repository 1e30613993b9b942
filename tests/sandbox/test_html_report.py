"""The html report of real compiles in a real browser, from a file as people open it."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

pytestmark = pytest.mark.sandbox

SOURCES = {
    "fine.cpp": "int main() {}\n",
    "span.cpp": "#include <span>\nstd::span<int> some;\n",
    "evil.cpp": (
        "#error </pre><script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">\n"
        "#error <style>body { display: none }</style><a href='javascript:1'>x</a>\n"
    ),
    "warned.cpp": "int f() { int unused; return 0; }\n",
}
SIZES = [(320, 640), (768, 1024), (1280, 800)]

CONTRAST = """
    const number = (color) => color.match(/[\\d.]+/g).map(Number);
    const luminance = (color) => {
        const [r, g, b] = number(color).map((each) => each / 255)
            .map((each) => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (let each = element; each; each = each.parentElement) {
            const color = getComputedStyle(each).backgroundColor;
            if (number(color)[3] !== 0) return color;
        }
        return "rgb(255, 255, 255)";
    };
    return [...document.querySelectorAll("body *")]
        .filter((each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
        .filter((each) => each.getClientRects().length && !each.closest(".unseen"))
        .map((each) => {
            const pair = [luminance(getComputedStyle(each).color), luminance(behind(each))].sort((a, b) => b - a);
            return [(pair[0] + 0.05) / (pair[1] + 0.05), each.outerHTML.slice(0, 100)];
        })
        .filter(([ratio]) => ratio < 4.5);
"""
"""Texts with less contrast to what they stand on than WCAG's level AA asks for."""


class Report:
    """The page, and what the browser thinks of it."""

    def __init__(self, driver: WebDriver, file: Path) -> None:
        self.driver = driver
        self.file = file

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def script(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self) -> Report:
        self.driver.get("about:blank")
        self.driver.get(self.file.as_uri())
        return self


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[..., None]) -> Path:
    """By the program, of each source with gcc at two standards."""
    directory = tmp_path_factory.mktemp("report")
    for name, text in SOURCES.items():
        (directory / name).write_text(text)
    argv = [sys.executable, "-m", "willitcompile.cli", "check", *SOURCES, "-b", "sandbox", "-c", "gcc"]
    done = subprocess.run(
        [*argv, "-s", "c++17,c++20", "-Wall", "-f", "html:report.html"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode == 3:
        unavailable("sandbox", done.stderr, "apt-get install bubblewrap g++")
    assert done.returncode == 1, done.stderr
    return directory / "report.html"


@pytest.fixture(scope="module")
def driver(unavailable: Callable[..., None]) -> Iterator[WebDriver]:
    with started(unavailable) as driver:
        yield driver


@pytest.fixture
def report(driver: WebDriver, written: Path) -> Iterator[Report]:
    """Opened on a desk, in light. The browser must have had nothing to complain of, and asked for nothing else."""
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get_log("performance")
    report = Report(driver, written)
    report.resize(1280, 800)
    report.prefer("light")
    yield report.open()
    assert driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    assert all(each.startswith(("file:", "about:", "data:image/svg")) for each in sent)


def test_the_matrix_says_in_words_how_each_ended(report: Report) -> None:
    rows = [row.text.split("\n") for row in report.all("#matrix ~ .tables tbody tr")]
    assert [[word for cell in row for word in cell.split()] for row in rows] == [
        ["fine.cpp", row_name(report, 0), "✓", "Compiles", "✓", "Compiles"],
        ["span.cpp", row_name(report, 1), "✗", "Rejected", "✓", "Compiles"],
        ["evil.cpp", row_name(report, 2), "✗", "Rejected", "✗", "Rejected"],
        ["warned.cpp", row_name(report, 3), "✓", "Compiles", "1", "warning", "✓", "Compiles", "1", "warning"],
    ]
    assert report.find(".glance").text == "5 of 8 compile"


def row_name(report: Report, number: int) -> str:
    return report.all("tbody th[scope=row]")[number].text


def test_nothing_of_a_hostile_source_runs(report: Report) -> None:
    assert report.driver.title == "Will it compile?"
    assert report.find("body").is_displayed()
    assert not report.all("script, img, pre style, a[href^='javascript:']")
    assert "<script>document.title = 'run'</script>" in report.script("return document.body.textContent")


def test_a_cell_leads_to_what_was_said_by_keyboard(report: Report) -> None:
    (cell,) = (each for each in report.all("a.cell") if each.text.split()[-1] == "Rejected" and "span" in row_of(each))
    cell.send_keys(Keys.ENTER)
    target = report.find(":target")
    assert target.get_attribute("id") == str(cell.get_attribute("href")).partition("#")[2]
    assert "span.cpp" in target.text
    summary = target.find_element(By.CSS_SELECTOR, "summary")
    assert not target.find_element(By.CSS_SELECTOR, "pre").is_displayed()
    summary.send_keys(Keys.ENTER)
    assert "span.cpp" in target.find_element(By.CSS_SELECTOR, "pre").text


def row_of(cell: WebElement) -> str:
    return cell.find_element(By.XPATH, "ancestor::tbody").text


def test_what_is_fine_can_be_left_out(report: Report) -> None:
    assert [each.is_displayed() for each in report.all("tbody")] == [True] * 4
    report.find("#only").send_keys(Keys.SPACE)
    assert [each.is_displayed() for each in report.all("tbody")] == [False, True, True, False]


def test_a_screen_reader_finds_its_way(report: Report) -> None:
    assert report.script("return document.documentElement.lang") == "en"
    heads = report.script("return [...document.querySelectorAll('h1, h2, h3, h4')].map((each) => +each.tagName[1])")
    assert heads[0] == 1
    assert all(later <= before + 1 for before, later in pairwise(heads))
    assert report.all("main")
    assert all(each.get_attribute("scope") for each in report.all("th"))
    assert report.find("caption").text
    # What scrolls can be scrolled by keyboard, and has a name.
    for each in report.all(".scroll, pre"):
        assert each.get_attribute("tabindex") == "0"
        assert each.get_attribute("aria-label")
    assert report.find("label.only input")
    ids = report.script("return [...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(report: Report, scheme: str) -> None:
    report.prefer(scheme)
    report.script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert report.script(CONTRAST) == []


@pytest.mark.parametrize("size", SIZES)
def test_it_fits_any_screen(report: Report, size: tuple[int, int]) -> None:
    report.resize(*size)
    assert report.script("return document.documentElement.scrollWidth <= innerWidth")
