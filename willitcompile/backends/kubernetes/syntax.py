"""What Kubernetes takes as a quantity or a name, as functions from text. Each raises UnfitError, which says why.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
"""

from __future__ import annotations

import re

from willitcompile.config import UnfitError
from willitcompile.model import GIB, KIB, MIB

_SUFFIXES = {
    "m": (1, 1000),
    "": (1, 1),
    "k": (1000, 1),
    "M": (1000**2, 1),
    "G": (1000**3, 1),
    "T": (1000**4, 1),
    "Ki": (KIB, 1),
    "Mi": (MIB, 1),
    "Gi": (GIB, 1),
    "Ti": (KIB * GIB, 1),
}
"""What each multiplies by, and divides by."""

_QUANTITY = re.compile(r"(?=\.?[0-9])([0-9]{0,18})(?:\.([0-9]{0,9}))?(?:[eE]([+-]?[0-9])|(m|k|Ki|[MGT]i?)?)")
_ONE = 10**21
"""As what a quantity is counted, so that every one that is read is whole: nine decimals, an exponent of -9, and m."""

_NAME = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_NAME}(?:\.{_NAME})*")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


def parse_memory(text: str, low: int = 192 * MIB) -> int:
    """Bytes, at least `low`; a part of one counts as one.

    >>> parse_memory("512Mi"), parse_memory("1G")
    (536870912, 1000000000)
    """
    number = _quantity(text)
    if number is None:
        raise UnfitError("it is not a number of bytes, or with k, M, G, T (powers of 1000) or Ki, Mi, Gi, Ti (of 1024)")
    if not low * _ONE <= number <= MIB * GIB * _ONE:
        # 512m is half a byte, and what people write for 512M.
        raise UnfitError(f"it must be at least {low // MIB}Mi, and a size that a node can have")
    return -(-number // _ONE)


def parse_cpu(text: str, low: int = 10) -> float:
    """Cores, of which Kubernetes counts thousandths: at least `low` of these; a part of one counts as one.

    >>> parse_cpu("500m"), parse_cpu("2"), parse_cpu("0.0101")
    (0.5, 2.0, 0.011)
    """
    number = _quantity(text)
    if number is None or not low * _ONE <= number * 1000 <= 1024 * 1000 * _ONE:
        raise UnfitError(f"it is not a number of cores from {low / 1000:g} to 1024, or of thousandths as 500m")
    return -(-number * 1000 // _ONE) / 1000


def _quantity(text: str) -> int | None:
    """Exactly, in parts of which `_ONE` make one; None for what is no quantity.

    >>> _quantity("100m") == _ONE // 10 == _quantity("1e-1") == _quantity(".1")
    True
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    whole, decimals, exponent, suffix = match.groups(default="")
    times, parts = _SUFFIXES[suffix]
    number = int(f"{whole}{decimals.ljust(9, '0')}") * (_ONE // 10**9) * times // parts
    power = int(exponent or 0)
    return int(number * 10**power if power >= 0 else number // 10**-power)


def is_name(text: str) -> bool:
    """Whether an object can be called so: RFC 1123, a subdomain."""
    return len(text) <= 253 and bool(_SUBDOMAIN.fullmatch(text))


def subdomain(text: str) -> str:
    """The name of most objects."""
    if not is_name(text):
        raise UnfitError("it is not of at most 253 of a-z, 0-9, - and ., as names of Kubernetes are")
    return text


def queue(text: str) -> str:
    """The name of a queue is the value of a label too."""
    if len(subdomain(text)) > 63:
        raise UnfitError("it has more than 63 characters")
    return text


def label_value(text: str) -> str:
    if not _LABEL_VALUE.fullmatch(text):
        raise UnfitError("a value is of at most 63 letters, digits, -, _ and ., with a letter or digit at either end")
    return text


def label_key(text: str) -> str:
    """`name`, or `prefix/name`; of annotations, selectors and tolerations too."""
    prefix, slash, name = text.rpartition("/")
    if (
        not name
        or not _LABEL_VALUE.fullmatch(name)
        or (slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)))
    ):
        raise UnfitError("a name is of at most 63 letters, digits, -, _ and ., with no more than a domain and / before")
    return text


def annotation(text: str) -> str:
    """The value of one, which may be any text that can be shown."""
    if not all(character.isprintable() or character in "\n\t" for character in text):
        raise UnfitError("it holds a character that cannot be shown")
    return text


def profile(text: str) -> str | None:
    """The path of a seccomp profile, below the directory where the kubelet has them; None for the runtime's default."""
    if text == "RuntimeDefault":
        return None
    if text.lower() in {"unconfined", "localhost"}:
        raise UnfitError("it is not the path of a profile, and a compile never runs without one")
    if not re.fullmatch(r"[A-Za-z0-9._/-]{1,253}", text) or {"", ".", ".."} & set(text.split("/")):
        raise UnfitError("it is not a path below the kubelet's directory of profiles")
    return text
