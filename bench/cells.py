# SPDX-License-Identifier: LGPL-2.1-or-later
"""The moves of bench/move without a further mode: cell after cell, a lab for those of one system and underlay."""

import json

from lab import LabError, Unsupported

from . import options as command_line
from . import store as kept
from . import summary
from .measure import hold_tcp, measure, record
from .progress import Progress
from .room import Room
from .store import Store

TRIES = 2  # of a cell: a lab that fails is made anew


def cell_of(system, underlay, load):
    """What names a cell in every output."""
    return {"system": system, "underlay": underlay, "family": load.family, "pps": load.pps,
            "pps_from_guest": load.pps if load.pps_from_guest is None else load.pps_from_guest,
            "frame_size": load.frame_size, "postcopy": load.postcopy, "peer_on": load.peer_on, "tcp": load.tcp,
            "max_downtime_ms": load.max_downtime_ms, **({"guest_ring": True} if load.guest_ring else {})}


def describe(figures):
    """A move in one line of progress."""
    spoiled = figures["invalid"] + figures["invalid_from_guest"]
    early = f" ({figures['lost_early']} of them before STOP)" if figures["lost_early"] else ""
    return (f"{figures['direction']}: lost {figures['lost']}{early} of {figures['sent']} to the guest, "
            f"{figures['lost_from_guest']} of {figures['sent_from_guest']} from it; doubled "
            f"{figures['duplicated']}/{figures['duplicated_from_guest']}, reordered "
            f"{figures['reordered']}/{figures['reordered_from_guest']}; downtime "
            f"{figures['guest_downtime_ms']:.1f} ms, FDBs right after {figures['converged_ms']} ms, left over "
            f"{figures['leftovers']}" +
            (f", switched in {figures['switch_us']} us" if figures.get("switch_us") is not None else "") +
            (f", TCP stalled {figures['longest_stall_ms']:.1f} ms" if "longest_stall_ms" in figures else "") +
            (f"; INVALID: {', '.join(spoiled)}" if spoiled else ""))


class Cells:
    """A run. run() makes the moves that the store does not have; .results: a summary per cell, in order."""

    def __init__(self, options, say):
        self._options, self._say = options, say
        self._store = Store(options.resume)
        self._failed = {}  # cell as JSON: why
        self._plan = [(system, underlay, command_line.loads(options))
                      for system in options.system for underlay in options.underlay]
        self._progress = None

    def _wanted(self, system):
        return self._options.moves if system == "rehome" else self._options.peer_moves

    def _left(self, system, underlay, loads):
        """Those of LOADS that are not done."""
        return [load for load in loads if self._missing(system, cell_of(system, underlay, load))]

    def _missing(self, system, cell):
        if self._store.unsupported(cell) or json.dumps(cell) in self._failed:
            return 0
        return max(0, self._wanted(system) - len(self._store.moves(cell)))

    def run(self):
        missing = [[self._missing(system, cell_of(system, underlay, load)) for load in loads]
                   for system, underlay, loads in self._plan]
        self._progress = Progress(self._say, sum(map(sum, missing)), sum(map(any, missing)))
        for system, underlay, loads in self._plan:
            self._run_system(system, underlay, loads)

    def _run_system(self, system, underlay, loads):
        """All its cells. A lab that fails is made anew for the rest."""
        tries = {}
        while left := self._left(system, underlay, loads):
            self._say(f"--- {system}, underlay IPv{underlay}")
            try:
                self._run_room(system, underlay, left)
            except Unsupported as error:
                self._say(f"cannot: {error}")
                for load in left:
                    self._give_up(cell_of(system, underlay, load), kept.UNSUPPORTED, str(error))
            except LabError as error:
                self._say(f"failed: {error}")
                cell = cell_of(system, underlay, self._left(system, underlay, loads)[0])
                tries[json.dumps(cell)] = tries.get(json.dumps(cell), 0) + 1
                if tries[json.dumps(cell)] >= TRIES:
                    self._give_up(cell, "failed", str(error))

    def _give_up(self, cell, kind, why):
        self._progress.skip(self._missing(cell["system"], cell))
        if kind == kept.UNSUPPORTED:
            self._store.add(cell, kind, why)
        else:
            self._failed[json.dumps(cell)] = why

    def _run_room(self, system, underlay, loads):
        with Room(system, underlay, self._options.build, self._say, keep_logs=self._options.keep_logs,
                  guest_ring=self._options.guest_ring) as room:
            for load in loads:
                self._run_cell(room, load)

    def _run_cell(self, room, load):
        cell = cell_of(room.system, room.underlay, load)
        if load.tcp:
            with hold_tcp(room, load.family, load.peer_on) as held:
                self._run_moves(room, load, cell)
            self._store.add(cell, kept.HELD, held.result)
            room.lab.say(f"one TCP connection held through all of them: {held.result}")
        else:
            self._run_moves(room, load, cell)
        self._progress.tell(f"{room.system}, underlay IPv{room.underlay}, guest IPv{load.family}, {load.pps} packets/s "
                            f"of {load.frame_size} bytes")

    def _run_moves(self, room, load, cell):
        wanted = self._wanted(room.system)
        while (made := len(self._store.moves(cell))) < wanted:
            figures = record(room, measure(room, load))
            self._store.add(cell, kept.MOVE, figures)
            self._progress.moved()
            if self._options.json:
                print(json.dumps(figures), flush=True)
            room.lab.say(f"IPv{load.family} {load.pps} packets/s {figures['frame_size']} B, "
                         f"move {made + 1} of {wanted}, {describe(figures)}")
            for item in figures["leftover_items"]:
                self._say(f"    {item}")

    # --- what came out ---

    def _result(self, cell):
        moves, why = self._store.moves(cell), self._store.unsupported(cell)
        if why:
            return summary.unavailable(cell, "unsupported", why)
        if not moves:
            return summary.unavailable(cell, "failed", self._failed.get(json.dumps(cell), "not done"))
        result = summary.summarise(cell, moves, self._store.held(cell))
        if json.dumps(cell) in self._failed:
            result["failed_after"] = self._failed[json.dumps(cell)].splitlines()[0]
        return result

    @property
    def results(self):
        return [self._result(cell_of(system, underlay, load))
                for system, underlay, loads in self._plan for load in loads]

    @property
    def overview(self):
        """A summary for each system, rate and frame size: the moves of all its families together."""
        groups = {}
        for system, underlay, loads in self._plan:
            for load in loads:
                cell = cell_of(system, underlay, load)
                groups.setdefault(summary.group_of(cell), []).append(cell)
        return [summary.of_group(cells, [move for cell in cells for move in self._store.moves(cell)])
                for cells in groups.values()]

    def latencies(self):
        """Of all switches of the run, those of resumed cells included."""
        return summary.latencies([figures for system, underlay, loads in self._plan for load in loads
                                  for figures in self._store.moves(cell_of(system, underlay, load))])
