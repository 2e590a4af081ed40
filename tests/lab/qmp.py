# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QMP client of a few lines, for QEMU that the lab starts itself (QEMU docs/interop/qmp-spec.txt)."""

import contextlib
import json
import socket
import time

from .errors import LabError, TimedOut

LINE_MAX = 1 << 20


class Qmp:
    """One monitor connection. Events that come meanwhile are kept in .events, oldest first."""

    def __init__(self, path, timeout=10.0):
        self.events, self._timeout = [], timeout
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._socket.connect(path)
        self._lines = self._socket.makefile("rb")
        self._receive()  # the greeting
        self.execute("qmp_capabilities")

    def _receive(self):
        try:
            line = self._lines.readline(LINE_MAX)
        except TimeoutError:
            raise TimedOut("QEMU's monitor says nothing") from None
        if not line:
            raise LabError("QEMU closed its monitor")
        return json.loads(line)

    def execute(self, command, **arguments):
        """The `return` of COMMAND; underscores in argument names stand for dashes."""
        words = {name.replace("_", "-"): value for name, value in arguments.items()}
        self._socket.sendall(json.dumps({"execute": command, "arguments": words}).encode() + b"\n")
        while True:
            answer = self._receive()
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise LabError(f"QEMU refused {command}: {answer['error']['desc']}")
            else:
                return answer["return"]

    def wait_event(self, name, timeout=30.0, **data):
        """Waits for the event NAME whose data has the values DATA; forgets it and those before it."""
        deadline = time.monotonic() + timeout
        while True:
            while self.events:
                event = self.events.pop(0)
                if event["event"] == name and data.items() <= event.get("data", {}).items():
                    return event
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOut(f"no {name} {data or ''} from QEMU within {timeout} s")
            self._socket.settimeout(left)
            with contextlib.ExitStack() as undo:
                undo.callback(self._socket.settimeout, self._timeout)
                self.events.append(self._receive())

    def close(self):
        self._lines.close()
        self._socket.close()
