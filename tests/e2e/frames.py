# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stream of numbered Ethernet frames from a tenant to a guest that sends each of them back (`probe reflect`)."""

import collections
import socket
import struct
import threading
import time

from lab import wait_until

TYPE = 0x88b6  # IEEE 802 local experimental 2, as `probe reflect` has it
_HEADER = struct.Struct("!6s6sHI")  # Ethernet, then the frame's number
FRAME_SIZE = 128
SO_RCVBUFFORCE = 33  # asm-generic/socket.h
RECEIVE_BUFFER = 8 << 20
STRAGGLERS_S = 3  # how long what is missing is waited for


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


class Echoes:
    """Context: PPS frames a second from TENANT to the guest's MAC; .report() after stop()."""

    def __init__(self, tenant, mac, pps):
        self._to, self._own, self._interval = mac_bytes(mac), mac_bytes(tenant.mac), 1 / pps
        with tenant.namespace():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        self._socket.bind(("eth0", TYPE))
        self._socket.settimeout(0.1)
        self._sent, self._back = 0, []
        self._sending, self._receiving = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True),
                         threading.Thread(target=self._receive, daemon=True)]

    def __enter__(self):
        self._sending.set()
        self._receiving.set()
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self._back, "first frame back")
        return self

    def __exit__(self, kind, error, trace):
        self._sending.clear()
        self._receiving.clear()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _send(self):
        due = time.monotonic()
        while self._sending.is_set():
            frame = _HEADER.pack(self._to, self._own, TYPE, self._sent).ljust(FRAME_SIZE, b"\0")
            self._socket.send(frame)
            self._sent += 1
            due += self._interval
            time.sleep(max(0.0, due - time.monotonic()))  # the pace of the stream; nothing waits for it

    def _receive(self):
        while self._receiving.is_set():
            try:
                frame, (_, _, kind, _, _) = self._socket.recvfrom(2048)
            except TimeoutError:
                continue
            to, source, _, number = _HEADER.unpack_from(frame)
            if kind == socket.PACKET_HOST and (to, source) == (self._own, self._to):
                self._back.append(number)

    def run_for(self, seconds):
        """Lets it flow until that many more frames have been sent."""
        wanted = self._sent + int(seconds / self._interval)
        wait_until(lambda: self._sent >= wanted, "frames to be sent", seconds + 5)

    def finish(self):
        """Ends it; {"sent", "lost", "duplicated", "reordered"}, of the whole way there and back."""
        self._sending.clear()
        self._threads[0].join()
        ends = time.monotonic() + STRAGGLERS_S
        wait_until(lambda: len(set(self._back)) == self._sent or time.monotonic() > ends, "end", STRAGGLERS_S + 1)
        times, highest, late = collections.Counter(), -1, 0
        for number in self._back:
            late += number < highest and not times[number]  # RFC 4737
            highest = max(highest, number)
            times[number] += 1
        return {"sent": self._sent, "lost": self._sent - len(times), "duplicated": sum(times.values()) - len(times),
                "reordered": late}
