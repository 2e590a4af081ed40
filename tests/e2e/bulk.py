# SPDX-License-Identifier: LGPL-2.1-or-later
"""A TCP connection that carries bulk data to the guest and back: large segments, unfinished checksums, all compared."""

import contextlib
import hashlib
import random
import socket
import threading
import time

from lab import wait_until

PORT = 7100
SERVE = f"nc -ll -p {PORT} -e cat &\n"  # for Guest.script
CHUNK = 64 << 10  # what one segmentation offload bundle holds at most
END_TIMEOUT_S = 60  # for what is still in the connection, retransmissions included


class Bulk:
    """Context: RATE bytes a second from TENANT to ADDRESS, where each comes back; finish() tells."""

    def __init__(self, tenant, address, rate):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with tenant.namespace():
            self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.settimeout(END_TIMEOUT_S)
        self._socket.connect((address, PORT))
        self._interval, self._flows, self._failed = CHUNK / rate, True, None
        self._went, self._came = hashlib.sha256(), hashlib.sha256()
        self.sent = self.received = 0
        self._threads = [threading.Thread(target=self._guarded, args=(run,), daemon=True) for run in (self._send, self._receive)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.received or self._failed, "first byte back")
        return self

    def __exit__(self, kind, error, trace):
        self._flows = False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # whoever waits for it goes on
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _guarded(self, run):
        try:
            run()
        except OSError as error:
            self._failed = self._failed or error

    def _send(self):
        numbers, due = random.Random(1), time.monotonic()
        while self._flows:
            chunk = numbers.randbytes(CHUNK)
            self._socket.sendall(chunk)
            self._went.update(chunk)
            self.sent += CHUNK
            due = max(due + self._interval, time.monotonic() - 1)  # what a blackout held back is not made up for at once
            time.sleep(max(0.0, due - time.monotonic()))  # the pace of the stream; nothing waits for it
        self._socket.shutdown(socket.SHUT_WR)

    def _receive(self):
        while data := self._socket.recv(1 << 20):
            self._came.update(data)
            self.received += len(data)

    def finish(self):
        """Ends it: (bytes sent, whether exactly those came back, why it broke or None)."""
        self._flows = False
        for thread in self._threads:
            thread.join(END_TIMEOUT_S)
        same = self.received == self.sent and self._came.digest() == self._went.digest()
        return self.sent, same, self._failed
