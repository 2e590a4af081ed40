# SPDX-License-Identifier: LGPL-2.1-or-later
"""Class Lab: brings everything up in order, and takes it down whatever happens."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time

from . import guest as guests
from . import image, libvirt, members
from .errors import LabError, Unsupported
from .fabric import MTU, OVERHEAD, Fabric, address
from .guest import Guest, Migration
from .host import Host
from .namespaces import watched
from .qemu import Qemu
from .tenant import Tenant, guest_mac
from .wait import wait_until

HOSTS = {"hv1": 1, "hv2": 2, "peer": 3, "nva": 10}
# A tenant system on the peer, and one beside each of the guest's two places.
TENANTS = {"ts-peer": ("peer", 20), "ts-hv1": ("hv1", 21), "ts-hv2": ("hv2", 22)}
GONE_TIMEOUT_S = 20
_WANTED_ENDS = (KeyboardInterrupt, SystemExit)  # somebody ended the lab: no failure of it


def say_on_stderr(text):
    print(text, file=sys.stderr, flush=True)


class Lab:
    """Context manager, or up() and down(). See the package's own text for a tour."""

    def __init__(self, system=None, underlay=4, more=(), build=None, mtu=MTU, libvirtd=True, tenants=True,
                 keep_logs=False, say=say_on_stderr):
        """
        system    from lab.systems; None: no overlay, and so no tenants unless you add them
        underlay  4 or 6: which address host.vtep is
        more      names of further hosts; see __init__.py for what a name means
        build     build directory with our programs and the guest's probe
        libvirtd  start it on every hypervisor
        tenants   add the standard ones
        say       gets each progress line
        """
        if underlay not in (4, 6):
            raise LabError(f"underlay is 4 or 6, not {underlay}")
        self.system, self.underlay, self.mtu = system, underlay, mtu
        self.tenant_mtu = mtu - OVERHEAD
        self.build, self.keep_logs = build, keep_logs
        self.hosts, self.tenants, self.guests, self._qemus = {}, {}, {}, []
        self.dir = self.fabric = None
        self._system_is_up = False
        self._more, self._say = tuple(more), say
        self._with_libvirtd, self._with_tenants = libvirtd, tenants
        self._handlers, self._started = {}, time.monotonic()

    # --- up and down ---

    def __enter__(self):
        self._catch_signals()
        try:
            return self.up()
        except BaseException:
            self._release_signals()
            raise

    def __exit__(self, kind, error, trace):
        try:
            self.down(failed=kind not in (None, *_WANTED_ENDS))
        finally:
            self._release_signals()

    def up(self):
        """Everything but guests. If it fails, it takes down what there is."""
        self._started = time.monotonic()
        try:
            self._make_hosts()
            if self.system:
                self.system.up(self)
                self._system_is_up = True
                self.say(f"system {self.system.name} is up")
            if self.system and self._with_tenants:
                self._make_tenants()
            if self._with_libvirtd:
                self.start_libvirtd()
        except BaseException as error:
            self.down(failed=not isinstance(error, (Unsupported, *_WANTED_ENDS)))
            raise
        return self

    def down(self, failed=False):
        """Ends all there is; LabError names what is left. Logs are kept if FAILED or keep_logs."""
        if not self.dir:
            return
        problems = []
        if self._system_is_up and not failed:
            with self._collect(problems):
                self.system.down(self)
        parts = [*self.hosts.values(), *([self.fabric] if self.fabric else [])]
        with watched([part.holder.pid for part in parts]) as left:
            for part in [*self._qemus, *parts]:
                with self._collect(problems):
                    part.close()
            with self._collect(problems):
                wait_until(lambda: not left(), "end of the lab's processes", GONE_TIMEOUT_S)
            problems += [f"process {pid} is left: {line}" for pid, line in left().items()]
        self._leave_directory(failed or problems)
        if problems:
            raise LabError("down: " + "; ".join(map(str, problems)))
        self.say("down; nothing is left")

    @staticmethod
    @contextlib.contextmanager
    def _collect(problems):
        try:
            yield
        except (LabError, OSError) as error:
            problems.append(error)

    def _leave_directory(self, failed):
        directory, self.dir, self._system_is_up = self.dir, None, False
        self.hosts, self.tenants, self.guests, self._qemus, self.fabric = {}, {}, {}, [], None
        if failed or self.keep_logs:
            self.say(f"logs are kept in {directory}")
        else:
            shutil.rmtree(directory)

    def _catch_signals(self):
        """SIGTERM and SIGHUP end a `with` block the way Ctrl-C does."""
        def leave(number, frame):
            raise SystemExit(128 + number)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._handlers[number] = signal.signal(number, leave)

    def _release_signals(self):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def say(self, text):
        """Reports progress, with the seconds since up() began."""
        self._say(f"[{time.monotonic() - self._started:6.2f}] {text}")

    # --- hosts, tenants ---

    def _numbers(self):
        free = (number for number in range(4, 200) if number not in HOSTS.values())
        return {**HOSTS, **{name: next(free) for name in self._more}}

    def _hosts_file(self, numbers):
        families = (4, 6) if self.underlay == 4 else (6, 4)
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        lines += [f"{address(number, family)} {name}" for family in families for name, number in numbers.items()]
        return "\n".join(lines) + "\n"

    def _make_hosts(self):
        self.dir = tempfile.mkdtemp(prefix=members.PREFIX)
        numbers = self._numbers()
        self.fabric = Fabric(self.mtu)
        for name, number in numbers.items():
            directory = os.path.join(self.dir, name)
            os.mkdir(directory)
            self.hosts[name] = Host(name, number, directory, self._hosts_file(numbers))
            self.fabric.join(self.hosts[name], self.underlay)
        self._list_members()
        self.say(f"hosts {', '.join(self.hosts)} in {self.dir}, underlay IPv{self.underlay}")

    def _list_members(self):
        members.write(self.dir, self.fabric, self.hosts.values(), self.tenants.values())

    def _make_tenants(self):
        for name, (host, number) in TENANTS.items():
            self.tenant(host, name, mac=guest_mac(number), ip4=f"198.51.100.{number}", ip6=f"2001:db8:100::{number}")
        self.say(f"tenants {', '.join(self.tenants)}")

    def __getitem__(self, name):
        """The host called NAME."""
        return self.hosts[name]

    def _host(self, host):
        return self.hosts[host] if isinstance(host, str) else host

    @property
    def hypervisors(self):
        return [host for host in self.hosts.values() if host.is_hypervisor]

    @property
    def nves(self):
        """The hosts that carry the overlay."""
        return [host for host in self.hosts.values() if host.is_nve]

    def tenant(self, host, name, bridge="br100", *, mac, ip4, ip6, vni=100, mtu=None):
        """Adds a tenant system to the overlay bridge of HOST. Its MAC, addresses: one /24 and one /64."""
        mtu = mtu or self.tenant_mtu
        self.tenants[name] = Tenant(self._host(host), name, bridge, mac, ip4, ip6, vni, mtu)
        self._list_members()
        return self.tenants[name]

    # --- libvirt, guests, migrations ---

    def install_hook(self, host, program):
        """PROGRAM becomes the qemu hook of HOST; before libvirtd starts."""
        libvirt.install_hook(self._host(host), program)

    def start_libvirtd(self):
        """Starts libvirtd on every hypervisor where it does not run, and waits until all answer."""
        starting = [host for host in self.hypervisors
                    if "libvirtd" not in host.daemons or not host.daemons["libvirtd"].running()]
        for host in starting:
            libvirt.start(host)
        for host in starting:
            libvirt.wait_ready(host)
        self.say(f"libvirtd answers on {', '.join(host.name for host in starting)}")

    def image(self, guest=None):
        """The image of GUEST (default Guest()), with the probe of the build directory if there is one."""
        probe = os.path.join(self.build, "tests/lab/probe") if self.build else None
        guest = guest or Guest()
        return image.build(probe, (*image.MODULES, *guest.modules), script=guest.script)

    def guest_start(self, host="hv1", guest=None, wait=True):
        """Starts GUEST (default Guest()) on HOST; waits until it answers ts-peer over both families, if it has any."""
        host, guest = self._host(host), guest or Guest()
        guests.start(host, guest, self.image(guest))
        self.guests[guest.name] = guest
        if wait and guest.ip4:
            self.wait_guest(guest, host)
        elif wait:
            guests.wait_console(host, guest, "guest: ready")
        return guest

    def wait_guest(self, guest, host, tenant="ts-peer"):
        guests.wait_answers(self._host(host), guest, self.tenants[tenant])
        self.say(f"{guest.name} answers {tenant} over both families")

    def where(self, guest):
        """The host where GUEST runs, or None."""
        return guests.where(self.hypervisors, guest)

    def console(self, guest, host):
        return guests.console(self._host(host), guest)

    def migration(self, guest, source, target, live=True, postcopy=False, extra=(), way="p2p"):
        """Starts a migration; returns at once with a Migration to wait() for or abort()."""
        return Migration(guest, self._host(source), self._host(target), live, postcopy, extra, way)

    def migrate(self, guest, source, target, live=True, postcopy=False, extra=(), way="p2p"):
        """Moves GUEST; returns the seconds it took."""
        seconds = self.migration(guest, source, target, live, postcopy, extra, way).wait()
        self.say(f"{guest.name} moved in {seconds:.2f} s")
        return seconds

    def qemu_start(self, host, guest=None, tap="tap0", bridge="br100", incoming=None, monitor=None):
        """Starts QEMU without libvirt on a tap of its own in BRIDGE; returns a Qemu with a .qmp."""
        guest = guest or Guest()
        qemu = Qemu(self._host(host), guest, self.image(guest), tap, bridge, incoming, monitor)
        self._qemus.append(qemu)
        return qemu
