#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
tshark reads the frames that net/frames.h builds as they were meant, and finds nothing wrong with them.

usage: test_frames_tshark.py FRAME-PCAP [UNITTEST-ARGUMENT...]
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

FRAME_PCAP = ""
A, B, ALL, ZERO = "52:54:00:aa:00:10", "52:54:00:aa:00:11", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"
IP4_A, IP4_B, ANY4 = "198.51.100.16", "198.51.100.17", "0.0.0.0"
IP6_A, IP6_B, ANY6 = "2001:db8::10", "2001:db8::11", "::"
NODES, SOLICITED_B = ("33:33:00:00:00:01", "ff02::1"), ("33:33:ff:00:00:11", "ff02::1:ff00:11")


def arp(to, operation, sender, target, kind="0x0806", announcement=None, probe=None, gratuitous=None):
    """sender, target: (MAC, IPv4)."""
    return {"eth.dst": to, "eth.src": sender[0], "eth.type": kind, "arp.opcode": str(operation),
            "arp.hw.type": "1", "arp.proto.type": "0x0800", "arp.hw.size": "6", "arp.proto.size": "4",
            "arp.src.hw_mac": sender[0], "arp.src.proto_ipv4": sender[1],
            "arp.dst.hw_mac": target[0], "arp.dst.proto_ipv4": target[1],
            "arp.isannouncement": announcement, "arp.isprobe": probe, "arp.isgratuitous": gratuitous, "frame.len": "60"}


def nd(to, kind, source, target, option, flags=(None, None, None)):
    """to: (MAC, IPv6); source: (MAC, IPv6); flags of an NA: router, solicited, override."""
    router, solicited, override = flags
    return {"eth.dst": to[0], "eth.src": source[0], "eth.type": "0x86dd", "ipv6.src": source[1], "ipv6.dst": to[1],
            "ipv6.hlim": "255", "ipv6.nxt": "58", "icmpv6.type": str(kind), "icmpv6.code": "0",
            "icmpv6.checksum.status": "1",  # good
            "icmpv6.nd.na.target_address" if kind == 136 else "icmpv6.nd.ns.target_address": target,
            "icmpv6.opt.type": option, "icmpv6.opt.linkaddr": source[0] if option else None,
            "icmpv6.nd.na.flag.r": router, "icmpv6.nd.na.flag.s": solicited, "icmpv6.nd.na.flag.o": override}


# In the order of tests/lib/frame_pcap.c.
FRAMES = {
    "GARP, request form": arp(ALL, 1, (A, IP4_A), (ZERO, IP4_A), announcement="1", gratuitous="1"),
    "GARP, reply form": arp(ALL, 2, (A, IP4_A), (A, IP4_A), gratuitous="1"),
    "ARP request": arp(ALL, 1, (A, IP4_A), (ZERO, IP4_B)),
    "ARP probe": arp(ALL, 1, (A, ANY4), (ZERO, IP4_B), probe="1"),
    "ARP poll": arp(B, 1, (A, ANY4), (ZERO, IP4_B), probe="1"),
    "ARP reply": arp(A, 2, (B, IP4_B), (A, IP4_A)),
    "RARP request": arp(ALL, 3, (A, ANY4), (A, ANY4), kind="0x8035"),
    "RARP reply": arp(A, 4, (B, IP4_B), (A, IP4_A), kind="0x8035"),
    "unsolicited NA": nd(NODES, 136, (A, IP6_A), IP6_A, "2", ("0", "0", "1")),
    "unsolicited NA of a router": nd(NODES, 136, (A, IP6_A), IP6_A, "2", ("1", "0", "1")),
    "solicited NA": nd((B, IP6_B), 136, (A, IP6_A), IP6_A, "2", ("0", "1", "1")),
    "NS": nd(SOLICITED_B, 135, (A, IP6_A), IP6_B, "1"),
    "NS of DAD": nd(SOLICITED_B, 135, (A, ANY6), IP6_B, None),
    "NS poll": nd((B, IP6_B), 135, (A, IP6_A), IP6_B, "1"),
}


def flatten(layers, into):
    """All fields by their names, the first of each."""
    for name, value in layers.items():
        if isinstance(value, dict):
            flatten(value, into)
        elif isinstance(value, list):
            for item in value:
                flatten(item if isinstance(item, dict) else {name: item}, into)
        else:
            into.setdefault(name, value)
        if name.startswith(("_ws.malformed", "_ws.expert")):
            into.setdefault(name, value)
    return into


class Frames(unittest.TestCase):
    def test_as_tshark_sees_them(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "frames.pcap")
            with open(path, "wb") as file:
                subprocess.run([FRAME_PCAP], stdout=file, check=True)
            done = subprocess.run(["tshark", "-n", "-r", path, "-T", "json", "--no-duplicate-keys",
                                   "-o", "arp.detect_duplicate_ips:FALSE"],  # the capture's, not a frame's
                                  capture_output=True, text=True, check=True, timeout=120,
                                  env={**os.environ, "HOME": directory})
        packets = [flatten(packet["_source"]["layers"], {}) for packet in json.loads(done.stdout)]
        self.assertEqual(len(packets), len(FRAMES))
        for packet, (name, wanted) in zip(packets, FRAMES.items()):
            with self.subTest(frame=name):
                for word in packet:
                    self.assertFalse(word.startswith(("_ws.malformed", "_ws.expert")), packet)
                found = {field: packet.get(field) for field in wanted}
                self.assertEqual(found, wanted)


def main():
    global FRAME_PCAP
    if not shutil.which("tshark"):
        print("SKIP: no tshark")
        sys.exit(77)
    FRAME_PCAP = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)


if __name__ == "__main__":
    main()
