"""Which IP addresses are public. Pure: decides, never resolves or connects."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_UNICAST = IPv6Network("2000::/3")  # all that is assigned for global use
_NAT64 = IPv6Network("64:ff9b::/96")
_OLD_RELAYS = IPv4Address("192.88.99.0")


def is_public(address: str) -> bool:
    """Whether a fetch may connect to `address`: global unicast, and so is any IPv4 address inside it.

    False for private, loopback, link-local, shared (CGNAT), multicast and reserved addresses, and for
    what is no address at all.

        is_public("93.184.215.14"), is_public("169.254.169.254")  # (True, False)
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return _is_public_v4(found)
    inner = _inner_v4(found)
    if inner is not None:
        return _is_public_v4(inner)
    return found in _UNICAST and found.is_global


def _is_public_v4(address: IPv4Address) -> bool:
    relayed = int(address) >> 8 == int(_OLD_RELAYS) >> 8
    return address.is_global and not address.is_multicast and not relayed


def _inner_v4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that traffic to `address` ends at: mapped, translated (NAT64) or tunnelled (6to4)."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
