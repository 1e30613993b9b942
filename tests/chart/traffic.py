"""Everything that a service counts, sent to a real one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.serve.harness import encoded
from willitcompile.server.tokens import line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.serve.harness import Reply, Server

HOSTILE = Path(__file__).parents[1] / "hostile" / "sources"
NAMES = ("prometheus", "people", "builds", "greedy")

SOURCES = {
    "compiled": "#include <vector>\nint main() { return static_cast<int>(std::vector<int>().size()); }\n",
    "rejected": "int main() { return 0 }\n// fake: exit 1\n",
    "timeout": (HOSTILE / "constexpr_tree.cpp").read_text() + "// fake: hang\n",
    # gcc reads without end, and clang finds nothing there.
    "out-of-memory": "#include </dev/zero>\n"
    + (HOSTILE / "array_range.c").read_text()
    + "// fake: allocate 99999999999\n",
    "output-limit": "// fake: flood stderr\n" + 5000 * f'#warning "{50 * "much "}"\n',
    "crashed": "#pragma clang __debug crash\n// fake: crash 11\n",
    "error": "int x;\n// fake: break\n",
}
"""By the verdict that the fake backend gives to each. Compilers mostly do too, but for the last, which is fine."""


class Tokens:
    """A file with one for each of `NAMES`, so that the service takes them for as many clients."""

    def __init__(self, directory: Path) -> None:
        made = {name: line(name) for name in NAMES}
        self.file = directory / "tokens"
        self.file.write_text("".join(f"{entry}\n" for _, entry in made.values()))
        self.of = {name: token for name, (token, _) in made.items()}


class Traffic:
    """For a server with these tokens, a rate limit and a short queue: what it takes, and what it refuses."""

    def __init__(self, server: Server, tokens: Tokens, toolchains: Sequence[str], wall_seconds: float) -> None:
        self._server = server
        self._tokens = tokens
        self._matrix = {
            "files": {f"{verdict}.cpp": source for verdict, source in SOURCES.items()},
            "toolchains": list(toolchains),
            "limits": {"wall_seconds": wall_seconds},
        }

    def everything(self) -> None:
        self.kubelet()
        self.people()
        self.builds()
        self.wrong()
        self.greedy()

    def kubelet(self) -> None:
        """Somebody who has no token looks how it is."""
        assert self._server.get("/health").status == 200
        assert self._server.get("/ready").status in {200, 503}

    def people(self) -> None:
        """Somebody waits for every verdict, in both versions of the API."""
        self._send("people", "/api/v2/checks", {**self._matrix, "wait": 30})
        self._send("people", "/api/v1/compile", {"language": "cpp", "code": encoded(SOURCES["compiled"])})

    def one(self, source: str, toolchain: str) -> None:
        """Somebody waits for one compile."""
        document = {**self._matrix, "files": {"main.cpp": source}, "toolchains": [toolchain], "wait": 30}
        self._send("people", "/api/v2/checks", document)

    def builds(self) -> None:
        """More batches than one client may have in the queue."""
        for _ in range(3):
            self._send("builds", "/api/v2/checks", {**self._matrix, "priority": "batch"})

    def wrong(self) -> None:
        """What nobody should send."""
        assert self._server.call("POST", "/api/v2/checks", {"files": {}}).status == 401
        assert self._send("people", "/api/v2/checks", {"files": {}}).status in {400, 429}

    def greedy(self) -> None:
        """Somebody goes on until he is refused."""
        while self._send("greedy", "/api/v2/checks", {"files": {"a.c": "int x;\n"}}).status != 429:
            pass

    def _send(self, name: str, path: str, document: Mapping[str, object]) -> Reply:
        return self._server.call("POST", path, document, Authorization=f"Bearer {self._tokens.of[name]}")
