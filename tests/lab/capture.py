# SPDX-License-Identifier: LGPL-2.1-or-later
"""What passes a device, by tcpdump, and the little of it that tests look at."""

import ipaddress
import os
import struct
from dataclasses import dataclass

VXLAN_PORT = 4789
ETHERNET_SIZE, VXLAN_SIZE, UDP_SIZE = 14, 8, 8
IPV4, ARP, RARP, IPV6 = 0x0800, 0x0806, 0x8035, 0x86dd
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
_FILE_SIZE = 24  # pcap-savefile(5)
_RECORD = struct.Struct("=IIII")
SNAP = 256  # bytes kept of a frame: two sets of headers


def mac_text(data):
    return data.hex(":")


@dataclass(frozen=True)
class Frame:
    """at_us: CLOCK_REALTIME. size: on the wire; .data may be cut."""
    at_us: int
    size: int
    data: bytes

    @property
    def to(self):
        return mac_text(self.data[:6])

    @property
    def source(self):
        return mac_text(self.data[6:12])

    @property
    def type(self):
        return int.from_bytes(self.data[12:14], "big")

    def ip(self):
        """(source, destination, protocol, payload) of an IP packet without options or extensions, or None."""
        packet = self.data[ETHERNET_SIZE:]
        if self.type == IPV4 and len(packet) >= 20:
            addresses, protocol, payload = (packet[12:16], packet[16:20]), packet[9], packet[(packet[0] & 15) * 4:]
        elif self.type == IPV6 and len(packet) >= 40:
            addresses, protocol, payload = (packet[8:24], packet[24:40]), packet[6], packet[40:]
        else:
            return None
        source, destination = (str(ipaddress.ip_address(address)) for address in addresses)
        return source, destination, protocol, payload

    def vxlan(self):
        """The Vxlan packet (RFC 7348 section 5) that this is, or None."""
        source, destination, protocol, payload = self.ip() or (None, None, None, b"")
        if protocol != UDP or int.from_bytes(payload[2:4], "big") != VXLAN_PORT:
            return None
        vni = int.from_bytes(payload[UDP_SIZE + 4:UDP_SIZE + 7], "big")
        data = payload[UDP_SIZE + VXLAN_SIZE:]
        inner = Frame(self.at_us, self.size - len(self.data) + len(data), data)
        return Vxlan(source, destination, int.from_bytes(payload[:2], "big"), vni, inner)


@dataclass(frozen=True)
class Vxlan:
    """Its outer addresses, its outer UDP source port, and the Frame inside."""
    source: str
    destination: str
    port: int
    vni: int
    inner: Frame


class Capture:
    """Context: what passes DEVICE of HOST and matches EXPRESSION (pcap-filter(7)); .frames() after the block."""

    def __init__(self, host, device, expression="", direction="inout"):
        self._name = f"tcpdump-{device}-{direction}"
        self._path = os.path.join(host.dir, self._name + ".pcap")
        self._daemon = host.daemon(self._name, [
            "tcpdump", "-n", "-p", "-U", "--immediate-mode", "-s", str(SNAP), "-B", "16384", "-Q", direction, "-i", device,
            "-w", self._path, *([expression] if expression else [])])

    def __enter__(self):
        self._daemon.wait_output("listening on")
        return self

    def __exit__(self, kind, error, trace):
        self._daemon.stop()

    def frames(self):
        """All of them, as Frame."""
        with open(self._path, "rb") as file:
            data = file.read()
        found, at = [], _FILE_SIZE
        while at + _RECORD.size <= len(data):
            seconds, micros, kept, size = _RECORD.unpack_from(data, at)
            at += _RECORD.size
            found.append(Frame(seconds * 1000000 + micros, size, data[at:at + kept]))
            at += kept
        return found
