# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measured moves, for bench/move, migration-scripts/demo and the end-to-end tests.

    options -> Room (a lab, a guest, observers) -> Move (stream, migrate, account) -> summary -> table

programs    builds what a run needs
room        a lab with its observers, and the guest's way from host to host
stream      the probe: numbered packets each way, counted at both ends
events      QEMU's STOP and RESUME, with QEMU's own time
fdb         where each NVE sends frames for the guest's MAC, and since when
leftovers   what a move leaves behind
ledger      rehome's own account of a move
measure     one move, as a record
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
