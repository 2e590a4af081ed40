#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The hook and `nvectl migrate` on two real libvirtds, with scripted agents: what libvirt tells the hook in a move, a refused
migration, a running guest that a strict hook must not harm, an abort, post-copy; URIs of both families.

usage: test_hook_libvirt.py REHOME_HOOK NVECTL [UNITTEST-ARGUMENT...]; exit status 77 when not root
"""

import json
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "lib")]
from lab import Guest, Lab, libvirt, systems, wait_until  # noqa: E402
from scripted_agent import ScriptedAgent, reply  # noqa: E402

HOOK = NVECTL = ""
EXIT_SKIP = 77
REFUSAL = "VNI 100 is not ready here"
INSTALL_HOOK = str(TESTS.parent / "migration-scripts/install-hook")
INCOMING = ["migrate", "prepare", "start", "started"]
OUTGOING = ["stopped", "release"]


class Agent:
    """The scripted agent of a host, its hook and the hook's configuration."""

    def __init__(self, lab, host):
        self.host, self.running = host, None
        self.directory = os.path.join(lab.dir, host.name)
        self.socket = os.path.join(self.directory, "agent.sock")
        self.conf = os.path.join(self.directory, "hook.conf")
        self.configure(strict=False)
        self.wrapper = os.path.join(self.directory, "hook")
        with open(self.wrapper, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nREHOME_HOOK_CONF={self.conf} exec {HOOK} \"$@\"\n")
        os.chmod(self.wrapper, 0o755)

    def install(self):
        """Runs install-hook in the host; what it says."""
        return self.host.run([INSTALL_HOOK, "--hook", self.wrapper]).stdout

    def configure(self, strict):
        with open(self.conf, "w", encoding="utf-8") as file:
            file.write(f"[hook]\nsocket = {self.socket}\ntimeout-ms = 2000\nrequire-agent = {'yes' if strict else 'no'}\n")

    def start(self, **answer):
        self.running = ScriptedAgent(self.socket, reply(**answer))

    def calls(self):
        return [request for request in self.running.objects() if request["op"] == "hook"]

    def stop(self):
        if self.running:
            self.running.stop()
            os.unlink(self.socket)
        self.running = None


