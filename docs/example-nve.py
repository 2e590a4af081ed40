#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small NVE, written from docs/protocol.md and nva/nvo3.proto alone: it takes part in a VNI, prints what the NVA says
of it, confirms, and registers one endpoint.  example-nve.py NVA-ADDRESS NVA-PORT NAME VTEP VNI MAC IP"""
import ipaddress
import socket
import struct
import sys
import time


def varint(number):
    more = number >> 7
    return bytes([number & 0x7F | (0x80 if more else 0)]) + (varint(more) if more else b"")


def field(number, value):  # an int (left out when 0, as proto3 has it), or bytes, or a str
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def read_varint(data, at):
    number, shift = 0, 0
    while True:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return number, at


def fields(data):  # {number: [values]}; a field that is not known is there, and nobody asks for it
    found, at = {}, 0
    while at < len(data):
        key, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        found.setdefault(key >> 3, []).append(value)
    return found


def receive(stream):  # the number of its body in the Envelope, and the body
    size, = struct.unpack(">I", stream.read(4))
    envelope = fields(stream.read(size))
    return next((n, fields(body[0]), envelope.get(1, [0])[0]) for n, body in envelope.items() if n >= 10)


def show(word, mapping):
    m = fields(mapping)
    places = [str(ipaddress.ip_address(ip)) for ip in m.get(4, []) + m.get(3, [])] if word == "mapping" else []
    print(word, m[2][0].hex(":"), "generation", m.get(5 if word == "mapping" else 3, [0])[0], *places, flush=True)


host, port, name, vtep, vni, mac, ip = sys.argv[1:]
nva = socket.create_connection((host, int(port)))
send = lambda kind, body, ident=0: nva.sendall(  # noqa: E731
    struct.pack(">I", len(field(1, ident) + field(kind, body))) + field(1, ident) + field(kind, body))
mapping = (field(1, int(vni)) + field(2, bytes.fromhex(mac.replace(":", ""))) +
           field(3, ipaddress.ip_address(ip).packed) + field(7, 2))  # learned: the last NVE to see it has it
send(10, field(1, name) + field(2, 1) + field(4, ipaddress.ip_address(vtep).packed) + field(5, time.time_ns()))  # HELLO
send(12, field(1, int(vni)))                                                                            # SUBSCRIBE
send(14, field(1, mapping), 1)                                                                          # REGISTER
with nva.makefile("rb") as stream:
    while True:
        kind, body, ident = receive(stream)
        if kind == 15:                                                                                  # REGISTERED
            print("registered" if body.get(2) else f"refused: {body[3][0].decode()}", flush=True)
        elif kind == 24:                                                                                # UPDATE
            for endpoint in body.get(5, []):
                show("gone", endpoint)
            for one in body.get(6, []):
                show("mapping", one)
            send(25, field(1, body[1][0]))                                                              # ACK
        elif kind == 31:                                                                                # PING
            send(32, b"", ident)                                                                        # PONG
        elif kind == 33:                                                                                # ERROR
            sys.exit(body[1][0].decode())
