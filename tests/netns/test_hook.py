#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Runs the real hook as libvirt does, against a scripted agent: what it asks, what it prints, how long it takes and with
which status it ends. Needs no root and no network.

usage: test_hook.py REHOME_HOOK [UNITTEST-ARGUMENT...]
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from scripted_agent import ScriptedAgent, lines, reply, silent, until_peer_leaves  # noqa: E402

HOOK = ""
TIMEOUT_MS = 300
LATEST_S = TIMEOUT_MS / 1000 + 1.2  # below the hook's own watchdog (2 s), on a busy machine
UUID = "6a6c1f6e-8f0b-4c1e-9a53-0f6f0c3a7d11"
XML = f"""<domain type='qemu'>
  <name>vm1</name>
  <uuid>{UUID}</uuid>
  <devices>
    <interface type='bridge'><mac address='52:54:00:aa:00:10'/><source bridge='br100'/><target dev='vnet0'/></interface>
    <interface type='bridge'><mac address='52:54:00:aa:00:11'/><source bridge='br100'/></interface>
  </devices>
</domain>
""".encode()
PORTS = [{"mac": "52:54:00:aa:00:10", "bridge": "br100", "tap": "vnet0"}, {"mac": "52:54:00:aa:00:11", "bridge": "br100"}]

# libvirt docs/hooks.rst: every operation with the sub-operation it comes with.
OPERATIONS = {
    "prepare": "begin", "start": "begin", "started": "begin", "stopped": "end", "release": "end",
    "migrate": "begin", "restore": "begin", "reconnect": "begin", "attach": "begin",
}


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.socket = os.path.join(self.directory.name, "agent.sock")
        self.conf = os.path.join(self.directory.name, "hook.conf")
        self.configure()

    def configure(self, strict=False, timeout_ms=TIMEOUT_MS):
        with open(self.conf, "w", encoding="ascii") as file:
            file.write(f"[hook]\nsocket = {self.socket}\ntimeout-ms = {timeout_ms}\n"
                       f"require-agent = {'yes' if strict else 'no'}\n")

    def start(self, *arguments, **how):
        environment = {"REHOME_HOOK_CONF": self.conf, "PATH": os.environ["PATH"]}
        environment.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        child = subprocess.Popen([HOOK, *arguments], env=environment, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)
        self.addCleanup(self.reap, child)
        return child

    @staticmethod
    def reap(child):
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            stream.close()

    def finish(self, child, xml=XML):
        """The status and stderr; stdout must be empty and the deadline kept, in every test."""
        began = time.monotonic()
        out, err = child.communicate(xml, timeout=30)
        took = time.monotonic() - began
        self.assertEqual(out, b"")
        self.assertNotIn(b"internal fault", err)
        self.assertLess(took, LATEST_S)
        return child.returncode, err.decode()

    def call(self, operation="migrate", xml=XML, extra="-", vm="vm1"):
        child = self.start(vm, operation, OPERATIONS.get(operation, "begin"), extra)
        status, err = self.finish(child, xml)
        return status, err

    def assert_one_line(self, err):
        self.assertTrue(err.startswith("rehome-hook: "), err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.endswith("\n"), err)


class WithAgent(Case):
    def test_every_operation_is_told(self):
        for operation, sub in OPERATIONS.items():
            with self.subTest(operation), ScriptedAgent(self.socket, reply(ok=True)) as agent:
                self.assertEqual(self.call(operation, extra="migrated"), (0, ""))
                self.assertEqual(agent.objects(), [{
                    "op": "hook", "operation": operation, "sub": sub, "extra": "migrated", "vm": "vm1", "uuid": UUID,
                    "ports": PORTS}])
            os.unlink(self.socket)

    def test_names_pass_unchanged(self):
        for vm in ("a b", "quote\"'\\", "zw\u00f6lf", "-", "--help"):
            with self.subTest(vm), ScriptedAgent(self.socket, reply(ok=True)) as agent:
                self.assertEqual(self.call(vm=vm), (0, ""))
                self.assertEqual(agent.objects()[0]["vm"], vm)
            os.unlink(self.socket)

    def test_an_unknown_operation_is_no_ones_business(self):
        self.configure(strict=True)
        with ScriptedAgent(self.socket, reply(ok=False, error="no", refuse=True)) as agent:
            self.assertEqual(self.call("teleport"), (0, ""))
            self.assertEqual(agent.requests, [])

    def test_refuse_counts_only_when_strict_and_only_for_migrate(self):
        with ScriptedAgent(self.socket, reply(ok=False, error="VNI 100 has no\nbridge here", refuse=True)):
            for strict in (False, True):
                self.configure(strict)
                for operation in OPERATIONS:
                    with self.subTest(operation, strict=strict):
                        status, err = self.call(operation)
                        self.assertEqual(status, 1 if strict and operation == "migrate" else 0)
                        self.assert_one_line(err)
                        self.assertIn("VNI 100 has no bridge here", err)
                        self.assertIn("vm1", err)

    def test_an_error_that_is_no_refusal_never_fails(self):
        self.configure(strict=True)
        with ScriptedAgent(self.socket, reply(ok=False, error="the NVA is slow")):
            for operation in OPERATIONS:
                status, err = self.call(operation)
                self.assertEqual(status, 0)
                self.assertIn("the NVA is slow", err)


