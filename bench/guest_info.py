# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the guest's probe tells of its kernel over TCP: INFO of tests/lab/probe_lines.c."""

import json
import socket

from lab.image import PROBE_PORT

TIMEOUT_S, ANSWER_MAX = 5, 4096


def guest_info(tenant, address):
    """The guest at ADDRESS, asked from TENANT: its counters of eth0, TCP."""
    with tenant.namespace():
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    with sock:
        sock.settimeout(TIMEOUT_S)
        sock.connect((address, PROBE_PORT))
        sock.sendall(b"INFO\n")
        with sock.makefile("rb") as answer:
            return json.loads(answer.readline(ANSWER_MAX))
