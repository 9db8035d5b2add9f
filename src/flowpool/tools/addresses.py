"""Which IP addresses are public. Pure: decides, never resolves or connects."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# IANA's registries of special addresses (RFC 6890 and its successors): what Python counts as global differs from
# version to version.
_NOT_PUBLIC_V4 = tuple(
    IPv4Network(net)
    for net in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_UNICAST = IPv6Network("2000::/3")  # all that is assigned for global use
_NOT_PUBLIC_V6 = tuple(
    IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "3ffe::/16", "3fff::/20")
)
_NAT64 = IPv6Network("64:ff9b::/96")


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
    return found in _UNICAST and not any(found in net for net in _NOT_PUBLIC_V6)


def _is_public_v4(address: IPv4Address) -> bool:
    return not any(address in net for net in _NOT_PUBLIC_V4)


def _inner_v4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that traffic to `address` ends at: mapped, translated (NAT64) or tunnelled (6to4)."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
