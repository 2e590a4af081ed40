#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the real nva was heard to say is what it knows after kill -9, after a power failure, on a full disk.

usage: test_nva_store.py NVA NVE-CLIENT WATCH-SYNC NVECTL [UNITTEST-ARGUMENT...]

REHOME_SEED, REHOME_ROUNDS: of the randomized test; a failure names its seed.
"""

import contextlib
import json
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import time

import test_nva
from test_nva import DEADLINE_S, MAC, Case, Nva

SEED = int(os.environ.get("REHOME_SEED", time.time_ns() % 1000000))
ROUNDS = int(os.environ.get("REHOME_ROUNDS", 25))
WATCH_SYNC = NVECTL = ""
EXIT_STORE = 3
HEAD_SIZE = 32  # of a log; it has that when it gets its name


def wait_until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)


class StoreCase(Case):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory.name, "store")
        self.hold = pathlib.Path(self.directory.name, "hold")
        self.record = pathlib.Path(self.directory.name, "record")

    def start(self, watched=False, store=None):
        """An NVA with the store; its end is up to the test."""
        environment = {"LD_PRELOAD": WATCH_SYNC, "WATCH_SYNC_HOLD": str(self.hold),
                       "WATCH_SYNC_RECORD": str(self.record),
                       "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")}
        nva = Nva(self.directory.name, environment=environment if watched else None, store="file",
                  store_path=store or self.path)
        self.addCleanup(self.end, nva)
        return nva

    @staticmethod
    def end(nva):
        if nva.process.returncode is None:
            nva.stop()

    @staticmethod
    def kill(nva):
        nva.process.kill()
        nva.process.wait(DEADLINE_S)
        nva.log.thread.join(DEADLINE_S)
        nva.process.stderr.close()

    def mappings(self, nva):
        return {(m["vni"], m["mac"]): m for m in nva.ask(op="mappings")["mappings"]}

    def check_result(self):
        """Exit status and text of nva --check."""
        done = self.run_to_end("--config", os.path.join(self.directory.name, "nva.conf"), "--check")
        return done.returncode, done.stderr

    def session(self, name, vtep, incarnation=1):
        """An NVE in VNI 100, and the incarnation of its NVA is not looked at."""
        nve = self.nve()
        nve.say(f"hello {name} {vtep} {incarnation}", "subscribe 100")
        nve.expect(r"welcome name=nva1")
        nve.expect(r"members vni=100 .*")
        revision = nve.expect(r"update revision=(\d+) vni=100 snapshot end.*").group(1)
        nve.say(f"ack {revision}")
        return nve


class Restarts(StoreCase):
    def test_everything_is_there(self):
        nva = self.start()
        hv1, hv2 = self.session("hv1", "192.0.2.1"), self.session("hv2", "2001:db8::2")
        hv1.expect(r"members .*")
        hv1.say(f"register 1 100 {MAC} 1 10.0.0.1 fd00::1")
        hv1.expect(rf"registered id=1 vni=100 mac={MAC} generation=1 yes")
        hv1.say("register 2 100 02:00:00:00:00:02 2", "withdraw 100 02:00:00:00:00:02 0")
        for _ in range(2):
            hv1.out.until(r"update .*(mapping|removed)=")
        hv2.out.until(r"removed=02:00:00:00:00:02/1")
        before = self.mappings(nva)
        self.kill(nva)

        nva = self.start()
        self.assertEqual(self.mappings(nva), before)
        self.assertEqual([(n["name"], n["vtep"], n["connected"], n["vnis"]) for n in nva.ask(op="status")["nves"]],
                         [("hv1", "192.0.2.1", False, [100]), ("hv2", "2001:db8::2", False, [100])])
        hv2 = self.nve()
        hv2.say("hello hv2 2001:db8::2 1", "subscribe 100")
        hv2.expect(r"welcome name=nva1")
        hv2.expect(r"members vni=100 member=192.0.2.1 member=2001:db8::2")
        hv2.expect(rf"update .* vni=100 snapshot end mapping={MAC}/1/192.0.2.1/10.0.0.1,fd00::1")
        # What was withdrawn comes back newer; what hv1 has is hv1's still.
        hv2.say("register 1 100 02:00:00:00:00:02 2", f"register 2 100 {MAC} 1")
        hv2.out.until(r"registered id=1 vni=100 mac=02:00:00:00:00:02 generation=2 yes")
        hv2.out.until(rf"registered id=2 vni=100 mac={MAC} text=.* belongs to NVE hv1 \(192.0.2.1\), whose lease has.*")
        self.assertEqual(nva.stop(), 0)

    def test_a_restarted_nve_is_known_by_its_incarnation(self):
        """What an NVE has not confirmed since it started anew goes after its lease, also if the NVA restarts between."""
        nva = self.start()
        hv1 = self.session("hv1", "192.0.2.1")
        for number in (1, 2):
            hv1.say(f"register {number} 100 02:00:00:00:00:0{number} 1")
            hv1.out.until(rf"registered id={number} ")
        hv1.stop()
        hv1 = self.session("hv1", "192.0.2.1", incarnation=2)
        hv1.say("register 1 100 02:00:00:00:00:01 1")
        hv1.expect(r"registered id=1 .* generation=1 yes")
        self.kill(nva)
        nva = Nva(self.directory.name, store="file", store_path=self.path, lease=1)
        self.addCleanup(self.end, nva)
        hv1 = self.nve()
        hv1.say("hello hv1 192.0.2.1 2", "subscribe 100")
        hv1.out.until(r"update .*removed=02:00:00:00:00:02/1")
        self.assertEqual([mac for _, mac in self.mappings(nva)], ["02:00:00:00:00:01"])
        self.assertEqual(nva.stop(), 0)

    def test_leases_begin_anew(self):
        nva = self.start()
        hv1 = self.session("hv1", "192.0.2.1")
        hv1.say(f"register 1 100 {MAC} 1")
        hv1.out.until(r"registered id=1 .* yes")
        self.kill(nva)
        nva = Nva(self.directory.name, store="file", store_path=self.path, lease=1, withdraw_after=0)
        self.addCleanup(self.end, nva)
        self.assertEqual(len(self.mappings(nva)), 1)
        wait_until(lambda: not nva.ask(op="status")["nves"], "the lease to end")
        self.assertEqual(self.mappings(nva), {})
        # The control socket tells what is in memory; what an NVE is told is on disk, and all that came before it.
        later = self.nve()
        later.say("hello hv2 192.0.2.2 1")
        later.expect(r"welcome name=nva1")
        self.kill(nva)
        self.assertEqual(self.mappings(self.start()), {})

    def test_the_incarnation_lasts_as_long_as_the_memory(self):
        def incarnation():
            nva = self.start()
            answer = nva.ask(op="status")["incarnation"]
            self.assertEqual(nva.stop(), 0)
            return answer
        first = incarnation()
        self.assertEqual(incarnation(), first)
        self.path += "-new"
        self.assertNotEqual(incarnation(), first)

    def test_check(self):
        nva = self.start()
        hv1 = self.session("hv1", "192.0.2.1")
        hv1.say(f"register 1 100 {MAC} 1")
        hv1.out.until(r"registered id=1 .* yes")
        status, text = self.check_result()
        self.assertEqual(status, 1)
        self.assertIn("in use by another NVA", text)
        self.assertEqual(nva.stop(), 0)

        self.assertRegex("{} {}".format(*self.check_result()), r"0 .*is good: 1 mappings and 0 withdrawn ones, 1 NVEs")
        log = pathlib.Path(self.path, "log-0000000000000001")
        good = log.read_bytes()
        log.write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
        self.assertRegex("{} {}".format(*self.check_result()), rf"{EXIT_STORE} .*The store is damaged: .*byte 32")
        done = self.run_to_end("--config", nva.config)
        self.assertEqual(done.returncode, EXIT_STORE)
        self.assertIn("Nothing was changed", done.stderr)
        self.assertNotEqual(log.read_bytes(), good)
        log.write_bytes(good[:-8])
        self.assertRegex("{} {}".format(*self.check_result()), r"0 .*never finished")
        log.write_bytes(good)
        self.assertEqual(len(self.mappings(self.start())), 1)


class Moves(StoreCase):
    def scene(self):
        nva = self.start()
        old, new = self.session("hv1", "192.0.2.1"), self.session("hv2", "2001:db8::2")
        old.say(f"register 1 100 {MAC} 1 10.0.0.1")
        old.out.until(r"registered id=1 .* yes")
        new.out.until(rf"mapping={MAC}/1/")
        new.say(f"intent 2 100 {MAC} 1")
        question = old.out.until(r"consent id=(\d+)").group(1)
        return nva, old, new, question

    def restarted(self, nva):
        self.kill(nva)
        return self.start()

    def test_a_commit_survives(self):
        nva, old, new, question = self.scene()
        old.say(f"consented {question} 100 {MAC} yes")
        new.out.until(r"move-granted id=2 .*generation=2")
        new.say(f"commit 3 100 {MAC} 2")
        new.out.until(r"committed id=3 .*generation=2")
        nva = self.restarted(nva)
        old = self.nve()
        old.say("hello hv1 192.0.2.1 1", "subscribe 100")
        old.out.until(rf"snapshot end mapping={MAC}/2/2001:db8::2/10.0.0.1")
        self.assertEqual(nva.stop(), 0)

    def check_forgotten_grant(self, generation, answer):
        """The VM runs at hv2 already; the NVA no longer knows that this was granted, so it asks hv1 again."""
        nva, old, new, question = self.scene()
        if generation:
            old.say(f"consented {question} 100 {MAC} yes")
            new.out.until(r"move-granted id=2 .*generation=2")
        nva = self.restarted(nva)
        new = self.nve()
        new.say("hello hv2 2001:db8::2 1", "subscribe 100", f"commit 3 100 {MAC} {generation}")
        new.out.until(r"snapshot end")
        old = self.nve()
        old.say("hello hv1 192.0.2.1 1", "subscribe 100")
        question = old.out.until(r"consent id=(\d+) .*vtep=2001:db8::2").group(1)
        old.say(f"consented {question} 100 {MAC} {answer}")
        told = new.out.until(rf"committed id=3 vni=100 mac={MAC}(.*)").group(1)
        self.assertEqual([(m["vtep"], m["generation"]) for m in self.mappings(nva).values()],
                         [("2001:db8::2", 2)] if answer == "yes" else [("192.0.2.1", 1)])
        self.assertEqual(nva.stop(), 0)
        return told

    def test_a_grant_is_asked_for_again(self):
        self.assertIn("generation=2", self.check_forgotten_grant(2, "yes"))

    def test_a_commit_without_a_grant_is_asked_for(self):
        self.assertIn("generation=2", self.check_forgotten_grant(0, "yes"))

    def test_the_owner_may_still_refuse(self):
        self.assertNotIn("yes", self.check_forgotten_grant(2, "no"))

    def test_an_old_commit_is_refused(self):
        nva, _, _, _ = self.scene()
        nva = self.restarted(nva)
        new = self.nve()
        new.say("hello hv2 2001:db8::2 1", "subscribe 100", f"commit 3 100 {MAC} 9")
        new.out.until(rf"committed id=3 vni=100 mac={MAC} text=.*hv1 serves it")
        self.assertEqual(nva.stop(), 0)


    def back(self, name, vtep):
        """In a new session, with the snapshot's revision, which is not confirmed."""
        nve = self.nve()
        nve.say(f"hello {name} {vtep} 1", "subscribe 100")
        nve.expect(r"welcome name=nva1")
        return nve, nve.out.until(rf"update revision=(\d+) vni=100 snapshot end mapping={MAC}/2/").group(1)

    def test_convergence_is_asked_for_after_a_restart(self):
        """The word was lost with the NVA: it comes when those have confirmed who are still to come back, too."""
        nva, old, new, question = self.scene()
        peer = self.session("peer", "192.0.2.3")
        old.say(f"consented {question} 100 {MAC} yes")
        new.out.until(r"move-granted id=2 .*generation=2")
        new.say(f"commit 3 100 {MAC} 2")
        new.out.until(r"committed id=3 .*generation=2")
        old.say("ack " + old.out.until(rf"update revision=(\d+) .*mapping={MAC}/2/").group(1))
        peer.out.until(rf"mapping={MAC}/2/")
        nva = self.restarted(nva)

        old, revision = self.back("hv1", "192.0.2.1")
        old.say(f"ack {revision}", f"converged 100 {MAC} 2")
        new, revision = self.back("hv2", "2001:db8::2")
        new.say(f"ack {revision}")
        wait_until(lambda: nva.ask(op="status")["moves_converging"] == 1, "the question to be waiting")
        peer, revision = self.back("peer", "192.0.2.3")
        old.say("ping 7")
        old.expect("pong id=7")  # not yet
        peer.say(f"ack {revision}")
        old.out.until(rf"^converged .*vni=100 mac={MAC} generation=2")
        self.assertEqual(nva.ask(op="status")["moves_converging"], 0)
        # Of what has converged for good it is answered at once.
        new.say(f"converged 100 {MAC} 2")
        new.out.until(rf"^converged .*vni=100 mac={MAC} generation=2")
        self.assertEqual(nva.stop(), 0)


