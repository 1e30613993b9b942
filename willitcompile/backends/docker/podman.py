"""What Podman's copy of the Docker Engine API does otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def adapted(body: Mapping[str, Any]) -> dict[str, Any]:
    """A container as Podman takes it."""
    host = body["HostConfig"]
    return {
        **body,
        "HostConfig": {
            **host,
            # It wants the path of a profile on its own machine; it has a default, and the launcher's filter holds.
            "SecurityOpt": [option for option in host["SecurityOpt"] if not option.startswith("seccomp=")],
            "Tmpfs": {path: _options(options) for path, options in host["Tmpfs"].items()},
        },
    }


def _options(text: str) -> str:
    """It knows no owner of a tmpfs, and gives it what the image has there, the mode too, unless it is told not to."""
    kept = [option for option in text.split(",") if option.partition("=")[0] not in {"uid", "gid", "mode", "nr_inodes"}]
    return ",".join([*kept, "mode=1777", "notmpcopyup"])
