# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who asks by ARP and ND during a move, and what of that an overlay floods.

The tenants on all hosts forget whom they know and ask anew, for the guest and for one another, in both families,
before a move's stream and after it. What the NVEs then send each other is captured where it leaves them: each copy of
head-end replication (RFC 7348 section 4.2) counts.
"""

import contextlib
import ipaddress

from lab import wait_until
from lab.capture import ARP, ICMPV6, Capture

from . import ledger

KNOWN_TIMEOUT_S = 20
ARP_REQUEST, NEIGHBOUR_SOLICITATION = 1, 135  # RFC 826; RFC 4861 section 4.3
_SOLICITED_NODE = "33:33:ff:"  # RFC 4291 section 2.7.1, RFC 2464 section 7

# VXLAN whose inner destination is a group: the first byte behind the outer UDP and VXLAN headers (pcap-filter(7) reads
# udp[] of IPv4 only).
_BUM = {4: "udp dst port 4789 and udp[16] & 1 = 1",
        6: "ip6[6] = 17 and ip6[42:2] = 4789 and ip6[56] & 1 = 1"}


def _askers(room):
    return list(room.lab.tenants.values())


def _addresses(room):
    return [address for who in (room.guest, *_askers(room)) for address in (who.ip4, who.ip6) if address]


def ask_around(room):
    """Each tenant forgets its neighbours and asks for all of them; they need not answer."""
    for tenant in _askers(room):
        tenant.run(["ip", "neigh", "flush", "dev", "eth0"], check=False)
        for address in _addresses(room):
            if address not in (tenant.ip4, tenant.ip6):
                tenant.ping(address)


def introduce(room):
    """All have spoken once; where there is a directory, it has everybody's addresses, and so has each NVE."""
    wanted = set(_addresses(room))

    def known():
        ask_around(room)
        return room.system != "rehome" or all(
            wanted <= {ip for mapping in ledger.all_mappings(room.lab, host) for ip in mapping["ips"]}
            for host in room.lab.nves)
    wait_until(known, "addresses of guest and tenants in the directory", KNOWN_TIMEOUT_S)


def kind_of(frame):
    """What a captured frame floods: "arp", "ns", "other", or None when it is no VXLAN packet to a group."""
    packet = frame.vxlan()
    inner = packet.inner if packet else None
    if not inner or not int(inner.to[:2], 16) & 1:
        return None
    if inner.type == ARP and int.from_bytes(inner.data[20:22], "big") == ARP_REQUEST:
        return "arp"
    _, to, protocol, payload = inner.ip() or ("::", "::", None, b"")
    if (protocol == ICMPV6 and payload[:1] == bytes((NEIGHBOUR_SOLICITATION,)) and
            inner.to.startswith(_SOLICITED_NODE) and ipaddress.ip_address(to).is_multicast):
        return "ns"
    return "other"


class Flooded:
    """Context: counts what the NVEs flood to one another meanwhile; .counts after the block."""

    def __init__(self, room):
        self._captures = [Capture(host, "eth0", _BUM[room.underlay], direction="out") for host in room.lab.nves]
        self._stack = contextlib.ExitStack()
        self.counts = None

    def __enter__(self):
        for capture in self._captures:
            self._stack.enter_context(capture)
        return self

    def __exit__(self, kind, error, trace):
        self._stack.close()
        kinds = [kind_of(frame) for capture in self._captures for frame in capture.frames()] if kind is None else []
        self.counts = {f"flooded_{name}": kinds.count(name) for name in ("arp", "ns", "other")}
