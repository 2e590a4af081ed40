# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What must not be on the wire: nothing of the guest from its destination before it runs there, no answer for it from its old
host once it has left, and never one of its own frames back to it.
"""

import contextlib
import socket
import struct

from bench import ledger
from frames import mac_bytes
from lab import Guest, wait_until
from lab.capture import ARP, ICMP, ICMPV6, IPV4, IPV6, RARP, TCP, UDP, VXLAN_PORT, Capture
from lab.namespaces import net_namespace
from lab.systems import overlay
from support import Case, say

# The guest says something to a group, which is flooded to all, 50 times a second.
SCRIPT = "ping -q -i 0.02 -I eth0 224.0.0.77 >/dev/null &\nping -q -i 0.02 -I eth0 ff02::77 >/dev/null &\n"
PLUG_TIMEOUT_S = 20
ICMP_ERRORS = (3, 4, 5, 11, 12)  # RFC 792
ICMPV6_ERROR_MAX = 127  # RFC 4443 section 2.1
NEIGHBOUR_ADVERT = 136  # RFC 4861
TCP_RST = 4
CLOSED_PORT = 9  # nobody listens: who answers for the guest says RST or unreachable


def checksum(data):
    """RFC 1071."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data.ljust((len(data) + 1) // 2 * 2, b"\0")))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip_packet(source, destination, protocol, payload):
    """An IP packet of either family whose upper checksum, at the right place for PROTOCOL, is filled in."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    place = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}[protocol]
    pseudo = b"" if protocol == ICMP else ends + struct.pack("!II", len(payload), protocol)
    payload = payload[:place] + struct.pack("!H", checksum(pseudo + payload)) + payload[place + 2:]
    if family == socket.AF_INET6:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 255) + ends + payload
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + ends
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def late_frames(tenant, guest):
    """What peers with old news send: each would make a host that answers for the guest give itself away."""
    to, source = mac_bytes(guest.mac), mac_bytes(tenant.mac)
    syn = struct.pack("!HHIIBBHHH", 4242, CLOSED_PORT, 1, 0, 5 << 4, 2, 1024, 0, 0)
    ack = struct.pack("!HHIIBBHHH", 4242, 7000, 99, 99, 5 << 4, 16, 1024, 0, 0)
    datagram = struct.pack("!HHHH", 4242, CLOSED_PORT, 12, 0) + b"late"
    for kind, ours, theirs, echo in ((IPV4, tenant.ip4, guest.ip4, (ICMP, 8)), (IPV6, tenant.ip6, guest.ip6, (ICMPV6, 128))):
        for protocol, payload in ((TCP, syn), (TCP, ack), (UDP, datagram), (echo[0], struct.pack("!BBHHH", echo[1], 0, 0, 1, 1))):
            yield to + source + struct.pack("!H", kind) + ip_packet(ours, theirs, protocol, payload)
    yield b"\xff" * 6 + source + struct.pack("!HHHBBH", ARP, 1, IPV4, 6, 4, 1) + source + socket.inet_aton(tenant.ip4) + \
        bytes(6) + socket.inet_aton(guest.ip4)
    target = socket.inet_pton(socket.AF_INET6, guest.ip6)
    group = socket.inet_ntop(socket.AF_INET6, bytes.fromhex("ff0200000000000000000001ff") + target[-3:])  # RFC 4291
    solicit = struct.pack("!BBHI", 135, 0, 0, 0) + target + b"\1\1" + source
    yield b"\x33\x33\xff" + target[-3:] + source + struct.pack("!H", IPV6) + ip_packet(tenant.ip6, group, ICMPV6, solicit)


def answers_for(guest, frame):
    """Why FRAME is one that only the guest itself may send, or an error; else None."""
    if frame.source == guest.mac:
        return "from its MAC"
    if frame.type == ARP and socket.inet_aton(guest.ip4) == frame.data[28:32]:
        return "ARP for its address"
    _, _, protocol, payload = frame.ip() or (None, None, None, b"")
    if protocol == TCP and payload[13] & TCP_RST:
        return "TCP RST"
    if protocol == ICMP and payload[0] in ICMP_ERRORS:
        return f"ICMP error {payload[0]}"
    if protocol == ICMPV6 and payload[0] <= ICMPV6_ERROR_MAX:
        return f"ICMPv6 error {payload[0]}"
    if protocol == ICMPV6 and payload[0] == NEIGHBOUR_ADVERT and payload[8:24] == socket.inet_pton(socket.AF_INET6, guest.ip6):
        return "NA for its address"
    return None


class Silence(Case):
    def watch(self, stack, room):
        """Captures of what leaves both hypervisors by the underlay and to their tenants: {(host name, "out" or "tenant")}."""
        found = {}
        for host in room.lab.hypervisors:
            for name, device in (("out", "eth0"), ("tenant", room.lab.tenants[f"ts-{host.name}"].port)):
                found[host.name, name] = stack.enter_context(Capture(host, device, direction="out"))
        return found

    def watch_tap(self, stack, room, captures):
        """Adds ("to guest"): what the destination's tap is given, from the moment that it is there."""
        target = room.other()

        def tap():
            ports = ledger.ports(room.lab, target, room.guest.mac)
            return ports[0]["device"] if ports and ports[0]["state"] == "plugged" else None
        device = wait_until(tap, "destination tap", PLUG_TIMEOUT_S)
        captures["to guest"] = stack.enter_context(Capture(target, device, direction="out"))

    def send_late(self, room, old):
        """Frames for the guest reach the host it has left, long after."""
        tenant, peer = room.tenant(), room.lab["peer"]
        with net_namespace(peer.holder.namespace("net")):
            sender = socket.socket(socket.AF_INET6 if ":" in old.vtep else socket.AF_INET, socket.SOCK_DGRAM)
        with sender:
            for frame in late_frames(tenant, room.guest):
                header = struct.pack("!II", 1 << 27, overlay.VNI << 8)  # RFC 7348 section 5
                sender.sendto(header + frame, (old.vtep, VXLAN_PORT))
        beside = room.lab.tenants[f"ts-{old.name}"]
        self.assertTrue(tenant.ping(beside.ip4, count=3, timeout=3))  # which has passed there since

    def assert_leak_proof(self, room, new, captures, resumed_us):
        beside, tap_mac = room.lab.tenants[f"ts-{new.name}"], "fe" + room.guest.mac[2:]
        for frame in captures[new.name, "out"].frames():
            packet = frame.vxlan()
            if packet and frame.at_us < resumed_us:
                self.assertEqual(packet.inner.source, beside.mac, f"{packet} left before the guest ran")
        for frame in captures[new.name, "tenant"].frames():
            self.assertNotEqual(frame.source, tap_mac, frame)
            self.assertFalse(frame.type == RARP and frame.at_us < resumed_us, f"{frame} left before the guest ran")
        given = captures["to guest"].frames()
        self.assertGreater(len(given), 0)
        for frame in given:
            self.assertNotEqual(frame.source, room.guest.mac, f"{frame}: the guest's own frame back to it")

    def assert_silent(self, room, old, captures, resumed_us):
        """Nothing that speaks for the guest, and no error, from its old host. The late frames have been there, too."""
        for name in ("out", "tenant"):
            for frame in captures[old.name, name].frames():
                packet = frame.vxlan()
                inner = packet.inner if packet else frame
                why = answers_for(room.guest, inner)
                if name == "tenant" and why == "from its MAC":
                    continue  # it comes from the new host
                self.assertFalse(why and frame.at_us > resumed_us, f"{why}: {inner}")

    def check(self, underlay, family):
        room = self.room(underlay, Guest(script=SCRIPT))
        old, new = room.home, room.other()
        with contextlib.ExitStack() as stack:
            captures = self.watch(stack, room)
            told = self.assert_moves(room, family, tcp=True, during=lambda: self.watch_tap(stack, room, captures))
            self.send_late(room, old)
        resumed_us = room.events[new.name].wait("RESUME").at_us
        say(f"  captured: { {key: len(capture.frames()) for key, capture in captures.items()} }")
        self.assert_leak_proof(room, new, captures, resumed_us)
        self.assert_silent(room, old, captures, resumed_us)
        early = [event for event in told["timeline"] if event["host"] == "peer" and event["what"] == "FDB" and
                 event["ms"] < told["guest_downtime_ms"]]
        self.assertEqual(early, [], "a peer learned of the move before the guest ran")

    def test_ipv4(self):
        self.check(underlay=4, family=4)

    def test_ipv6(self):
        self.check(underlay=6, family=6)
