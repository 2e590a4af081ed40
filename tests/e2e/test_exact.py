# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the agent may ask QEMU through libvirt for the guest's receive ring, nothing is doubled either."""

from support import Case

MOVES = 2


class Exact(Case):
    def check(self, underlay):
        room = self.room(underlay, agent={"guest-ring": "yes"})
        exact = sum(self.is_exact(room, family) for family in (4, 6) for _ in range(MOVES))
        self.assertGreaterEqual(exact, MOVES)

    def is_exact(self, room, family):
        """One move. A migration may be over before the ring has been watched for long enough: then there are doubts."""
        told = self.assert_moves(room, family)
        notes = {event["what"]: event["detail"] for event in told["timeline"]}
        if "exact" not in notes:
            self.assertIn("not watched for long enough", notes["not-exact"])
            return False
        self.assertEqual((told["duplicated"], told["doubtful"]), (0, 0), notes)
        return True

    def test_ipv4_underlay(self):
        self.check(4)

    def test_ipv6_underlay(self):
        self.check(6)
