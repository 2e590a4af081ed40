# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where an NVE sends frames for a MAC, and since when: the kernel's own notices, read by `bridge monitor fdb`.

A frame goes to the bridge port of the MAC's bridge entry; when that is a tunnel device, on to the VTEP of the
MAC's entry there. The monitor runs with real-time priority, so that its timestamps (the real-time clock, when
it read the notice) are not those of a busy machine.
"""

import calendar
import json
import re
import time

from lab import wait_until

NAME = "fdb-monitor"
HERE = "here"  # the MAC's port is on this host
WATCH_TIMEOUT_S = 30
_MARK = "02:00:00:00:0f:db"  # a MAC of nobody, to see that the monitor listens
_NOTICE = re.compile(r"^Timestamp: (.+) (\d+) usec\n(Deleted )?([0-9a-f:]{17}) dev (\S+)(.*)$", re.MULTILINE)
_DST = re.compile(r" dst (\S+)")


class _Place:
    """The FDB entries of one MAC on one host, kept up to date by notices."""

    def __init__(self):
        self.port, self.vteps = None, {}

    def set_bridge(self, device, deleted):
        if not deleted:
            self.port = device
        elif self.port == device:
            self.port = None

    def set_tunnel(self, device, vtep, deleted):
        if deleted:
            self.vteps.pop(device, None)
        else:
            self.vteps[device] = vtep

    def where(self, tunnels):
        """HERE, a VTEP, or None: unknown, so flooded."""
        if self.port is None:
            return None
        return self.vteps.get(self.port) if self.port in tunnels or self.port in self.vteps else HERE


class FdbWatch:
    """Watches one host from its making until the end of the lab."""

    def __init__(self, host, tunnel):
        self.host, self._tunnels = host, {tunnel}
        self._daemon = host.daemon(NAME, ["chrt", "--fifo", "1", "bridge", "-t", "-o", "monitor", "fdb"],
                                   env={"TZ": "UTC"})
        wait_until(self._listens, f"bridge monitor on {host.name}", WATCH_TIMEOUT_S)

    def _listens(self):
        self._daemon.require_running()
        self.host.bridge(f"fdb add {_MARK} dev eth0 self permanent\nfdb del {_MARK} dev eth0 self permanent\n")
        return _MARK in self._daemon.output()

    def _dump(self, mac):
        place = _Place()
        for entry in json.loads(self.host.run(["bridge", "-j", "fdb", "show"]).stdout):
            if entry["mac"] != mac:
                continue
            if "master" in entry:
                place.set_bridge(entry["ifname"], False)
            elif "dst" in entry:
                place.set_tunnel(entry["ifname"], entry["dst"], False)
        return place

    def where(self, mac):
        """Where frames for MAC go now: HERE, a VTEP, or None: unknown, so flooded."""
        return self._dump(mac).where(self._tunnels)

    def begin(self, mac):
        """Starts a watch of MAC: a Track."""
        size = self._daemon.written()  # first the place in the log, so that no notice falls between
        return Track(self, mac, self._dump(mac), size)

    def notices(self, since):
        """(at_us, deleted, mac, device, rest) of each notice after the first SINCE bytes of the log."""
        self._daemon.require_running()
        for when, micros, deleted, mac, device, rest in _NOTICE.findall(self._daemon.output(since)):
            seconds = calendar.timegm(time.strptime(when, "%a %b %d %H:%M:%S %Y"))
            yield seconds * 1000000 + int(micros), bool(deleted), mac, device, rest + " "

    @property
    def tunnels(self):
        return self._tunnels


class Track:
    """Where one host sent frames for a MAC over time."""

    def __init__(self, watch, mac, place, since):
        self._watch, self._mac, self._since = watch, mac, since
        self._first_port, self._first_vteps = place.port, dict(place.vteps)

    def history(self):
        """[(at_us, where)], oldest first; the first is at 0."""
        place = _Place()
        place.port, place.vteps = self._first_port, dict(self._first_vteps)
        history = [(0, place.where(self._watch.tunnels))]
        for at_us, deleted, mac, device, rest in self._watch.notices(self._since):
            if mac != self._mac:
                continue
            vtep = _DST.search(rest)
            if " master " in rest:
                place.set_bridge(device, deleted)
            elif vtep:
                place.set_tunnel(device, vtep.group(1), deleted)
            if place.where(self._watch.tunnels) != history[-1][1]:
                history.append((at_us, place.where(self._watch.tunnels)))
        return history

    def before_and_after(self):
        """Where frames went first, and go last."""
        history = self.history()
        return history[0][1], history[-1][1]

    def settled_us(self, where):
        """Since when frames go WHERE without a break, or None if they do not."""
        at_us, last = self.history()[-1]
        return at_us if last == where else None
