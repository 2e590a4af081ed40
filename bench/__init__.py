# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measured moves, for bench/move, migration-scripts/demo and the end-to-end tests.

    options -> Room (a lab, a guest, observers) -> Move (stream, migrate, account) -> summary -> table

programs    builds what a run needs
room        a lab with its observers, and the guest's way from host to host
stream      the probe: numbered packets each way, counted at both ends
tcp         TCP's retransmissions and timeouts, as both ends' kernels count them
events      QEMU's STOP and RESUME, with QEMU's own time
fdb         where each NVE sends frames for the guest's MAC, and since when
owner       who has the guest: libvirt, directory, agents and FDBs must agree
leftovers   what a move leaves behind
ledger      rehome's own account of a move
measure     one move, as a record
cells       moves without a further mode, cell after cell; store keeps them, progress tells how long it takes
faults      what can go wrong, done at an event of QEMU; fault_move: one move with it; fault_cells: --fault
pair, cost  --pair: downtime with rehome and without; --cost: CPU time of an armed old NVE; both by ratio
summary     the records of a cell as one
table       summaries for people
account     one move told for people: timeline, packets, FDBs, what is left
demo        migration-scripts/demo
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
if os.path.join(ROOT, "tests") not in sys.path:
    sys.path.insert(1, os.path.join(ROOT, "tests"))  # where package lab is
