# SPDX-License-Identifier: LGPL-2.1-or-later
"""A lab of one system and underlay with a running guest and its observers: where moves are measured."""

import contextlib
import json
import os

from lab import Lab, systems
from lab.systems import overlay

from . import leftovers, programs
from .events import QemuEvents
from .fdb import FdbWatch

NAMES = {"rehome": "rehome", "flood": "flood", "frr-evpn": "frr_evpn"}  # as told, as package lab has it
CONSOLE_SHOWN = 1500  # characters
TAP_QUEUE = 20000  # packets: a second at the highest rate; the default of 1000 overflows where migration holds QEMU up
PEERS = {"peer": "ts-peer", "source": "ts-hv1"}  # --peer-on


class Room:
    """Context manager. .lab, .guest, .home (where the guest is), .events and .fdbs (by host name)."""

    def __init__(self, system, underlay, build, say, guest=None, keep_logs=False, lab=None, guest_ring=False):
        """GUEST and LAB: of one's own making. GUEST_RING: rehome's agents may ask QEMU for the guest's ring."""
        self.system, self.underlay, self.build = system, underlay, build
        more = {"agent": {"guest-ring": "yes"}} if guest_ring and system == "rehome" else {}
        self.lab = lab or Lab(systems.by_name(NAMES[system], build, **more), underlay, build=build, say=say,
                              keep_logs=keep_logs)
        self._guest_wanted = guest
        self.guest = self.home = self.baseline = None
        self.taps = ()
        self.events, self.fdbs = {}, {}

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            undo.enter_context(self.lab)
            self._furnish()
            undo.pop_all()
        return self

    def __exit__(self, kind, error, trace):
        self.lab.__exit__(kind, error, trace)

    def _furnish(self):
        lab = self.lab
        self.events = {host.name: QemuEvents(host) for host in lab.hypervisors}
        self.fdbs = {host.name: FdbWatch(host, overlay.VXLAN) for host in lab.nves}
        self.guest, self.home = lab.guest_start("hv1", self._guest_wanted), lab["hv1"]
        self.events["hv1"].wait("RESUME")  # libvirt starts guests paused: the client hears QEMU
        self.baseline = leftovers.snapshot(lab, self.homes())

    def homes(self):
        """[(guest, its host)] as leftovers.snapshot() takes it."""
        return [(self.guest, self.home)]

    def other(self):
        """The hypervisor where the guest is not."""
        return next(host for host in self.lab.hypervisors if host is not self.home)

    def tenant(self, peer_on="peer"):
        return self.lab.tenants[PEERS[peer_on]]

    def _taps(self):
        """The guest's taps, where it is: libvirt gives each its NIC's MAC with fe: in front."""
        macs = {"fe" + nic.mac[2:] for nic in self.guest.nics}
        links = json.loads(self.home.run(["ip", "-j", "link", "show"]).stdout)
        return [link["ifname"] for link in links if link.get("address") in macs]

    def widen(self):
        """Gives the guest's taps a queue in which an emulated guest's pauses do not cost packets."""
        self.taps = self._taps()
        self.home.ip("".join(f"link set dev {tap} txqueuelen {TAP_QUEUE}\n" for tap in self.taps))

    def tap_drops(self):
        """Packets that the taps' full queues have dropped, since the taps were made; for widen()'s taps."""
        found = 0
        for tap in self.taps:
            path = self.home.path(f"/sys/class/net/{tap}/statistics/tx_dropped")
            with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as file:
                found += int(file.read())
        return found

    def console(self):
        """The end of what the guest wrote to its console, on each host where it was."""
        said = [(host.name, self.lab.console(self.guest, host)[-CONSOLE_SHOWN:]) for host in self.lab.hypervisors]
        return "\n".join(f"console of {self.guest.name} on {name}: {text.strip()}" for name, text in said if text)

    @property
    def probe(self):
        return os.path.join(self.build, programs.PROBE)

    def address(self, family):
        return self.guest.ip4 if family == 4 else self.guest.ip6
