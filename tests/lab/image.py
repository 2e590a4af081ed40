# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest: Debian's cloud kernel and an initramfs of busybox, virtio modules and a static probe.

Images are kept in the cache directory, named by the hash of all that goes in, so that a test run builds at
most one. Without a probe, the guest serves TCP port 7000 with busybox's nc, enough to see that it is up.
"""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass

from .errors import LabError

BUSYBOX = "/bin/busybox"
DRIVERS = "kernel/drivers/"
# In the order in which they depend on one another.
MODULES = tuple(DRIVERS + path for path in (
    "virtio/virtio_ring.ko", "virtio/virtio.ko", "virtio/virtio_pci_modern_dev.ko",
    "virtio/virtio_pci_legacy_dev.ko", "virtio/virtio_pci.ko")) + ("kernel/net/core/failover.ko",) + tuple(
    DRIVERS + path for path in ("net/net_failover.ko", "net/virtio_net.ko"))
PROBE_PORT = 7000
RECEIVE_BUFFER = 8 << 20  # bytes a slow guest can leave unread, if the program does not ask for more
UDP_PAGES = "4096 8192 12288"  # of all UDP buffers together: a small guest's default is less than the probe asks for
IMAGES_KEPT = 16
BLOCK = 512

# busybox sh runs this as pid 1. Quiet on the wire: no DAD, no router solicitations, no announcements.
_INIT = """#!/bin/sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
for module in /modules/*.ko; do insmod "$module"; done
cd /proc/sys/net
echo RECEIVE_BUFFER > core/rmem_max
echo RECEIVE_BUFFER > core/rmem_default
echo RECEIVE_BUFFER > core/wmem_max
echo 20000 > core/netdev_max_backlog
echo UDP_PAGES > ipv4/udp_mem
for conf in ipv6/conf/*; do
    echo 0 > $conf/accept_dad
    echo 0 > $conf/router_solicitations
    echo 0 > $conf/accept_ra
done
ip link set lo up

# rehome.ip4=A/L rehome.ip6=A/L for eth0; rehome.ip4.1=A/L for eth1; rehome.mtu=N for all
for word in $(cat /proc/cmdline); do
    case "$word" in
    rehome.mtu=*) mtu=${word#*=} ;;
    esac
done
for device in /sys/class/net/eth*; do
    device=${device##*/}
    [ -z "$mtu" ] || ip link set "$device" mtu "$mtu"
    ip link set "$device" up
done
for word in $(cat /proc/cmdline); do
    key=${word%%=*} number=0
    case "$key" in
    rehome.ip[46]) ;;
    rehome.ip[46].[0-9]*) number=${key##*.} ;;
    *) continue ;;
    esac
    ip address add "${word#*=}" dev "eth$number" && echo "guest: eth$number has ${word#*=}"
done

[ ! -x /setup ] || /setup
# rehome.call=ADDRESS/PORT: the guest opens a TCP connection, and again if it ends, and sends back what comes.
for word in $(cat /proc/cmdline); do
    case "$word" in
    rehome.call=*)
        call=${word#*=}
        (while :; do nc "${call%/*}" "${call##*/}" -e cat; sleep 1; done) & ;;
    esac
done

echo "guest: ready"
cd /
while :; do
    SERVE
    echo "guest: the server ended with $?"
done
"""


@dataclass(frozen=True)
class Image:
    """Paths on the machine, the same in every host."""
    kernel: str
    initrd: str


def cache_dir():
    return os.environ.get("REHOME_LAB_CACHE", "/var/cache/rehome-lab")


def _newc_entry(inode, name, mode, data, rdev=(0, 0)):
    """One member of a cpio archive (Linux Documentation/driver-api/early-userspace/buffer-format.rst)."""
    path = name.encode() + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(path), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return header + bytes(-len(header) % 4) + data + bytes(-len(data) % 4)


def archive(members):
    """Bytes of a cpio archive of MEMBERS: (name, mode, data, (major, minor))."""
    entries = [_newc_entry(number, *member) for number, member in enumerate(members, 1)]
    whole = b"".join(entries) + _newc_entry(0, "TRAILER!!!", 0, b"")
    return whole + bytes(-len(whole) % BLOCK)


def _read(path, remedy="run tests/lab/setup"):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise LabError(f"the guest needs {path}: {error.strerror}; {remedy}") from None


def _members(probe, modules, files, script):
    directory, program = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755
    serve = f"/bin/probe serve --port {PROBE_PORT}" if probe else f"nc -ll -p {PROBE_PORT} -e cat"
    init = _INIT.replace("RECEIVE_BUFFER", str(RECEIVE_BUFFER)).replace("UDP_PAGES", UDP_PAGES).replace("SERVE", serve)

    for name in ("bin", "dev", "proc", "sys", "tmp", "modules"):
        yield name, directory, b""
    yield "dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)
    yield "init", program, init.encode()
    yield "bin/busybox", program, _read(BUSYBOX)
    yield "bin/sh", stat.S_IFLNK | 0o777, b"busybox"
    if probe:
        yield "bin/probe", program, _read(probe, "build it")
    for number, module in enumerate(modules):
        path = os.path.join(cache_dir(), "kernel/modules", module)
        yield f"modules/{number:02d}-{os.path.basename(module)}", stat.S_IFREG | 0o644, _read(path)
    for name, path in sorted(files.items()):
        yield name.lstrip("/"), program, _read(path, "it was asked for")
    if script:
        yield "setup", program, f"#!/bin/sh\n{script}".encode()


def _forget_oldest():
    images = [entry for entry in os.scandir(cache_dir()) if entry.name.startswith("initrd-")]
    for entry in sorted(images, key=lambda entry: entry.stat().st_mtime)[:-IMAGES_KEPT]:
        os.unlink(entry.path)


def build(probe=None, modules=MODULES, files=None, script=""):
    """
    The Image with PROBE (a static program), MODULES in this order, FILES ({name in guest: path}), and a SCRIPT
    that is run when the NICs are up.
    """
    data = archive(_members(probe, modules, files or {}, script))
    path = os.path.join(cache_dir(), f"initrd-{hashlib.sha256(data).hexdigest()[:16]}")
    kernel = os.path.realpath(os.path.join(cache_dir(), "kernel/vmlinuz"))
    if not os.path.exists(kernel):
        raise LabError(f"no guest kernel in {cache_dir()}; run tests/lab/setup")
    if not os.path.exists(path):
        with tempfile.NamedTemporaryFile(dir=cache_dir(), prefix="building-", delete=False) as file:
            file.write(data)
        os.rename(file.name, path)  # whole or not there, also when two build it at once
        _forget_oldest()
    os.utime(path)
    return Image(kernel, path)
