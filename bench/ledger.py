# SPDX-License-Identifier: LGPL-2.1-or-later
"""rehome's own account of moves, from `nvectl moves --json` of each NVE."""

import json
import re

from lab import wait_until

OVER_TIMEOUT_S = 60  # the forward timeout's default and what comes around it


def _ctl(lab, host, *words):
    return json.loads(lab.system.ctl(host, *words, "--json").stdout)


def moves(lab, since_us):
    """[(host, move)] of the hypervisors that began at SINCE_US or later."""
    return [(host, move) for host in lab.hypervisors for move in _ctl(lab, host, "moves")["moves"]
            if move["started_us"] >= since_us]


def wait_over(lab, since_us, timeout=OVER_TIMEOUT_S, ports=1):
    """Waits until both ends of the moves of PORTS that began after SINCE_US say they are over; [(host, move)]."""
    def both_over():
        found = moves(lab, since_us)
        return found if len(found) >= 2 * ports and all(move["over"] for _, move in found) else None
    return wait_until(both_over, "end of the move in the agents' ledgers", timeout, poll=0.05)


def timeline(found, stop_us):
    """The events of [(host, move)], oldest first: (milliseconds since STOP_US, host name, what, detail)."""
    events = [((event["at_us"] - stop_us) / 1000, host.name, event["what"], event.get("detail", ""))
              for host, move in found for event in move["events"]]
    return sorted(events)


_HEARD = re.compile(r"STOP, heard (-?\d+) us later")
_RELEASED = re.compile(r"(\d+) pulled from \S+, (\d+) swallowed by QEMU, (\d+) perhaps")


def _found(move, what, pattern):
    """(event, match) of the first event WHAT whose detail has PATTERN, or (None, None)."""
    for event in move["events"]:
        match = re.search(pattern, event.get("detail", "")) if event["what"] == what else None
        if match:
            return event, match
    return None, None


def figures(found):
    """What the old NVE's agent says of a move, as figures of a record; {} without an agent, None: it did not say."""
    move = next((move for _, move in found if move["role"] == "old"), None)
    if not move:
        return {}
    stop, heard = _found(move, "qemu-event", _HEARD)
    switched, _ = _found(move, "switched", "")
    _, released = _found(move, "released", _RELEASED)
    doubted, _ = _found(move, "not-exact", "")
    trouble, _ = _found(move, "trouble", "")
    heard_us = int(heard.group(1)) if heard else None
    return {
        "stop_heard_us": heard_us,
        "switch_us": switched["at_us"] - stop["at_us"] - heard_us if stop and switched else None,
        **dict(zip(("pulled", "swallowed", "doubtful"), map(int, released.groups()) if released else (None,) * 3)),
        "not_exact": doubted["detail"] if doubted else None,
        "trouble": trouble["detail"] if trouble else None,
        "dropped_by_agent": move["dropped"],
    }


def ports(lab, host, mac):
    """What the agent of HOST says of its ports of MAC."""
    return [port for port in _ctl(lab, host, "ports")["ports"] if port["mac"] == mac]


def all_mappings(lab, host):
    """The directory's mappings, as the agent of HOST has them."""
    return _ctl(lab, host, "mappings")["mappings"]


def mappings(lab, host, mac):
    """Those of MAC."""
    return [mapping for mapping in all_mappings(lab, host) if mapping["mac"] == mac]


def status(lab, host):
    """`nvectl status` of HOST."""
    return _ctl(lab, host, "status")


def nva_status(lab, host):
    """`nvectl nva status` of HOST."""
    return _ctl(lab, host, "nva", "status")["nva"]


def disagreements(lab):
    """Mappings that the kernel of an NVE does not have as the directory says, as texts."""
    return [f"{host.name}: {mapping['mac']} at {mapping['vtep']} is not so in the kernel"
            for host in lab.nves for mapping in all_mappings(lab, host) if not mapping["in_kernel"]]
