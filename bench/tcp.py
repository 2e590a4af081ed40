# SPDX-License-Identifier: LGPL-2.1-or-later
"""TCP's retransmissions and timeouts at both ends of a stream, of all its connections: the kernels' own counters."""

from .guest_info import guest_info

_MIB = {"retransmissions": ("Tcp:", "RetransSegs"), "timeouts": ("TcpExt:", "TCPTimeouts")}


def _peer_counters(tenant):
    """Of the tenant's kernel: /proc/net/snmp and /proc/net/netstat, lines in pairs: names, then values."""
    lines = [line.split() for line in tenant.run(["cat", "/proc/net/snmp", "/proc/net/netstat"]).stdout.splitlines()]
    tables = {names[0]: dict(zip(names[1:], values[1:])) for names, values in zip(lines[::2], lines[1::2])}
    return {key: int(tables[group][name]) for key, (group, name) in _MIB.items()}


def counters(tenant, address):
    """So far: of the kernel of TENANT, and of that of the guest at ADDRESS."""
    return {"peer": _peer_counters(tenant), "guest": guest_info(tenant, address)["tcp"]}


def difference(before, after):
    return {end: {key: after[end][key] - value for key, value in values.items()}
            for end, values in before.items()}
