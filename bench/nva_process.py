# SPDX-License-Identifier: LGPL-2.1-or-later
"""An nva of its own on ::1, and nva-load, a process that plays its NVEs; each on a CPU of its own."""

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import time

from lab import LabError, wait_until

DEADLINE_S = 30
STEP_TIMEOUT_S = 600
FILES = 8192  # descriptors: one per simulated NVE, on both sides

SERVICE_ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # as nva.service sets it

CONFIG = """[nva]
name = bench
listen = ::1
port = {port}
socket = {directory}/nva.sock
lease = 3600
log-level = error
store = {store}

[store]
path = {directory}/store

[limits]
vni-mappings = 268435456
nve-mappings = 268435456
"""
ETCD = """
[etcd]
endpoints = {endpoints}
address = [::1]:{port}
"""


def own_cpu(cpu):
    """Makes a process the only one of ours on CPU, when there are two."""
    def pin():
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, max(FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) > 1:
            os.sched_setaffinity(0, {cpus[cpu]})
    return pin


def free_port():
    """A TCP port of ::1 that nobody listens at."""
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::1", 0))
        return probe.getsockname()[1]


class Nva:
    """A fresh nva; a context. ETCD: the cluster, for store = etcd."""

    def __init__(self, build, store="none", etcd=None):
        self.build, self.port, self.process = build, free_port(), None
        self.directory = tempfile.TemporaryDirectory(prefix="bench-directory-")
        config = os.path.join(self.directory.name, "nva.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(port=self.port, directory=self.directory.name, store=store))
            if etcd:
                file.write(ETCD.format(endpoints=", ".join(etcd.endpoints), port=self.port))
        self.config = config

    def start(self):
        """Starts it; seconds until it accepts connections."""
        socket_path = os.path.join(self.directory.name, "nva.sock")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(socket_path)
        began = time.monotonic()
        self.process = subprocess.Popen([os.path.join(self.build, "nva", "nva"), "--config", self.config],
                                        stdin=subprocess.DEVNULL, env={**os.environ, **SERVICE_ENVIRONMENT},
                                        preexec_fn=own_cpu(0))

        while not os.path.exists(socket_path):  # the last thing that it opens
            if self.process.poll() is not None or time.monotonic() > began + DEADLINE_S:
                raise LabError("the nva does not start")
            time.sleep(0.002)
        return time.monotonic() - began

    def wait_lead(self):
        """Until this NVA leads."""
        def leads():
            with socket.socket(socket.AF_UNIX) as control:
                control.connect(os.path.join(self.directory.name, "nva.sock"))
                control.sendall(b'{"op":"status"}\n')
                with control.makefile("rb") as answer:
                    return json.loads(answer.readline())["store"]["role"] == "leading"
        wait_until(leads, "lead of the NVA", DEADLINE_S)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        try:
            self.start()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(DEADLINE_S)
            self.kill()
        self.directory.cleanup()

    def rss(self):
        """Bytes."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) * 1024

    def cpu_s(self):
        """Seconds of CPU it has used."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, command, **keys):
        """Runs nva-load; its result, and the CPU the nva used meanwhile."""
        argv = [os.path.join(self.build, "bench", "nva-load"), command, f"port={self.port}",
                *(f"{key}={value}" for key, value in keys.items())]
        before = self.cpu_s()
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False, timeout=STEP_TIMEOUT_S, preexec_fn=own_cpu(1))
        if done.returncode != 0:
            raise LabError(f"{command}: {done.stderr.strip()}")
        return {**json.loads(done.stdout), "nva_cpu_s": round(self.cpu_s() - before, 2)}
