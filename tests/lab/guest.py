# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests: a libvirt domain from a template, and its migrations."""

import shlex
import signal
import subprocess
import time
from dataclasses import dataclass, field
from xml.sax.saxutils import quoteattr

from .errors import CommandFailed, LabError, TimedOut
from .image import PROBE_PORT
from .wait import wait_until

BOOT_TIMEOUT_S = 120
MIGRATION_TIMEOUT_S = 120
CONSOLE = "var/log/libvirt/console-{}.log"

_INTERFACE = """
    <interface type='bridge'>
      <mac address='{mac}'/>
      <source bridge='{bridge}'/>
      <model type='virtio'/>
      <mtu size='{mtu}'/>
      <driver name='{backend}'{queues}/>
      <rom enabled='no'/>
    </interface>"""

_DOMAIN = """
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>{vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/></features>
  <clock offset='utc'/>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>{interfaces}
    <serial type='file'><source path='/{console}'/></serial>
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>{ram}
  </qemu:commandline>
</domain>
"""

# QEMU before 9.0 corrupts an emulated guest's memory in live migration: where RAM is a multiple of 64 pages, it reads
# and clears 64 dirty bits at once and does not tell TCG's TLBs, so that the next writes to those pages go unnoticed
# (cpu_physical_memory_sync_dirty_bitmap(), include/exec/ram_addr.h; mended by "physmem: Fix migration dirty bitmap
# coherency with TCG memory access", March 2024). Guests then crash after a move, or forget what they had counted. RAM
# of an odd size takes the other way, page by page, which is right, but holds up the guest and its tap for the longer the
# more memory it has: hence little of it. libvirt rounds to MiB, so this replaces its block.
RAM_EXTRA_KIB = 8  # QEMU rounds up to 8 KiB


@dataclass
class Nic:
    """One interface of a guest; without addresses (None) it is up all the same."""
    mac: str = "52:54:00:aa:00:10"
    ip4: str = "198.51.100.10"
    ip6: str = "2001:db8:100::10"
    bridge: str = "br100"


@dataclass
class Guest:
    """A virtual machine; start() it with Lab.guest_start()."""
    name: str = "vm1"
    uuid: str = "7c0e5a10-9d1f-4d53-8f7a-5a1f00000010"
    nics: list = field(default_factory=lambda: [Nic()])
    memory_mib: int = 96  # see RAM_EXTRA_KIB; 80 boots, 72 does not
    queues: int = 1  # of each NIC; as many vCPUs
    mtu: int = 1500
    backend: str = "qemu"  # or "vhost", where the kernel has it
    cmdline: str = ""  # added to the kernel's
    modules: tuple = ()  # of the kernel, further ones, in the order in which they depend on one another
    script: str = ""  # for busybox sh in the guest, once its NICs are up
    stations: tuple = ()  # MACs of others behind its NICs

    @property
    def ip4(self):
        return self.nics[0].ip4

    @property
    def ip6(self):
        return self.nics[0].ip6

    @property
    def mac(self):
        return self.nics[0].mac

    @property
    def memory_kib(self):
        return (self.memory_mib << 10) + RAM_EXTRA_KIB

    def _ram_arguments(self):
        words = ("-object", f"memory-backend-ram,id=lab.ram,size={self.memory_kib << 10}",
                 "-machine", "memory-backend=lab.ram", "-m", f"{self.memory_kib}k")
        return "".join(f"\n    <qemu:arg value='{word}'/>" for word in words)

    def kernel_cmdline(self):
        # Thunks against speculation cost an emulated CPU a third of the packets it can take, and guard
        # nothing there.
        words = ["console=ttyS0", "quiet", "panic=-1", "mitigations=off", f"rehome.mtu={self.mtu}"]
        for number, nic in enumerate(self.nics):
            suffix = f".{number}" if number else ""
            words += [f"rehome.ip4{suffix}={nic.ip4}/24"] * bool(nic.ip4)
            words += [f"rehome.ip6{suffix}={nic.ip6}/64"] * bool(nic.ip6)
        return " ".join(words + self.cmdline.split())

    def xml(self, image):
        """The domain for libvirt, with direct boot of IMAGE and no disk."""
        queues = f" queues='{self.queues}'" if self.queues > 1 else ""
        interfaces = "".join(
            _INTERFACE.format(mac=nic.mac, bridge=nic.bridge, mtu=self.mtu, backend=self.backend, queues=queues)
            for nic in self.nics)
        return _DOMAIN.format(
            name=self.name, uuid=self.uuid, memory_mib=self.memory_mib, vcpus=self.queues, kernel=image.kernel,
            initrd=image.initrd, ram=self._ram_arguments(), cmdline=quoteattr(self.kernel_cmdline())[1:-1], interfaces=interfaces,
            console=CONSOLE.format(self.name))


