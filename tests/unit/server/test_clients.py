"""Who asks."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.server.clients import Clients, group

PROXIES = ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32")


def scope(peer: str | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"host", b"example.org"), *((b"x-forwarded-for", each.encode("latin-1")) for each in forwarded)]
    return {"type": "http", "client": peer and (peer, 1234), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        # Nobody that we trust: what it says is not believed.
        ("198.51.100.7", (), "198.51.100.7"),
        ("198.51.100.7", ("203.0.113.1",), "198.51.100.7"),
        # A proxy, and what it says.
        ("10.1.2.3", ("203.0.113.1",), "203.0.113.1"),
        ("192.0.2.1", ("203.0.113.1",), "203.0.113.1"),
        ("2001:db8::5", ("2400::1",), "2400::1"),
        # From the right: the left is what the client may have sent itself.
        ("10.1.2.3", ("198.51.100.99, 203.0.113.1",), "203.0.113.1"),
        ("10.1.2.3", ("198.51.100.99, 203.0.113.1, 10.9.9.9",), "203.0.113.1"),
        ("10.1.2.3", ("198.51.100.99", "203.0.113.1"), "203.0.113.1"),
        ("10.1.2.3", ("garbage, 203.0.113.1",), "203.0.113.1"),
        # All are proxies: the one farthest from us.
        ("10.1.2.3", ("10.4.4.4, 10.5.5.5",), "10.4.4.4"),
        # A proxy that says nothing, or what makes no sense.
        ("10.1.2.3", (), "10.1.2.3"),
        ("10.1.2.3", ("",), "10.1.2.3"),
        ("10.1.2.3", ("unknown",), "10.1.2.3"),
        ("10.1.2.3", ("203.0.113.1, garbage",), "10.1.2.3"),
        ("10.1.2.3", ("203.0.113.1, , 10.5.5.5",), "10.1.2.3"),
        ("10.1.2.3", ("203.0.113.1;DROP TABLE",), "10.1.2.3"),
        ("10.1.2.3", ("203.0.113.01",), "10.1.2.3"),
        ("10.1.2.3", ("\xff\xfe",), "10.1.2.3"),
        # Ports, brackets and quotes.
        ("10.1.2.3", ("203.0.113.1:80",), "203.0.113.1"),
        ("10.1.2.3", ("[2400::1]",), "2400::1"),
        ("10.1.2.3", ("[2400::1]:80",), "2400::1"),
        ("10.1.2.3", ('"[2400::1]:80"',), "2400::1"),
        ("10.1.2.3", ("[2400::1",), "2400::1"),
        ("10.1.2.3", ("[203.0.113.1]",), "10.1.2.3"),
        ("10.1.2.3", ("203.0.113.1:",), "10.1.2.3"),
        ("10.1.2.3", ("203.0.113.1:x",), "10.1.2.3"),
        ("10.1.2.3", ("203.0.113.1:\xb2",), "10.1.2.3"),
        ("10.1.2.3", ("[2400::1]80",), "10.1.2.3"),
        # IPv4 as IPv6, as a socket has it that serves both.
        ("::ffff:198.51.100.7", (), "198.51.100.7"),
        ("::ffff:10.1.2.3", ("::ffff:203.0.113.1",), "203.0.113.1"),
        # One address, however it is written, and without its scope.
        ("2400:0:0::0001", (), "2400::1"),
        ("fe80::1%eth0", (), "fe80::1"),
        # What has no address.
        (None, (), "unix"),
        (None, ("203.0.113.1",), "unix"),
        ("testclient", ("203.0.113.1",), "testclient"),
    ],
)
def test_the_client_is_who_asks_or_whom_a_trusted_proxy_asks_for(
    peer: str | None, forwarded: tuple[str, ...], client: str
) -> None:
    assert Clients(PROXIES).of(scope(peer, *forwarded)) == client


def test_a_proxy_that_comes_by_a_unix_socket_can_be_trusted() -> None:
    assert Clients(["unix"]).of(scope(None, "203.0.113.1")) == "203.0.113.1"
    assert Clients(["unix"]).of(scope(None)) == "unix"
    assert Clients(["unix"]).of(scope("198.51.100.7", "203.0.113.1")) == "198.51.100.7"


def test_an_ipv4_network_as_ipv6_is_one_of_ipv4() -> None:
    assert Clients(["::ffff:10.0.0.0/104"]).of(scope("10.1.2.3", "203.0.113.1")) == "203.0.113.1"


@pytest.mark.parametrize("proxy", ["*", "", "proxy.example.org", "10.0.0.0/33", "10.0.0.0-10.0.0.9", "999.0.0.1"])
def test_a_proxy_that_is_no_network_is_told_of(proxy: str) -> None:
    with pytest.raises(ValueError, match="is no address or network of a proxy; write it as") as raised:
        Clients(["10.0.0.0/8", proxy])
    assert repr(proxy) in str(raised.value)


def test_an_address_with_a_network_s_length_is_asked_about() -> None:
    with pytest.raises(
        ValueError, match=r"'10.0.0.7/8' is an address within a network; write 10.0.0.0/8 for all of it"
    ):
        Clients(["10.0.0.7/8"])


def test_thousands_of_hops_are_not_looked_at() -> None:
    assert Clients(PROXIES).of(scope("10.1.2.3", "203.0.113.1," + "10.1.1.1," * 10_000 + "10.2.2.2")) == "10.1.1.1"


@given(peer=st.sampled_from(["10.1.2.3", "198.51.100.7"]), forwarded=st.binary(max_size=100))
def test_whatever_is_sent_the_client_is_an_address(peer: str, forwarded: bytes) -> None:
    client = Clients(PROXIES).of({"type": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", forwarded)]})
    ip_address(client)
    assert peer in {client, "10.1.2.3"}


@given(st.ip_addresses(), st.ip_addresses())
def test_what_the_last_proxy_wrote_cannot_be_overruled(claimed: object, real: object) -> None:
    clients = Clients(["10.1.2.3"])
    assert clients.of(scope("10.1.2.3", f"{claimed}, {real}")) in {
        clients.of(scope("10.1.2.3", str(real))),
        clients.of(scope("10.1.2.3", str(claimed))) if str(real) in {"10.1.2.3", "::ffff:a01:203"} else None,
    }


@pytest.mark.parametrize(
    ("client", "all_of_it"),
    [
        ("203.0.113.1", "203.0.113.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("ci", "ci"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_a_client_s_group_is_what_one_subscriber_has(client: str, all_of_it: str) -> None:
    assert group(client) == all_of_it