class BadAgent(Case):
    """For each way an agent can be bad: nothing fails but a strict incoming migration."""

    def check(self, told, operations=("migrate", "reconnect", "stopped", "release")):
        for strict in (False, True):
            self.configure(strict)
            for operation in operations:
                with self.subTest(operation, strict=strict):
                    status, err = self.call(operation)
                    self.assertEqual(status, 1 if strict and operation == "migrate" else 0, err)
                    self.assert_one_line(err)
                    self.assertIn(told, err)
                    self.assertIn(self.socket, err)

    def test_away(self):
        self.check("no agent answers", operations=OPERATIONS)

    def test_dead_socket(self):
        ScriptedAgent(self.socket, silent).stop()
        self.check("no agent answers")

    def test_closes_at_once(self):
        with ScriptedAgent(self.socket, lambda *_: None):
            self.check("no agent answers")

    def test_silent(self):
        with ScriptedAgent(self.socket, silent):
            self.check(f"did not answer within {TIMEOUT_MS} ms")

    def test_silence_takes_the_deadline_not_less(self):
        with ScriptedAgent(self.socket, silent):
            began = time.monotonic()
            self.finish(self.start("vm1", "migrate", "begin", "-"))
        self.assertGreaterEqual(time.monotonic() - began, TIMEOUT_MS / 1000)

    def test_never_accepts(self):
        import socket
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
            listener.bind(self.socket)
            listener.listen(0)
            first.connect(self.socket)  # the backlog is full now: connect() itself would wait
            self.check(f"did not answer within {TIMEOUT_MS} ms", operations=("migrate", "reconnect"))

    def test_dribbles(self):
        def dribble(connection, _):
            connection.settimeout(0.05)
            while True:
                connection.sendall(b" ")
                try:
                    if not connection.recv(1):
                        return
                except TimeoutError:
                    pass
        with ScriptedAgent(self.socket, dribble):
            self.check(f"did not answer within {TIMEOUT_MS} ms", operations=("migrate", "reconnect"))

    def test_answers_something_else(self):
        for data in (b"HTTP/1.1 400 Bad Request\r\n", b"{}\n", b"[]\n", b"\n", b"{\"ok\":\"yes\"}\n", b"\xff\xfe\n"):
            with ScriptedAgent(self.socket, lines(data)):
                self.check("not understood", operations=("migrate",))
            os.unlink(self.socket)

    def test_answers_without_end(self):
        with ScriptedAgent(self.socket, lambda c, _: (c.sendall(b"x" * (1 << 20)), until_peer_leaves(c))):
            self.check("", operations=("migrate", "reconnect"))


class BadXml(Case):
    def check(self, xml, told):
        """Nothing is asked; nothing fails but a strict incoming migration."""
        with ScriptedAgent(self.socket, reply(ok=True)) as agent:
            for strict in (False, True):
                self.configure(strict)
                for operation in ("migrate", "reconnect", "stopped", "release"):
                    with self.subTest(operation, strict=strict):
                        status, err = self.call(operation, xml)
                        self.assertEqual(status, 1 if strict and operation == "migrate" else 0, err)
                        self.assert_one_line(err)
                        self.assertIn(told, err)
            self.assertEqual(agent.requests, [])
        os.unlink(self.socket)

    def test_malformed(self):
        self.check(b"", "line 1")
        self.check(XML[:-20], "domain XML, line ")
        self.check(b"<network/>", "expected <domain>")
        self.check(XML.replace(b"00:11", b"00:"), "line 6: <mac address>")
        self.check(b"<!DOCTYPE domain>" + XML, "document type")

    def test_giant(self):
        # All of it is read, so that libvirt's write does not fail: communicate() would ignore that, so look.
        child = self.start("vm1", "migrate", "begin", "-")
        child.stdin.write(b" " * (3 << 20))
        child.stdin.flush()
        status, err = self.finish(child, b"")
        self.assertEqual(status, 0)
        self.assertIn("larger than 1048576 bytes", err)
        self.check(XML + b" " * (1 << 20), "larger than 1048576 bytes")

    def test_largest(self):
        xml = XML + b" " * ((1 << 20) - len(XML))
        with ScriptedAgent(self.socket, reply(ok=True)):
            self.assertEqual(self.call(xml=xml), (0, ""))


