# SPDX-License-Identifier: LGPL-2.1-or-later
"""The NVA ends and comes back, with its memory or without: traffic goes on, and every agent knows the same as before."""

import contextlib
import shutil
import signal

from bench import ledger
from lab import TimedOut, wait_until
from support import AGREE_TIMEOUT_S, Case, say


class NvaRestart(Case):
    def connected(self, room, wanted):
        """All agents say that they are connected to their NVA, or not (WANTED)."""
        wait_until(lambda: all(ledger.status(room.lab, host)["nva"]["connected"] == wanted for host in room.lab.nves),
                   f"NVA connected: {wanted}", AGREE_TIMEOUT_S, poll=0.1)

    def forgotten(self, room, before):
        """What of BEFORE, a result of known(), is not known now."""
        now = self.known(room)
        return {name: [item for item in items if item not in now[name]]
                for name, items in before.items() if not set(items) <= set(now[name])}

    def known(self, room):
        """(MAC, VTEP, IP, generation) of all mappings that each agent has; an NVA without memory numbers them anew."""
        return {host.name: [(mapping["mac"], mapping["vtep"], ip, mapping["generation"] if self.remembers else None)
                            for mapping in ledger.all_mappings(room.lab, host) for ip in mapping["ips"]]
                for host in room.lab.nves}

    def incarnation(self, room):
        """Who the agents' NVA is, as it says itself."""
        return ledger.nva_status(room.lab, room.home)["incarnation"]

    def restart(self, room, crash):
        nva = room.lab["nva"]
        daemon, before, incarnation = nva.daemons["nva"], self.known(room), self.incarnation(room)
        if crash:
            self.assertEqual(daemon.kill(), -signal.SIGKILL)
        else:
            self.assertEqual(daemon.stop(), 0, daemon.output()[-3000:])
        if not self.remembers:
            shutil.rmtree(room.lab.system.nva_store(nva))
        self.connected(room, False)
        self.assert_reachable(room)
        self.assertEqual(self.forgotten(room, before), {})
        room.lab.system.start_nva(room.lab)
        self.connected(room, True)
        self.assertEqual(self.incarnation(room) == incarnation, self.remembers)
        self.assert_at_home(room)
        with contextlib.suppress(TimedOut):
            wait_until(lambda: not self.forgotten(room, before), "all mappings", AGREE_TIMEOUT_S, poll=0.1)
        self.assertEqual(self.forgotten(room, before), {})

    def check(self, underlay, family):
        room = self.room(underlay)
        self.assert_reachable(room)
        for crash, self.remembers in ((False, True), (True, True), (True, False)):
            say(f"the NVA is {'killed' if crash else 'ended'}{'' if self.remembers else ', and its store lost'}")
            with self.nothing_lost(room, family):
                self.restart(room, crash)
        self.assert_moves(room, family)

    def test_ipv4(self):
        self.check(underlay=4, family=4)

    def test_ipv6(self):
        self.check(underlay=6, family=6)
