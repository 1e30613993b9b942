"""Who asks: the address at the other end, or the one that a proxy we trust says it speaks for."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

UNIX = "unix"
"""Whoever comes by a Unix socket, and has no address. As a trusted proxy: what it says is believed."""
_MOST_HOPS = 32
"""Entries of X-Forwarded-For that are looked at. Nobody has so many proxies."""
_MAPPED = IPv6Network("::ffff:0:0/96")


class Clients:
    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        """Addresses, networks as `10.0.0.0/8`, or `unix`. Raises ValueError for anything else."""
        self._trusts_unix = UNIX in trusted_proxies
        self._trusted = [_network(each) for each in trusted_proxies if each != UNIX]

    def of(self, scope: Mapping[str, Any]) -> str:
        """The address of who asks, an IPv4 one never as IPv6; `unix` where there is none.

        `scope` is that of an ASGI request. X-Forwarded-For is read from the right, where the nearest proxy wrote. The
        first address that is not of a trusted proxy is the client's; where all are, the last. What makes no sense was
        not written by a proxy: then nothing of it is believed.
        """
        peer = scope.get("client")
        address = _address(peer[0]) if peer else None
        nearest = str(address or (peer[0] if peer else UNIX))
        if not (self._trusts(address) if address else self._trusts_unix and not peer):
            return nearest
        said = None
        for entry in _forwarded(scope):
            if (said := _address(_without_port(entry))) is None:
                return nearest
            if not self._trusts(said):
                break
        return str(said or nearest)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


def group(client: str) -> str:
    """All that one client may own: the /64 of an IPv6 address, and what else there is as it is."""
    if ":" not in client:
        return client
    try:
        return str(IPv6Network((int(IPv6Address(client)) >> 64 << 64, 64)))
    except ValueError:
        return client


def _forwarded(scope: Mapping[str, Any]) -> Iterator[str]:
    """The nearest proxy's first."""
    values = [value for name, value in scope.get("headers", ()) if name == b"x-forwarded-for"]
    entries = b",".join(values).decode("latin-1").rsplit(",", _MOST_HOPS)[-_MOST_HOPS:] if values else []
    return (entry.strip() for entry in reversed(entries))


def _without_port(entry: str) -> str:
    """Of `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` and `[::1]:80`, quoted or not."""
    entry = entry.strip('"')
    if entry.startswith("["):
        address, _, port = entry[1:].partition("]")
        return address if ":" in address and (not port or _is_port(port)) else ""
    if entry.count(":") == 1:
        address, _, port = entry.partition(":")
        return address if _is_port(":" + port) else ""
    return entry


def _is_port(text: str) -> bool:
    digits = text[1:]
    return text.startswith(":") and digits.isascii() and digits.isdigit() and len(digits) <= 5


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    # Without its scope (`%eth0`), of which anyone may make up as many as they like.
    return address.ipv4_mapped or IPv6Address(int(address))


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text.strip())
    except ValueError:
        raise ValueError(_wrong(text.strip())) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        address = IPv4Address(int(network.network_address) & 0xFFFFFFFF)
        return IPv4Network((int(address), network.prefixlen - 96))
    return network


def _wrong(text: str) -> str:
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        return f"{text!r} is no address or network of a proxy; write it as 10.0.0.7, 10.0.0.0/8 or fd00::/8"
    return f"{text!r} is an address within a network; write {meant} for all of it, or the address without its /"
