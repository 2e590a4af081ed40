# SPDX-License-Identifier: LGPL-2.1-or-later
"""An etcd of three nodes on ::1, with files of its own, for bench/directory --etcd."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request

from lab import LabError, wait_until

NODES = 3
START_TIMEOUT_S, STOP_TIMEOUT_S, CALL_TIMEOUT_S = 20, 10, 3


class EtcdCluster:
    """A context; .endpoints are the clients' URLs. FREE_PORT gives a TCP port that nobody listens at."""

    def __init__(self, free_port):
        if not shutil.which("etcd"):
            raise LabError("--etcd needs etcd: see tests/lab/setup")
        ports = [free_port() for _ in range(2 * NODES)]
        self.endpoints = [f"http://[::1]:{port}" for port in ports[:NODES]]
        self._peers = [f"http://[::1]:{port}" for port in ports[NODES:]]
        self._directory, self._nodes = tempfile.TemporaryDirectory(prefix="bench-etcd-"), []

    def _start(self, number):
        path = os.path.join(self._directory.name, f"etcd{number}")
        cluster = ",".join(f"etcd{other}={url}" for other, url in enumerate(self._peers))
        client, peer = self.endpoints[number], self._peers[number]
        with open(path + ".log", "wb") as log:
            return subprocess.Popen(
                ["etcd", "--name", f"etcd{number}", "--data-dir", path, "--listen-client-urls", client,
                 "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", cluster], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _has_leader(self):
        for node in self._nodes:
            if node.poll() is not None:
                raise LabError(f"a node of etcd ended with {node.returncode}")
        with contextlib.suppress(OSError):
            request = urllib.request.Request(self.endpoints[0] + "/v3/maintenance/status", b"{}")
            with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_S) as answer:
                return json.load(answer).get("leader")
        return None

    def __enter__(self):
        try:
            self._nodes = [self._start(number) for number in range(NODES)]
            wait_until(self._has_leader, "leader of etcd", START_TIMEOUT_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for node in self._nodes:
            node.terminate()
        for node in self._nodes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.wait(STOP_TIMEOUT_S)
            node.kill()
            node.wait()
        self._directory.cleanup()