def console(host, guest):
    """What the guest wrote to its serial console on HOST, as far as it ran there."""
    try:
        with open(f"{host.root}/{CONSOLE.format(guest.name)}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def start(host, guest, image):
    """Creates a transient domain, so that after a move nothing of it stays behind."""
    host.run(["virsh", "-q", "-c", "qemu:///system", "create", "/dev/stdin"], input=guest.xml(image))


def wait_answers(host, guest, tenant, timeout=BOOT_TIMEOUT_S):
    """Waits until the guest accepts TCP connections over both families from TENANT."""
    for address in (guest.ip4, guest.ip6):
        try:
            wait_until(lambda target=address: tenant.connects(target, PROBE_PORT),
                       f"answer of {guest.name} ({address}) to {tenant.name}", timeout)
        except TimedOut as error:
            raise TimedOut(f"{error}; its console ends:\n{console(host, guest)[-1500:]}") from None


def wait_console(host, guest, text, timeout=BOOT_TIMEOUT_S):
    """Waits until the guest has written TEXT to its console."""
    wait_until(lambda: text in console(host, guest), f"'{text}' on the console of {guest.name}", timeout)


def uri_host(address):
    return f"[{address}]" if ":" in address else address


# How virsh, libvirtd here and libvirtd there talk (libvirt docs/migration.rst): words for `virsh migrate`.
WAYS = {"p2p": ["--p2p"], "direct": [], "tunnelled": ["--p2p", "--tunnelled"]}


class Migration:
    """A migration under way: `virsh migrate` on the source host, in one of WAYS."""

    def __init__(self, guest, source, target, live=True, postcopy=False, extra=(), way="p2p"):
        self.guest, self.source, self.target = guest, source, target
        where = uri_host(target.vtep)
        argv = ["virsh", "-q", "-c", "qemu:///system", "migrate", *WAYS[way]]
        argv += ["--live"] * live + ["--postcopy", "--postcopy-after-precopy"] * postcopy
        argv += [*extra, guest.name, f"qemu+tcp://{where}/system"]
        argv += [f"tcp://{where}"] * (way != "tunnelled")  # then the data take libvirt's own connection
        self.argv, self.seconds = argv, None
        self._started = time.monotonic()
        self._process = source.popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True)

    def running(self):
        return self._process.poll() is None

    def wait(self, timeout=MIGRATION_TIMEOUT_S, check=True):
        """Waits for the end. Seconds it took; CommandFailed if it failed, or None without CHECK."""
        try:
            stdout, stderr = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGINT)  # virsh then asks libvirtd to abort the job
            raise TimedOut(f"`{shlex.join(self.argv)}` took more than {timeout} s") from None
        self.seconds = time.monotonic() - self._started
        if self._process.returncode == 0:
            return self.seconds
        if check:
            raise CommandFailed(self.source.name, self.argv, self._process.returncode, stdout, stderr)
        return None

    def abort(self):
        """virsh domjobabort; the migration then ends with an error and the guest stays."""
        self.source.virsh("domjobabort", self.guest.name)


def where(hosts, guest):
    """The host where the guest runs (its CPUs, not a copy that waits for a migration), or None."""
    found = [host for host in hosts if host.virsh("domstate", guest.name, check=False) == "running"]
    if len(found) > 1:
        raise LabError(f"{guest.name} runs on {' and '.join(host.name for host in found)}")
    return found[0] if found else None
