#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
`nvectl migrate --qmp` between two real QEMUs (SeaBIOS only, TCG) over loopback, both families, with a scripted agent:
the order of things at the switch-over, and that the guest goes on at the source whatever goes wrong.

usage: test_nvectl_qmp.py NVECTL [UNITTEST-ARGUMENT...]; exit status 77 without QEMU
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "lib")]
from lab.qmp import Qmp  # noqa: E402
from lab.wait import wait_until  # noqa: E402
from scripted_agent import ScriptedAgent, reply, silent  # noqa: E402

NVECTL = ""
QEMU = "qemu-system-x86_64"
MAC, VNI = "52:54:00:aa:00:10", "100"
EXIT_SKIP = 77


class Qemu:
    """A process with two monitors: .monitor is free for nvectl, .qmp is the test's own."""

    def __init__(self, directory, name, incoming=None):
        self.monitor = os.path.join(directory, name + ".qmp")
        control = os.path.join(directory, name + ".control")
        argv = [QEMU, "-machine", "pc,accel=tcg", "-m", "64", "-nodefaults", "-display", "none", "-serial", "none"]
        for identity, path in (("monitor", self.monitor), ("control", control)):
            argv += ["-chardev", f"socket,id={identity},path={path},server=on,wait=off",
                     "-mon", f"chardev={identity},mode=control"]
        self.log = os.path.join(directory, name + ".log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(argv + (["-incoming", incoming] if incoming else []), stderr=log)
        try:
            wait_until(lambda: self.listens(control), f"monitor of {name}", 20)
            self.qmp = Qmp(control)
        except BaseException:
            self.kill()
            raise

    def listens(self, path):
        """Whether QEMU takes connections: the socket's name is there a little earlier."""
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise RuntimeError(f"QEMU ended: {log.read()}")
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(path) == 0

    def listens_at(self):
        """HOST:PORT of a QEMU that waits for a migration on a port of the kernel's choice."""
        address = self.qmp.execute("query-migrate")["socket-address"][0]
        host = f"[{address['host']}]" if ":" in address["host"] else address["host"]
        return f"{host}:{address['port']}"

    def status(self):
        return self.qmp.execute("query-status")["status"]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.qmp.close()
        self.kill()


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.socket = os.path.join(self.directory, "agent.sock")

    def pair(self, host="127.0.0.1"):
        source = Qemu(self.directory, "source")
        self.addCleanup(source.close)
        target = Qemu(self.directory, "target", incoming=f"tcp:{host}:0")
        self.addCleanup(target.close)
        wait_until(lambda: source.status() == "running", "running guest")
        return source, target

    def start(self, source, to, *more):
        child = subprocess.Popen(
            [NVECTL, "migrate", "--socket", self.socket, "--qmp", source.monitor, "--to", to, *more],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.reap, child)
        return child

    @staticmethod
    def reap(child):
        child.kill()
        child.communicate()

    def migrate(self, source, to, *more):
        child = self.start(source, to, *more)
        out, err = child.communicate(timeout=60)
        return child.returncode, out, err

    def assert_back(self, source, done, told):
        status, out, err = done
        self.assertEqual((status, out), (1, ""), err)
        self.assertIn("is still at the source, running", err)
        self.assertIn(told, err)
        self.assertEqual(source.status(), "running")

    def move(self, host, *more):
        source, target = self.pair(host)
        seen = []

        def script(connection, line):
            request = json.loads(line)
            seen.append((request, source.status(), target.status()))
            answer = {"ok": True}
            if request["op"] == "moves":
                answer["moves"] = [
                    {"mac": MAC, "vni": 100, "started_us": 1},  # an earlier one
                    {"mac": MAC.upper(), "vni": 100, "started_us": 3, "state": "forwarding", "pulled": 7},
                    {"mac": MAC, "vni": 100, "started_us": 2}, "no move",
                    {"mac": MAC, "vni": 101, "started_us": 1 << 60}]
            reply(**answer)(connection, line)

        with ScriptedAgent(self.socket, script):
            done = self.migrate(source, target.listens_at(), *more)
        self.assertEqual(done[0], 0, done[2])
        self.assertEqual((source.status(), target.status()), ("postmigrate", "running"))
        return done, seen


class Moves(Case):
    def check_switch(self, seen):
        """The agent was asked to switch while the guest stood still on both sides, then for its ledger."""
        self.assertEqual(seen[0], ({"op": "move-switch", "mac": MAC, "vni": 100}, "finish-migrate", "inmigrate"))
        self.assertEqual([request["op"] for request, _, _ in seen], ["move-switch", "moves"])

    def test_ipv4(self):
        (_, out, err), seen = self.move("127.0.0.1", "--mac", MAC, "--vni", VNI)
        self.check_switch(seen)
        account, header, row = out.splitlines()
        self.assertRegex(account, r"moved in \d+\.\d{3} s, stood still for \d+ ms, \d+\.\d MiB sent in \d+ passes$")
        self.assertIn("STATE", header)
        self.assertIn("forwarding", row)
        self.assertNotIn("\r", err)  # no bar: this is no terminal

    def test_ipv6_as_json(self):
        (_, out, _), seen = self.move("[::1]", "--mac", MAC, "--vni", VNI, "--json")
        self.check_switch(seen)
        account = json.loads(out)
        self.assertEqual((account["result"], account["vm_at"]), ("moved", "destination"))
        self.assertEqual([move["pulled"] for move in account["moves"]], [7])
        self.assertLess(account["downtime_ms"], account["duration_ms"])
        self.assertGreater(account["transferred_bytes"], 0)
        self.assertNotIn("error", account)

    def test_without_a_port_no_agent_is_needed(self):
        source, target = self.pair()
        status, out, err = self.migrate(source, target.listens_at())
        self.assertEqual(status, 0, err)
        self.assertEqual(len(out.splitlines()), 1)
        self.assertEqual(target.status(), "running")


class Failures(Case):
    def test_agent_refuses_the_switch(self):
        source, target = self.pair()
        with ScriptedAgent(self.socket, reply(ok=False, error="not armed")):
            done = self.migrate(source, target.listens_at(), "--mac", MAC, "--vni", VNI)
        self.assert_back(source, done, "the traffic was not switched: the agent says: not armed")

    def test_agent_away(self):
        source, target = self.pair()
        done = self.migrate(source, target.listens_at(), "--mac", MAC, "--vni", VNI)
        self.assert_back(source, done, "no agent answers at")

    def test_agent_silent(self):
        source, target = self.pair()
        with ScriptedAgent(self.socket, silent):
            done = self.migrate(source, target.listens_at(), "--mac", MAC, "--vni", VNI)
        self.assert_back(source, done, "did not answer within 2000 ms")

    def test_nobody_listens(self):
        source, target = self.pair()
        to = target.listens_at()
        target.kill()
        self.assert_back(source, self.migrate(source, to), "QEMU: ")

    def slow(self):
        """A migration that takes far longer than the test; returns once it is under way."""
        source, target = self.pair()
        source.qmp.execute("migrate-set-parameters", max_bandwidth=4096)
        child = self.start(source, target.listens_at(), "--mac", MAC, "--vni", VNI)
        wait_until(lambda: source.qmp.execute("query-migrate").get("status") == "active", "migration under way")
        return source, target, child

    def finish(self, child):
        out, err = child.communicate(timeout=60)
        return child.returncode, out, err

    def test_interrupt(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number):
                source, _, child = self.slow()
                child.send_signal(number)
                done = self.finish(child)
                self.assert_back(source, done, "aborted by the operator")
                self.assertEqual(source.qmp.execute("query-migrate")["status"], "cancelled")
                self.doCleanups()
                self.setUp()

    def test_destination_dies(self):
        source, target, child = self.slow()
        target.kill()
        self.assert_back(source, self.finish(child), "QEMU: ")

    def test_source_dies(self):
        source, _, child = self.slow()
        source.kill()
        status, out, err = self.finish(child)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("look at both", err)

    def test_failure_as_json(self):
        source, target = self.pair()
        with ScriptedAgent(self.socket, reply(ok=False, error="not armed")):
            status, out, _ = self.migrate(source, target.listens_at(), "--mac", MAC, "--vni", VNI, "--json")
        account = json.loads(out)
        self.assertEqual((status, account["result"], account["vm_at"], account["running"]), (1, "failed", "source", True))
        self.assertIn("not armed", account["error"])

    def test_a_second_try_succeeds(self):
        source, target = self.pair()
        with ScriptedAgent(self.socket, reply(ok=False, error="not armed")):
            self.migrate(source, target.listens_at(), "--mac", MAC, "--vni", VNI)
        again = Qemu(self.directory, "again", incoming="tcp:127.0.0.1:0")
        self.addCleanup(again.close)
        self.assertEqual(self.migrate(source, again.listens_at())[0], 0)
        self.assertEqual(again.status(), "running")


if __name__ == "__main__":
    if not shutil.which(QEMU):
        print(f"SKIP: there is no {QEMU}")
        sys.exit(EXIT_SKIP)
    NVECTL = os.path.abspath(sys.argv.pop(1))
    unittest.main()
