"""The commands of the cluster: see __init__.py."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from tests import cluster, daemon

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    command, names = (arguments[0] if arguments else ""), list(arguments[1:])
    if command not in {"up", "load", "status", "down"} or (names and command != "load"):
        print(cluster.__doc__, file=sys.stderr)
        return 2
    try:
        if command == "down":
            cluster.stop()
            return 0
        with cluster.used(start=command == "up", stays=command == "up") as up:
            if up is None:
                raise cluster.Unavailable("no cluster is up", "make cluster-up")
            if command == "status":
                for component in up.components:
                    print(f"{component:20}{'runs' if up.runs(component) else 'does not run'}, see {up.log(component)}")
            else:
                _load(up, names)
            print(f"export KUBECONFIG={up.kubeconfig}")
    except (cluster.Unavailable, daemon.Unavailable) as error:
        print(error, file=sys.stderr)
        return 3
    return 0


def _load(up: cluster.Cluster, names: list[str]) -> None:
    found = daemon.answering()
    if not names and found is None and up.has([*cluster.toolchain_images(), daemon.SERVICE]):
        return
    docker = found or daemon.start()
    try:
        if not names:
            daemon.build(docker, cluster.TOOLCHAINS)
            names = [*cluster.toolchain_images(), daemon.build_service(docker)]
        for image in names:
            began = time.monotonic()
            if up.load(docker.host, [image]):
                print(f"loaded {image} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    finally:
        if found is None:
            daemon.stop(docker)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
