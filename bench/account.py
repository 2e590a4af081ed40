# SPDX-License-Identifier: LGPL-2.1-or-later
"""One move told for people: when what happened where, what became of the packets, the FDBs, what is left."""

from . import ledger
from .fdb import HERE
from .measure import record


def timeline(move):
    """[(milliseconds since STOP, host name, what, detail)] from QEMU, the kernels' FDBs and the agents."""
    stop_us = move.stop.at_us
    events = [(0.0, move.source.name, "QEMU", "STOP: the guest stands still"),
              ((move.resume.at_us - stop_us) / 1000, move.target.name, "QEMU", "RESUME: the guest goes on")]
    for name, track in move.tracks.items():
        events += [((at_us - stop_us) / 1000, name, "FDB", f"the guest's frames go {_where(where)}")
                   for at_us, where in track.history()[1:]]
    return sorted(events + ledger.timeline(move.ledger, stop_us))


def _where(where):
    return "here" if where == HERE else f"to {where}" if where else "everywhere: flooded"


def places(move):
    """NVE name -> where its FDB sent the guest's frames before and after."""
    return {name: dict(zip(("before", "after"), map(_where, track.before_and_after())))
            for name, track in move.tracks.items()}


def as_object(room, move):
    """The account as a JSON object: the record of measure.py, and what else is told."""
    return {**record(room, move), "timeline": [dict(zip(("ms", "host", "what", "detail"), event))
                                               for event in timeline(move)],
            "fdb": places(move)}


def beyond_downtime(told):
    """Packets to the guest lost beyond what its standing still alone would cost."""
    return max(0, told["lost"] - round(told["pps"] * told["guest_downtime_ms"] / 1000))


def flooded(moves):
    """(ARP requests, NS): copies flooded over VXLAN in MOVES, as far as they were counted."""
    return tuple(sum(move.get(f"flooded_{kind}", 0) for move in moves) for kind in ("arp", "ns"))


def faults(told):
    """What a move should not have done, as texts; empty for a good one."""
    found = []
    if beyond_downtime(told):
        found.append(f"{beyond_downtime(told)} packets to the guest were lost beyond its downtime")
    if told["lost_from_guest"]:
        found.append(f"{told['lost_from_guest']} packets from the guest were lost")
    if not told.get("tcp_alive", True):
        found.append("the TCP connection died")
    if told["system"] == "rehome" and any(flooded([told])):
        found.append(f"ARP requests and NS for known addresses were flooded over VXLAN: {_flooded_text([told])}")
    if told["converged_ms"] is None:
        found.append("an NVE does not send to the new host")
    return found + [f"left over: {item}" for item in told["leftover_items"]]


def _packets(told):
    yield f"  {'packets':16} {'sent':>8} {'lost':>6} {'doubled':>8} {'reordered':>10}   longest silence"
    for name, suffix in (("to the guest", ""), ("from the guest", "_from_guest")):
        sent, lost, doubled, reordered = (told[key + suffix] for key in ("sent", "lost", "duplicated", "reordered"))
        gap = told[f"longest_gap{suffix}_ms"]
        yield f"  {name:16} {sent:8} {lost:6} {doubled:8} {reordered:10}   {gap:.1f} ms"
    for key, name in (("invalid", "to the guest"), ("invalid_from_guest", "from the guest")):
        if told[key]:
            yield f"  (a fault of the lab, {name}: {', '.join(told[key])})"


def _summary(told):
    cost = told["pps"] * told["guest_downtime_ms"] / 1000
    yield f"  the guest stood still {told['guest_downtime_ms']:.1f} ms, in which {cost:.0f} packets came for it"
    if "longest_stall_ms" in told:
        yield (f"  TCP {'alive' if told['tcp_alive'] else 'DEAD'}: longest stall {told['longest_stall_ms']:.1f} ms, "
               f"{told['retransmissions']} retransmissions, {told['timeouts']} timeouts")


def _fdbs(told):
    when = told["converged_ms"]
    yield "  FDBs: " + ("NOT all send to the new host" if when is None else
                        f"all others send to the new host {when:.1f} ms after RESUME")
    for name, place in told["fdb"].items():
        yield f"    {name:6} {place['before']:18} -> {place['after']}"


def _flooded_text(moves):
    return "{} + {} copies".format(*flooded(moves))


def comparison(whole):
    """What was flooded with each system, as a line; WHOLE: system -> its moves."""
    return "ARP requests + NS flooded over VXLAN during the moves: " + ", ".join(
        f"{system} {_flooded_text(moves)}" for system, moves in whole.items())


def _flooded(told):
    if "flooded_arp" in told:
        yield (f"  flooded over VXLAN: {told['flooded_arp']} ARP requests, {told['flooded_ns']} NS, "
               f"{told['flooded_other']} other frames, each copy counted; all tenants asked anew before and after")


def _left(told):
    yield "  left over: " + ("nothing" if not told["leftover_items"] else "")
    yield from (f"    {item}" for item in told["leftover_items"])


def lines(told, number):
    """The account of one move as text lines."""
    yield (f"Move {number}: {told['direction'].replace('->', ' -> ')}, {told['pps']} packets/s of "
           f"{told['frame_size']} bytes each way, guest IPv{told['family']}, underlay IPv{told['underlay']}; "
           f"`virsh migrate` took {told['migration_s']:.1f} s")
    yield "  ms from STOP"
    for event in told["timeline"]:
        yield f"  {event['ms']:12.3f}  {event['host']:6} {event['what']:18} {event['detail']}".rstrip()
    for part in (_packets, _summary, _fdbs, _flooded, _left):
        yield from part(told)