class Reassign(StoreCase):
    """nvectl nva reassign."""

    def reassign(self, nva, *arguments):
        return subprocess.run([NVECTL, "nva", "reassign", "--nva-socket", nva.socket, *arguments], capture_output=True,
                              text=True, timeout=DEADLINE_S, check=False)

    def test_it_is_told_and_lasts(self):
        nva = self.start()
        hv1, hv2 = self.session("hv1", "192.0.2.1"), self.session("hv2", "2001:db8::2")
        hv1.expect(r"members vni=100 .*")
        hv1.say(f"register 1 100 {MAC} 1 10.0.0.1 fd00::1")
        for nve in (hv1, hv2):
            nve.out.until(rf"update .* mapping={MAC}/1/192.0.2.1/10.0.0.1,fd00::1")
        words = ("--vni", "100", "--mac", MAC, "hv2")

        done = self.reassign(nva, "--dry-run", *words)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, rf"100 +{MAC} +hv1 +hv2 +1 +no\nnothing was changed")
        done = self.reassign(nva, "--json", *words)
        self.assertEqual(json.loads(done.stdout)["mappings"],
                         [{"vni": 100, "mac": MAC, "from": "hv1", "to": "hv2", "generation": 2, "changed": True}])
        nva.log.until(rf"An operator gives {MAC} in VNI 100, which NVE hv1 served, to NVE hv2: generation 2")
        told = hv1.expect(rf"update revision=(\d+) vni=100 mapping={MAC}/2/2001:db8::2/10.0.0.1,fd00::1").group(1)
        hv1.say(f"ack {told}")
        hv2.expect(rf"update .* mapping={MAC}/2/2001:db8::2/10.0.0.1,fd00::1")
        done = self.reassign(nva, *words)
        self.assertRegex(done.stdout, rf"100 +{MAC} +hv2 +hv2 +2 +no\n$")

        self.kill(nva)
        nva = self.start()
        kept = self.mappings(nva)[100, MAC]
        self.assertEqual((kept["nve"], kept["generation"], kept["ips"]), ("hv2", 2, ["10.0.0.1", "fd00::1"]))
        self.assertEqual(nva.stop(), 0)

    def test_nonsense_is_refused(self):
        nva = self.start()
        hv1 = self.session("hv1", "192.0.2.1")
        hv1.say(f"register 1 100 {MAC} 1")
        hv1.out.until(rf"update .* mapping={MAC}/1/")
        for words, why in ((("--vni", "100", "--mac", MAC, "hv9"), "there is no NVE hv9"),
                           (("--vni", "101", "--mac", MAC, "hv1"), "nobody serves this MAC in this VNI"),
                           (("--vni", "100", "--mac", "01:00:5e:00:00:01", "hv1"), "mac should be a unicast MAC.*"),
                           (("--vm", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "hv1"), "nobody serves this VM")):
            done = self.reassign(nva, *words)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, rf"^nvectl: the NVA says: {why}\n$")
        self.assertEqual(nva.stop(), 0)


