# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's events of the guest on each hypervisor, by a libvirt client of their own, with the time QEMU gave them.

`virsh qemu-monitor-event` without --timestamp prints QEMU's own timestamp (microseconds, the machine's real-time
clock); with it, the time virsh heard of the event.
"""

import re
from dataclasses import dataclass

from lab import LabError, wait_until

NAME = "qemu-events"
EVENT_TIMEOUT_S = 30
POLL_S = 0.001  # of the client's log; who waits for an event wants to act at it
_EVENT = re.compile(r"^event (\S+) at (\d+)\.(\d{6}) for domain '([^']*)': (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Event:
    """At_us: microseconds of CLOCK_REALTIME."""
    name: str
    at_us: int
    domain: str
    data: str


class QemuEvents:
    """Watches one host from its making until the end of the lab."""

    def __init__(self, host):
        self.host = host
        self._seen, self._read = [], 0  # events, and the bytes of the log that they are of
        self._daemon = host.daemon(NAME, ["virsh", "-q", "-c", "qemu:///system", "qemu-monitor-event", "--loop"])

    def all(self):
        """Every event so far. The log is read on from where the last call ended."""
        if self._daemon.written() > self._read:
            text = self._daemon.output(self._read)
            whole = text[:text.rfind("\n") + 1]
            self._read += len(whole.encode())
            self._seen += [Event(name, int(seconds) * 1000000 + int(micros), domain, data)
                           for name, seconds, micros, domain, data in _EVENT.findall(whole)]
        else:
            self._daemon.require_running()
        return self._seen

    def count(self):
        return len(self.all())

    def first(self, name, skip, data=""):
        """The first event NAME with DATA in its data, after the first SKIP ones, or None."""
        return next((event for event in self.all()[skip:] if event.name == name and data in event.data), None)

    def wait(self, name, skip=0, timeout=EVENT_TIMEOUT_S, data=""):
        return wait_until(lambda: self.first(name, skip, data), f"{name} {data} of QEMU on {self.host.name}", timeout,
                          POLL_S)


def require_one(events, name, skip):
    """There is exactly one NAME after SKIP: a guest that stopped twice was not moved in one go."""
    found = [event for event in events.all()[skip:] if event.name == name]
    if len(found) != 1:
        raise LabError(f"{len(found)} events {name} of QEMU on {events.host.name}, not one")
    return found[0]
