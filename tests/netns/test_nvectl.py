#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Runs the real nvectl against a scripted agent: requests, tables, JSON, errors and exit statuses. Needs no root
and no network.

usage: test_nvectl.py NVECTL [UNITTEST-ARGUMENT...]
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from scripted_agent import ScriptedAgent, lines, reply, silent  # noqa: E402

NVECTL = ""
UUID = "6a6c1f6e-8f0b-4c1e-9a53-0f6f0c3a7d11"

STATUS = {
    "name": "hv1", "version": "0.1.0", "vtep": "2001:db8::1", "uptime_s": 3725,
    "nva": {"address": "[2001:db8::a]:7365", "connected": True, "name": "nva1", "since_s": 59},
    "libvirt": {"uri": "qemu:///system", "connected": False},
    "vnis": [{"vni": 100, "bridge": "br100", "vxlan": "vx100", "members": ["2001:db8::1", "2001:db8::2"],
              "mappings": 3, "ports": 2}],
    "counters": {"moves": 4, "frames_forwarded": 1234},
}
PORTS = {"ports": [
    {"vni": 100, "mac": "52:54:00:aa:00:10", "ips": ["198.51.100.10", "2001:db8:100::10"], "device": "vnet0",
     "kind": "vm", "vm": "vm1", "uuid": UUID, "state": "resident", "generation": 3, "addresses_refused": 7,
     "frames_dropped": 123456, "router": False},
    {"vni": 16777215, "mac": "52:54:00:aa:00:11", "ips": [], "device": "tap-of-15-bytes", "kind": "learned", "vm": None,
     "state": "armed", "generation": 1},
]}
MAPPINGS = {"mappings": [
    {"vni": 100, "mac": "52:54:00:aa:00:10", "ips": ["2001:db8:1111:2222:3333:4444:5555:6666"],
     "vtep": "2001:db8:1111:2222:3333:4444:5555:7777", "generation": 4, "vm": UUID, "flags": ["vm"],
     "local": False, "in_kernel": True, "confirmed": False},
    {"vni": 100, "mac": "52:54:00:aa:00:11", "ips": ["192.0.2.9"], "vtep": "192.0.2.2", "generation": 4, "vm": None,
     "flags": [], "local": True, "in_kernel": False},
]}
MOVES = {"moves": [{
    "id": 7, "vm": "vm1", "vni": 100, "mac": "52:54:00:aa:00:10", "role": "old", "from": "192.0.2.1", "to": "192.0.2.2",
    "generation": 4, "state": "gone", "started_us": 1700000000123456, "pulled": 5, "forwarded": 170, "dropped": 0,
    "events": [{"at_us": 1700000000123456, "what": "armed"},  # in the order in which they were heard of
               {"at_us": 1700000000625956, "what": "stop-seen", "detail": "QMP"},
               {"at_us": 1700000000525956, "what": "setup"}], "events_lost": 3,
}]}
NVA = {"nva": {
    "name": "nva1", "uptime_s": 90061, "revision": 17,
    "moves": [{"vni": 100, "mac": "52:54:00:aa:00:10", "from": "hv1", "to": "hv2", "state": "granted", "generation": 3}],
    "nves": [{"name": "hv1", "vtep": "192.0.2.1", "role": "gateway", "connected": True, "stale": False,
              "acked_revision": 17, "vnis": [100, 200]}],
    "conflicts": [{"vni": 100, "ip": "fd00::1", "claim_count": 2, "claims": [{"mac": "52:54:00:aa:00:10", "nve": "hv1"},
                                                                             {"mac": "52:54:00:aa:00:11", "nve": "hv2"}]}],
    "vnis": [{"vni": 100, "members": 3, "mappings": 9}], "counters": {"updates": 40},
}}


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.socket = os.path.join(self.directory.name, "agent.sock")

    def run_plain(self, *arguments):
        return subprocess.run([NVECTL, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              env={**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"}, check=False)

    def run_with(self, script, *arguments):
        """Runs against an agent with this script; the requests it got are in self.requests."""
        with ScriptedAgent(self.socket, script) as agent:
            done = self.run_plain(*arguments, "--socket", self.socket)
            self.requests = agent.objects()
        os.unlink(self.socket)
        return done

    def text(self, answer, *arguments):
        done = self.run_with(reply(ok=True, **answer), *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout


class Tables(Case):
    def test_status(self):
        self.assertEqual(self.text(STATUS, "status"), """\
NVE        hv1
version    0.1.0
VTEP       2001:db8::1
up         1 h 2 min
NVA        [2001:db8::a]:7365, connected for 59 s
libvirt    qemu:///system, not connected

VNI  BRIDGE  VXLAN  PORTS  MAPPINGS  MEMBERS
100  br100   vx100  2      3         2001:db8::1,2001:db8::2

counters
  moves: 4
  frames_forwarded: 1234
""")
        self.assertEqual(self.requests, [{"op": "status"}])

    def test_ports(self):
        self.assertEqual(self.text(PORTS, "ports"), """\
VNI       MAC                DEVICE           STATE     GENERATION  KIND     VM   REFUSED  DROPPED  IPS
100       52:54:00:aa:00:10  vnet0            resident  3           vm       vm1  7        123456   198.51.100.10,2001:db8:100::10
16777215  52:54:00:aa:00:11  tap-of-15-bytes  armed     1           learned  -    -        -        -
""")

    def test_mappings(self):
        text = self.text(MAPPINGS, "mappings")
        self.assertEqual(self.requests, [{"op": "mappings"}])
        header, wide, narrow = text.splitlines()
        for title, first, second in (("VTEP", "2001:db8:1111:2222:3333:4444:5555:7777", "192.0.2.2"),
                                     ("LOCAL", "no", "yes"), ("KERNEL", "yes", "no"), ("CONFIRMED", "no", "-"),
                                     ("VM", UUID, "-"),
                                     ("IPS", "2001:db8:1111:2222:3333:4444:5555:6666", "192.0.2.9")):
            column = header.index(" " + title) + 1
            self.assertEqual((wide[column:].split()[0], narrow[column:].split()[0]), (first, second))

    def test_mappings_of_one_vni(self):
        for arguments in (("--vni", "100"), ("-n", "100"), ("--vni=100",)):
            self.assertEqual(self.text({"mappings": []}, "mappings", *arguments), "none\n")
            self.assertEqual(self.requests, [{"op": "mappings", "vni": 100}])

    def test_moves(self):
        header, row = self.text(MOVES, "moves", "--last", "3").splitlines()
        self.assertEqual(self.requests, [{"op": "moves", "limit": 3}])
        self.assertEqual(header.split(), ["STARTED", "VM", "VNI", "MAC", "ROLE", "FROM", "TO", "GENERATION", "STATE",
                                          "PULLED", "FORWARDED", "DROPPED"])
        self.assertEqual(row.split(), ["2023-11-14", "22:13:20.123", "vm1", "100", "52:54:00:aa:00:10", "old", "192.0.2.1",
                                       "192.0.2.2", "4", "gone", "5", "170", "0"])

    def test_timeline(self):
        self.assertEqual(self.text(MOVES, "moves", "--timeline"), """\
2023-11-14 22:13:20.123  VM vm1, 52:54:00:aa:00:10 in VNI 100, from 192.0.2.1 to 192.0.2.2, as the old NVE: gone
        +0.000 ms  armed
      +402.500 ms  setup
      +502.500 ms  stop-seen  QMP
  and 3 more that were not kept
""")
        self.assertEqual(self.requests, [{"op": "moves"}])
        self.assertEqual(self.text({"moves": []}, "moves", "--timeline"), "none\n")

    def test_nva_status(self):
        self.assertEqual(self.text(NVA, "nva", "status"), """\
NVA        nva1
up         1 d 1 h
revision   17

nves
NVE  VTEP       ROLE     CONNECTED  STALE  ACKED REVISION  VNIS
hv1  192.0.2.1  gateway  yes        no     17              100,200

vnis
VNI  MEMBERS  MAPPINGS
100  3        9

moves
VNI  MAC                FROM  TO   STATE    GENERATION
100  52:54:00:aa:00:10  hv1   hv2  granted  3

conflicts
VNI  ADDRESS  CLAIMED BY
100  fd00::1  52:54:00:aa:00:10 (hv1), 52:54:00:aa:00:11 (hv2)

counters
  updates: 40
""")
        self.assertEqual(self.requests, [{"op": "nva-status"}])

    def test_nva_status_says_how_it_is_kept(self):
        """An operator with several NVAs: which leads, who stands by, how etcd is."""
        store = {"kind": "file", "path": "/var/lib/rehome/nva", "state": "waits", "error": "the disk is full"}
        text = self.text({"nva": {**NVA["nva"], "store": store}}, "nva", "status")
        self.assertIn("store      file, /var/lib/rehome/nva\nstate      waits: the disk is full\n\nnves\n", text)
        store = {"kind": "etcd", "path": "/rehome", "state": "works", "role": "leading", "role_since_ms": 3725001,
                 "leader": "nva1", "leader_address": "[2001:db8::a]:7365", "endpoints": [
                     {"endpoint": "https://192.0.2.20:2379", "healthy": True, "leads": True, "used": True, "answer_ms": 3},
                     {"endpoint": "https://[2001:db8::2]:2379", "healthy": False, "leads": False, "used": False,
                      "error": "Connection refused"}]}
        answer = {"nva": {**NVA["nva"], "store": store, "standbys": ["nva2 (192.0.2.11:40000)", "nva3 (192.0.2.12:40000)"]}}
        self.assertIn("""\
store      etcd, /rehome
state      works
role       leading for 1 h 2 min
leader     nva1, [2001:db8::a]:7365
standbys   nva2 (192.0.2.11:40000),nva3 (192.0.2.12:40000)

etcd
ENDPOINT                    HEALTHY  LEADS  USED  ANSWER MS  ERROR
https://192.0.2.20:2379     yes      yes    yes   3          -
https://[2001:db8::2]:2379  no       no     no    -          Connection refused

nves
""", self.text(answer, "nva", "status"))

    def test_nva_status_of_the_nva_here(self):
        script = reply(ok=True, **NVA["nva"], store={"kind": "etcd", "role": "standby", "leader": "nva2"})
        with ScriptedAgent(self.socket, script) as nva:
            done = self.run_plain("nva", "status", "--nva-socket", self.socket)
            self.assertEqual(nva.objects(), [{"op": "status"}])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("store      etcd\nrole       standby\nleader     nva2\n", done.stdout)
        os.unlink(self.socket)
        with ScriptedAgent(self.socket, script):
            done = self.run_plain("nva", "status", "--json", "--nva-socket", self.socket)
        self.assertEqual(json.loads(done.stdout)["nva"]["store"]["role"], "standby")
        os.unlink(self.socket)
        done = self.run_plain("nva", "status", "--nva-socket", self.socket)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(f"no NVA answers at {self.socket}", done.stderr)

    def test_absent_members_do_not_hurt(self):
        for arguments in (("status",), ("ports",), ("mappings",), ("moves",), ("moves", "--timeline")):
            key = {"status": "vnis"}.get(arguments[0], arguments[0])
            self.assertIn("-", self.text({key: [{}]}, *arguments))
        self.assertIn("none", self.text({"nva": {"nves": [], "vnis": [], "moves": []}}, "nva", "status"))


class Ports(Case):
    ADD = ("port", "add", "--qmp", "/run/vm.qmp", "--tap", "tap0", "--mac", "52:54:00:aa:00:10", "--vni", "100",
           "--uuid", UUID)

    def test_add(self):
        self.assertEqual(self.text({}, *self.ADD), "port 52:54:00:aa:00:10 added to VNI 100\n")
        wanted = {"op": "port-add", "vni": 100, "qmp": "/run/vm.qmp", "tap": "tap0", "mac": "52:54:00:aa:00:10",
                  "uuid": UUID}
        self.assertEqual(self.requests, [wanted])
        self.text({}, *self.ADD, "--vm", "web")
        self.assertEqual(self.requests, [{**wanted, "vm": "web"}])

    def test_del(self):
        self.assertEqual(self.text({}, "port", "del", "--mac", "52:54:00:aa:00:10", "--vni", "100"),
                         "port 52:54:00:aa:00:10 removed from VNI 100\n")
        self.assertEqual(self.requests, [{"op": "port-del", "vni": 100, "mac": "52:54:00:aa:00:10"}])

    def test_the_agents_reason_is_shown(self):
        done = self.run_with(reply(ok=False, error="there is no VNI 100 here"), *self.ADD)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, "nvectl: the agent says: there is no VNI 100 here\n")


# Each command, and the members of its reply.
READING = (
    (("status",), STATUS), (("ports",), PORTS), (("mappings",), MAPPINGS), (("moves",), MOVES),
    (("moves", "--timeline"), MOVES), (("nva", "status"), NVA), (Ports.ADD, {}),
)


class Json(Case):
    def test_every_command_prints_the_reply_without_ok(self):
        for arguments, answer in READING:
            with self.subTest(arguments):
                self.assertEqual(json.loads(self.text(answer, *arguments, "--json")), answer)

    def test_options_may_stand_before_the_command(self):
        with ScriptedAgent(self.socket, reply(ok=True, **PORTS)):
            done = self.run_plain("--json", "--socket", self.socket, "ports")
        self.assertEqual(json.loads(done.stdout), PORTS)


class BadAgents(Case):
    def check(self, script, told, commands=READING, options=()):
        for arguments, _ in commands:
            with self.subTest(arguments):
                done = self.run_with(script, *arguments, *options)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertEqual(done.stderr.count("\n"), 1)
                self.assertTrue(done.stderr.startswith("nvectl: "), done.stderr)
                self.assertIn(told, done.stderr)

    def test_away(self):
        for arguments, _ in READING:
            done = self.run_plain(*arguments, "--socket", self.socket)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (
                1, "", f"nvectl: no agent answers at {self.socket}: is nveagent running?\n"))

    def test_dead_socket(self):
        ScriptedAgent(self.socket, silent).stop()
        done = self.run_plain("status", "--socket", self.socket)
        self.assertEqual((done.returncode, done.stderr), (
            1, f"nvectl: no agent answers at {self.socket}: is nveagent running?\n"))

    def test_closes(self):
        self.check(lambda *_: None, "closed the connection without an answer")

    def test_silent(self):
        began = time.monotonic()
        self.check(silent, "did not answer within 5000 ms", READING[:1])
        self.assertLess(time.monotonic() - began, 10)

    def test_malformed(self):
        for data in (b"\n", b"[]\n", b"{\"ok\":1}\n", b"{\"ok\":true\n", b"hello\n", b"{} {}\n"):
            self.check(lines(data), "not understood", READING[:2])
            self.check(lines(data), "not understood", READING[:2], ("--json",))

    def test_wrong_types(self):
        for arguments, answer in READING[:6]:
            key = "nva" if arguments[0] == "nva" else "vnis" if arguments[0] == "status" else arguments[0]
            for wrong in (None, 5, "text", {} if key != "nva" else [], [5] if key != "nva" else "x"):
                with self.subTest(arguments, wrong=wrong):
                    done = self.run_with(reply(ok=True, **{**answer, key: wrong}), *arguments)
                    self.assertEqual(done.returncode, 1)
                    self.assertIn(f"'{key}'", done.stderr)

    def test_terminal_is_safe_from_names(self):
        text = self.text({"ports": [{"vm": "\x1b[2Jevil\nname"}]}, "ports")
        self.assertNotIn("\x1b", text)
        self.assertEqual(text.count("\n"), 2)
        evil = {"vm": "\x1b[2J", "events": [{"what": "\x1b[2J", "detail": "a\nb"}]}
        self.assertNotIn("\x1b", self.text({"moves": [evil]}, "moves", "--timeline"))
        self.assertNotIn("\x1b", self.text({**STATUS, "name": "\x1b[2J"}, "status"))
        done = self.run_with(reply(ok=False, error="\x1b[2J\n"), "ports")
        self.assertEqual(done.stderr, "nvectl: the agent says: ?[2J?\n")


class Usage(Case):
    def test_errors_are_2(self):
        for arguments in (
            (), ("nothing",), ("port",), ("port", "move"), ("nva",), ("status", "extra"), ("status", "--colour"),
            ("mappings", "--vni", "0"), ("mappings", "--vni", "16777216"), ("mappings", "--vni", "x"),
            ("moves", "--last", "0"), ("moves", "--last", "-1"), ("moves", "--last", "3x"),
            ("port", "del", "--vni", "100"), ("port", "del", "--mac", "52:54", "--vni", "100"),
            Ports.ADD[:-2], (*Ports.ADD[:-1], "no-uuid"),
            ("migrate",), ("migrate", "vm1"), ("migrate", "vm1", "qemu:///system", "more"),
            ("migrate", "--qmp", "/run/a"), ("migrate", "--to", "192.0.2.2:4444"),
            ("migrate", "--qmp", "/run/a", "--to", "192.0.2.2"), ("migrate", "--qmp", "/run/a", "--to", "2001:db8::2:4444"),
            ("migrate", "--qmp", "/run/a", "--to", "[2001:db8::2]"), ("migrate", "--qmp", "/run/a", "--to", "host:0"),
            ("migrate", "--qmp", "/run/a", "--to", "host:65536"), ("migrate", "--qmp", "/run/a", "--to", ":1"),
            ("migrate", "--qmp", "/run/a", "--to", "h:1", "--mac", "52:54:00:aa:00:10"),
            ("migrate", "--qmp", "/run/a", "--to", "h:1", "--vni", "1"), ("migrate", "--qmp", "/run/a", "--to", "h:1", "vm1"),
            ("migrate", "--qmp", "/run/a", "--to", "h:1", "--postcopy"),
            ("nva", "reassign"), ("nva", "reassign", "hv2"), ("nva", "reassign", "--vni", "1", "hv2"),
            ("nva", "reassign", "--mac", "52:54:00:aa:00:10", "hv2"), ("nva", "reassign", "--vni", "0", "hv2"),
            ("nva", "reassign", "--vni", "1", "--mac", "52:54", "hv2"), ("nva", "reassign", "--vm", "vm1", "hv2"),
            ("nva", "reassign", "--vni", "1", "--mac", "52:54:00:aa:00:10"),
            ("nva", "reassign", "--vni", "1", "--mac", "52:54:00:aa:00:10", "hv1", "hv2"),
            ("nva", "reassign", "--vm", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "--vni", "1", "--mac", "52:54:00:aa:00:10", "hv2"),
        ):
            with self.subTest(arguments):
                done = self.run_plain(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertIn("nvectl", done.stderr)

    def test_help_lists_every_command(self):
        done = self.run_plain("--help")
        self.assertEqual(done.returncode, 0)
        for command in ("status", "ports", "mappings", "moves", "nva status", "nva reassign", "port add",
                        "port del", "migrate"):
            self.assertIn("\n  " + command + " ", done.stdout)
            self.assertIn("Usage: nvectl " + command, self.run_plain(*command.split(), "--help").stdout)

    def test_version(self):
        self.assertRegex(self.run_plain("--version").stdout, r"^nvectl \d+\.\d+\.\d+\n$")

    def test_a_full_disk_is_an_error(self):
        with ScriptedAgent(self.socket, reply(ok=True, **PORTS)), open("/dev/full", "wb") as full:
            done = subprocess.run([NVECTL, "ports", "--socket", self.socket], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual((done.returncode, done.stderr), (1, b"nvectl: cannot write the output\n"))


class NoLibvirt(Case):
    def test_unreachable_libvirt(self):
        nowhere = "qemu+unix:///system?socket=" + self.socket
        done = self.run_plain("migrate", "vm1", "qemu:///system", "--connect", nowhere)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("agent.sock", done.stderr)

    def test_unknown_vm(self):
        done = self.run_plain("migrate", "vm1", "qemu:///system", "--connect", "test:///default")
        self.assertEqual((done.returncode, done.stderr), (1, "nvectl: there is no VM 'vm1' at test:///default\n"))

    def test_no_qemu(self):
        done = self.run_plain("migrate", "--qmp", self.socket, "--to", "192.0.2.2:4444")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"no QEMU answers at {self.socket}", done.stderr)


if __name__ == "__main__":
    NVECTL = os.path.abspath(sys.argv.pop(1))
    unittest.main()
