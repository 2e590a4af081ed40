# SPDX-License-Identifier: LGPL-2.1-or-later
"""Summaries as tables, plain or Markdown: of moves, of faults, and of any texts."""


def _spread(figure, digits=0):
    if figure is None:
        return "-"
    return " / ".join(f"{figure[name]:.{digits}f}" for name in ("total", "median", "max"))


def _middle(figure, digits=1):
    if figure is None:
        return "-"
    return f"{figure['median']:.{digits}f} / {figure['max']:.{digits}f}"


def _total(figure):
    return "-" if figure is None else str(int(figure["total"]))


def _both(summary, name):
    return f"{_total(summary[name])} / {_total(summary[name + '_from_guest'])}"


def _moves(summary):
    spoiled = [f"{summary['moves'] - summary[key]} {text}"
               for key, text in (("valid", "invalid"), ("valid_from_guest", "invalid from guest"))
               if summary[key] < summary["moves"]]
    return " ".join([str(summary["moves"]), *(["(" + ", ".join(spoiled) + ")"] if spoiled else [])])


def _converged(summary):
    late = f" ({summary['not_converged']} never)" if summary["not_converged"] else ""
    return _middle(summary["converged_ms"]) + late


def _rate(s):
    up = s.get("pps_from_guest", s["pps"])
    return str(s["pps"]) + (f" / {up}" if up != s["pps"] else "")


def _percentiles(figure):
    return "-" if figure is None else " / ".join(str(figure[name]) for name in ("p50", "p99", "max"))


WHERE = (
    ("system", lambda s: s["system"] + (" postcopy" if s["postcopy"] else "")),
    ("underlay", lambda s: f"IPv{s['underlay']}"),
    ("guest", lambda s: f"IPv{s['family']}" + (" from source host" if s["peer_on"] == "source" else "")),
    ("packets/s", _rate),
    ("frame", lambda s: f"{s['frame_size']} B"),
)
_FIGURES = (
    ("moves", _moves),
    ("lost to guest: total / median / max", lambda s: _spread(s["lost"])),
    ("cost of downtime: total / median / max", lambda s: _spread(s["downtime_packets"])),
    ("lost from guest: total / median / max", lambda s: _spread(s["lost_from_guest"])),
    ("doubled to / from", lambda s: _both(s, "duplicated")),
    ("reordered to / from", lambda s: _both(s, "reordered")),
    ("downtime ms: median / max", lambda s: _middle(s["guest_downtime_ms"])),
    ("FDBs right, ms from RESUME", _converged),
    ("left over", lambda s: str(s["leftovers"])),
)
_EARLY = (("of those lost, before STOP", lambda s: _total(s["lost_early"])),)
_SWITCH = (("switch us: p50 / p99 / max", lambda s: _percentiles(s.get("switch_us"))),)
_FLOODED = (("ARP + NS flooded over VXLAN", lambda s: f"{_total(s.get('flooded_arp'))} + {_total(s.get('flooded_ns'))}"),)
_TCP = (
    ("TCP stall ms: median / max", lambda s: _middle(s["longest_stall_ms"])),
    ("beyond downtime ms: median / max", lambda s: _middle(s["stall_beyond_downtime_ms"])),
    ("beyond guest's silence ms: median / max", lambda s: _middle(s["stall_beyond_silence_ms"])),
    ("retransmissions / timeouts", lambda s: f"{_total(s['retransmissions'])} / {_total(s['timeouts'])}"),
    ("timeouts of peer's / guest's kernel", lambda s: f"{_total(s['timeouts_peer'])} / {_total(s['timeouts_guest'])}"),
    ("TCP through all moves", lambda s: "-" if not s["tcp_held"] else "alive" if s["tcp_held"]["alive"] else "DEAD"),
)


def _figures_of(summaries):
    """The columns that have something to tell."""
    return (_FIGURES[:2] + (_EARLY if any((s.get("lost_early") or {}).get("total") for s in summaries) else ()) +
            _FIGURES[2:] + (_SWITCH if any(s.get("switch_us") for s in summaries) else ()) +
            (_FLOODED if any(s.get("flooded_arp") for s in summaries) else ()) +
            (_TCP if any(s.get("longest_stall_ms") for s in summaries) else ()))


