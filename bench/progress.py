# SPDX-License-Identifier: LGPL-2.1-or-later
"""How far a long run is, and how long it will take: by what moves take on a machine of two cores, then by its own."""

import time

ROOM_S, MOVE_S = 8, 7  # a lab with a booted guest; a move with the stream before and after it


def _human(seconds):
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min" if minutes else "1 min"


class Progress:
    """MOVES to be made in ROOMS labs."""

    def __init__(self, say, moves, rooms, move_s=MOVE_S):
        self._say, self._moves, self._done, self._move_s = say, moves, 0, move_s
        self._began = time.monotonic()
        say(f"{moves} moves in {rooms} labs: about {_human(rooms * ROOM_S + moves * move_s)}")

    def moved(self):
        self._done += 1

    def skip(self, moves):
        """These will not be made."""
        self._moves -= moves

    def tell(self, what):
        """WHAT is done."""
        took = time.monotonic() - self._began
        each = took / self._done if self._done else self._move_s
        left = max(0, self._moves - self._done)
        self._say(f"=== {what}; {self._done} of {self._moves} moves, {_human(took)} so far" +
                  (f", about {_human(left * each)} left" if left else ""))
