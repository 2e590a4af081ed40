# SPDX-License-Identifier: LGPL-2.1-or-later
"""A holder: one process that keeps the namespaces of a host alive, and takes all with it when it ends.

Theory of operation

  lab process --pipe--> unshare --> sh (pid 1 of a new pid, net, uts and mount namespace)

- The shell waits for the end of its standard input, whose other end only the lab process has. When that
  is closed, or the lab process dies in any way, pid 1 ends, and the kernel kills every process of its pid
  namespace; with them go the last references to the mounts and to the network with all its devices.
- Commands are started inside as direct children of the lab process, without a forking nsenter between:
  the calling thread points its "pid namespace for children" at the holder (setns(2)), starts nsenter for
  the other namespaces, which does not fork, and points it back. So the pid is the program's own, a signal
  reaches it, and it cannot outlive the holder. The kernel lets pid 1 go only when each process of its
  namespace has been reaped, and these are ours to reap: close() does.
- A socket stays in the network namespace it was made in: net_namespace() lets a thread step into one for
  just that long (setns(2) acts on the calling thread alone).
"""

import contextlib
import ctypes
import os
import subprocess
import threading

from .errors import CommandFailed, LabError
from .wait import wait_until

CLONE_NEWNET = 0x40000000  # linux/sched.h
CLONE_NEWPID = 0x20000000  # linux/sched.h
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 30

# Runs as pid 1: `wait` also reaps what has lost its parent.
_INIT = "exec 3<&0; cat <&3 >/dev/null & wait $!"

_libc = ctypes.CDLL(None, use_errno=True)
_fork_lock = threading.Lock()


def _setns(fd, kind):
    if _libc.setns(fd, kind) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


@contextlib.contextmanager
def _stepped_into(path, own, kind):
    """The calling thread is in the namespace PATH for the time of the block; OWN is its own one."""
    with open(own, "rb") as back, open(path, "rb") as there:
        _setns(there.fileno(), kind)
        try:
            yield
        finally:
            _setns(back.fileno(), kind)


def net_namespace(path):
    """Context: sockets that this thread makes belong to the network namespace at PATH."""
    return _stepped_into(path, "/proc/thread-self/ns/net", CLONE_NEWNET)


def _children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


class Holder:
    """The namespaces of one host; see the head of this module."""

    def __init__(self, name):
        self.name = name
        self._started = []
        self._process = subprocess.Popen(
            ["unshare", "--fork", "--kill-child", "--pid", "--mount-proc", "--net", "--uts", "--mount",
             "--propagation", "private", "--", "sh", "-c", _INIT],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True)
        try:
            self.pid = wait_until(self._first_child, f"holder of {name}", START_TIMEOUT_S, poll=0.001)
            wait_until(self._is_init, f"init of {name}", START_TIMEOUT_S, poll=0.001)
        except BaseException:
            self.close()
            raise

    def _first_child(self):
        if self._process.poll() is not None:
            raise LabError(f"{self.name}: unshare failed: {self._process.stderr.read().decode().strip()}")
        return next(iter(_children(self._process.pid)), None)

    def _is_init(self):
        with open(f"/proc/{self.pid}/cmdline", "rb") as file:
            return file.read().startswith(b"sh\0")

    def namespace(self, kind):
        return f"/proc/{self.pid}/ns/{kind}"

    def path(self, inside):
        """The path by which the lab process sees INSIDE, a path inside the host."""
        return f"/proc/{self.pid}/root{inside}"

    def popen(self, argv, **options):
        """subprocess.Popen inside the host. The process is in a session of its own unless told otherwise."""
        options.setdefault("start_new_session", True)
        enter = ["nsenter", "--target", str(self.pid),
                 "--mount", "--net", "--uts", "--"]
        with _fork_lock, _stepped_into(self.namespace("pid"), "/proc/thread-self/ns/pid", CLONE_NEWPID):
            process = subprocess.Popen(enter + [str(word) for word in argv], **options)
        self._started = [other for other in self._started if other.returncode is None] + [process]
        return process

    def run(self, argv, check=True, timeout=60, input=None, **options):
        """Runs ARGV to its end inside the host; returns a CompletedProcess with text output."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        with self.popen(argv, stdin=stdin, **options) as process:
            try:
                stdout, stderr = process.communicate(input, timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                stdout, stderr = process.communicate()
                raise CommandFailed(self.name, argv, f"no end in {timeout} s", stdout, stderr) from None
            except BaseException:
                process.kill()
                raise
        if check and process.returncode != 0:
            raise CommandFailed(self.name, argv, process.returncode, stdout, stderr)
        return subprocess.CompletedProcess(list(argv), process.returncode, stdout, stderr)

    def close(self):
        """Ends every process of the host and waits for that. May be called again."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.stdin.close()
        wait_until(lambda: self._reap(process), f"end of the processes of {self.name}", STOP_TIMEOUT_S, poll=0.002)
        process.stderr.close()

    def _reap(self, process):
        self._started = [other for other in self._started if other.poll() is None]
        return process.poll() is not None


@contextlib.contextmanager
def watched(pids):
    """Context: a function that tells which processes are in the pid namespaces of PIDS: {pid: command line}.

    It works when those namespaces are dead, too: while a file holds one, its inode number is not given anew.
    """
    with contextlib.ExitStack() as files:
        held = [files.enter_context(open(f"/proc/{pid}/ns/pid", "rb")) for pid in pids]
        inodes = {os.fstat(file.fileno()).st_ino for file in held}
        yield lambda: _processes_in(inodes)


def _processes_in(pid_namespaces):
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}/ns/pid").st_ino in pid_namespaces:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    found[int(pid)] = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    return found
