# SPDX-License-Identifier: LGPL-2.1-or-later
"""bench/move --fault: each fault, each cell, --moves times, in labs that a fault which went wrong does not outlive."""

import json
import os
from collections import Counter

from lab import LabError, Unsupported

from . import options as command_line
from . import store as kept
from . import summary
from .cells import cell_of
from .fault_move import measure, record
from .faults import FAULTS
from .progress import Progress
from .room import Room
from .store import Store

MOVE_S = 9
FAILURES_MAX = 2  # labs that failed, in a cell


def describe(figures):
    """A move in some lines."""
    time = "never" if figures["agreed_ms"] is None else f"{figures['agreed_ms']:.0f} ms after the fault"
    downtime = "-" if figures["guest_downtime_ms"] is None else f"{figures['guest_downtime_ms']:.1f} ms"
    yield (f"{figures['fault']}, {figures['direction']}, {figures['fired_ms']:.1f} ms after STOP: "
           f"guest {figures['guest']}; "
           f"lost {figures['lost']} of {figures['sent']} to it (bound {figures['bound_packets']}), "
           f"{figures['lost_from_guest']} of {figures['sent_from_guest']} from it; "
           f"doubled {figures['duplicated']}/{figures['duplicated_from_guest']}, "
           f"reordered {figures['reordered']}/{figures['reordered_from_guest']}; "
           f"downtime {downtime}; one owner {time}; left over {figures['leftovers']}")
    yield "    done: " + ", ".join(figures["done"]) + f"; the migration {figures['migration']}"
    yield from (f"    WRONG: {text}" for text in figures["wrong"])
    yield from (f"    INVALID: {text}" for text in figures["invalid"])


def summarise(cell, records):
    spread = {key: summary.spread([record[key] for record in records], 3) for key in (
        "sent", "lost", "bound_packets", "lost_from_guest", "duplicated", "duplicated_from_guest", "reordered",
        "reordered_from_guest", "guest_downtime_ms", "agreed_ms", "longest_gap_ms")}
    return {**cell, "moves": len(records), **spread, "bound": records[0]["bound"],
            "guest": dict(Counter(record["guest"] for record in records)),
            "not_agreed": sum(record["agreed_ms"] is None for record in records),
            "leftovers": sum(record["leftovers"] for record in records),
            "right": sum(not record["wrong"] for record in records)}


class FaultCells:
    """A run; .results: a summary per cell and fault."""

    def __init__(self, options, say):
        self._options, self._say, self.results = options, say, []
        self._store, self._progress = Store(options.resume), None

    def run(self):
        options = self._options
        plan = [(system, underlay, load, name) for system in options.system for underlay in options.underlay
                for load in command_line.loads(options) for name in options.fault]
        missing = sum(max(0, options.moves - len(self._store.moves(self._cell(*what)))) for what in plan)
        self._progress = Progress(self._say, missing, len({what[:2] for what in plan}), MOVE_S)
        room = None
        try:
            for system, underlay, load, name in plan:
                room = self._run_cell(room, system, underlay, load, name)
        finally:
            self._leave(room)

    @staticmethod
    def _cell(system, underlay, load, name):
        return {**cell_of(system, underlay, load), "fault": name}

    @staticmethod
    def _leave(room):
        if room:
            room.__exit__(None, None, None)

    def _enter(self, room, system, underlay):
        """ROOM if it is of that kind, else a new one."""
        if room and (room.system, room.underlay) == (system, underlay):
            return room
        self._leave(room)
        self._say(f"--- {system}, underlay IPv{underlay}")
        return Room(system, underlay, self._options.build, self._say, keep_logs=self._options.keep_logs,
                    guest_ring=self._options.guest_ring).__enter__()

    def _run_cell(self, room, system, underlay, load, name):
        """Its moves; the room to go on in, or None."""
        cell, failures = self._cell(system, underlay, load, name), []
        while len(records := self._store.moves(cell)) < self._options.moves:
            try:
                room = self._enter(room, system, underlay)
                figures = self._run_move(room, load, name, len(records))
                self._store.add(cell, kept.MOVE, figures)
                if figures["wrong"]:
                    room = self._abandon(room)
            except Unsupported as error:
                self.results.append(summary.unavailable(cell, "unsupported", str(error)))
                return room
            except LabError as error:
                self._say(f"failed: {error}")
                failures.append(str(error))
                room = self._abandon(room)
                if len(failures) >= FAILURES_MAX:
                    self.results.append(summary.unavailable(cell, "failed", failures[-1]))
                    return room
        self.results.append(summarise(cell, records))
        self._progress.tell(f"{name}, {system}, underlay IPv{underlay}, guest IPv{load.family}")
        return room

    def _abandon(self, room):
        """What came out wrong may be in the way of the next: its lab goes, its logs stay."""
        if room:
            room.lab.keep_logs = True
            try:
                self._leave(room)
            except LabError as error:
                self._say(f"failed: {error}")

    def _run_move(self, room, load, name, number):
        figures = record(room, measure(room, load, name))
        self._progress.moved()
        if figures["wrong"]:
            with open(os.path.join(room.lab.dir, "wrong.json"), "w", encoding="utf-8") as file:
                json.dump(figures, file, indent=2)
        else:
            figures["ledger"] = []  # of interest only where something went wrong
        if self._options.json:
            print(json.dumps(figures), flush=True)
        first, *more = describe(figures)
        room.lab.say(f"move {number + 1} of {self._options.moves}, {first}")
        for line in more:
            self._say(line)
        return figures


def bounds(names):
    """What each fault may cost, as lines."""
    return [f"{name}: {FAULTS[name].bound}" for name in names]
