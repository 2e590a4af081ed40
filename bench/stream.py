# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stream of numbered packets between a tenant and the guest, both ways; see `probe run --help`."""

import itertools
import json
import os
import re
import signal
import subprocess
import time

from lab import LabError, TimedOut, wait_until

START_TIMEOUT_S = 30
REPORT_TIMEOUT_S = 60  # its stragglers, and a guest that is slow to answer
SHORTFALL = 0.01  # of the packets that a rate asks for: beyond it, the rate was not held
SHORTFALL_FROM_GUEST = 0.05  # an emulated guest's clock is less even, above all where it stops
_PROGRESS = re.compile(r"probe: [\d.]+ s: down sent (\d+), up received (\d+)")
_serial = itertools.count(1)


class Stream:
    """Runs from its making until finish(), or the end of its `with` block."""

    def __init__(self, lab, tenant, probe, address, pps, frame_size, tcp=False, pps_up=None, port=None, flows=1):
        self._log = os.path.join(lab.dir, f"probe-{next(_serial)}.log")
        self._answered = pps_up != 0
        argv = [probe, "run", "--to", address, "--pps", str(pps), "--size", str(frame_size), "--json",
                "--progress", "--flows", str(flows), *["--tcp"] * tcp]
        argv += [] if pps_up is None else ["--up-pps", str(pps_up)]
        argv += [] if port is None else ["--port", str(port)]
        with open(self._log, "wb") as log:
            self._process = tenant.popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                         text=True)
        try:
            wait_until(self._flows, f"stream to {address}", START_TIMEOUT_S)
        except BaseException:
            self._process.kill()
            raise
        self._began = time.monotonic()

    @property
    def pid(self):
        """The sender's pid."""
        return self._process.pid

    def _said(self):
        with open(self._log, encoding="utf-8") as log:
            return log.read()

    def _flows(self):
        """Packets have gone both ways."""
        if self._process.poll() is not None:
            raise LabError(f"the probe ended: {self._said().strip()}")
        progress = _PROGRESS.findall(self._said())
        return progress and int(progress[-1][0]) and (int(progress[-1][1]) or not self._answered)

    def run_for(self, seconds):
        """Lets it flow for SECONDS more."""
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() >= end, "end of the streaming time", seconds + 1)

    def finish(self):
        """Ends the stream; the probe's report."""
        self._process.send_signal(signal.SIGINT)
        try:
            stdout, _ = self._process.communicate(timeout=REPORT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise TimedOut(f"no report from the probe: {self._said().strip()}") from None
        report = json.loads(stdout) if stdout else {"error": self._said().strip()}
        if not report.get("complete"):
            raise LabError(f"the probe's counts are not complete: {report.get('error')}")
        return report

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.kill()  # if the block did not come to finish()

    def kill(self):
        """Ends it without a report, if it runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def _artefacts(stream, counters, asked, shortfall):
    found = [f"{name} {stream[name]}" for name in counters if stream[name]]
    if stream["sent"] < asked * (1 - shortfall) - 1:
        found.append(f"sent {stream['sent']} of {asked:.0f}")
    return found


def artefacts(report, stopped_ms):
    """
    What the lab itself spoiled, as texts: (to the guest, from the guest). STOPPED_MS: the guest's own pause.
    The peer's backlog_drops are not here: they are those of the whole machine.
    """
    counters = ("socket_drops", "uncounted", "unexpected")
    seconds = (report["stopped_us"] - report["started_us"]) / 1e6
    return (_artefacts(report["down"], (*counters, "backlog_drops"), report["down_pps"] * seconds, SHORTFALL),
            _artefacts(report["up"], counters, report["up_pps"] * (seconds - stopped_ms / 1000),
                       SHORTFALL_FROM_GUEST))
