# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU without libvirt: one process, a tap that the lab makes, a QMP socket."""

import os

from .errors import LabError
from .guest import uri_host
from .qmp import Qmp
from .wait import wait_until

PROGRAM = "qemu-system-x86_64"
MONITOR_TIMEOUT_S = 60


def add_tap(host, tap, bridge, queues=1, mtu=1500):
    """A persistent tap as libvirt makes it: with a vnet header, in the bridge, up."""
    many = " multi_queue" if queues > 1 else ""
    host.ip(f"tuntap add dev {tap} mode tap vnet_hdr{many}\n"
            f"link set dev {tap} mtu {mtu} addrgenmode none master {bridge} up\n")


def arguments(guest, image, tap, monitor, console, incoming):
    """QEMU's command line; the same on both sides of a migration but for INCOMING."""
    many = f",queues={guest.queues}" if guest.queues > 1 else ""
    vectors = f",mq=on,vectors={2 * guest.queues + 2}" if guest.queues > 1 else ""
    return [PROGRAM, "-name", guest.name, "-uuid", guest.uuid, "-machine", "pc,accel=tcg",
            "-m", f"{guest.memory_kib}k", "-smp", str(guest.queues), "-nodefaults", "-no-user-config",
            "-display", "none", "-kernel", image.kernel, "-initrd", image.initrd,
            "-append", guest.kernel_cmdline(), "-serial", f"file:{console}",
            "-chardev", f"socket,id=monitor,path={monitor},server=on,wait=off",
            "-mon", "chardev=monitor,mode=control",
            "-netdev", f"tap,id=net0,ifname={tap},script=no,downscript=no,vhost=off{many}",
            "-device", f"virtio-net-pci,netdev=net0,mac={guest.mac},romfile=,host_mtu={guest.mtu}{vectors}",
            *(["-incoming", incoming] if incoming else [])]


class Qemu:
    """A QEMU process on a host; .qmp is a connected Qmp. .monitor and .monitor2 are the paths of free monitors."""

    def __init__(self, host, guest, image, tap, bridge, incoming=None, monitor=None):
        self.host, self.guest, self.tap = host, guest, tap
        self.monitor = monitor or os.path.join(host.dir, f"{guest.name}.qmp")
        self.console = os.path.join(host.dir, f"{guest.name}.console")
        if len(self.control) > 100:  # sun_path, unix(7)
            raise LabError(f"{self.monitor} is too long for a socket")
        add_tap(host, tap, bridge, guest.queues, guest.mtu)
        argv = arguments(guest, image, tap, self.monitor, self.console, incoming)
        for name, path in (("monitor2", self.monitor2), ("control", self.control)):
            argv += ["-chardev", f"socket,id={name},path={path},server=on,wait=off",
                     "-mon", f"chardev={name},mode=control"]
        self.process = host.daemon(f"qemu-{guest.name}", argv)
        self.qmp = self._connect()

    @property
    def monitor2(self):
        return self.monitor + ".2"

    @property
    def control(self):
        return self.monitor + ".lab"

    def _connect(self):
        def listens():
            self.process.require_running()
            return os.path.exists(self.control)
        wait_until(listens, f"monitor of {self.guest.name} on {self.host.name}", MONITOR_TIMEOUT_S)
        return Qmp(self.control)

    def migrate_to(self, target, port=4900):
        """Starts a migration to a QEMU that was started with incoming=incoming_uri(host, port)."""
        self.qmp.execute("migrate", uri=incoming_uri(target, port))

    def close(self):
        """Only the lab's own connection."""
        self.qmp.close()

    def stop(self):
        """Ends QEMU and takes its tap away."""
        self.close()
        self.process.stop()
        self.host.run(["ip", "link", "del", "dev", self.tap])


def incoming_uri(host, port=4900):
    """Where a QEMU on HOST listens for, or is sent, a migration."""
    return f"tcp:{uri_host(host.vtep)}:{port}"
