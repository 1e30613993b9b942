"""What the backend can run, looked at from time to time: asking it may take a request to a daemon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from willitcompile.errors import WillItCompileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from willitcompile.backends import Backend
    from willitcompile.model import Toolchain

LOOK_SECONDS = 10.0


class Offer:
    """The toolchains of a backend as they were a moment ago."""

    def __init__(self, backend: Backend) -> None:
        """Look for the first time. Raises NoAnswer."""
        self._backend = backend
        self._available = tuple(backend.toolchains())
        self._obstacle: str | None = None

    def available(self) -> Sequence[Toolchain]:
        """In the order of the catalogue; from any thread."""
        return self._available

    def trouble(self) -> str | None:
        """Why the backend did not answer when it was looked at last."""
        return self._obstacle or (None if self._available else "the backend has no toolchain")

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        try:
            self._available = tuple(await asyncio.to_thread(self._backend.toolchains))
            self._obstacle = None
        except WillItCompileError as error:
            self._obstacle = error.obstacle
