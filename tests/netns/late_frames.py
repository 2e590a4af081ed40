#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes packets of the probe late by a known amount: late_frames.py IN OUT NUMBER

Holds the DATA frames that arrive on device IN. When the one numbered NUMBER comes, those held of its flow leave through
OUT, in the order they came; it does not leave itself. Prints "ready" when it sees IN, then one line per release.
"""

import socket
import struct
import sys

ETH_P_ALL = 3
PACKET_OUTGOING = 4
SOL_PACKET = 263
PACKET_VNET_HDR = 15        # frames keep their unfinished checksums (if_packet.h, virtio_net.h)
VNET_HEADER = 10
UDP_OFFSETS = {0x0800: 14 + 20, 0x86DD: 14 + 40}
DATA = b"\x72\x70\x10"      # how a DATA message begins: tests/lab/probe_wire.h
FRAME_MAX = 10000


def open_device(name: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sock.bind((name, ETH_P_ALL))
    return sock


def message_of(frame: bytes, protocol: int) -> bytes:
    """The UDP payload, or what stands in its place in frames of other kinds."""
    return frame[VNET_HEADER + UDP_OFFSETS[protocol] + 8:] if protocol in UDP_OFFSETS else b""


def main() -> None:
    source, target, release = open_device(sys.argv[1]), open_device(sys.argv[2]), int(sys.argv[3])
    held: dict[int, list[bytes]] = {}
    print("ready", flush=True)
    while True:
        frame, address = source.recvfrom(FRAME_MAX)
        message = message_of(frame, address[1])
        if address[2] == PACKET_OUTGOING or not message.startswith(DATA):
            continue
        flow, number = struct.unpack_from("!3xB4xI", message)
        if number != release:
            held.setdefault(flow, []).append(frame)
            continue
        late = held.pop(flow, [])
        for one in late:
            target.send(one)
        print(f"flow {flow}: released {len(late)}", flush=True)


main()
