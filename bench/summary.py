# SPDX-License-Identifier: LGPL-2.1-or-later
"""The moves of one cell (system, underlay, family, rate, size) as one object. Invalid figures are left out."""

from statistics import median

def _spread(values, digits=None):
    values = [value for value in values if value is not None]
    if not values:
        return None
    return {"total": round(sum(values), digits), "median": round(median(values), 3), "max": round(max(values), digits)}


def _figures(records, keys):
    return {key: _spread([record.get(key) for record in records], 3) for key in keys}


def summarise(cell, records, tcp_held=None):
    """CELL: its keys and values. RECORDS: those of its moves. TCP_HELD: of the connection held through all of them."""
    to_guest = [record for record in records if not record["invalid"]]
    from_guest = [record for record in records if not record["invalid_from_guest"]]
    tcp = ("longest_stall_ms", "retransmissions", "timeouts")
    return {
        **cell, "moves": len(records), "valid": len(to_guest), "valid_from_guest": len(from_guest),
        **_figures(to_guest, ("sent", "lost", "duplicated", "reordered", "lost_early", "longest_gap_ms")),
        **_figures(from_guest, ("sent_from_guest", "lost_from_guest", "duplicated_from_guest",
                                "reordered_from_guest", "longest_gap_from_guest_ms")),
        **_figures(records, ("guest_downtime_ms", "converged_ms", *tcp)),
        "downtime_packets": _spread([record["pps"] * record["guest_downtime_ms"] / 1000 for record in to_guest], 1),
        "not_converged": sum(record["converged_ms"] is None for record in records),
        "leftovers": sum(record["leftovers"] for record in records),
        "tcp_alive": all(record.get("tcp_alive", True) for record in records), "tcp_held": tcp_held,
    }


def unavailable(cell, key, reason):
    """A cell without moves; KEY is `unsupported` or `failed`."""
    return {**cell, "moves": 0, key: reason}
