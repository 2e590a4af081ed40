# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes wrong between STOP and RESUME: the guest survives, within the fault's bound, with one owner."""

from bench import fault_move
from bench.faults import FAULTS
from bench.measure import Load
from support import FRAME_SIZE, PPS, Case, say


class Fault(Case):
    """A test per fault and family: IPv4 on IPv4, IPv6 on IPv6."""

    def check(self, name, family):
        room = self.room(family)
        move = fault_move.measure(room, Load(PPS, family=family, frame_size=FRAME_SIZE), name)
        figures = fault_move.record(room, move)
        say(figures)
        self.assertEqual(figures["wrong"], [], figures)
        self.assert_at_home(room)
        self.assert_reachable(room)
        self.assert_moves(room, family)  # nothing of the fault is in the way


def _test_of(name, family):
    def test(self):
        self.check(name, family)
    return test


for fault in FAULTS:
    for version in (4, 6):
        setattr(Fault, f"test_{fault.replace('-', '_')}_ipv{version}", _test_of(fault, version))
