# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the agent may ask QEMU through libvirt for the guest's receive ring, nothing is doubled either."""

from support import Case

MOVES = 2


class Exact(Case):
    def check(self, underlay):
        room = self.room(underlay, agent={"guest-ring": "yes"})
        for family in (4, 6):
            for _ in range(MOVES):
                told = self.assert_moves(room, family)
                notes = {event["what"]: event["detail"] for event in told["timeline"]}
                self.assertIn("exact", notes, notes)
                self.assertEqual((told["duplicated"], told["doubtful"]), (0, 0), notes)

    def test_ipv4_underlay(self):
        self.check(4)

    def test_ipv6_underlay(self):
        self.check(6)
