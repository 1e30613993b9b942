"""Images for the cluster's containerd, which pulls none: from a Docker daemon, or made here."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
import tempfile
from typing import IO, TYPE_CHECKING

from tests.cluster.files import PAUSE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LOAD_SECONDS = 300
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def ctr(run: Path, *argv: str, stdin: IO[bytes] | None = None) -> str:
    """What `ctr` says of the cluster's containerd. Raises OSError."""
    done = subprocess.run(
        ["ctr", "--address", f"{run}/containerd.sock", "--namespace", "k8s.io", *argv],
        stdin=stdin or subprocess.DEVNULL,
        capture_output=True,
        timeout=LOAD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise OSError(f"ctr {' '.join(argv[:2])}: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done.stdout.decode()


def forget_containers(run: Path) -> bool:
    """Remove what containerd remembers of the pods of a cluster that is gone, and whether there was something."""
    if containers := ctr(run, "containers", "ls", "--quiet").split():
        ctr(run, "containers", "rm", *containers)
    return bool(containers)


def import_pause(run: Path, program: Path) -> None:
    """Import the image of a pod's sandbox, which holds this one program."""
    with tempfile.TemporaryFile() as file:
        file.write(_archive(program.read_bytes()))
        file.seek(0)
        ctr(run, "images", "import", "-", stdin=file)


def _archive(program: bytes) -> bytes:
    """An image of one program, as `docker save` writes it: no Docker is needed for it."""
    layer = _tar({"pause": program}, 0o755)
    root = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    config = {
        "architecture": _ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": root,
    }
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE], "Layers": ["layer.tar"]}]
    encoded = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    return _tar({**encoded, "layer.tar": layer}, 0o644)


def _tar(files: dict[str, bytes], mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def import_from_docker(run: Path, host: str, images: Sequence[str]) -> list[str]:
    """Import these images from the daemon at this address. Return those that were not there as they are in it.

    Raises OSError.
    """
    there = _listed(run)
    missing = [each for each in images if there.get(_reference(each)) != there.get(_docker_id(host, each), "")]
    for image in missing:
        with subprocess.Popen(["docker", "--host", host, "save", image], stdout=subprocess.PIPE) as saving:
            ctr(run, "images", "import", "-", stdin=saving.stdout)
        if saving.returncode != 0:
            raise OSError(f"docker save {image}: exit code {saving.returncode}")
    return missing


def has(run: Path, images: Sequence[str]) -> bool:
    return {_reference(each) for each in images} <= set(_listed(run))


def by_digest(run: Path, image: str) -> str:
    """A name of an image that is there by its digest, as it would be had from a registry. Raises OSError."""
    reference = _reference(image)
    name = f"{reference.rpartition(':')[0]}@{_listed(run)[reference]}"
    ctr(run, "images", "tag", "--force", reference, name)
    return name


def _listed(run: Path) -> dict[str, str]:
    """The digest by name. Each image has the one that it was given, and another, of the digest of its configuration,
    which is what Docker calls its id."""
    rows = [line.split() for line in ctr(run, "images", "ls").splitlines()[1:]]
    return {row[0]: row[2] for row in rows}


def _reference(image: str) -> str:
    """As containerd has it: `docker.io/will-it-compile/gcc:13`."""
    registry = image.partition("/")[0]
    return image if "." in registry or ":" in registry or registry == "localhost" else f"docker.io/{image}"


def _docker_id(host: str, image: str) -> str:
    asked = ["docker", "--host", host, "image", "inspect", "--format", "{{.Id}}", image]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"the daemon at {host} has no {image}: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()
