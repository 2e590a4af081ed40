# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a move leaves behind: links, queues, filters, nft rules and FDB entries, compared with those before.

The guest's own tap is compared with the guest's tap before, wherever it was. Not compared are FDB entries that
the kernel learned by itself (they come and age out), those of the guest's MAC (see fdb.py), and those of tenants and
of stations behind the guest, whose MACs a control plane also learns and forgets.
"""

import json

_SHOW = """
ip -d -j link show; echo; echo ---
bridge -j fdb show; echo; echo ---
tc -j qdisc show; echo; echo ---
for device in /sys/class/net/*; do
    for side in ingress egress; do
        tc filter show dev "${device##*/}" "$side" 2>/dev/null | sed "s/^/${device##*/} $side: /"
    done
done
echo ---
nft -s list ruleset
"""
_LINK_KEYS = ("flags", "mtu", "master", "txqlen", "promiscuity", "ifalias", "operstate", "inet6_addr_gen_mode")
_SLAVE_KEYS = ("state", "hairpin", "guard", "learning", "flood", "mcast_flood", "bcast_flood", "neigh_suppress",
               "isolated", "locked")
TAP = "the guest's tap"
# What rehome leaves on that tap until the tap goes with its QEMU: undoing either would interrupt the device in use
# (docs/operations.md, "What is in the kernel"). The queue may be longer; the clsact qdisc is empty (filters are compared).
_STAYS_WITH_TAP = ("link txqlen", "qdisc {\"dev\": null, \"handle\": \"ffff:\", \"kind\": \"clsact\"")


def _text(what, members):
    return f"{what} {json.dumps(members, sort_keys=True)}"


def _link(link):
    """An item per attribute, so that a difference names just what differs."""
    info = link.get("linkinfo", {})
    slave = info.get("info_slave_data", {})
    members = {"kind": info.get("info_kind"), "data": _stable(info.get("info_data", {})),
               **{key: link.get(key) for key in _LINK_KEYS}, **{key: slave.get(key) for key in _SLAVE_KEYS}}
    return [_text(f"link {key}", value) for key, value in members.items()]


def _stable(data):
    """Without what the kernel counts and times by itself, and the bridge's view of the spanning tree."""
    return {key: value for key, value in data.items() if not key.endswith(("_timer", "_id", "_change_detected"))}


def _own_handle(handle):
    """None for a handle that the kernel chose, from 8000: up (qdisc_alloc_handle() in net/sched/sch_api.c)."""
    number = int(handle.rstrip(":"), 16)
    return None if 0x8000 <= number < 0xffff else handle


def _is_learned(entry):
    return not entry.get("state") and "extern_learn" not in entry.get("flags", [])


class _Host:
    """The state of one host as (device, text) pairs; device None: not of one."""

    def __init__(self, host, ignored_macs):
        links, fdb, qdiscs, filters, self._rules = host.run(["sh", "-c", _SHOW]).stdout.split("---\n")
        self.links = json.loads(links)
        self._fdb = [entry for entry in json.loads(fdb)
                     if not _is_learned(entry) and entry["mac"] not in ignored_macs]
        self._qdiscs, self._filters = json.loads(qdiscs), filters.splitlines()

    def items(self):
        for link in self.links:
            yield from ((link["ifname"], text) for text in _link(link))
        for entry in self._fdb:
            yield entry["ifname"], _text("fdb", {key: value for key, value in entry.items() if key != "ifname"})
        for qdisc in self._qdiscs:
            yield qdisc["dev"], _text("qdisc", {**qdisc, "dev": None, "refcnt": None,
                                                "handle": _own_handle(qdisc["handle"])})
        for line in self._filters:
            device, text = line.split(" ", 1)
            yield device, "filter " + text
        for line in self._rules.splitlines():
            yield None, "nft " + line.strip()

    def taps_of(self, macs):
        """{name: its MAC's place in MACS}; libvirt gives the tap the guest's MAC with fe: in front."""
        places = {"fe" + mac[2:]: place for place, mac in enumerate(macs)}
        return {link["ifname"]: places[link["address"]] for link in self.links if link.get("address") in places}


def snapshot(lab, homes):
    """The state of all hosts with the guests of HOMES, [(guest, its host)], in place: texts, to compare with others."""
    macs = [(nic.mac, home) for guest, home in homes for nic in guest.nics]
    ignored = {mac for mac, _ in macs} | {tenant.mac for tenant in lab.tenants.values()}
    ignored.update(mac for guest, _ in homes for mac in guest.stations)
    items = []
    for host in lab.hosts.values():
        state = _Host(host, ignored)
        taps = state.taps_of([mac if home is host else "" for mac, home in macs])
        for device, text in state.items():
            if device in taps and text.startswith(_STAYS_WITH_TAP):
                continue
            where = f"{TAP} {taps[device]}" if device in taps else f"{host.name} {device}" if device else host.name
            items.append(f"{where}: {text}")
    # The same line twice (a rule, a filter) is not the same as once.
    return {f"{item} #{items[:number].count(item)}" if items[:number].count(item) else item
            for number, item in enumerate(items)}


def compare(before, after):
    """What differs, as texts."""
    return sorted([f"new: {item}" for item in after - before] + [f"missing: {item}" for item in before - after])
