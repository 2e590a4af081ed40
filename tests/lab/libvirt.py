# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirtd and virtlogd on a host, with configuration of their own."""

import os
import shutil
import uuid

from .image import cache_dir
from .wait import wait_until

START_TIMEOUT_S = 60
HOOK = "etc/libvirt/hooks/qemu.d/rehome"
CAPABILITIES = "var/cache/libvirt/qemu/capabilities"

_LIBVIRTD = """
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
auth_unix_rw = "none"
host_uuid = "{uuid}"
log_outputs = "3:stderr"
"""
# No cgroups, users or namespaces of QEMU's own: the host is a namespace already.
_QEMU = """
security_driver = "none"
user = "root"
group = "root"
cgroup_controllers = []
namespaces = []
remember_owner = 0
dynamic_ownership = 0
"""


def _write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def configure(host):
    """Writes the configuration; files that are there already stay as they are."""
    host_uuid = uuid.uuid4()  # two hosts of one uuid refuse to migrate to one another
    for name, text in (("libvirtd.conf", _LIBVIRTD.format(uuid=host_uuid)), ("qemu.conf", _QEMU)):
        path = os.path.join(host.root, "etc/libvirt", name)
        if not os.path.exists(path):
            _write(path, text)


def install_hook(host, program):
    """Makes PROGRAM the qemu hook of HOST. libvirtd sees a first hook only if it is there when it starts."""
    path = os.path.join(host.root, HOOK)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copy(program, path)
    os.chmod(path, 0o755)


def _warm(host):
    """What libvirt found out about this QEMU in an earlier lab (it checks itself whether that still holds)."""
    kept, used = os.path.join(cache_dir(), "capabilities"), os.path.join(host.root, CAPABILITIES)
    if os.path.isdir(kept) and not os.path.isdir(used):
        shutil.copytree(kept, used)


def _keep(host):
    kept, used = os.path.join(cache_dir(), "capabilities"), os.path.join(host.root, CAPABILITIES)
    os.makedirs(kept, exist_ok=True)
    for entry in os.scandir(used) if os.path.isdir(used) else ():
        target = os.path.join(kept, entry.name)
        if not os.path.exists(target) or os.path.getmtime(target) < entry.stat().st_mtime:
            shutil.copy2(entry.path, f"{target}.{host.holder.pid}")
            os.rename(f"{target}.{host.holder.pid}", target)


def start(host):
    """Starts both daemons; wait_ready() waits for them."""
    configure(host)
    _warm(host)
    host.daemon("virtlogd", ["virtlogd"])
    host.daemon("libvirtd", ["libvirtd", "--listen"])


def wait_ready(host, timeout=START_TIMEOUT_S):
    """Waits until libvirtd answers a client."""
    def answers():
        host.daemons["libvirtd"].require_running()
        done = host.run(["virsh", "-q", "-c", "qemu:///system", "version"], check=False)
        return done.returncode == 0
    wait_until(answers, f"answer from libvirtd on {host.name}", timeout)
    _keep(host)


def stop(host, crash=False):
    """Ends libvirtd, not its guests; crash=True is kill -9."""
    daemon = host.daemons["libvirtd"]
    daemon.kill() if crash else daemon.stop()
