"""Make docs/images/matrix.png and html-report.png, of a real run: `python -m tests.docs.pictures`.

It needs a Docker daemon with the images of the toolchains, and Chromium.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from html import escape
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
EXAMPLE = ROOT / "docs" / "examples" / "greeting.cpp"

COMMAND = ["check", "greeting.cpp", "-c", "gcc>=9", "-c", "clang>=14", "-s", "c++17,c++20,c++23"]
LINES = 26
"""Of what it prints: the matrix, and the first of the messages."""

WIDTH = 84
"""Columns of the terminal."""

THEME = TerminalTheme(
    (21, 24, 28),
    (228, 231, 235),
    [(21, 24, 28), (255, 157, 148), (125, 223, 159), (240, 192, 99), (143, 179, 255), (210, 168, 255), (124, 212, 222),
     (228, 231, 235)],
)  # fmt: skip
"""The dark colours of our pages."""

PAGE = """<!DOCTYPE html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 22px; background: #eceef1; }}
figure {{ margin: 0; border-radius: 10px; overflow: hidden; background: #15181c; color: #e4e7eb;
          box-shadow: 0 2px 5px rgb(0 0 0 / 20%), 0 10px 30px rgb(0 0 0 / 25%); }}
figcaption {{ display: flex; gap: 8px; padding: 13px 16px 3px; }}
i {{ width: 12px; height: 12px; border-radius: 50%; background: #30363e; }}
pre {{ margin: 0; padding: 10px 20px 18px; font: 15px/1.42 "DejaVu Sans Mono", monospace; }}
b {{ color: #7ddf9f; font-weight: 400; }}
</style><figure><figcaption><i></i><i></i><i></i></figcaption><pre><b>$</b> {command}
{output}</pre></figure>"""


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        (directory / EXAMPLE.name).write_bytes(EXAMPLE.read_bytes())
        environment = {**os.environ, "COLUMNS": str(WIDTH)}
        argv = [sys.executable, "-m", "willitcompile.cli", *COMMAND, "-b", "docker", "--config", os.devnull]
        done = subprocess.run(
            [*argv, "--color", "always", "-f", "text", "-f", "html:report.html"],
            cwd=directory,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != 1:
            raise SystemExit(f"it ended with {done.returncode}")
        lines = [*done.stdout.splitlines()[:LINES], "…"]
        typed = " ".join(f"'{word}'" if ">" in word else word for word in COMMAND)
        terminal = directory / "terminal.html"
        terminal.write_text(PAGE.format(command=escape(f"will-it-compile {typed}"), output=as_html(lines)))
        draw(terminal, IMAGES / "matrix.png", (880, 46 + 44 + round((LINES + 2) * 21.3) + 28))
        draw(directory / "report.html", IMAGES / "html-report.png", (1100, 1000))


def as_html(lines: list[str]) -> str:
    """What a terminal would show, in colour."""
    console = Console(record=True, width=500, file=StringIO(), color_system="standard")
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=True)
    return console.export_html(theme=THEME, inline_styles=True, code_format="{code}")


def draw(page: Path, picture: Path, size: tuple[int, int]) -> None:
    subprocess.run(
        [
            *("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            f"--window-size={size[0]},{size[1]}",
            "--force-device-scale-factor=1.5",
            f"--screenshot={picture}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )


if __name__ == "__main__":
    main()
