# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host: its own processes, network, name and the directories a hypervisor writes to.

What is private: /run (tmpfs), /sys (of its own network), /etc/hosts, and the directories of PRIVATE, which
live in DIR/root so that they can be read from outside. All else of the file system is the machine's.
"""

import os
import shlex
import signal
import subprocess

from .errors import LabError, TimedOut
from .namespaces import Holder
from .wait import wait_until

PRIVATE = ("/etc/libvirt", "/etc/frr", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DAEMON_STOP_TIMEOUT_S = 30

# DAD would keep an address unusable for a second; all else is as the kernel has it.
_PREPARE = """
set -e
hostname "$NAME"
# Named namespaces of the machine are not ours to keep alive.
awk '$3 == "nsfs" { print $2 }' /proc/self/mounts | while read -r mount; do
    umount -l "$mount" 2>/dev/null || true # gone meanwhile
done
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns
for dir in $PRIVATE; do
    mkdir -p "$dir" "$ROOT$dir"
    mount --bind "$ROOT$dir" "$dir"
done
mount --bind "$ROOT/etc/hosts" /etc/hosts
echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
ip link set lo up
"""


class Daemon:
    """A program that stays; its output goes to a log file."""

    def __init__(self, host, name, argv, env=None):
        self.host, self.name, self.argv = host, name, [str(word) for word in argv]
        self.log = os.path.join(host.dir, name + ".log")
        with open(self.log, "ab") as log:
            self._log_start = log.tell()
            self._process = host.popen(self.argv, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT, env=env)

    @property
    def pid(self):
        """The pid as the lab process sees it."""
        return self._process.pid

    def running(self):
        return self._process.poll() is None

    def output(self, skip=0):
        """What this run has written so far, after its first SKIP bytes."""
        with open(self.log, "rb") as log:
            log.seek(self._log_start + skip)
            return log.read().decode("utf-8", "replace")

    def written(self):
        """How many bytes this run has written so far."""
        return os.path.getsize(self.log) - self._log_start

    def require_running(self):
        if not self.running():
            raise LabError(f"{self.host.name}: {self.name} (`{shlex.join(self.argv)}`) ended with "
                           f"{self._process.returncode}; the end of {self.log}:\n{self.output()[-2000:]}")

    def wait_output(self, text, timeout=20.0):
        """Waits until the daemon has written TEXT since it started."""
        def seen():
            if text in self.output():
                return True
            self.require_running()
            return False
        try:
            wait_until(seen, f"'{text}' from {self.name} on {self.host.name}", timeout)
        except TimedOut as error:
            raise TimedOut(f"{error}; the end of {self.log}:\n{self.output()[-2000:]}") from None

    def signal(self, number):
        self._process.send_signal(number)

    def stop(self, timeout=DAEMON_STOP_TIMEOUT_S):
        """SIGTERM, then SIGKILL after TIMEOUT. Returns the exit status (negative: the signal)."""
        if self.running():
            self.signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self):
        """kill -9, the way a crash looks. Returns the exit status."""
        self._process.kill()
        return self._process.wait()


class Host:
    """See the head of this module. Made by Lab; .number is N of its underlay addresses."""

    def __init__(self, name, number, directory, hosts_file):
        self.name, self.number, self.dir = name, number, directory
        self.ip4 = self.ip6 = self.vtep = None  # set by Fabric.join
        self.daemons = {}
        self._make_root(hosts_file)
        self.holder = Holder(name)
        try:
            self.run(["sh", "-c", _PREPARE], env={
                **self.environment(), "NAME": name, "ROOT": self.root, "PRIVATE": " ".join(PRIVATE)})
        except BaseException:
            self.holder.close()
            raise

    @property
    def root(self):
        """Where the host's private directories are on the machine: its /etc/libvirt is ROOT/etc/libvirt."""
        return os.path.join(self.dir, "root")

    @property
    def is_hypervisor(self):
        return self.name.startswith("hv")

    @property
    def is_nve(self):
        return not self.name.startswith(("nva", "etcd", "ext"))

    def _make_root(self, hosts_file):
        os.makedirs(os.path.join(self.root, "etc"))
        with open(os.path.join(self.root, "etc/hosts"), "w", encoding="ascii") as file:
            file.write(hosts_file)

    @staticmethod
    def environment(**more):
        return {**os.environ, "PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", **more}

    def popen(self, argv, env=None, **options):
        """subprocess.Popen inside the host."""
        return self.holder.popen(argv, env=self.environment(**(env or {})), **options)

    def run(self, argv, check=True, timeout=60, input=None, env=None, **options):
        """Runs ARGV to its end; returns a CompletedProcess (text). CommandFailed unless status 0 or not CHECK."""
        return self.holder.run(argv, check, timeout, input, env=self.environment(**(env or {})), **options)

    def ip(self, batch):
        """Runs lines of ip(8) in one process; the first that fails ends it."""
        self.run(["ip", "-batch", "-"], input=batch)

    def bridge(self, batch):
        """Runs lines of bridge(8) in one process; the first that fails ends it."""
        self.run(["bridge", "-batch", "-"], input=batch)

    def virsh(self, *words, check=True, timeout=60):
        """Output of virsh on this host's own libvirtd."""
        return self.run(["virsh", "-q", "-c", "qemu:///system", *words], check, timeout).stdout.strip()

    def daemon(self, name, argv, env=None):
        """Starts a program that stays, logging to DIR/NAME.log; replaces an ended one of the same name."""
        if name in self.daemons and self.daemons[name].running():
            raise LabError(f"{self.name}: {name} runs already")
        self.daemons[name] = Daemon(self, name, argv, env)
        return self.daemons[name]

    def path(self, inside):
        """The path by which the lab process sees INSIDE (for instance a socket in /run)."""
        return self.holder.path(inside)

    def close(self):
        self.holder.close()
