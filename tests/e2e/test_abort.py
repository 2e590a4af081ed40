# SPDX-License-Identifier: LGPL-2.1-or-later
"""A migration that is called off in pre-copy: the guest stays where it was, nothing is lost, nothing is left."""

from bench import ledger
from lab import wait_until
from support import Case

SLOW = ["--bandwidth", "1"]  # MiB/s: pre-copy takes far longer than the abort
ARMED_TIMEOUT_S = 20


class Abort(Case):
    def abort_in_precopy(self, room):
        """Aborts when the old NVE is armed, the last moment before the guest stops."""
        migration = room.lab.migration(room.guest, room.home, room.other(), extra=SLOW)
        wait_until(lambda: [port["state"] for port in ledger.ports(room.lab, room.home, room.guest.mac)] == ["armed"],
                   "armed old NVE", ARMED_TIMEOUT_S)
        migration.abort()
        self.assertIsNone(migration.wait(check=False), "the migration was not aborted")

    def check(self, underlay, family):
        room = self.room(underlay)
        tracks = {name: watch.begin(room.guest.mac) for name, watch in room.fdbs.items()}
        with self.nothing_lost(room, family):
            self.abort_in_precopy(room)
            self.assert_at_home(room)
        for name, track in tracks.items():
            self.assertEqual(len(track.history()), 1, f"{name} was sent elsewhere: {track.history()}")
        self.assert_reachable(room)
        self.assert_moves(room, family)  # nothing of the abort is in the way

    def test_ipv4(self):
        self.check(underlay=4, family=4)

    def test_ipv6(self):
        self.check(underlay=6, family=6)
