# SPDX-License-Identifier: LGPL-2.1-or-later
"""What moves the addresses: a class per system, with .name, up(lab) and down(lab).

up() runs when hosts and underlay are there, before tenants and libvirtd; it leaves the bridge br100 with the
VXLAN device vx100 (VNI 100) on each of lab.nves. down() runs only when up() went well.
"""

from ..errors import LabError
from .flood import Flood
from .frr_evpn import FrrEvpn
from .rehome import Rehome

SYSTEMS = {system.name: system for system in (Flood, FrrEvpn, Rehome)}


def by_name(name, build=None, **more):
    """The system called NAME; BUILD is the build directory for those that need our programs. MORE: as its class says."""
    if name not in SYSTEMS:
        raise LabError(f"unknown system {name} (there are: {', '.join(SYSTEMS)})")
    return SYSTEMS[name](build, **more)
