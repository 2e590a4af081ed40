#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Runs the real nva on loopback, IPv4 and IPv6, in a network namespace of its own, with scripted NVEs.

usage: test_nva.py NVA NVE-CLIENT [UNITTEST-ARGUMENT...]
"""

import contextlib
import json
import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

NVA = CLIENT = ""
PORT = 7365
MAC = "52:54:00:00:00:01"
VM_IPS = ("10.0.0.1", "fd00::1")
DEADLINE_S = 60  # for what should take milliseconds
EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "example-nve.py"


class Lines:
    """The lines a stream gives, read by a thread, so that waiting for one has a deadline."""

    def __init__(self, stream):
        self.queue, self.seen = queue.Queue(), []
        self.thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self.thread.start()

    def _read(self, stream):
        for line in stream:
            self.queue.put(line.rstrip("\n"))
        self.queue.put(None)

    def next(self, seconds=DEADLINE_S):
        """The next line; None at the end; TimeoutError when none came."""
        try:
            line = self.queue.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError(f"no line came; before: {self.seen[-5:]}") from None
        if line is None:
            self.queue.put(None)
        else:
            self.seen.append(line)
        return line

    def until(self, pattern, seconds=DEADLINE_S):
        """Skips to the first line that matches, and returns the match."""
        deadline = time.monotonic() + seconds
        while True:
            line = self.next(max(0.0, deadline - time.monotonic()))
            if line is None:
                raise EOFError(f"no line matches {pattern!r}: {self.seen[-5:]}")
            match = re.search(pattern, line)
            if match:
                return match


class Nva:
    def __init__(self, directory, environment=None, store_path=None, **keys):
        self.config = os.path.join(directory, "nva.conf")
        self.socket = os.path.join(directory, "nva.sock")
        keys = {"name": "nva1", "listen": "127.0.0.1, ::1", "socket": self.socket, "store": "none", **keys}
        with open(self.config, "w", encoding="ascii") as file:
            file.write("[nva]\n" + "".join(f"{k.replace('_', '-')} = {v}\n" for k, v in keys.items()))
            if store_path:
                file.write(f"[store]\npath = {store_path}\n")
        self.process = subprocess.Popen([NVA, "--config", self.config], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
        self.log = Lines(self.process.stderr)
        self.log.until("ready: NVA nva1 listens")

    def ask_line(self, line, half_close=False):
        """What the control socket answers to a line; "" when it closes instead."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.settimeout(DEADLINE_S)
            control.connect(self.socket)
            with contextlib.suppress(BrokenPipeError):
                control.sendall(line + b"\n")
            if half_close:
                control.shutdown(socket.SHUT_WR)
            try:
                return control.makefile("rb").readline().decode()
            except ConnectionResetError:
                return ""

    def ask(self, **request):
        return json.loads(self.ask_line(json.dumps(request).encode()))

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))

    def stop(self):
        """Ends it as a service manager would; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(DEADLINE_S)
        self.log.thread.join(DEADLINE_S)
        self.process.stderr.close()
        return status


class Nve:
    def __init__(self, address="127.0.0.1", port=PORT):
        self.process = subprocess.Popen([CLIENT, address, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)
        self.out = Lines(self.process.stdout)

    def say(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def expect(self, pattern, seconds=DEADLINE_S):
        """The next line, PINGs left out, must match."""
        while True:
            line = self.out.next(seconds)
            if line is None or not line.startswith("ping "):
                break
        match = re.fullmatch(pattern, line or "(end)")
        if not match:
            raise AssertionError(f"expected {pattern!r}, got {line!r}; before: {self.out.seen[-5:]}")
        return match

    def stop(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(DEADLINE_S)
        self.out.thread.join(DEADLINE_S)
        self.process.stdout.close()


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def nva(self, **keys):
        nva = Nva(self.directory.name, **keys)
        self.addCleanup(lambda: self.assertEqual(nva.process.returncode if nva.process.returncode is not None
                                                 else nva.stop(), 0, nva.log.seen[-20:]))
        return nva

    def nve(self, address="127.0.0.1"):
        nve = Nve(address)
        self.addCleanup(nve.stop)
        return nve

    def member(self, name, vtep, address="127.0.0.1", incarnation=1):
        """An NVE in VNI 100 that has confirmed its snapshot."""
        nve = self.nve(address)
        nve.say(f"hello {name} {vtep} {incarnation}", "subscribe 100")
        nve.expect(r"welcome name=nva1")
        nve.expect(r"members vni=100 .*")
        revision = nve.expect(r"update revision=(\d+) vni=100 snapshot end.*").group(1)
        nve.say(f"ack {revision}")
        return nve

    def members(self, *nves):
        """Members as above; each is also told of those that came after it."""
        joined = []
        for name, vtep, address in nves:
            nve = self.member(name, vtep, address)
            for earlier in joined:
                earlier.expect(r"members vni=100 .*")
            joined.append(nve)
        return joined

    def run_to_end(self, *arguments):
        return subprocess.run([NVA, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=DEADLINE_S, check=False)

    def write(self, text):
        path = os.path.join(self.directory.name, "other.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path


class Moves(Case):
    def move(self, address):
        nva = self.nva()
        old, new, peer = self.members(("hv1", "192.0.2.1", address), ("hv2", "2001:db8::2", address),
                                      ("peer", "192.0.2.3", address))
        old.say(f"register 1 100 {MAC} 1 {' '.join(VM_IPS)}")
        old.expect(rf"registered id=1 vni=100 mac={MAC} generation=1 yes")
        for nve in (old, new, peer):
            nve.expect(rf"update revision=\d+ vni=100 mapping={MAC}/1/192.0.2.1/10.0.0.1,fd00::1")

        new.say(f"intent 2 100 {MAC} 1")
        question = old.expect(rf"consent id=(\d+) vni=100 mac={MAC} vtep=2001:db8::2").group(1)
        moves = nva.ask(op="status")["moves"]
        self.assertEqual([(m["from"], m["to"], m["state"]) for m in moves], [("hv1", "hv2", "asked")])
        old.say(f"consented {question} 100 {MAC} yes")
        new.expect(rf"move-granted id=2 vni=100 mac={MAC} generation=2 vtep=192.0.2.1 yes")

        new.say(f"commit 3 100 {MAC} 2")
        new.expect(rf"committed id=3 vni=100 mac={MAC} generation=2 vtep=192.0.2.1 yes")
        changed = rf"update revision=(\d+) vni=100 mapping={MAC}/2/2001:db8::2/10.0.0.1,fd00::1"
        update = old.expect(changed)  # before the others
        old.say(f"ack {update.group(1)}")
        for nve in (old, new, peer):
            update = nve.expect(changed)
            self.assertEqual(nva.ask(op="status")["counters"]["converged"], 0)
            nve.say(f"ack {update.group(1)}")
        for nve in (old, new):
            nve.expect(rf"converged revision={update.group(1)} vni=100 mac={MAC} generation=2")

        for i, key in enumerate((MAC, *VM_IPS), 1):
            peer.say(f"query {i} 100 {key}")
            peer.expect(rf"answer id={i} mapping={MAC}/2/2001:db8::2/10.0.0.1,fd00::1")
        peer.say("query 9 100 10.0.0.2", "status 10")
        peer.expect(r"answer id=9")
        status = json.loads(peer.expect(r"status-reply id=10 json=(.*)").group(1))
        self.assertEqual(status["counters"]["moves_committed"], 1)
        self.assertEqual(status["store"], {"kind": "none"})
        self.assertEqual(status["counters"]["converged"], 1)

    def test_ipv4(self):
        self.move("127.0.0.1")

    def test_ipv6(self):
        self.move("::1")

    def test_refused_and_aborted(self):
        self.nva()
        old, new = self.members(("hv1", "192.0.2.1", "::1"), ("hv2", "192.0.2.2", "127.0.0.1"))
        old.say(f"register 1 100 {MAC} 1")
        old.expect(r"registered .* yes")
        for nve in (old, new):
            nve.expect(r"update .*")
        new.say(f"register 1 100 {MAC} 1")
        new.expect(rf'registered id=1 vni=100 mac={MAC} text=".*belongs to NVE hv1 \(192.0.2.1\).*"')
        new.say(f"intent 2 100 {MAC} 1")
        question = old.expect(r"consent id=(\d+) .*").group(1)
        old.say(f"consented {question} 100 {MAC} no")
        new.expect(rf'move-granted id=2 vni=100 mac={MAC} text="the present NVE says no"')
        new.say(f"intent 3 100 {MAC} 1")
        question = old.expect(r"consent id=(\d+) .*").group(1)
        old.say(f"consented {question} 100 {MAC} yes")
        new.expect(r"move-granted id=3 .* yes")
        new.say(f"abort 100 {MAC} 2")
        old.expect(rf"abort vni=100 mac={MAC} generation=2")
        new.say(f"commit 4 100 {MAC} 2")
        new.expect(rf'committed id=4 vni=100 mac={MAC} text="nothing was granted, and NVE hv1 serves it"')

    def test_consent_times_out(self):
        self.nva(consent_timeout=3)
        old, new = self.members(("hv1", "192.0.2.1", "::1"), ("hv2", "192.0.2.2", "::1"))
        old.say(f"register 1 100 {MAC} 1")
        old.expect(r"registered .* yes")
        for nve in (old, new):
            nve.expect(r"update .*")
        new.say(f"intent 2 100 {MAC} 1")
        old.expect(r"consent .*")
        new.expect(r'move-granted id=2 .* text="NVE hv1 did not consent in time"')
        old.expect(r"abort .*")  # the question is taken back
        # The VM runs at the new NVE already, and the old one's host is dead.
        new.say(f"intent 3 100 {MAC} 1", f"commit 4 100 {MAC} 0")
        old.expect(r"consent .*")
        old.process.kill()
        new.expect(r"move-granted id=3 .* generation=2 .* yes")
        new.expect(r"committed id=4 .* generation=2 .* yes")


class Sessions(Case):
    def refused(self, text, *lines, address="127.0.0.1"):
        nve = self.nve(address)
        nve.say(*lines)
        nve.expect(rf'error text="{text}"')
        nve.expect("closed")

    def test_junk_is_refused_by_name(self):
        nva = self.nva()
        witness = self.member("hv1", "192.0.2.1")
        http = b"GET / HTTP/1.1\r\nHost: nva\r\n\r\n".hex()
        hello = "hello hv2 192.0.2.2 1"
        cases = (
            ("malformed message: length", f"raw {http}"),
            ("malformed message: length", "raw 00000000"),
            ("malformed message: length", "raw 000ffffd"),
            ("malformed message: length", "raw ffffffff"),
            ("malformed message: envelope", "raw 00000003ffffff"),
            ("malformed message: kind", "raw 000000020801"),
            ("malformed message: vni", hello, "subscribe 0"),
            ("malformed message: vni", hello, "subscribe 16777216"),
            ("malformed message: mac", hello, "register 1 100 01:00:5e:00:00:01 1"),
            ("malformed message: mapping.ips", hello, f"register 1 100 {MAC} 1 127.0.0.1"),
            ("malformed message: revision", hello, "ack 0"),
            ("ack: revision is not for an NVE to send now", hello, "ack 7"),
            ("hello: kind is not for an NVE to send now", hello, hello),
            ("subscribe before HELLO", "subscribe 100"),
            ("version 2 is not spoken here, 1 is", "hello hv2 192.0.2.2 1 nve 2"),
            (r"this name belongs to NVE hv1 \(192.0.2.1\), which is connected", "hello hv1 192.0.2.2 1"),
            (r"this VTEP belongs to NVE hv1 \(192.0.2.1\), which is connected", "hello hv2 192.0.2.1 1"),
        )
        for text, *lines in cases:
            for address in ("127.0.0.1", "::1"):
                with self.subTest(text=text, address=address):
                    nve = self.nve(address)
                    nve.say(*lines)
                    if hello in lines:
                        nve.expect("welcome name=nva1")
                    nve.expect(rf'error text="{text}"')
                    nve.expect("closed")
                    peer = r"127\.0\.0\.1" if address == "127.0.0.1" else r"\[::1\]"
                    nva.log.until(rf"Session of (hv2 \()?{peer}:\d+\)? ends: {text}$")
        witness.say("ping 77")
        witness.expect("pong id=77")

    def test_who_says_nothing_is_shown_out(self):
        nva = self.nva()
        nve = self.nve("::1")
        nve.expect('error text="no HELLO came"')
        nve.expect("closed")
        nva.log.until(r"Session of \[::1\]:\d+ ends: no HELLO came")

    def test_silence_is_death(self):
        nva = self.nva()
        alive, dead = self.members(("hv1", "192.0.2.1", "::1"), ("hv2", "192.0.2.2", "127.0.0.1"))
        began = time.monotonic()
        dead.process.send_signal(signal.SIGSTOP)
        self.addCleanup(dead.process.send_signal, signal.SIGCONT)
        nva.log.until(r"Session of hv2 .* ends: it has been silent too long")
        self.assertGreater(time.monotonic() - began, 10)
        alive.say("ping 5")
        alive.expect("pong id=5")
        self.assertTrue([line for line in alive.out.seen if line.startswith("ping ")])
        connected = {nve["name"]: nve["connected"] for nve in nva.ask(op="status")["nves"]}
        self.assertEqual(connected, {"hv1": True, "hv2": False})

    def test_a_restarted_nve_takes_over(self):
        self.nva()
        first = self.member("hv1", "192.0.2.1", incarnation=1)
        first.say(f"register 1 100 {MAC} 1")
        first.expect(r"registered .*")
        first.expect(r"update .*")
        second = self.nve("::1")
        second.say("hello hv1 192.0.2.1 2", "subscribe 100")
        second.expect("welcome name=nva1")
        first.expect('error text="this NVE has a newer session"')
        first.expect("closed")
        second.expect("members vni=100 member=192.0.2.1")
        second.expect(rf"update .* snapshot end mapping={MAC}/1/192.0.2.1/")
        second.say("ping 1")
        second.expect("pong id=1")

    def test_a_lease_ends(self):
        nva = self.nva(lease=2, withdraw_after=0)
        lost, other = self.members(("hv1", "192.0.2.1", "::1"), ("hv2", "192.0.2.2", "::1"))
        lost.say(f"register 1 100 {MAC} 1")
        other.expect(rf"update .* mapping={MAC}/1/192.0.2.1/")
        began = time.monotonic()
        lost.process.kill()
        nva.log.until("Session of hv1 .* ends")
        other.expect("members vni=100 member=192.0.2.2")
        other.expect(rf"update .* removed={MAC}/1")
        self.assertGreater(time.monotonic() - began, 1.5)
        back = self.member("hv1", "192.0.2.1")
        back.say(f"register 1 100 {MAC} 1")
        back.expect(r"registered .* generation=2 yes")

    def test_what_is_stale_stays_until_it_is_claimed_or_withdrawn(self):
        second = "52:54:00:00:00:02"
        nva = self.nva(lease=1, withdraw_after=4)
        lost, other = self.members(("hv1", "192.0.2.1", "::1"), ("hv2", "2001:db8::2", "127.0.0.1"))
        for number, mac in enumerate((MAC, second)):
            lost.say(f"register {number} 100 {mac} 1")
            other.expect(rf"update .* mapping={mac}/1/192.0.2.1/")
        lost.process.kill()
        nva.log.until(r"The lease of NVE hv1 \(192.0.2.1\) has ended: its 2 mappings stay")
        self.assertEqual([(n["name"], n["stale"]) for n in nva.ask(op="status")["nves"]], [("hv1", True), ("hv2", False)])
        other.say(f"intent 1 100 {MAC} 1")
        other.expect(rf"move-granted id=1 vni=100 mac={MAC} .*generation=2 .*yes")
        other.say(f"commit 2 100 {MAC} 2")
        other.expect(rf"committed id=2 vni=100 mac={MAC} .*generation=2 .*yes")
        other.expect(rf"update .* mapping={MAC}/2/2001:db8::2/")
        nva.log.until(r"NVE hv1 \(192.0.2.1\) has not come back: withdrawing its 1 mappings")
        other.out.until(rf"update .* removed={second}/1")

    def test_many_at_once_and_a_reader_that_pauses(self):
        """A peer that asks without reading is not read from; when it reads again it gets everything."""
        nva = self.nva()
        writer = self.member("hv1", "192.0.2.1")
        writer.say("many 100 20000 1")
        writer.out.until(r"registered id=20000 .* yes")
        self.assertEqual(len(nva.ask(op="mappings", vni=100)["mappings"]), 20000)
        before = nva.memory_kib()

        reader = self.nve("::1")
        reader.say("hello hv2 192.0.2.2 1", "pause", *["subscribe 100"] * 40)
        deadline = time.monotonic() + DEADLINE_S
        while not any(nve["name"] == "hv2" and nve["vni_count"] for nve in nva.ask(op="status")["nves"]):
            self.assertLess(time.monotonic(), deadline)
        snapshots = nva.ask(op="status")["counters"]["snapshots"]
        self.assertLess(snapshots, 10)  # of 40 asked for, 6.6 MB each
        self.assertLess(nva.memory_kib() - before, 120000)
        reader.say("resume")
        reader.out.until(r"update .* vni=100 snapshot mappings=\d+")
        reader.out.until(r"update .* vni=100 end mappings=\d+")
        reader.say("ping 3")
        reader.expect("pong id=3")

    def test_a_reader_that_never_reads_is_closed(self):
        """What others cause to be sent to it is bounded."""
        # The address sanitizer keeps 256 MB of what was released unless it is told not to.
        nva = self.nva(environment={"ASAN_OPTIONS": "quarantine_size_mb=1"})
        writer, reader = self.members(("hv1", "192.0.2.1", "127.0.0.1"), ("hv2", "192.0.2.2", "127.0.0.1"))
        reader.say("pause")
        for salt in range(1, 9):  # 65536 mappings of 16 addresses are 23 MB
            writer.say(f"many 100 65536 {salt}")
        ended = None
        for _ in range(150):
            with contextlib.suppress(TimeoutError):
                ended = nva.log.until(r"Session of hv2 .* ends: (.*)", 2)
                break
            reader.say("resume", "pause")  # a sip: it is not dead, only too slow
        # Who does not read is not read from: where the writer is slow, too, that is noticed first.
        self.assertIn(ended.group(1), ("it does not take what it is sent", "it has been silent too long"))
        self.assertLess(nva.memory_kib(), 400000)
        witness = self.nve("::1")
        witness.say("hello hv3 192.0.2.3 1")
        witness.expect("welcome name=nva1")


class Operation(Case):
    def test_restart(self):
        nva = self.nva()
        nve = self.member("hv1", "192.0.2.1", "::1")
        self.assertEqual(nva.stop(), 0)
        nve.expect("closed")
        self.assertFalse(os.path.exists(nva.socket))
        nva = self.nva()  # at once, at the same port
        self.assertEqual(nva.ask(op="status")["revision"], 0)
        again = self.member("hv1", "192.0.2.1", "::1")
        again.say(f"register 1 100 {MAC} 1")
        again.expect(r"registered .* yes")

    def test_killed(self):
        nva = self.nva()
        nva.process.kill()
        nva.process.wait(DEADLINE_S)
        nva.process.returncode = 0
        nva.process.stderr.close()
        self.assertTrue(os.path.exists(nva.socket))
        self.assertTrue(self.nva().ask(op="status")["ok"])  # the dead one's socket is in nobody's way

    def test_control(self):
        nva = self.nva()
        one = self.member("hv1", "192.0.2.1")
        one.say(f"register 1 100 {MAC} 3 10.0.0.1 fd00::1")
        one.expect(r"registered .* yes")
        mapping = {"vni": 100, "mac": MAC, "ips": ["10.0.0.1", "fd00::1"], "nve": "hv1", "vtep": "192.0.2.1",
                   "generation": 1, "vm": None, "flags": ["vm", "learned"]}
        self.assertEqual(nva.ask(op="mappings"), {"ok": True, "mappings": [mapping]})
        self.assertEqual(nva.ask(op="mappings", vni=100), {"ok": True, "mappings": [mapping]})
        self.assertEqual(nva.ask(op="mappings", vni=101), {"ok": True, "mappings": []})
        status = nva.ask(op="status")
        self.assertEqual((status["ok"], status["name"], status["vnis"]),
                         (True, "nva1", [{"vni": 100, "members": 1, "mappings": 1}]))
        self.assertEqual(status["nves"][0]["vnis"], [100])
        self.assertEqual(json.loads(nva.ask_line(b'{"op":"status"}', half_close=True))["name"], "nva1")

        for line, error in ((b"what", "the request is not a JSON object"), (b"[]", "the request is not a JSON object"),
                            (b"{}", 'the request has no "op"'), (b'{"op":1}', 'the request has no "op"'),
                            (b'{"op":"x"}', "unknown op; there are: status, mappings, reassign, export, import"),
                            (b'{"op":"mappings","vni":0}', "vni should be a number, 1 to 16777215"),
                            (b'{"op":"mappings","vni":"a"}', "vni should be a number, 1 to 16777215")):
            self.assertEqual(json.loads(nva.ask_line(line)), {"ok": False, "error": error})
        self.assertEqual(nva.ask_line(b"x" * 5000), "")
        self.assertTrue(nva.ask(op="status")["ok"])

    def test_control_clients_are_capped(self):
        nva = self.nva()
        with contextlib.ExitStack() as stack:
            for _ in range(16):
                client = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                client.settimeout(DEADLINE_S)
                client.connect(nva.socket)
                client.sendall(b'{"op":"status"}\n')
                self.assertTrue(client.makefile("rb").readline())
            self.assertEqual(json.loads(nva.ask_line(b"")), {"ok": False, "error": "too many clients: try again"})
        deadline = time.monotonic() + DEADLINE_S
        while not nva.ask(op="status")["ok"]:  # until it has noticed that they have gone
            self.assertLess(time.monotonic(), deadline)

    def test_what_is_wrong_is_said(self):
        nva = self.nva()
        other = os.path.join(self.directory.name, "other.sock")
        clients = os.path.join(self.directory.name, "clients")
        with open(clients, "w", encoding="ascii") as file:
            file.write("# rack 7\n" + "100 52:54:00:aa:00:10 198.51.100.10\n" * 2)
        for text, status, words in (
                ("[nva]\nport = 0\n", 2, r"other.conf:2: port: .*1 to 65535"),
                ("[nva]\n\nlease = soon\n", 2, r"other.conf:3: lease: .*seconds"),
                ("[nva]\nname = a b\n", 2, r"other.conf:2: name: "),
                ("[nva]\nlisten = example.com\n", 2, r"other.conf:2: listen: "),
                ("[nva]\nlog-level = loud\n", 2, r"other.conf:2: log-level: .*debug"),
                ("[nva]\nsocket = nva.sock\n", 2, r"other.conf:2: socket: .*absolute"),
                ("[nva]\ninsecure-plain = perhaps\n", 2, r"other.conf:2: insecure-plain: .*yes or no"),
                ("[nva]\nstore = paper\n", 2, r"other.conf:2: store: .*file, etcd or none"),
                ("[store]\npath = here\n", 2, r"other.conf:2: path: .*absolute"),
                ("[nva]\nreservations = here\n", 2, r"other.conf:2: reservations: .*absolute"),
                ("[nva]\nreservations = /nonexistent\n", 2, r"/nonexistent: No such file"),
                (f"[nva]\nreservations = {clients}\n", 2, rf"{clients}:3: this MAC is there twice"),
                ("[nva]\ncolour = red\n", 2, r"other.conf:2: .*colour"),
                ("[agent]\n", 2, r"other.conf:1: .*agent"),
                ("[nva]\nlisten = 192.0.2.10\n", 2, r"other.conf: listen = 192.0.2.10: .*insecure-plain = yes"),
                ("[nva]\nlisten = ::1, 2001:db8::10\n", 2, r"listen = 2001:db8::10: .*insecure-plain = yes"),
                (f"[nva]\nstore = none\nsocket = {other}\n", 1, r"Cannot listen at 127.0.0.1:7365: another program does"),
                (f"[nva]\nstore = none\nsocket = {other}\nlisten = [::1]\n", 1, r"Cannot listen at \[::1\]:7365: another program"),
                (f"[nva]\nstore = none\nsocket = {other}\nlisten = 192.0.2.10\ninsecure-plain = yes\n", 1,
                 r"Cannot listen at 192.0.2.10:7365: this host does not have the address"),
                (f"[nva]\nstore = none\nsocket = {nva.socket}\nport = 7366\n", 1, r"Cannot listen at .*nva.sock: another program")):
            with self.subTest(text=text):
                done = self.run_to_end("--config", self.write(text))
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertRegex(done.stderr, words)
                self.assertEqual(done.stderr.count("\n"), 1)

    def test_command_line(self):
        good = self.write("[nva]\nstore = none\nlisten = [2001:db8::10], 192.0.2.10\ninsecure-plain = yes\n")
        self.assertEqual(self.run_to_end("--config", good, "--check").returncode, 0)
        self.assertEqual(self.run_to_end("--config", "/nonexistent", "--check").returncode, 2)
        self.assertEqual(self.run_to_end("--no-such-option").returncode, 2)
        self.assertEqual(self.run_to_end("argument").returncode, 2)
        self.assertRegex(self.run_to_end("--version").stdout, r"nva \d")


class Example(Case):
    """docs/example-nve.py, which knows the protocol from docs/protocol.md and nva/nvo3.proto alone."""

    def example(self, nva_address, vtep, ip):
        process = subprocess.Popen([EXAMPLE, nva_address, str(PORT), "example", vtep, "100", "02:00:00:00:00:99", ip],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        lines = Lines(process.stdout)

        def stop():
            process.terminate()
            process.wait(DEADLINE_S)
            lines.thread.join(DEADLINE_S)
            process.stdout.close()
        self.addCleanup(stop)
        return lines

    def takes_part(self, nva_address, vtep, ip):
        self.nva()
        old, new = self.members(("hv1", "192.0.2.1", nva_address), ("hv2", "2001:db8::2", nva_address))
        example = self.example(nva_address, vtep, ip)
        example.until("^registered$")
        example.until(f"^mapping 02:00:00:00:00:99 generation 1 {vtep} {ip}$")
        for nve in (old, new):
            nve.expect("members vni=100 .*")
            nve.expect(rf"update revision=\d+ vni=100 mapping=02:00:00:00:00:99/1/{vtep}/{ip}")

        old.say(f"register 1 100 {MAC} 1 {' '.join(VM_IPS)}")
        example.until(f"^mapping {MAC} generation 1 192.0.2.1 10.0.0.1 fd00::1$")
        for nve in (old, new):
            nve.out.until(rf"update revision=\d+ vni=100 mapping={MAC}/1/")
        new.say(f"intent 2 100 {MAC} 1")
        question = old.out.until(r"^consent id=(\d+)").group(1)
        old.say(f"consented {question} 100 {MAC} yes")
        new.say(f"commit 3 100 {MAC} 0")
        for nve in (old, old, new):  # the old NVE alone, then all
            update = nve.out.until(rf"update revision=(\d+) vni=100 mapping={MAC}/2/")
            nve.say(f"ack {update.group(1)}")
        example.until(f"^mapping {MAC} generation 2 2001:db8::2 ")
        new.out.until("^converged ")  # so the example has confirmed it, too
        new.say(f"withdraw 100 {MAC} 2")
        example.until(f"^gone {MAC} generation 2$")

    def test_ipv4(self):
        self.takes_part("127.0.0.1", "192.0.2.9", "10.0.0.99")

    def test_ipv6(self):
        self.takes_part("::1", "2001:db8::9", "fd00::99")

    def test_refused(self):
        self.nva()
        other = self.member("hv1", "192.0.2.1")
        other.say("register 1 100 02:00:00:00:00:99 1")
        other.expect("registered .* yes")
        self.example("127.0.0.1", "192.0.2.9", "10.0.0.99").until("^refused: .* belongs to NVE hv1 ")


def enter_namespaces(*more):
    """Begins this program anew in a network namespace of its own; MORE: further options of unshare."""
    if os.geteuid() != 0:
        print("SKIP: a network namespace needs root")
        sys.exit(77)
    if os.environ.get("REHOME_TEST_NETNS") != "own":
        environment = {**os.environ, "REHOME_TEST_NETNS": "own"}
        os.execvpe("unshare", ["unshare", "--net", *more, sys.executable, *sys.argv], environment)


def main():
    global NVA, CLIENT
    enter_namespaces()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    NVA, CLIENT = (os.path.abspath(path) for path in sys.argv[1:3])
    del sys.argv[1:3]
    unittest.main(verbosity=2)


if __name__ == "__main__":
    main()
