"""Which addresses a fetch may connect to."""

from __future__ import annotations

import pytest

from flowpool.tools.addresses import is_public

PRIVATE = """
127.0.0.1 127.8.8.8 0.0.0.0 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1
192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 192.88.99.1
::1 :: fe80::1 fe80::1%eth0 fc00::1 fd12::1 fec0::1 ff02::1 2001:db8::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1
::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1:: 2002:c0a8:101:: ::7f00:1
2001:0:1::1 100::1 192.0.0.1 192.0.0.9 192.0.0.170 0.1.2.3 172.20.1.1 198.19.255.255 ::ffff:192.0.0.1 3fff::1
3fff:fff::1 3ffe::1 2001:1::1 2001:20::1 2001:1ff::1 5f00::1 4000::1 64:ff9b::c000:1 localhost 2130706433 0x7f.1
"""
PUBLIC = """
8.8.8.8 93.184.215.14 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::
1.1.1.1 100.63.0.1 100.128.0.1 172.32.0.1 192.0.1.1 198.20.0.1 223.255.255.255 2001:200::1 2001:4860:4860::8888
2a00:1450::1 3fff:1000::1
"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_what_is_not_global_is_refused_however_it_is_wrapped(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_global_addresses_are_allowed(address: str) -> None:
    assert is_public(address)
