# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QEMU's monitor without a QEMU: a QMP server on a UNIX socket that says what the test has it say."""

import contextlib
import json
import os
import socket
import threading
import time

GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}


class FakeQemu:
    """Serves PATH, one client after the other, until stop(). Commands received are kept in `commands`."""

    def __init__(self, path, running):
        self.path, self.running, self.commands = path, running, []
        self.client, self.ready = None, threading.Event()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(1)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                self.client = client
                self._say(GREETING)
                for line in client.makefile("rb"):
                    self._answer(json.loads(line))

    def _answer(self, request):
        self.commands.append(request["execute"])
        value = {}
        if request["execute"] == "query-status":
            value = {"status": "running" if self.running else "inmigrate", "running": self.running, "singlestep": False}
        self._say({"return": value, "id": request.get("id")})
        if request["execute"] == "query-status":
            self.ready.set()

    def _say(self, message):
        self.client.sendall(json.dumps(message).encode() + b"\r\n")

    def event(self, name, **data):
        """The client must have been answered its query-status."""
        now = time.time_ns() // 1000
        self._say({"timestamp": {"seconds": now // 1000000, "microseconds": now % 1000000}, "event": name, "data": data})

    def stop(self):
        """As when QEMU ends: the connection breaks, and nobody listens any more."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)
        with contextlib.suppress(OSError, AttributeError):  # the client has gone first, or was never there
            self.client.shutdown(socket.SHUT_RDWR)
        self.thread.join()
