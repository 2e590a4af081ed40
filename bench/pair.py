# SPDX-License-Identifier: LGPL-2.1-or-later
"""bench/move --pair: how long a guest stands still with rehome, and without.

Two labs are up at once, alike but for agents, NVA and hook: one of rehome and one of plain bridges with VXLAN (flood).
Their guests move in turn, a, b, b, a, a, b ..., under the same load, so that what else the machine does meets both.
"""

import contextlib
import json
from statistics import median

from . import options as command_line
from . import store as kept
from . import table
from .cells import cell_of, describe
from .measure import measure, record
from .progress import Progress
from .ratio import ratio, text
from .room import Room
from .store import Store

WITH, WITHOUT = "rehome", "flood"
AIM = 1.05


def _turns(number):
    return (WITH, WITHOUT) if number % 2 == 0 else (WITHOUT, WITH)


class Pairs:
    """A run; .results: an object per cell."""

    def __init__(self, options, say):
        self._options, self._say = options, say
        self._store = Store(options.resume)
        self._plan = [(underlay, load) for underlay in options.underlay for load in command_line.loads(options)]
        self._progress = None

    @staticmethod
    def _cell(system, underlay, load):
        return {**cell_of(system, underlay, load), "pair": True}

    def _done(self, system, underlay, load):
        return self._store.moves(self._cell(system, underlay, load))

    def _missing(self, underlay, load):
        """How many pairs."""
        return max(0, self._options.moves - min(len(self._done(system, underlay, load)) for system in (WITH, WITHOUT)))

    def run(self):
        missing = [self._missing(underlay, load) for underlay, load in self._plan]
        self._progress = Progress(self._say, 2 * sum(missing), 2 * len(self._options.underlay))
        for underlay in self._options.underlay:
            loads = [load for of, load in self._plan if of == underlay and self._missing(underlay, load)]
            if loads:
                self._run_rooms(underlay, loads)

    def _run_rooms(self, underlay, loads):
        with contextlib.ExitStack() as rooms:
            up = {system: rooms.enter_context(Room(system, underlay, self._options.build, self._say,
                                                   keep_logs=self._options.keep_logs))
                  for system in (WITH, WITHOUT)}
            for load in loads:
                for number in range(self._options.moves):
                    for system in _turns(number):
                        if len(self._done(system, underlay, load)) <= number:
                            self._move(up[system], underlay, load)
                self._progress.tell(f"underlay IPv{underlay}, guest IPv{load.family}, {load.pps} packets/s")

    def _move(self, room, underlay, load):
        figures = record(room, measure(room, load))
        self._store.add(self._cell(room.system, underlay, load), kept.MOVE, figures)
        self._progress.moved()
        if self._options.json:
            print(json.dumps(figures), flush=True)
        room.lab.say(f"{room.system}, {describe(figures)}")

    @property
    def results(self):
        return [self._result(underlay, load) for underlay, load in self._plan]

    def _result(self, underlay, load):
        times = {system: [figures["guest_downtime_ms"] for figures in self._done(system, underlay, load)]
                 for system in (WITH, WITHOUT)}
        return {**self._cell(WITH, underlay, load), "moves": min(map(len, times.values())),
                "downtime_ms": {system: round(median(values), 3) if values else None
                                for system, values in times.items()},
                "ratio": ratio(times[WITH], times[WITHOUT])}


def lines(results, as_markdown):
    """The end of the output."""
    header = [title for title, _ in table.WHERE[1:]] + [
        "pairs of moves", "downtime ms with, median", "without, median", "with / without (95 %)"]
    rows = [[show(result) for _, show in table.WHERE[1:]] +
            [str(result["moves"]), *(f"{result['downtime_ms'][system]}" for system in (WITH, WITHOUT)),
             text(result["ratio"])] for result in results]
    return [table.of_rows(header, rows, as_markdown), f"Aim: at most {AIM}."]
