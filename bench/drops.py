# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where packets were dropped: the counters of all devices and queues of the lab and of the guest, before and after.

A device that was not there before counts from zero; one that has gone since is not seen (a lane's drops are in the
agent's ledger).
"""

import json

from .guest_info import guest_info

_SHOW = "ip -s -j link show; echo; echo ---; tc -s -j qdisc show"
_SIDES = ("rx", "tx")
_KINDS = ("dropped", "errors")


def _of_links(links):
    return {f"{link['ifname']} {side}_{kind}": link["stats64"][side][kind]
            for link in links for side in _SIDES for kind in _KINDS}


def _of_queues(queues):
    return {f"{queue['dev']} {queue['kind']} {queue.get('parent', 'root')}": queue.get("drops", 0) for queue in queues}


def _of_namespace(who):
    links, _, queues = who.run(["sh", "-c", _SHOW]).stdout.partition("---")
    found = {**_of_links(json.loads(links)), **_of_queues(json.loads(queues))}
    return {f"{who.name} {counter}": value for counter, value in found.items()}


def _of_guest(room, load):
    device = guest_info(room.tenant(load.peer_on), room.address(load.family))["eth0"] or {}
    return {f"guest eth0 {side}_{kind}": device.get(f"{side}_{kind}", 0) for side in _SIDES for kind in _KINDS}


def counters(room, load):
    """All of them so far, by name."""
    found = _of_guest(room, load)
    for who in (*room.lab.nves, *room.lab.tenants.values()):
        found.update(_of_namespace(who))
    return found


def grown(before, after):
    """Those of AFTER that are more than BEFORE, and by how much."""
    found = {name: value - before.get(name, 0) for name, value in after.items()}
    return {name: value for name, value in sorted(found.items()) if value > 0}