class OnLibvirt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab(systems.by_name("flood"), more=["hv3"], libvirtd=False, tenants=False))
        cls.agents = {host.name: Agent(cls.lab, host) for host in cls.lab.hypervisors}
        for name in ("hv1", "hv2"):  # hv3's libvirtd starts without a hook
            cls.agents[name].install()
        cls.lab.start_libvirtd()

    def setUp(self):
        self.hv1, self.hv2 = self.lab["hv1"], self.lab["hv2"]
        for agent in self.agents.values():
            agent.configure(strict=False)
            self.addCleanup(agent.stop)

    def guest(self, host="hv1"):
        guest = self.lab.guest_start(host, Guest(), wait=False)
        self.addCleanup(self.destroy, guest)
        return guest

    def destroy(self, guest):
        for host in self.lab.hypervisors:
            host.virsh("destroy", guest.name, check=False)
            wait_until(lambda h=host: guest.name not in h.virsh("list", "--name").split(), f"end of {guest.name}")

    def command(self, source, target, guest, *more, family=4):
        address = f"[{target.ip6}]" if family == 6 else target.ip4
        return [NVECTL, "migrate", "--socket", self.agents[source.name].socket, guest.name,
                f"qemu+tcp://{address}/system", "--migrate-uri", f"tcp://{address}", *more]

    def migrate(self, *arguments, **more):
        return self.lab[arguments[0].name].run(self.command(*arguments, **more), check=False, timeout=120)

    def state(self, host, guest):
        return host.virsh("domstate", guest.name, check=False)

    def slow(self, guest):
        """At 1 MiB/s even this small guest takes longer than any test."""
        self.hv1.virsh("migrate-setspeed", guest.name, "1")

    def under_way(self):
        def remaining():
            return "Memory remaining" in self.hv1.virsh("domjobinfo", "vm1", check=False)
        wait_until(remaining, "migration under way", 30)

    # --- moves ---

    def check_calls(self, guest):
        """What libvirt told both hooks; the tap is known from 'start' on."""
        incoming, outgoing = self.agents["hv2"].calls(), self.agents["hv1"].calls()
        self.assertEqual([call["operation"] for call in incoming], INCOMING)
        self.assertEqual([call["operation"] for call in outgoing], OUTGOING)
        self.assertEqual([call["sub"] for call in incoming + outgoing], ["begin"] * 4 + ["end"] * 2)
        for call in incoming + outgoing:
            self.assertEqual((call["vm"], call["uuid"], call["extra"]), (guest.name, guest.uuid, "-"))
            port, = call["ports"]
            self.assertEqual((port["mac"], port["bridge"]), (guest.mac, "br100"))
        taps = [call["ports"][0].get("tap") for call in incoming]
        self.assertEqual((taps[0], taps[1]), (None, None))
        self.assertRegex(taps[2], r"^vnet\d+$")
        self.assertEqual(taps[3], taps[2])

    def check_move(self, family):
        guest = self.guest()
        for agent in self.agents.values():
            agent.start(ok=True)
        done = self.migrate(self.hv1, self.hv2, guest, "--json", family=family)
        self.assertEqual(done.returncode, 0, done.stderr)
        account = json.loads(done.stdout)
        self.assertEqual((account["vm"], account["uuid"], account["result"], account["vm_at"]),
                         (guest.name, guest.uuid, "moved", "destination"))
        self.assertLess(account["downtime_ms"], account["duration_ms"])  # a transient guest's: from the destination
        self.assertGreater(account["transferred_bytes"], 1 << 20)
        self.assertGreaterEqual(account["passes"], 1)
        self.assertEqual(self.state(self.hv2, guest), "running")
        self.check_calls(guest)

    def test_move_ipv4(self):
        self.check_move(4)

    def test_move_ipv6(self):
        self.check_move(6)

    def test_without_agents_all_works(self):
        guest = self.guest()
        done = self.migrate(self.hv1, self.hv2, guest)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^vm1 moved in \d+\.\d+ s, stood still for \d+ ms, [\d.]+ MiB sent in \d+ passes\n$")
        self.assertEqual(self.state(self.hv2, guest), "running")

    def test_postcopy(self):
        guest = self.guest()
        self.hv1.virsh("migrate-setspeed", guest.name, "30")
        done = self.migrate(self.hv1, self.hv2, guest, "--postcopy")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("switched to post-copy", done.stderr)
        self.assertEqual(self.state(self.hv2, guest), "running")

    def test_persistent(self):
        guest = self.guest()
        self.hv1.run(["virsh", "-q", "-c", "qemu:///system", "define", "/dev/stdin"], input=guest.xml(self.lab.image()))
        self.addCleanup(self.hv2.virsh, "undefine", guest.name)
        done = self.migrate(self.hv1, self.hv2, guest, "--persistent")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn(guest.name, self.hv1.virsh("list", "--all", "--name").split())
        self.assertIn(guest.name, self.hv2.virsh("list", "--all", "--persistent", "--name").split())

    def test_bar_on_a_terminal(self):
        guest = self.guest()
        self.hv1.virsh("migrate-setspeed", guest.name, "16")  # MiB/s: it is asked how far it is four times a second
        screen, terminal = pty.openpty()
        child = self.hv1.popen(self.command(self.hv1, self.hv2, guest), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=terminal)
        os.close(terminal)
        shown = b""
        while True:
            try:
                part = os.read(screen, 4096)
            except OSError:  # EIO: the last writer has closed its end, pty(7)
                break
            shown += part
        os.close(screen)
        out, _ = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 0, shown)
        self.assertIn(b"vm1 moved in", out)
        self.assertRegex(shown, rb"\r\[#* *\] +\d+%, [\d.]+ MiB left, pass \d+, [\d.]+ MiB/s")

    # --- refusals ---

    def check_refused(self, guest, told):
        done = self.migrate(self.hv1, self.hv2, guest)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn("vm1 is still at the source, running", done.stderr)
        self.assertIn("this host is not ready for VM 'vm1': " + told, done.stderr)
        self.assertTrue(done.stderr.endswith(("is nveagent running?\n", REFUSAL + "\n")), done.stderr)
        self.assertEqual(self.state(self.hv1, guest), "running")
        self.assertEqual(self.hv2.virsh("list", "--all", "--name"), "")

    def test_strict_destination(self):
        guest = self.guest()
        self.agents["hv2"].configure(strict=True)
        self.check_refused(guest, "no agent answers at ")
        self.agents["hv2"].start(ok=False, error=REFUSAL, refuse=True)
        self.check_refused(guest, REFUSAL)
        self.assertEqual([call["operation"] for call in self.agents["hv2"].calls()], ["migrate"])
        self.agents["hv2"].stop()
        self.agents["hv2"].start(ok=True)
        self.assertEqual(self.migrate(self.hv1, self.hv2, guest).returncode, 0)

    def test_refusal_counts_for_nothing_by_default(self):
        guest = self.guest()
        self.agents["hv2"].start(ok=False, error=REFUSAL, refuse=True)
        self.assertEqual(self.migrate(self.hv1, self.hv2, guest).returncode, 0)

    def test_strict_hook_lets_a_running_guest_be(self):
        """libvirtd comes back while the agent is away: a hook that failed now would kill the guest."""
        guest = self.guest()
        pid = self.qemu_pid(guest)
        self.agents["hv1"].configure(strict=True)
        for crash in (False, True):
            self.restart_libvirtd(self.hv1, crash)
            wait_until(lambda: self.state(self.hv1, guest) == "running", "guest found again")
            self.assertEqual(self.qemu_pid(guest), pid)
        self.agents["hv1"].start(ok=True)
        self.restart_libvirtd(self.hv1)
        wait_until(lambda: "reconnect" in [call["operation"] for call in self.agents["hv1"].calls()], "reconnect told")

    def test_a_failing_hook_would_kill_it(self):
        """The fact behind the test above."""
        self.guest()
        hook = os.path.join(self.hv1.root, libvirt.HOOK)
        self.addCleanup(shutil.copy, self.agents["hv1"].wrapper, hook)
        with open(hook, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n[ \"$2\" != reconnect ]\n")
        self.restart_libvirtd(self.hv1)
        wait_until(lambda: self.hv1.virsh("list", "--all", "--name") == "", "end of the guest")

    def test_a_first_hook_needs_a_restart(self):
        """What install-hook says is so: libvirt looks for hooks when it starts."""
        agent = self.agents["hv3"]
        self.assertIn("systemctl restart libvirtd", agent.install())
        agent.start(ok=True)
        self.destroy(self.guest("hv3"))
        self.assertEqual(agent.calls(), [])
        self.restart_libvirtd(self.lab["hv3"])
        self.assertNotIn("restart", agent.install())
        self.destroy(self.guest("hv3"))
        self.assertEqual([call["operation"] for call in agent.calls()], INCOMING[1:] + OUTGOING)

    def restart_libvirtd(self, host, crash=False):
        libvirt.stop(host, crash)
        host.daemon("libvirtd", ["libvirtd", "--listen"])
        libvirt.wait_ready(host)

    def qemu_pid(self, guest):
        with open(self.hv1.path(f"/run/libvirt/qemu/{guest.name}.pid"), encoding="ascii") as file:
            return int(file.read())

    # --- aborts and failures ---

    def check_still_here(self, guest, child):
        out, err = child.communicate(timeout=60)
        self.assertEqual((child.returncode, out), (1, ""), err)
        self.assertIn("vm1 is still at the source, running", err)
        self.assertEqual(self.state(self.hv1, guest), "running")
        wait_until(lambda: self.hv2.virsh("list", "--all", "--name") == "", "nothing left at the destination")

    def start(self, guest, *more):
        return self.hv1.popen(self.command(self.hv1, self.hv2, guest, *more), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_interrupt(self):
        guest = self.guest()
        self.slow(guest)
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number):
                child = self.start(guest)
                self.under_way()
                child.send_signal(number)
                self.check_still_here(guest, child)
        self.hv1.virsh("migrate-setspeed", guest.name, "1000")
        self.assertEqual(self.migrate(self.hv1, self.hv2, guest).returncode, 0)  # an abort leaves nothing in the way

    def test_destination_qemu_dies(self):
        guest = self.guest()
        self.slow(guest)
        child = self.start(guest)
        self.under_way()
        with open(self.hv2.path(f"/run/libvirt/qemu/{guest.name}.pid"), encoding="ascii") as file:
            self.hv2.run(["kill", "-KILL", file.read()])
        self.check_still_here(guest, child)

    def test_no_destination(self):
        guest = self.guest()
        done = self.hv1.run([NVECTL, "migrate", guest.name, f"qemu+tcp://{self.lab['peer'].ip4}/system"], check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("vm1 is still at the source, running", done.stderr)


if __name__ == "__main__":
    if os.geteuid() != 0 or not shutil.which("libvirtd"):
        print("SKIP: needs root and libvirtd")
        sys.exit(EXIT_SKIP)
    HOOK, NVECTL = (os.path.abspath(sys.argv.pop(1)) for _ in range(2))
    unittest.main()