class SlowStdin(Case):
    def check(self, child):
        began = time.monotonic()
        status = child.wait(timeout=30)
        self.assertLess(time.monotonic() - began, LATEST_S)
        self.assertEqual(child.stdout.read(), b"")
        err = child.stderr.read().decode()
        self.assert_one_line(err)
        self.assertIn("did not end in time", err)
        return status

    def test_never_closed(self):
        for strict in (False, True):
            self.configure(strict)
            for operation in ("migrate", "reconnect", "stopped", "release"):
                for xml in (b"", XML[:40], XML):
                    with self.subTest(operation, strict=strict), ScriptedAgent(self.socket, reply(ok=True)) as agent:
                        child = self.start("vm1", operation, OPERATIONS[operation], "-")
                        child.stdin.write(xml)
                        child.stdin.flush()
                        self.assertEqual(self.check(child), 1 if strict and operation == "migrate" else 0)
                        self.assertEqual(agent.requests, [])
                    os.unlink(self.socket)

    def test_late_but_in_time(self):
        self.configure(timeout_ms=10000)
        with ScriptedAgent(self.socket, reply(ok=True)) as agent:
            child = self.start("vm1", "migrate", "begin", "-")
            for byte in XML:
                child.stdin.write(bytes([byte]))
                child.stdin.flush()
            self.assertEqual(self.finish(child, b"")[:2], (0, ""))
            self.assertEqual(len(agent.requests), 1)


class Surroundings(Case):
    def test_bad_configuration_harms_nothing(self):
        for text, told in (
            ("[hook]\nrequire-agent = yes\nrequire_agent = yes\n", ":3: "),
            ("[hook]\nrequire-agent = maybe\n", ":2: "),
            ("[hook]\nrequire-agent = yes\ntimeout-ms = soon\n", ":3: "),
            ("[hook]\nrequire-agent = yes\ntimeout-ms = 30001\n", ":3: "),
            ("[hook]\nrequire-agent = yes\ntimeout-ms = -5\n", ":3: "),
            ("[hook]\nrequire-agent = yes\nsocket = agent.sock\n", ":3: "),
            ("[hook]\nrequire-agent = yes\nsocket = /" + "s" * 108 + "\n", ":3: "),
            ("[agent]\n", ":1: "),
            ("\0\0\0", ":1: "),
        ):
            with self.subTest(text):
                with open(self.conf, "w", encoding="ascii") as file:
                    file.write(text)
                status, err = self.call()
                self.assertEqual(status, 0)
                self.assertIn(self.conf + told, err)
                self.assertIn("going on with the defaults", err)

    def test_no_configuration_means_defaults(self):
        os.unlink(self.conf)
        status, err = self.call()
        self.assertEqual(status, 0)
        self.assertNotIn("hook.conf", err)

    def test_too_few_arguments(self):
        for arguments in ((), ("vm1",), ("vm1", "reconnect"), ("vm1", "reconnect", "begin")):
            status, err = self.finish(self.start(*arguments))
            self.assertEqual(status, 0)
            self.assert_one_line(err)

    def test_closed_stdout(self):
        with ScriptedAgent(self.socket, reply(ok=True)) as agent:
            child = self.start("vm1", "migrate", "begin", "-", preexec_fn=lambda: os.close(1))
            self.assertEqual(self.finish(child)[:2], (0, ""))
            self.assertEqual(len(agent.requests), 1)

    def test_own_fault_harms_no_guest(self):
        """A crash must look like success: a failing 'reconnect' kills a running guest."""
        self.configure(strict=True, timeout_ms=10000)
        for fault in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGALRM):
            with self.subTest(fault), ScriptedAgent(self.socket, silent) as agent:
                child = self.start("vm1", "reconnect", "begin", "-")
                child.stdin.write(XML)
                child.stdin.close()
                deadline = time.monotonic() + 10
                while not agent.requests:  # it has asked: its handlers stand
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.005)
                child.send_signal(fault)
                self.assertEqual(child.wait(timeout=10), 0)
                self.assertEqual(child.stdout.read(), b"")
                self.assertIn(b"internal fault", child.stderr.read())
            os.unlink(self.socket)


if __name__ == "__main__":
    HOOK = os.path.abspath(sys.argv.pop(1))
    unittest.main()
