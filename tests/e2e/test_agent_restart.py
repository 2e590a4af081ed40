# SPDX-License-Identifier: LGPL-2.1-or-later
"""Agents end and come back while the guest is resident: traffic goes on, and what they find is what they had."""

import signal

from support import Case, say

READY_TIMEOUT_S = 60


class AgentRestart(Case):
    def restart(self, room, host, crash):
        """Ends the agent of HOST and starts it again."""
        daemon = host.daemons["nveagent"]
        if crash:
            self.assertEqual(daemon.kill(), -signal.SIGKILL)
        else:
            self.assertEqual(daemon.stop(), 0, daemon.output()[-3000:])
        self.assert_reachable(room)  # without its agent
        room.lab.system.start_agent(room.lab, host).wait_output("ready", READY_TIMEOUT_S)
        self.assert_at_home(room)

    def check(self, underlay, family):
        room = self.room(underlay)
        for crash in (False, True):
            for name in ("hv1", "hv2", "peer"):
                say(f"agent of {name}, {'killed' if crash else 'ended'}")
                with self.nothing_lost(room, family):
                    self.restart(room, room.lab[name], crash)
        self.assert_moves(room, family)

    def test_ipv4(self):
        self.check(underlay=4, family=4)

    def test_ipv6(self):
        self.check(underlay=6, family=6)
