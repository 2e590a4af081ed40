# SPDX-License-Identifier: LGPL-2.1-or-later
"""The NVA ends and comes back with an empty memory: traffic goes on, the agents tell it all again."""

import contextlib
import signal

from bench import ledger
from lab import TimedOut, wait_until
from support import AGREE_TIMEOUT_S, Case


class NvaRestart(Case):
    def connected(self, room, wanted):
        """All agents say that they are connected to their NVA, or not (WANTED)."""
        wait_until(lambda: all(ledger.status(room.lab, host)["nva"]["connected"] == wanted for host in room.lab.nves),
                   f"NVA connected: {wanted}", AGREE_TIMEOUT_S, poll=0.1)

    def known(self, room):
        """What each agent knows, without what a new NVA numbers anew."""
        return {host.name: sorted((mapping["mac"], mapping["vtep"], sorted(mapping["ips"]))
                                  for mapping in ledger.all_mappings(room.lab, host)) for host in room.lab.nves}

    def restart(self, room, crash):
        daemon, before = room.lab["nva"].daemons["nva"], self.known(room)
        if crash:
            self.assertEqual(daemon.kill(), -signal.SIGKILL)
        else:
            self.assertEqual(daemon.stop(), 0, daemon.output()[-3000:])
        self.connected(room, False)
        self.assert_reachable(room)
        self.assertEqual(self.known(room), before)
        room.lab.system.start_nva(room.lab)
        self.connected(room, True)
        with contextlib.suppress(TimedOut):
            wait_until(lambda: self.known(room) == before, "same mappings as before", AGREE_TIMEOUT_S, poll=0.1)
        self.assertEqual(self.known(room), before)
        self.assert_at_home(room)

    def check(self, underlay, family):
        room = self.room(underlay)
        for crash in (False, True):
            with self.subTest(crash=crash):
                stream = self.stream(room, family)
                self.restart(room, crash)
                stream.run_for(1)
                self.assert_nothing_lost(stream.finish())
        self.assert_moves(room, family)

    def test_ipv4(self):
        self.check(underlay=4, family=4)

    def test_ipv6(self):
        self.check(underlay=6, family=6)
