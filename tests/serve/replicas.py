"""Replicas of the service on a cluster, each with all that it is in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import pytest

from tests.backends import OUR_IMAGES, objects_in
from tests.cluster import kubectl
from willitcompile.backends import Opening, open_backend
from willitcompile.model import MIB, Limits
from willitcompile.server.checks import Ask, Cell, Check, Kept
from willitcompile.server.cluster import ClusterService

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from willitcompile.server.checks import Answer, Standing

FINE, WRONG = b"int fine;\n", b"int wrong = ;\n"
ENDLESS = b"#if __INCLUDE_LEVEL__ < 190\n#include __FILE__\n#include __FILE__\n#endif\n"
PATIENCE_SECONDS = 90.0
KEPT = Kept(600, 1000, 1 << 30)


class Watched:
    """What one replica has done itself."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.told: list[tuple[str, Answer]] = []

    def started(self, check: Check, number: int, waited: float) -> None:
        assert waited >= 0
        self.begun.append(check.id)

    def answered(self, check: Check, number: int, answer: Answer, seconds: float) -> None:
        self.told.append((check.cells[number].source, answer))


class Replica:
    """One service with a backend, threads and a loop of its own."""

    def __init__(
        self,
        kubeconfig: str | Path,
        namespace: str,
        *,
        jobs: int = 4,
        queue_size: int = 100,
        keep: Kept = KEPT,
        **section: Any,
    ) -> None:
        self.room = namespace
        self.before = objects_in(os.environ["KUBECONFIG"], namespace) if "KUBECONFIG" in os.environ else frozenset()
        self.notes: list[str] = []
        options = {"kubernetes": {"namespace": namespace, "cpu": "none", **section}}
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("KUBECONFIG", str(kubeconfig))
            opening = Opening(self.notes.append, images=OUR_IMAGES, long_lived=True, options=options)
            self.backend: Any = open_backend("kubernetes", opening)
        self.watched = Watched()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        toolchains = self.backend.toolchains()
        self.service = ClusterService(
            self.backend,
            lambda: toolchains,
            limits=Limits(wall_seconds=60, memory_bytes=384 * MIB),
            jobs=jobs,
            queue_size=queue_size,
            keep=keep,
            watcher=self.watched,
        )
        self.do(self.service.start())

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE_SECONDS)

    def submit(self, *checks: Check) -> None:
        for check in checks:
            self.do(self.service.submit(check))

    def find(self, check: Check) -> Standing | None:
        return self.do(self.service.find(check.id))

    def answers(self, check: Check) -> list[Answer]:
        """When it is over."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        known = 0
        while True:
            standing = self.do(self.service.wait(check.id, known, 20))
            assert standing is not None
            assert time.monotonic() < deadline, standing
            if standing.is_over:
                return [json.loads(standing.answers[number].text) for number in sorted(standing.answers)]
            known = standing.done

    def close(self) -> None:
        if not self._loop.is_closed():
            self.do(self.service.close(0))
            self.backend.close()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check(*sources: bytes, client: str = "somebody", priority: str = "interactive", **more: Any) -> Check:
    files = {f"{number}.c": source for number, source in enumerate(sources)}
    cells = tuple(Cell(name, "c", "gcc-13", None) for name in files)
    return Check(str(uuid4()), client, priority, time.time(), cells, Ask(files), **more)


def verdicts(answers: list[Answer]) -> list[str]:
    return [each.get("verdict", "error") for each in answers]


def until(holds: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running(namespace: str) -> list[str]:
    ours = ("--selector=managed-by=will-it-compile", "--field-selector=status.phase=Running")
    return kubectl("get", "pods", *ours, f"--namespace={namespace}", "--output=name").split()
