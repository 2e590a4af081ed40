# SPDX-License-Identifier: LGPL-2.1-or-later
"""The records of a long run in a file, so that it can be ended and taken up again (bench/move --resume FILE).

One JSON object per line: {"cell": {...}, KIND: {...}}, KIND being `move` (a record), `tcp_held` or `unsupported`. A
line that the end of a run cut short is passed over. What failed is not kept: it is tried again.
"""

import json

from lab import LabError

MOVE, HELD, UNSUPPORTED = "move", "tcp_held", "unsupported"


def _key(cell):
    return json.dumps(cell, sort_keys=True)


class Store:
    """By cell: .moves(cell), .held(cell), .unsupported(cell). PATH None: nothing is kept beyond this run."""

    def __init__(self, path=None):
        self._path, self._kept = path, {}
        if path:
            self._load()

    def _load(self):
        try:
            with open(self._path, "r+", encoding="utf-8") as file:
                text = file.read()
                if text and not text.endswith("\n"):
                    file.truncate(len(text[:text.rfind("\n") + 1].encode()))
        except FileNotFoundError:
            return
        except OSError as error:
            raise LabError(f"{self._path}: {error.strerror}") from None
        for number, line in enumerate(text.split("\n")[:-1], 1):
            self._take(line, number)

    def _take(self, line, number):
        try:
            entry = json.loads(line)
            kinds = self._of(entry["cell"])
            for kind in (MOVE, HELD, UNSUPPORTED):
                if kind in entry:
                    kinds[kind].append(entry[kind])
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(f"{self._path}, line {number}: not of a run of bench/move: {error}") from None

    def _of(self, cell):
        return self._kept.setdefault(_key(cell), {MOVE: [], HELD: [], UNSUPPORTED: []})

    def add(self, cell, kind, what):
        self._of(cell)[kind].append(what)
        if self._path:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"cell": cell, kind: what}) + "\n")

    def moves(self, cell):
        return self._of(cell)[MOVE]

    def held(self, cell):
        """What became of the TCP connection that was held: of the last part of the cell's moves, or None."""
        return (self._of(cell)[HELD] or [None])[-1]

    def unsupported(self, cell):
        """Why the system cannot do this cell, or None."""
        return (self._of(cell)[UNSUPPORTED] or [None])[-1]
