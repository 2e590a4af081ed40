# SPDX-License-Identifier: LGPL-2.1-or-later
"""Summaries as a table, plain or Markdown."""


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


_WHERE = (
    ("system", lambda s: s["system"] + (" postcopy" if s["postcopy"] else "")),
    ("underlay", lambda s: f"IPv{s['underlay']}"),
    ("guest", lambda s: f"IPv{s['family']}" + (" from source host" if s["peer_on"] == "source" else "")),
    ("packets/s", lambda s: str(s["pps"])),
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
_TCP = (
    ("TCP stall ms: median / max", lambda s: _middle(s["longest_stall_ms"])),
    ("retransmissions / timeouts", lambda s: f"{_total(s['retransmissions'])} / {_total(s['timeouts'])}"),
    ("TCP through all moves", lambda s: "alive" if s["tcp_held"]["alive"] else "DEAD"),
)


def _cells(columns, summary):
    for key, text in (("unsupported", "cannot: "), ("failed", "failed: ")):
        if key in summary:
            return None, text + summary[key].splitlines()[0]
    return [show(summary) for _, show in columns], None


def _rows(summaries):
    figures = _FIGURES + (_TCP if any(s.get("longest_stall_ms") for s in summaries) else ())
    header = [title for title, _ in _WHERE + figures]
    rows = []
    for summary in summaries:
        cells, remark = _cells(figures, summary)
        rows.append([show(summary) for _, show in _WHERE] + (cells or [remark] + [""] * (len(figures) - 1)))
    return header, rows


def markdown(summaries):
    header, rows = _rows(summaries)
    lines = [header, ["--"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _folded(title):
    """A title in two lines, at the colon or in the middle."""
    head, colon, tail = title.partition(": ")
    return (head + ":", tail) if colon else ("", head)


def plain(summaries):
    """Columns of text; a remark stands free behind its row's names."""
    header, rows = _rows(summaries)
    lines = [[_folded(title)[0] for title in header], [_folded(title)[1] for title in header]]
    full = [row for row in rows if row[-1] != ""]
    widths = [max(len(line[column]) for line in lines + full) for column in range(len(header))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                     for row in lines + rows)