class Transfers(StoreCase):
    """nvectl nva export, and import."""

    def ctl(self, nva, what, text=""):
        return subprocess.run([NVECTL, "nva", what, "--nva-socket", nva.socket], input=text, capture_output=True,
                              text=True, timeout=DEADLINE_S, check=False)

    def filled(self):
        """An NVA with a mapping of each family and a withdrawn one, and its export."""
        nva = self.start()
        hv1, hv2 = self.session("hv1", "192.0.2.1"), self.session("hv2", "2001:db8::2")
        hv1.say(f"register 1 100 {MAC} 1 10.0.0.1 fd00::1", "register 2 100 02:00:00:00:00:02 2",
                "withdraw 100 02:00:00:00:00:02 0")
        hv2.say("register 3 100 02:00:00:00:00:03 0")
        hv2.out.until("registered id=3 .* yes")
        hv1.out.until("removed=02:00:00:00:00:02/1")
        export = self.ctl(nva, "export")
        self.assertEqual((export.returncode, export.stderr), (0, ""))
        return nva, export.stdout.splitlines()

    def refused(self, nva, lines, words):
        before = self.mappings(nva), self.ctl(nva, "export").stdout
        done = self.ctl(nva, "import", "".join(line + "\n" for line in lines))
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stderr, words)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertEqual((self.mappings(nva), self.ctl(nva, "export").stdout), before)

    def test_there_and_back(self):
        nva, lines = self.filled()
        self.assertEqual(json.loads(lines[0]), {"ok": True, "rehome_export": 1, "mappings": 2, "withdrawn": 1})
        self.assertEqual(json.loads(lines[-1]), {"end": 3})
        objects = [json.loads(line) for line in lines[1:-1]]
        self.assertIn({"vni": 100, "mac": MAC, "generation": 1, "nve": "hv1", "vtep": "192.0.2.1",
                       "ips": ["10.0.0.1", "fd00::1"], "flags": ["vm"]}, objects)
        withdrawn = [o for o in objects if "removed_s" in o]
        self.assertEqual([(o["mac"], o["generation"]) for o in withdrawn], [("02:00:00:00:00:02", 1)])
        self.assertAlmostEqual(withdrawn[0]["removed_s"], time.time(), delta=60)
        before = self.mappings(nva)
        self.assertEqual(nva.stop(), 0)

        self.path += "-new"
        nva = self.start()
        done = self.ctl(nva, "import", "\n".join(lines) + "\n")
        self.assertEqual((done.returncode, done.stdout),
                         (0, "3 lines taken; of 0 the NVA knew the same or a higher generation\n"), done.stderr)
        self.assertEqual(self.mappings(nva), before)
        done = self.ctl(nva, "import", "\n".join(lines) + "\n")
        self.assertIn("0 lines taken; of 3 the NVA knew", done.stdout)
        self.kill(nva)  # the answer was only given when it was on disk
        nva = self.start()
        self.assertEqual(self.mappings(nva), before)
        self.assertEqual(len(self.ctl(nva, "export").stdout.splitlines()), len(lines))
        self.assertEqual(nva.stop(), 0)

    def test_the_higher_generation_wins(self):
        nva, lines = self.filled()
        watcher = self.session("hv3", "192.0.2.3")
        text = "\n".join(lines).replace(f'"mac":"{MAC}","generation":1,"nve":"hv1","vtep":"192.0.2.1"',
                                        f'"mac":"{MAC}","generation":7,"nve":"hv2","vtep":"2001:db8::2"')
        self.assertNotEqual(text, "\n".join(lines))
        done = self.ctl(nva, "import", text + "\n")
        self.assertIn("1 lines taken; of 2 the NVA knew", done.stdout)
        watcher.out.until(rf"update .*mapping={MAC}/7/2001:db8::2/10.0.0.1,fd00::1")
        self.assertEqual(self.mappings(nva)[100, MAC]["nve"], "hv2")
        self.assertEqual(nva.stop(), 0)

    def test_a_bad_line_is_named_and_nothing_done(self):
        nva, lines = self.filled()
        self.assertEqual(nva.stop(), 0)
        self.path += "-new"
        nva = self.start()
        first, *middle, end = lines
        mapping = next(i for i, line in enumerate(lines) if MAC in line)
        for change, words in (
                ((lambda text: text.replace('"vni":100', '"vni":0')), rf"line {mapping + 1}: vni should be 1 to"),
                ((lambda text: text.replace(MAC, "ff:ff:ff:ff:ff:ff")), rf"line {mapping + 1}: .*mac the address"),
                ((lambda text: text.replace('"generation":1', '"generation":-1')), "generation should be a number"),
                ((lambda text: text.replace('"generation":1', '"generation":281474976710656')), "no generation is that"),
                ((lambda text: text.replace('"nve":"hv1"', '"nve":"a b"')), "nve should be an NVE's name"),
                ((lambda text: text.replace('"nve":"hv1"', '"nve":"hv2"')), "two NVEs have one name or one VTEP"),
                ((lambda text: text.replace("fd00::1", "ff02::1")), "ips should be a list of at most 16 unicast"),
                ((lambda text: text.replace('["vm"]', '["wings"]')), "flags should be a list of: vm, learned"),
                ((lambda text: text[:-1]), rf"line {mapping + 1}: vni should be")):
            with self.subTest(words=words):
                bad = [change(line) if i == mapping else line for i, line in enumerate(lines)]
                self.refused(nva, bad, rf"^nvectl: the NVA says: .*{words}.*nothing was imported$")
        self.refused(nva, middle, "line 1: this is not what nvectl nva export has written")
        self.refused(nva, [first, *middle], "the last line, .*, is missing")
        self.refused(nva, [first, *middle[1:], end], "line 4: lines are missing before the end")
        self.refused(nva, [], "the last line, .*, is missing")
        self.refused(nva, [first, "{" + "x" * 5000, end], "line 2 is too long")
        self.refused(nva, [first.replace('"rehome_export":1', '"rehome_export":2'), end], "of another version")
        self.assertEqual(self.mappings(nva), {})
        self.assertEqual(nva.stop(), 0)

    def test_another_nve_of_that_name(self):
        nva, lines = self.filled()
        self.assertEqual(nva.stop(), 0)
        self.path += "-new"
        nva = self.start()
        self.session("hv1", "192.0.2.77")
        self.refused(nva, lines, "the name or the VTEP of an NVE in it is another NVE's here; nothing was imported")
        self.assertEqual(nva.stop(), 0)

    def test_no_nva(self):
        done = subprocess.run([NVECTL, "nva", "export", "--nva-socket", "/nonexistent"], capture_output=True, text=True,
                              check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("no NVA answers at /nonexistent", done.stderr)

    def test_an_export_does_not_hold_the_store(self):
        """Nor the NVA up: a client that does not read its export has a process of the NVA to itself, not the NVA."""
        nva = self.start()
        hv1 = self.session("hv1", "192.0.2.1")
        hv1.say("many 100 5000 1")
        hv1.out.until("registered id=5000 .* yes")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(nva.socket)
            client.sendall(b'{"op":"export"}\n')
            client.recv(1)
            self.assertEqual(len(self.mappings(nva)), 5000)
            self.assertIn("another export is under way", self.ctl(nva, "export").stderr)
            self.kill(nva)
            nva = self.start()
            self.assertEqual(len(self.mappings(nva)), 5000)
        self.assertEqual(len(self.ctl(nva, "export").stdout.splitlines()), 5002)
        self.assertEqual(nva.stop(), 0)


class Disk(StoreCase):
    def test_nothing_is_said_before_it_is_on_disk(self):
        nva = self.start(watched=True)
        hv1, hv2 = self.session("hv1", "192.0.2.1"), self.session("hv2", "2001:db8::2")
        hv1.expect(r"members .*")
        hv1.say(f"register 1 100 {MAC} 1")
        hv1.expect(r"registered id=1 .* yes")
        hv1.expect(r"update .*")
        hv2.expect(r"update .*")

        self.hold.touch()
        hv1.say("register 2 100 02:00:00:00:00:02 1", "query 3 100 02:00:00:00:00:02", "ping 4")
        # The disk does not delay life signs, nor the operator. The NVA knows, and yet says nothing.
        hv1.expect(r"pong id=4")
        wait_until(lambda: len(self.mappings(nva)) == 2, "the registration")
        hv2.say("query 5 100 02:00:00:00:00:02", "ping 6")
        hv2.expect(r"pong id=6")
        self.kill(nva)
        self.hold.unlink()
        for nve in (hv1, hv2):
            nve.expect("closed")

        nva = self.start(watched=True)
        self.hold.touch()
        new = self.nve()
        new.say("hello hv3 192.0.2.3 1")
        wait_until(lambda: len(nva.ask(op="status")["nves"]) == 3, "the greeting")
        new.say("ping 1")
        new.expect(r"pong id=1")
        self.hold.unlink()
        new.expect(r"welcome name=nva1")
        self.assertEqual(nva.stop(), 0)

    def test_a_refusal_comes_after_the_answers_before_it(self):
        nva = self.start(watched=True)
        hv1 = self.session("hv1", "192.0.2.1")
        self.hold.touch()
        hv1.say("register 1 100 02:00:00:00:00:01 1", "send committed")
        wait_until(lambda: len(self.mappings(nva)) == 1, "the registration")
        self.hold.unlink()
        hv1.expect(r"registered id=1 .* yes")
        hv1.expect(r"update .*")
        hv1.expect(r"error text=.*")
        self.assertEqual(nva.stop(), 0)

    @contextlib.contextmanager
    def small_disk(self, kib):
        path = os.path.join(self.directory.name, "small")
        os.mkdir(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", path], check=True)
        try:
            yield path
        finally:
            subprocess.run(["umount", path], check=True)

    def test_a_full_disk(self):
        """The NVA says nothing more, but why, and goes on when there is room."""
        with self.small_disk(256) as disk:
            self.path = os.path.join(disk, "store")
            nva = self.start()
            self.assertEqual(nva.ask(op="status")["store"]["state"], "works")
            hv1 = self.session("hv1", "192.0.2.1")
            ballast = pathlib.Path(disk, "ballast")
            with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            hv1.say(*(f"register {n} 100 02:00:00:00:{n // 256:02x}:{n % 256:02x} 1" for n in range(1, 1001)))
            nva.log.until(r"Cannot write to the store .*No space left on device\. Nothing is acknowledged")
            store = nva.ask(op="status")["store"]
            self.assertEqual(store["state"], "waits")
            self.assertIn("No space left", store["error"])
            told = sum(line.startswith("registered") for line in hv1.out.seen)
            ballast.unlink()
            for n in range(told + 1, 1001):
                hv1.out.until(rf"registered id={n} .* yes")
            nva.log.until("The store works again")
            self.assertEqual(nva.ask(op="status")["store"]["state"], "works")
            before = self.mappings(nva)
            self.assertEqual(len(before), 1000)
            self.kill(nva)
            nva = self.start()
            self.assertEqual(self.mappings(nva), before)
            self.assertEqual(nva.stop(), 0)


class Script:
    """
    What one NVE said in its sessions, in order, and how much of that it was told to be done: after a restart the NVA must
    have done the first of these steps up to one that is not before the last one it confirmed.
    """

    def __init__(self, number, rng):
        self.number, self.rng = number, rng
        self.name = f"hv{number}"
        self.vtep = f"192.0.2.{number}" if number % 2 else f"2001:db8::{number:x}"
        self.state, self.generations = {}, {}
        self.steps, self.last_id = [], 0

    def line(self):
        """The next step; remembers what it does."""
        mac = f"02:00:00:00:{self.number:02x}:{self.rng.randrange(20):02x}"
        self.last_id += 1
        if self.rng.random() < 0.3:
            self.steps.append((None, mac, None))
            return f"withdraw 100 {mac} 0"
        ips = (f"10.{self.number}.{self.last_id >> 8 & 255}.{self.last_id & 255}", f"fd00::{self.number}:{self.last_id:x}")
        self.steps.append((self.last_id, mac, ips))
        return f"register {self.last_id} 100 {mac} 2 {' '.join(ips)}"

    def confirmed(self, lines):
        """How many of the steps LINES show to be done."""
        index = {step[0]: i for i, step in enumerate(self.steps) if step[0]}
        done = [index[int(m.group(1))] + 1 for line in lines if (m := re.match(r"registered id=(\d+) .* yes", line))]
        return max(done, default=0)

    def settle(self, lines, found):
        """
        Whether FOUND, {mac: (generation, ips)}, is what some first part of the steps makes, one that has all that was
        confirmed, and no generation has fallen. Several parts may make the same, with other generations of what is not
        there; so those of what was withdrawn are not foretold.
        """
        least, state = self.confirmed(lines), {mac: ips for mac, (_, ips) in self.state.items()}
        wanted = {mac: ips for mac, (_, ips) in found.items()}
        matches = least == 0 and state == wanted
        for i, (_, mac, ips) in enumerate(self.steps, 1):
            if ips is None:
                state.pop(mac, None)
            else:
                state[mac] = ips
            matches = matches or (i >= least and state == wanted)
        fell = [mac for mac, (generation, _) in found.items() if generation < self.generations.get(mac, 0)]
        self.generations.update({mac: generation for mac, (generation, _) in found.items()})
        self.state, self.steps = dict(found), []
        return matches and not fell


class Crashes(StoreCase):
    NVES = 3

    def found(self, nva, script):
        """The state of one script's MACs in the directory."""
        return {mac: (m["generation"], tuple(m["ips"])) for (_, mac), m in self.mappings(nva).items()
                if m["vtep"] == script.vtep}

    def lose_power(self, rng):
        """Of what was written and not synced, any part may be there or not."""
        safe = dict(line.rsplit(" ", 1) for line in self.record.read_text().splitlines())
        for log in pathlib.Path(self.path).glob("log-*"):
            content, whole = log.read_bytes(), int(safe.get(str(log), HEAD_SIZE))
            if whole >= len(content):
                continue
            tail = bytearray(content[whole:])
            for start in range(0, len(tail), 512):
                if rng.random() < 0.5:
                    tail[start:start + 512] = bytes(len(tail[start:start + 512]))
            log.write_bytes(content[:whole] + bytes(tail[:rng.randrange(len(tail) + 1)]))

    def crash(self, rng, scripts):
        nva = self.start(watched=True)
        nves = []
        for script in scripts:
            nve = self.nve()
            nve.say(f"hello {script.name} {script.vtep} 1", "subscribe 100")
            nve.out.until(r"snapshot end|snapshot mapping.* end|update .* end")
            nves.append(nve)
        for nve, script in zip(nves, scripts):
            with contextlib.suppress(BrokenPipeError):
                nve.say(*(script.line() for _ in range(rng.randrange(2000))))
        if rng.random() < 0.5:
            nves[0].out.until("registered|update")
        time.sleep(rng.random() * rng.choice((0.001, 0.05)))  # no matter when: the seed need not give the same moment
        self.kill(nva)
        if rng.random() < 0.7:
            self.lose_power(rng)
        heard = []
        for nve in nves:
            nve.out.until("closed")
            nve.stop()
            heard.append(nve.out.seen)
        return heard

    def check(self, rng, scripts, heard):
        nva = self.start(watched=True)
        for script, lines in zip(scripts, heard):
            found, steps, least = self.found(nva, script), len(script.steps), script.confirmed(lines)
            self.assertTrue(script.settle(lines, found),
                            f"{script.name}: {least} of {steps} steps were confirmed, and found {found}")
        if rng.random() < 0.5:
            self.assertEqual(nva.stop(), 0)
            return
        # What it has told since it started is as safe as what it was told itself.
        before = self.mappings(nva)
        self.kill(nva)
        self.lose_power(rng)
        nva = self.start()
        self.assertEqual(self.mappings(nva), before)
        self.assertEqual(nva.stop(), 0)

    def test_what_was_heard_is_known(self):
        rng = random.Random(SEED)
        scripts = [Script(n + 1, rng) for n in range(self.NVES)]
        for number in range(ROUNDS):
            heard = self.crash(rng, scripts)
            self.record.write_text("")
            try:
                self.check(rng, scripts, heard)
            except BaseException:
                print(f"REHOME_SEED={SEED} REHOME_ROUNDS={ROUNDS}: round {number}", flush=True)
                raise


def main():
    global WATCH_SYNC, NVECTL
    test_nva.enter_namespaces("--mount")
    WATCH_SYNC, NVECTL = (os.path.abspath(sys.argv.pop(3)) for _ in range(2))
    test_nva.main()


if __name__ == "__main__":
    main()
