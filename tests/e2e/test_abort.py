# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A migration that fails, in pre-copy or after the guest has stopped: the guest goes on where it was, nothing is lost,
nothing is left.
"""

from bench import ledger
from lab import wait_until
from support import DOUBLED_PER_QUEUE, Case, say

SLOW = ("--bandwidth", "1")  # MiB/s: pre-copy takes far longer than the abort
STATE_TIMEOUT_S = 20
LONG_DOWNTIME_MS = 200000  # QEMU stops the guest as soon as it thinks that the rest can be sent in that time
PAUSE_S = 3  # more packets come in it than a tap's queue holds (1000)


class Abort(Case):
    def await_state(self, room, state):
        wait_until(lambda: [port["state"] for port in ledger.ports(room.lab, room.home, room.guest.mac)] == [state],
                   f"{state} old NVE", STATE_TIMEOUT_S)

    def begin(self, room):
        """A migration that is armed."""
        migration = room.lab.migration(room.guest, room.home, room.other(), extra=SLOW)
        self.await_state(room, "armed")
        return migration

    def signal_destination(self, room, signal):
        room.other().run(["sh", "-c", f"kill -{signal} $(cat /run/libvirt/qemu/{room.guest.name}.pid)"])

    def stop_guest(self, room):
        """Has QEMU stop the guest now, with much still to be sent."""
        room.home.virsh("migrate-setmaxdowntime", room.guest.name, str(LONG_DOWNTIME_MS))
        self.await_state(room, "switched")

    def abort_in_precopy(self, room, stream):
        """The last moment before the guest stops."""
        migration = self.begin(room)
        migration.abort()
        return migration

    def kill_destination(self, room, stream):
        """The QEMU that takes the guest's memory takes no more, and ends; libvirt resumes the guest at its source."""
        migration = self.begin(room)
        self.signal_destination(room, "STOP")
        self.stop_guest(room)
        stream.run_for(PAUSE_S)
        self.signal_destination(room, "KILL")
        return migration

    def abort_at_stop(self, room, family):
        """As late as anybody can call it off; QEMU may be past hearing of it. Whatever comes of it, nothing is lost."""
        with self.counted(room, DOUBLED_PER_QUEUE, (room.tenant(), room.address(family), {"tcp": True})):
            migration = self.begin(room)
            self.stop_guest(room)
            room.home.virsh("domjobabort", room.guest.name, check=False)
            if migration.wait(check=False) is not None:
                room.home = room.other()
            say(f"  aborted at STOP: the guest is on {room.home.name}")
            self.assert_at_home(room)
        self.assert_reachable(room)

    def fails(self, room, family, how, doubled):
        """The migration fails in this way, under load, and no NVE sends the guest's frames elsewhere."""
        tracks = {name: watch.begin(room.guest.mac) for name, watch in room.fdbs.items() if name != room.home.name}
        with self.counted(room, doubled, (room.tenant(), room.address(family), {"tcp": True})) as streams:
            migration = how(room, streams[0])
            self.assertIsNone(migration.wait(check=False), "the migration did not fail")
            self.assert_at_home(room)
        for name, track in tracks.items():
            self.assertEqual(len(track.history()), 1, f"{name} was sent elsewhere: {track.history()}")
        self.assert_reachable(room)

    def check(self, underlay, family):
        room = self.room(underlay)
        self.fails(room, family, self.abort_in_precopy, doubled=0)
        self.fails(room, family, self.kill_destination, DOUBLED_PER_QUEUE)
        self.abort_at_stop(room, family)
        self.assert_moves(room, family)  # nothing of it all is in the way

    def test_ipv4(self):
        self.check(underlay=4, family=4)

    def test_ipv6(self):
        self.check(underlay=6, family=6)
