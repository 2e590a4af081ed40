# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who has the guest: by libvirt, by the directory and its agents, and by every kernel's FDB. There must be one."""

from . import ledger
from .fdb import HERE


def states(room):
    """Host name -> what libvirt says of the guest there; without those that do not know it."""
    found = {host.name: host.virsh("domstate", room.guest.name, check=False) for host in room.lab.hypervisors}
    return {name: state for name, state in found.items() if state and "error" not in state}


def running_on(room):
    """The host where the guest runs; None: nowhere, or in more than one place."""
    found = [name for name, state in states(room).items() if state == "running"]
    return room.lab[found[0]] if len(found) == 1 else None


def fdbs_amiss(room, home):
    """NVEs whose kernel does not send the guest's frames to HOME, as texts. A learning bridge may flood them, too."""
    found, flooded = [], (None,) if room.system == "flood" else ()
    for host in room.lab.nves:
        where = room.fdbs[host.name].where(room.guest.mac)
        if where not in (HERE if host is home else home.vtep, *flooded):
            found.append(f"{host.name}'s kernel sends the guest's frames to {where or 'everyone'}")
    return found


def directory_amiss(room, home):
    """What agents say that is not so: mappings of the guest elsewhere than at HOME, and ports of it."""
    lab, mac = room.lab, room.guest.mac
    found = ledger.disagreements(lab)
    for host in lab.nves:
        vteps = [mapping["vtep"] for mapping in ledger.mappings(lab, host, mac)]
        ports = [port["state"] for port in ledger.ports(lab, host, mac)]
        if vteps != [home.vtep]:
            found.append(f"{host.name}'s directory has the guest at {', '.join(vteps) or 'no NVE'}")
        if ports != (["resident"] if host is home else []):
            found.append(f"{host.name}'s agent has the guest's port as {', '.join(ports) or 'absent'}")
    return found


def amiss(room, home):
    """Everything that does not agree with the guest being on HOME alone."""
    others = {name: state for name, state in states(room).items() if name != home.name}
    found = [f"{name} has the guest too: {state}" for name, state in others.items()]
    if room.system == "rehome":
        found += directory_amiss(room, home)
    return found + fdbs_amiss(room, home)