def _counts(values):
    """`at the source 3, lost 1`"""
    return ", ".join(f"{name} {count}" for name, count in values.items()) or "-"


_FAULT_FIGURES = (
    ("fault", lambda s: s["fault"]),
    ("moves", lambda s: str(s["moves"])),
    ("guest afterwards", lambda s: _counts(s["guest"])),
    ("lost to guest: total / median / max", lambda s: _spread(s["lost"])),
    ("bound: median / max", lambda s: _middle(s["bound_packets"], 0)),
    ("lost from guest: total / median / max", lambda s: _spread(s["lost_from_guest"])),
    ("doubled to / from", lambda s: _both(s, "duplicated")),
    ("reordered to / from", lambda s: _both(s, "reordered")),
    ("downtime ms: median / max", lambda s: _middle(s["guest_downtime_ms"])),
    ("one owner, ms from fault: median / max", lambda s: _middle(s["agreed_ms"], 0) + (
        f" ({s['not_agreed']} never)" if s["not_agreed"] else "")),
    ("left over", lambda s: str(s["leftovers"])),
    ("as it should", lambda s: f"{s['right']} of {s['moves']}"),
)


def _cells(columns, summary):
    for key, text in (("unsupported", "cannot: "), ("failed", "failed: ")):
        if key in summary:
            return None, text + summary[key].splitlines()[0]
    return [show(summary) for _, show in columns], None


def _rows(summaries, where, figures):
    header = [title for title, _ in where + figures]
    rows = []
    for summary in summaries:
        cells, remark = _cells(figures, summary)
        rows.append([show(summary) for _, show in where] + (cells or [remark] + [""] * (len(figures) - 1)))
    return header, rows


def _markdown(header, rows):
    lines = [header, ["--"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _folded(title):
    """A title in two lines, at the colon or in the middle."""
    head, colon, tail = title.partition(": ")
    return (head + ":", tail) if colon else ("", head)


def _plain(header, rows):
    """Columns of text; a remark stands free behind its row's names."""
    lines = [[_folded(title)[0] for title in header], [_folded(title)[1] for title in header]]
    full = [row for row in rows if row[-1] != ""]
    widths = [max(len(line[column]) for line in lines + full) for column in range(len(header))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                     for row in lines + rows)


def moves(summaries, as_markdown):
    return (_markdown if as_markdown else _plain)(*_rows(summaries, WHERE, _figures_of(summaries)))


def _total_and_most(figure):
    return "-" if figure is None else f"{figure['total']:.0f} / {figure['max']:.0f}"


_OVERVIEW_WHERE = (
    WHERE[0],
    WHERE[3],
    ("frame", lambda s: ", ".join(map(str, s["frame_size"])) + " B"),
)
_OVERVIEW = (
    ("moves", _moves),
    ("moves with loss", lambda s: str(s["moves_with_loss"])),
    ("lost to guest: total / most", lambda s: _total_and_most(s["lost"])),
    ("came in downtime: total / most", lambda s: _total_and_most(s["downtime_packets"])),
    ("lost from guest: total", lambda s: _total(s["lost_from_guest"])),
    ("doubled: total / most", lambda s: _total_and_most(s["duplicated"])),
    ("reordered: total / most", lambda s: _total_and_most(s["reordered"])),
    ("downtime ms: median / max", lambda s: _middle(s["guest_downtime_ms"])),
    ("FDBs right, ms from RESUME", _converged),
    ("left over", lambda s: str(s["leftovers"])),
)


def overview(summaries, as_markdown):
    """Of groups of cells that differ in address families only."""
    return (_markdown if as_markdown else _plain)(*_rows(summaries, _OVERVIEW_WHERE, _OVERVIEW))


def faults(summaries, as_markdown):
    return (_markdown if as_markdown else _plain)(*_rows(summaries, WHERE, _FAULT_FIGURES))


def of_rows(header, rows, as_markdown):
    """A table of texts."""
    return (_markdown if as_markdown else _plain)(header, rows)
