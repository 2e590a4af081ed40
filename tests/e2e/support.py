# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the end-to-end tests share: a room with rehome in it, and what must be true around a move."""

import contextlib
import os
import time
import unittest

from bench import account, ledger, leftovers
from bench.measure import Load, measure
from bench.room import Room
from bench.stream import Stream
from lab import Lab, TimedOut, wait_until
from lab.systems.rehome import Rehome

BUILD = os.environ["REHOME_BUILD"]
KEEP_LOGS = "REHOME_KEEP_LOGS" in os.environ  # the lab's directory then stays, also when all is well
PPS = 500  # what sanitized daemons, an emulated guest and everything else on two cores hold
FRAME_SIZE = 128
BEFORE_S = 0.2  # of a stream that flows already: 100 packets each way, so that the move does not begin with its first
CONVERGED_MS = 1000  # that it is done at all; bench/move has the figures
DOUBLED_PER_QUEUE = 2  # the second one only where STOP was heard late: docs/decisions/0005
AGREE_TIMEOUT_S = 20
TRACES_TIMEOUT_S = 15


def say(text):
    print(text, flush=True)


class Case(unittest.TestCase):
    """A test with rooms and the assertions about them."""

    maxDiff = None

    def room(self, underlay=4, guest=None, vnis=(100,), agent=None, **lab_options):
        """A Room with rehome (AGENT: more for the agents' configurations) and a guest on hv1, for the rest of the test."""
        lab = Lab(Rehome(BUILD, agent=agent, vnis=vnis), underlay, build=BUILD, say=say, keep_logs=KEEP_LOGS, **lab_options)
        return self.enterContext(Room("rehome", underlay, BUILD, say, guest, lab=lab))

    def assert_counts(self, report, doubled, what):
        """The probe's REPORT: none lost, none out of order, at most DOUBLED to the guest twice."""
        for way, twice in (("down", doubled), ("up", 0)):
            counts = {key: report[way][key] for key in ("sent", "lost", "duplicated", "reordered")}
            said = f"{what} {way}: {counts}; drops of the whole machine: {report['up']['backlog_drops']}; {report[way]}"
            say(f"  {what} {way}: {counts}")
            self.assertEqual((counts["lost"], counts["reordered"]), (0, 0), said)
            self.assertLessEqual(counts["duplicated"], twice, said)

    @contextlib.contextmanager
    def counted(self, room, doubled, *flows):
        """
        Context: one stream per (tenant, address, further arguments of Stream) in FLOWS, from before the block to a second
        after it; each is counted as assert_counts() says, with at most DOUBLED packets twice.
        """
        with contextlib.ExitStack() as running:
            streams = [running.enter_context(
                Stream(room.lab, tenant, room.probe, address, **{"pps": PPS, "frame_size": FRAME_SIZE, **more}))
                for tenant, address, more in flows]
            streams[-1].run_for(BEFORE_S)
            yield streams
            streams[-1].run_for(1)
            reports = [stream.finish() for stream in streams]
        for report, (tenant, address, _) in zip(reports, flows):
            self.assertGreater(report["down"]["sent"], 0)
            self.assert_counts(report, doubled, f"{tenant.name} {address}")
            self.assertTrue(report["tcp"] is None or report["tcp"]["alive"])

    def move(self, room, **how):
        """
        Moves the guest to the other host (arguments of Lab.migrate()), until the agents say that it is over. What they
        note, as ledger.timeline() has it.
        """
        began_us = time.time_ns() // 1000
        room.lab.migrate(room.guest, room.home, room.other(), **how)
        room.home = room.other()
        return self.assert_over(room.lab, began_us, len(room.guest.nics))

    def assert_over(self, lab, began_us, ports):
        """The moves of PORTS since BEGAN_US end, and by themselves: not because forward-timeout has passed."""
        story = ledger.timeline(ledger.wait_over(lab, began_us, ports=ports), began_us)
        said = "\n".join("  {:9.3f}  {:6} {:18} {}".format(*line) for line in story)
        say(said)
        self.assertNotIn("timeout-cap", [what for _, _, what, _ in story], said)
        return story

    @contextlib.contextmanager
    def nothing_lost(self, room, family):
        """Context: packets stream to and from the guest, and each arrives once and in order; TCP stays alive."""
        with Stream(room.lab, room.tenant(), room.probe, room.address(family), PPS, FRAME_SIZE, tcp=True) as stream:
            stream.run_for(BEFORE_S)
            yield
            stream.run_for(1)
            report = stream.finish()
        for name in ("down", "up"):
            said = f"{name}; drops of the whole machine: {report['up']['backlog_drops']}; {report[name]}"
            counts = {key: report[name][key] for key in ("lost", "duplicated", "reordered")}
            self.assertEqual(counts, {"lost": 0, "duplicated": 0, "reordered": 0}, said)
            self.assertGreater(report[name]["sent"], 0)
        self.assertTrue(report["tcp"]["alive"])

    def assert_at_home(self, room):
        """Every agent and kernel has each guest on its host (room.homes()), and nothing of a move is there."""
        lab = room.lab

        def amiss():
            found = ledger.disagreements(lab)
            for guest, home in room.homes():
                found += self._astray(lab, guest, home)
            return found
        self._assert_ends(amiss, AGREE_TIMEOUT_S, lambda: self._story(lab))
        self._assert_ends(lambda: leftovers.compare(room.baseline, leftovers.snapshot(lab, room.homes())),
                          TRACES_TIMEOUT_S)
        for guest, home in room.homes():
            self.assertIs(lab.where(guest), home)

    @staticmethod
    def _astray(lab, guest, home):
        """What the agents have of the NICs of GUEST and is not so while it is at HOME, as texts."""
        found = []
        for mac in {nic.mac for nic in guest.nics}:
            nics = sum(nic.mac == mac for nic in guest.nics)  # one a VNI
            for host in lab.nves:
                vteps = [mapping["vtep"] for mapping in ledger.mappings(lab, host, mac)]
                states = [port["state"] for port in ledger.ports(lab, host, mac)]
                if vteps != [home.vtep] * nics:
                    found.append(f"{host.name} has {mac} at {vteps}")
                if states != ["resident"] * nics * (host is home):
                    found.append(f"{host.name} has ports of {mac}: {states}")
        return found

    def _assert_ends(self, amiss, timeout, story=lambda: ""):
        """What amiss() lists is gone within TIMEOUT; else story() is told with it."""
        try:
            wait_until(lambda: not amiss(), "end of what is amiss", timeout, poll=0.1)
        except TimedOut:
            self.assertEqual(amiss(), [], story())

    @staticmethod
    def _story(lab):
        """All that the agents' ledgers hold of moves, oldest first, in milliseconds of the real-time clock."""
        return "\n".join("  {:.3f}  {:6} {:18} {}".format(*line) for line in ledger.timeline(ledger.moves(lab, 0), 0))

    def assert_reachable(self, room):
        """Tenants on every host reach the guest, over both families."""
        for tenant in room.lab.tenants.values():
            for address in (room.guest.ip4, room.guest.ip6):
                self.assertTrue(tenant.ping(address, count=3, timeout=3), f"{tenant.name} -> {address}")

    def assert_moves(self, room, family=4, **load):
        """Moves the guest to the other host under load (more keys of bench.measure.Load); what every move must be."""
        load = {"pps": PPS, "family": family, "frame_size": FRAME_SIZE, "before_s": BEFORE_S, **load}
        told = account.as_object(room, measure(room, Load(**load)))
        said = "\n".join(account.lines(told, 1))
        say(said)
        for suffix in ("", "_from_guest"):
            self.assertEqual(told["lost" + suffix], 0, said)
            self.assertEqual(told["reordered" + suffix], 0, said)
        self.assertEqual(told["duplicated_from_guest"], 0, said)
        self.assertLessEqual(told["duplicated"], DOUBLED_PER_QUEUE * room.guest.queues, said)
        self.assertIsNotNone(told["converged_ms"], said)
        self.assertLess(told["converged_ms"], CONVERGED_MS, said)
        self.assertEqual(told["leftover_items"], [], said)
        self.assert_at_home(room)
        self.assert_reachable(room)
        return told
