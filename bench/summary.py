# SPDX-License-Identifier: LGPL-2.1-or-later
"""The moves of one cell (system, underlay, family, rate, size) as one object. Invalid figures are left out."""

import math
from statistics import median

from .options import FRAME_MIN_IPV6


def spread(values, digits=None):
    values = [value for value in values if value is not None]
    if not values:
        return None
    return {"total": round(sum(values), digits), "median": round(median(values), 3), "max": round(max(values), digits)}


def percentiles(values):
    """{"count", "p50", "p99", "max"} by nearest rank, or None."""
    values = sorted(value for value in values if value is not None)
    if not values:
        return None
    rank = {name: values[max(0, math.ceil(len(values) * share) - 1)] for name, share in (("p50", .5), ("p99", .99))}
    return {"count": len(values), **rank, "max": values[-1]}


def _figures(records, keys):
    return {key: spread([record.get(key) for record in records], 3) for key in keys}


def latencies(records):
    """Of the agents' switches at STOP, microseconds; {} where nobody told."""
    found = {key: percentiles([record.get(key) for record in records]) for key in ("stop_heard_us", "switch_us")}
    return found if any(found.values()) else {}


_TCP = ("longest_stall_ms", "stall_beyond_downtime_ms", "stall_beyond_silence_ms", "retransmissions", "timeouts",
        "retransmissions_peer", "timeouts_peer", "retransmissions_guest", "timeouts_guest")
_FLOODED = ("flooded_arp", "flooded_ns", "flooded_other")
_AGENT = ("pulled", "swallowed", "doubtful", "dropped_by_agent")


def summarise(cell, records, tcp_held=None):
    """CELL: its keys and values. RECORDS: those of its moves. TCP_HELD: of the connection held through all of them."""
    to_guest = [record for record in records if not record["invalid"]]
    from_guest = [record for record in records if not record["invalid_from_guest"]]
    return {
        **cell, "moves": len(records), "valid": len(to_guest), "valid_from_guest": len(from_guest),
        **_figures(to_guest, ("sent", "lost", "duplicated", "reordered", "lost_early", "longest_gap_ms")),
        **_figures(from_guest, ("sent_from_guest", "lost_from_guest", "duplicated_from_guest",
                                "reordered_from_guest", "longest_gap_from_guest_ms")),
        **_figures(records, ("guest_downtime_ms", "converged_ms", *_TCP, *_AGENT, *_FLOODED)), **latencies(records),
        "moves_with_loss": sum(record["lost"] > record["lost_early"] for record in to_guest),
        "downtime_packets": spread([record["pps"] * record["guest_downtime_ms"] / 1000 for record in to_guest], 1),
        "not_converged": sum(record["converged_ms"] is None for record in records),
        "leftovers": sum(record["leftovers"] for record in records),
        "tcp_alive": all(record.get("tcp_alive", True) for record in records), "tcp_held": tcp_held,
    }


def group_of(cell):
    """What names the group of a cell: all but the address families. The shortest frame is longer in IPv6."""
    shortest = cell["frame_size"] <= FRAME_MIN_IPV6
    return tuple(cell[key] for key in ("system", "pps", "pps_from_guest", "postcopy", "peer_on", "tcp",
                                       "max_downtime_ms")) + (FRAME_MIN_IPV6 if shortest else cell["frame_size"],)


def of_group(cells, records):
    """The same as summarise() for the moves of several cells that differ in address families."""
    first = {**cells[0], "underlay": None, "family": None, "frame_size": sorted({c["frame_size"] for c in cells})}
    return summarise(first, records) if records else unavailable(first, "unsupported", "no move")


def unavailable(cell, key, reason):
    """A cell without moves; KEY is `unsupported` or `failed`."""
    return {**cell, "moves": 0, key: reason}
