#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Three NVAs on a real etcd of three nodes, on loopback of both families: what was acknowledged is never lost, and never
by two.

usage: test_nva_etcd.py NVA NVE-CLIENT NVECTL NVEAGENT [UNITTEST-ARGUMENT...]

REHOME_SEED, REHOME_ROUNDS: of the randomized test; a failure names its seed.
"""

import base64
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import test_nva
import test_nva_store
from test_nva import DEADLINE_S, MAC, Lines, Nve

SEED = int(os.environ.get("REHOME_SEED", time.time_ns() % 1000000))
ROUNDS = int(os.environ.get("REHOME_ROUNDS", 5))
NVECTL = NVEAGENT = ""
EXIT_STORE = 3
TTL_S = 2
NAMES = ("nva1", "nva2", "nva3")
HOSTS = ("127.0.0.1", "[::1]", "127.0.0.1")


def wait_until(condition, what, seconds=DEADLINE_S):
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)


class Etcd:
    """A cluster of three; its files are in memory, for what is tested is not its disk."""

    def __init__(self, directory):
        self.directory = directory
        self.clients = [f"http://{host}:{2379 + 10 * i}" for i, host in enumerate(HOSTS)]
        self.peers = [f"http://{host}:{2380 + 10 * i}" for i, host in enumerate(HOSTS)]
        self.nodes = [self.start(i) for i in range(len(HOSTS))]
        wait_until(lambda: self.try_call(0, "kv/range", key=self.encode("/")), "etcd to have a leader")

    @staticmethod
    def encode(text):
        return base64.b64encode(text.encode()).decode()

    def start(self, i):
        cluster = ",".join(f"e{n}={url}" for n, url in enumerate(self.peers))
        with open(os.path.join(self.directory, f"etcd{i}.log"), "a", encoding="utf-8") as log:
            return subprocess.Popen(
                ["etcd", "--name", f"e{i}", "--data-dir", os.path.join(self.directory, f"etcd{i}"),
                 "--listen-client-urls", self.clients[i], "--advertise-client-urls", self.clients[i],
                 "--listen-peer-urls", self.peers[i], "--initial-advertise-peer-urls", self.peers[i],
                 "--initial-cluster", cluster, "--heartbeat-interval", "50", "--election-timeout", "500"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def call(self, i, path, **request):
        done = urllib.request.Request(f"{self.clients[i]}/v3/{path}", json.dumps(request).encode())
        with urllib.request.urlopen(done, timeout=3) as answer:
            return json.load(answer)

    def try_call(self, i, path, **request):
        with contextlib.suppress(OSError):
            return self.call(i, path, **request)
        return None

    def keys(self, below="/rehome/"):
        end = below[:-1] + chr(ord(below[-1]) + 1)
        answer = self.call(self.alive(), "kv/range", key=self.encode(below), range_end=self.encode(end))
        return {base64.b64decode(kv["key"]).decode(): base64.b64decode(kv.get("value", "")) for kv in answer.get("kvs", [])}

    def alive(self):
        return next(i for i, node in enumerate(self.nodes) if node.poll() is None)

    def leader(self):
        """Which node leads, once one does."""
        def find():
            for i, node in enumerate(self.nodes):
                status = self.try_call(i, "maintenance/status") if node.poll() is None else None
                if status and status.get("leader") == status["header"]["member_id"]:
                    return (i,)
            return None
        return wait_until(find, "etcd to have a leader")[0]

    def revision(self):
        return self.call(self.alive(), "kv/range", key=self.encode("/"))["header"]["revision"]

    def stop(self):
        for node in self.nodes:
            node.send_signal(signal.SIGCONT)
            node.kill()
            node.wait(DEADLINE_S)


class Nva:
    """As test_nva's, but one of several."""

    ask_line, ask, stop = test_nva.Nva.ask_line, test_nva.Nva.ask, test_nva.Nva.stop

    def __init__(self, directory, etcd, number, lease=60):
        self.name, self.port = NAMES[number], 7365 + number
        self.host = ("127.0.0.1", "::1", "127.0.0.1")[number]
        self.address = f"{HOSTS[number]}:{self.port}"
        self.config = os.path.join(directory, f"{self.name}.conf")
        self.socket = os.path.join(directory, f"{self.name}.sock")
        # Each prefers another node.
        endpoints = etcd.clients[number:] + etcd.clients[:number]
        pathlib.Path(self.config).write_text(
            f"[nva]\nname = {self.name}\nlisten = 127.0.0.1, ::1\nport = {self.port}\nsocket = {self.socket}\n"
            f"store = etcd\nlease = {lease}\n"
            f"[etcd]\nendpoints = {', '.join(endpoints)}\naddress = {self.address}\nleader-ttl = {TTL_S}\n",
            encoding="ascii")
        self.start()

    def start(self):
        self.process = subprocess.Popen([test_nva.NVA, "--config", self.config], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        self.log = Lines(self.process.stderr)
        self.log.until(f"ready: NVA {self.name} listens")

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.log.thread.join(DEADLINE_S)
        self.process.stderr.close()

    def is_running(self):
        return self.process.returncode is None

    def store(self):
        return self.ask(op="status")["store"]

    def role(self):
        return self.store()["role"]

    def mappings(self):
        return {(m["vni"], m["mac"]): m for m in self.ask(op="mappings")["mappings"]}


class ClusterCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="nva-etcd-")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", cls.directory], check=True)
        cls.etcd = Etcd(cls.directory)

    @classmethod
    def tearDownClass(cls):
        cls.etcd.stop()
        subprocess.run(["umount", cls.directory], check=True)
        shutil.rmtree(cls.directory)

    def setUp(self):
        wait_until(lambda: self.etcd.try_call(0, "kv/deleterange", key=self.etcd.encode("/rehome/"),
                                              range_end=self.etcd.encode("/rehome0")), "etcd to have forgotten all")
        self.nvas = []
        self.addCleanup(self.end)
        for number in range(len(NAMES)):
            lease = getattr(getattr(self, self._testMethodName), "lease", 60)
            self.nvas.append(Nva(self.directory, self.etcd, number, lease))
            if number == 0:
                wait_until(lambda: self.nvas[0].role() == "leading", "the first NVA to lead")
        self.assertIs(self.settled(), self.nvas[0])

    def end(self):
        for nva in self.nvas:
            if nva.is_running():
                nva.process.send_signal(signal.SIGCONT)
                self.assertEqual(nva.stop(), 0, nva.log.seen[-20:])

    def settled(self):
        """The NVA that leads, once all others stand by and are connected to it."""
        def look():
            stores = [nva.store() for nva in self.nvas]
            roles = [store["role"] for store in stores]
            if sorted(roles) == ["leading", "standby", "standby"] and sum(store["sees_leader"] for store in stores) == 2:
                return self.nvas[roles.index("leading")]
            return None
        return wait_until(look, "one to lead, and the others to stand by")

    def leader(self, among=None):
        """The NVA that leads, once one does."""
        def find():
            leaders = [nva for nva in among or self.nvas if nva.is_running() and nva.role() == "leading"]
            return leaders[0] if len(leaders) == 1 else None
        return wait_until(find, "an NVA to lead")

    def nve(self, nva):
        nve = Nve(nva.host, nva.port)
        self.addCleanup(nve.stop)
        return nve

    def session(self, nva, name, vtep, incarnation=1):
        nve = self.nve(nva)
        nve.say(f"hello {name} {vtep} {incarnation}", "subscribe 100")
        nve.out.until(rf"welcome name={nva.name}")
        revision = nve.out.until(r"update revision=(\d+) vni=100 snapshot.* end").group(1)
        nve.say(f"ack {revision}")
        return nve

    def agree(self, expected, nvas=None):
        """All of them hold these mappings, sooner or later."""
        for nva in nvas or [nva for nva in self.nvas if nva.is_running()]:
            wait_until(lambda nva=nva: nva.mappings() == expected, f"{nva.name} to hold the same")

    def fail_over(self, old):
        """Kills the one that leads; returns the next one, and how long until it welcomed an NVE."""
        others = [nva for nva in self.nvas if nva is not old and nva.is_running()]
        began = time.monotonic()
        old.kill()
        while True:
            for nva in others:
                nve = self.nve(nva)
                nve.say("hello probe 192.0.2.200 1")
                line = nve.out.next()
                if line and line.startswith("welcome"):
                    return nva, time.monotonic() - began
            self.assertLess(time.monotonic() - began, DEADLINE_S)


class Cluster(ClusterCase):
    def test_the_leader_is_killed(self):
        leader = self.leader()
        hv1, hv2 = self.session(leader, "hv1", "192.0.2.1"), self.session(leader, "hv2", "2001:db8::2")
        for number in range(1, 301):
            hv1.say(f"register {number} 100 02:00:00:00:{number >> 8:02x}:{number & 255:02x} 1 10.0.{number >> 8}.{number & 255}")
        hv2.say("register 1 100 02:00:00:00:ff:01 0 fd00::1", "register 2 100 02:00:00:00:ff:02 0", "withdraw 100 02:00:00:00:ff:02 0")
        for number in range(1, 301):
            hv1.out.until(rf"registered id={number} .* yes")
        hv2.out.until(r"removed=02:00:00:00:ff:02/1")
        before = leader.mappings()
        self.assertEqual(len(before), 301)
        self.agree(before)
        incarnation = leader.ask(op="status")["incarnation"]

        leader, seconds = self.fail_over(leader)
        print(f"failover after kill -9: {seconds * 1000:.0f} ms", flush=True)
        self.assertEqual(leader.mappings(), before)
        self.assertEqual(leader.ask(op="status")["incarnation"], incarnation)
        # Its VMs are hv1's still: a lease begins anew when another NVA leads.
        hv2 = self.session(leader, "hv2", "2001:db8::2")
        hv2.say("register 1 100 02:00:00:00:00:01 1", "register 2 100 02:00:00:00:ff:02 0")
        hv2.out.until(r"registered id=1 .*belongs to NVE hv1 \(192.0.2.1\), whose lease has")
        hv2.out.until(r"registered id=2 .*generation=2 yes")
        leader, seconds = self.fail_over(leader)
        print(f"failover after kill -9 of the second: {seconds * 1000:.0f} ms", flush=True)
        self.assertEqual(leader.mappings()[100, "02:00:00:00:ff:02"]["generation"], 2)
        self.assertEqual({key: m for key, m in leader.mappings().items() if key != (100, "02:00:00:00:ff:02")}, before)

    def test_a_move_survives(self):
        """The grant is forgotten with the NVA that gave it; the commit asks the owner again, as after a restart."""
        leader = self.leader()
        old, new = self.session(leader, "hv1", "192.0.2.1"), self.session(leader, "hv2", "2001:db8::2")
        old.say(f"register 1 100 {MAC} 1 10.0.0.1 fd00::1")
        new.out.until(rf"mapping={MAC}/1/")
        new.say(f"intent 2 100 {MAC} 1")
        question = old.out.until(r"consent id=(\d+)").group(1)
        old.say(f"consented {question} 100 {MAC} yes")
        new.out.until(r"move-granted id=2 .*generation=2")
        leader, _ = self.fail_over(leader)
        new, old = self.session(leader, "hv2", "2001:db8::2"), self.session(leader, "hv1", "192.0.2.1")
        new.say(f"commit 3 100 {MAC} 2")
        question = old.out.until(r"consent id=(\d+) .*vtep=2001:db8::2").group(1)
        old.say(f"consented {question} 100 {MAC} yes")
        new.out.until(rf"committed id=3 vni=100 mac={MAC} generation=2")
        leader, _ = self.fail_over(leader)
        mapping = leader.mappings()[100, MAC]
        self.assertEqual((mapping["vtep"], mapping["generation"], mapping["ips"]),
                         ("2001:db8::2", 2, ["10.0.0.1", "fd00::1"]))

    def test_an_nve_ends_and_begins_in_one_commit(self):
        """Its name with another VTEP: what its key says in the end does not tell that all it had has ended between."""
        leader = self.leader()
        hv1, hv2 = self.session(leader, "hv1", "192.0.2.1"), self.session(leader, "hv2", "192.0.2.2")
        hv1.say("register 1 100 02:00:00:00:00:01 0 10.0.0.1", "register 2 100 02:00:00:00:00:02 0")
        hv1.out.until("registered id=2 .* yes")
        hv1.stop()
        wait_until(lambda: any(n["stale"] for n in leader.ask(op="status")["nves"]), "the lease to end")
        hv1 = self.session(leader, "hv1", "2001:db8::1", incarnation=2)
        hv1.say("register 1 100 02:00:00:00:00:02 0")
        generation = hv1.out.until("registered id=1 .* generation=([0-9]+) yes").group(1)
        hv2.out.until(f"mapping=02:00:00:00:00:02/{generation}/2001:db8::1")
        before = leader.mappings()
        self.agree(before)
        self.assertGreaterEqual(leader.store()["large_commits"], 1)
        leader, _ = self.fail_over(leader)
        self.assertEqual(leader.mappings(), before)
        leader, _ = self.fail_over(leader)
        self.assertEqual(leader.mappings(), before)
    test_an_nve_ends_and_begins_in_one_commit.lease = 1

    def test_a_leader_that_stood_still(self):
        """What it was told before it finds out is not acknowledged; nor what changes nothing, nor is a question answered."""
        old = self.leader()
        hv1 = self.session(old, "hv1", "192.0.2.1")
        hv1.say(f"register 1 100 {MAC} 1 10.0.0.1")
        hv1.out.until(r"registered id=1 .* yes")
        old.process.send_signal(signal.SIGSTOP)
        hv1.say(f"register 2 100 {MAC} 1 10.0.0.1", "register 3 100 02:00:00:00:00:aa 1", f"query 4 100 {MAC}")
        began = time.monotonic()
        others = [nva for nva in self.nvas if nva is not old]
        new = self.leader(others)
        print(f"failover after SIGSTOP, with a TTL of {TTL_S} s: {(time.monotonic() - began) * 1000:.0f} ms", flush=True)
        hv2, again = self.session(new, "hv2", "192.0.2.2"), self.session(new, "hv1", "192.0.2.1")
        again.say(f"withdraw 100 {MAC} 1")
        again.out.until(rf"removed={MAC}/1")
        hv2.say("register 1 100 02:00:00:00:00:aa 1", f"register 2 100 {MAC} 1")
        hv2.out.until(r"registered id=1 .*generation=1 yes")
        hv2.out.until(r"registered id=2 .*generation=2 yes")
        old.process.send_signal(signal.SIGCONT)
        hv1.out.until(rf'error text="this NVA \({old.name}\) .*{new.name} leads, at {re.escape(new.address)}')
        hv1.out.until("closed")
        self.assertEqual([line for line in hv1.out.seen if re.match(r"(registered id=[23]|answer|update .*:aa)", line)], [])
        wait_until(lambda: old.role() == "standby", "the old leader to stand by")
        self.agree(new.mappings())
        self.assertEqual({m["vtep"] for m in new.mappings().values()}, {"192.0.2.2"})
        self.fail_over(new)

    def test_the_leader_of_etcd_is_killed(self):
        leader = self.leader()
        hv1 = self.session(leader, "hv1", "192.0.2.1")
        hv1.say("register 1 100 02:00:00:00:00:01 1")
        hv1.out.until(r"registered id=1 .* yes")
        node = self.etcd.leader()
        self.etcd.nodes[node].kill()
        self.etcd.nodes[node].wait(DEADLINE_S)
        began = time.monotonic()
        try:
            hv1.say(*(f"register {n} 100 02:00:00:00:00:{n:02x} 1" for n in range(2, 51)))
            for n in range(2, 51):
                hv1.out.until(rf"registered id={n} .* yes")
            print(f"registrations go on after etcd's leader was killed: {(time.monotonic() - began) * 1000:.0f} ms", flush=True)
            before = leader.mappings()
            self.assertEqual(len(before), 50)
            leader, _ = self.fail_over(leader)
            self.assertEqual(leader.mappings(), before)
        finally:
            self.etcd.nodes[node] = self.etcd.start(node)
            wait_until(lambda: self.etcd.try_call(node, "kv/range", key=self.etcd.encode("/")), "the node to be back")

    def test_etcd_does_not_answer(self):
        leader = self.leader()
        hv1 = self.session(leader, "hv1", "192.0.2.1")
        first = self.etcd.leader()
        stopped = [node for i, node in enumerate(self.etcd.nodes) if i != first]
        for node in stopped:
            node.send_signal(signal.SIGSTOP)
        hv1.say(f"register 1 100 {MAC} 1 fd00::1")
        store = wait_until(lambda: leader.store() if leader.store()["state"] == "waits" else None, "the NVA to say that it waits")
        self.assertIn("Nothing is acknowledged", store["error"])
        leader.log.until("etcd does not do what it is asked")
        self.assertFalse([line for line in hv1.out.seen if line.startswith("registered")])
        # It may be this NVA alone that does not reach etcd: its NVEs can look for another one.
        hv1.out.until('error text="this NVA .*nobody leads yet')
        for node in stopped:
            node.send_signal(signal.SIGCONT)
        leader = self.settled()
        self.assertEqual(leader.store()["state"], "works")
        again = self.session(leader, "hv1", "192.0.2.1")
        again.say(f"register 2 100 {MAC} 1 fd00::1")
        again.out.until(r"registered id=2 .* generation=1 yes")
        self.agree(leader.mappings())

    def test_what_a_standby_watches_is_compacted(self):
        leader, standby = self.leader(), self.nvas[2]
        hv1 = self.session(leader, "hv1", "192.0.2.1")
        loads = standby.store()["loads"]
        standby.process.send_signal(signal.SIGSTOP)
        self.etcd.nodes[2].kill()  # whose watch it has
        self.etcd.nodes[2].wait(DEADLINE_S)
        try:
            for n in range(1, 21):
                hv1.say(f"register {n} 100 02:00:00:00:00:{n:02x} 1 10.0.0.{n}", f"withdraw 100 02:00:00:00:00:{n - 1:02x} 0")
                hv1.out.until(rf"registered id={n} .* yes")
            hv1.out.until(r"removed=02:00:00:00:00:13/1")
            self.etcd.call(0, "kv/compaction", revision=self.etcd.revision())
        finally:
            self.etcd.nodes[2] = self.etcd.start(2)
            wait_until(lambda: self.etcd.try_call(2, "kv/range", key=self.etcd.encode("/")), "the node to be back")
            standby.process.send_signal(signal.SIGCONT)
        standby.log.until("etcd has compacted what this NVA has not seen")
        self.agree(leader.mappings())
        self.assertEqual(len(leader.mappings()), 1)
        self.assertGreater(standby.store()["loads"], loads)
        before = leader.mappings()
        for _ in range(2):
            leader, _ = self.fail_over(leader)
            self.assertEqual(leader.mappings(), before)

    def ctl(self, nva, what, text=""):
        return subprocess.Popen([NVECTL, "nva", what, "--nva-socket", nva.socket], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_a_large_commit(self):
        """More than a transaction takes: whole, also when the NVA is killed while it spreads it over its keys."""
        count = 8000
        lines = [json.dumps({"ok": True, "rehome_export": 1, "mappings": count, "withdrawn": 1})]
        lines += [json.dumps({"vni": 100, "mac": f"02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}", "generation": 3,
                              "nve": f"hv{n % 2}", "vtep": ("192.0.2.1", "2001:db8::1")[n % 2],
                              "ips": [f"fd00::{n:x}"], "flags": ["vm"]}) for n in range(count)]
        lines += [json.dumps({"vni": 100, "mac": "02:ff:00:00:00:01", "generation": 9, "removed_s": int(time.time())}),
                  json.dumps({"end": count + 1})]
        leader = self.leader()
        standby = self.nvas[1]
        refused = self.ctl(standby, "import")
        _, text = refused.communicate("\n".join(lines[:1]) + "\n", DEADLINE_S)
        self.assertRegex(text, rf"this NVA \({standby.name}\) stands by; {leader.name} leads, at ")
        answer = standby.ask(op="reassign", vni=100, mac=MAC, to="hv1")
        self.assertRegex(answer["error"], rf"stands by; {leader.name} leads")
        importing = self.ctl(leader, "import")
        importing.stdin.write("\n".join(lines) + "\n")
        importing.stdin.close()
        key = self.etcd.encode("/rehome/commit")

        def parts():
            kvs = self.etcd.call(0, "kv/range", key=key)["kvs"]
            return int(base64.b64decode(kvs[0]["value"]).split()[2])
        wait_until(lambda: parts() > 0, "the commit to stand in parts")
        leader, _ = self.fail_over(leader)
        importing.wait(DEADLINE_S)
        importing.stdout.close()
        importing.stderr.close()
        self.assertEqual(len(leader.mappings()), count)
        wait_until(lambda: parts() == 0, "the new leader to have spread it")
        keys = self.etcd.keys()
        self.assertEqual([key for key in keys if "/pending/" in key], [])
        self.assertEqual(sum("/mapping/" in key for key in keys), count + 1)
        before = leader.mappings()
        self.agree(before)
        done = subprocess.run([test_nva.NVA, "--config", leader.config, "--check"], capture_output=True, text=True,
                              timeout=DEADLINE_S, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"is good: {count} mappings and 1 withdrawn ones, ", done.stderr)
        leader, _ = self.fail_over(leader)
        self.assertEqual(leader.mappings(), before)

    def test_what_no_nva_has_written(self):
        def check():
            done = subprocess.run([test_nva.NVA, "--config", self.nvas[0].config, "--check"], capture_output=True,
                                  text=True, timeout=DEADLINE_S, check=False)
            return done.returncode, done.stderr
        self.leader()
        for nva in self.nvas:
            self.assertEqual(nva.stop(), 0)
        self.assertNotIn("/rehome/leader", self.etcd.keys())  # the next one need not wait for a lease to end
        self.assertRegex("{} {}".format(*check()), "0 .*is good: 0 mappings")
        for key, value, words in (("/rehome/mapping/100/02:00:00:00:00:01", "nonsense", "holds at /rehome/mapping/100/02"),
                                  ("/rehome/commit", "2 7 0", "newer version"),
                                  ("/rehome/commit", "1 7 3", "Parts of a commit are missing")):
            before = self.etcd.keys().get(key)
            self.etcd.call(0, "kv/put", key=self.etcd.encode(key), value=self.etcd.encode(value))
            status, text = check()
            self.assertEqual(status, EXIT_STORE, text)
            self.assertIn(words, text)
            if before is None:
                self.etcd.call(0, "kv/deleterange", key=self.etcd.encode(key))
            else:
                self.etcd.call(0, "kv/put", key=self.etcd.encode(key), value=base64.b64encode(before).decode())
        self.assertEqual(check()[0], 0)

    def put(self, key, value):
        self.etcd.call(0, "kv/put", key=self.etcd.encode(key), value=self.etcd.encode(value))

    def test_somebody_else_writes_there(self):
        """What is none of ours is ignored; what is among ours is named until it is put right; no NVA ends for it."""
        leader = self.leader()
        hv1 = self.session(leader, "hv1", "192.0.2.1")
        hv1.say(f"register 1 100 {MAC} 1 10.0.0.1 fd00::1")
        hv1.out.until(r"registered id=1 .* yes")
        self.agree(leader.mappings())
        standbys = [nva for nva in self.nvas if nva is not leader]
        self.put("/rehome/notes", "theirs")
        self.put("/rehome/mapping", "theirs, too")
        for nva in standbys:
            nva.log.until("etcd holds /rehome/notes below this NVA's prefix, which no NVA has written")
        self.assertIs(self.settled(), leader)

        for key in ("/rehome/mapping/100/02:00:00:00:00:99", "/rehome/nve/h v"):
            self.put(key, "nonsense")
            for nva in standbys:
                nva.log.until(f"etcd holds at {key} what no NVA can have written. Nothing was changed. This NVA cannot take")
                store = nva.store()
                self.assertEqual((store["role"], store["state"]), ("loading", "waits"))
                self.assertIn(key, store["error"])
            hv1.say(f"register 2 100 {MAC} 1 10.0.0.2")
            hv1.out.until(r"registered id=2 .* yes")
            self.etcd.call(0, "kv/deleterange", key=self.etcd.encode(key))
            self.assertIs(self.settled(), leader)
            self.assertEqual([nva.store()["state"] for nva in self.nvas], ["works"] * 3)
            self.agree(leader.mappings())
        before = leader.mappings()
        leader, _ = self.fail_over(leader)
        self.assertEqual(leader.mappings(), before)

    def status(self, nva, *options):
        done = subprocess.run([NVECTL, "nva", "status", "--nva-socket", nva.socket, *options], capture_output=True,
                              text=True, timeout=DEADLINE_S, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_an_operator_sees_who_leads_and_how_etcd_is(self):
        leader = self.leader()

        def endpoints(nva):
            return json.loads(self.status(nva, "--json"))["nva"]["store"]["endpoints"]
        for nva in self.nvas:
            shown = wait_until(lambda nva=nva: [e for e in endpoints(nva) if e["healthy"]][2:] and endpoints(nva),
                               "etcd to be well")
            self.assertEqual([e["endpoint"] for e in shown if e["leads"]], [self.etcd.clients[self.etcd.leader()]])
            self.assertEqual([e["used"] for e in shown].count(True), 1)
            text = self.status(nva)
            self.assertRegex(text, r"(?m)^store +etcd, /rehome$")
            self.assertRegex(text, rf"(?m)^role +{'leading' if nva is leader else 'standby'}")
            self.assertRegex(text, rf"(?m)^leader +{leader.name}, {re.escape(leader.address)}$")
        names = [text.split()[0] for text in json.loads(self.status(leader, "--json"))["nva"]["standbys"]]
        self.assertEqual(sorted(names), [nva.name for nva in self.nvas if nva is not leader])
        self.assertEqual(json.loads(self.status(self.nvas[1], "--json"))["nva"]["standbys"], [])

        self.etcd.nodes[2].kill()
        self.etcd.nodes[2].wait(DEADLINE_S)
        try:
            bad = wait_until(lambda: [e for e in endpoints(leader) if not e["healthy"]], "it to be seen")
            self.assertEqual([e["endpoint"] for e in bad], [self.etcd.clients[2]])
            self.assertTrue(bad[0]["error"])
        finally:
            self.etcd.nodes[2] = self.etcd.start(2)
        wait_until(lambda: all(e["healthy"] for e in endpoints(leader)), "the node to be back")

    def test_the_agent_finds_the_one_that_leads(self):
        """The real nveagent: its endpoint stays known, and one that comes later becomes so."""
        def run(*words):
            subprocess.run([str(word) for word in words], check=True, capture_output=True)

        def status():
            done = subprocess.run([NVECTL, "status", "--json", "--socket", f"{self.directory}/agent.sock"],
                                  capture_output=True, text=True, timeout=DEADLINE_S, check=False)
            return json.loads(done.stdout)["nva"] if done.returncode == 0 else {"connected": False}

        def plug(number):
            run("ip", "link", "add", f"p{number}", "type", "veth", "peer", "name", f"t{number}", "address",
                f"02:00:00:00:01:0{number}")
            self.addCleanup(run, "ip", "link", "del", f"p{number}")
            run("ip", "link", "set", f"p{number}", "master", "br100", "up")
            run("ip", "addr", "add", f"10.0.0.{number}/24", "dev", f"t{number}")
            run("ip", "link", "set", f"t{number}", "up")
            run("arping", "-U", "-c", 1, "-I", f"t{number}", f"10.0.0.{number}")

        leader = self.leader()
        run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
        self.addCleanup(run, "ip", "addr", "del", "192.0.2.1/32", "dev", "lo")
        path = pathlib.Path(self.directory, "agent.conf")
        path.write_text(f"[agent]\nname = hv1\nvtep = 192.0.2.1\nnva = {', '.join(nva.address for nva in reversed(self.nvas))}\n"
                        f"libvirt-uri = none\nsocket = {self.directory}/agent.sock\n[vni 100]\n", encoding="ascii")
        with open(os.path.join(self.directory, "agent.log"), "w", encoding="utf-8") as log:
            agent = subprocess.Popen([NVEAGENT, "--config", path], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def stop():
            agent.terminate()
            self.assertEqual(agent.wait(DEADLINE_S), 0, pathlib.Path(self.directory, "agent.log").read_text())
            for device in ("br100", "vx100"):
                subprocess.run(["ip", "link", "del", device], check=False, capture_output=True)
        self.addCleanup(stop)
        wait_until(lambda: status()["connected"] and status()["name"] == leader.name, "the agent's session")
        plug(1)
        wait_until(lambda: (100, "02:00:00:00:01:01") in leader.mappings(), "the first endpoint to be known")
        before = leader.mappings()
        others = [nva for nva in self.nvas if nva is not leader]
        began = time.monotonic()
        leader.kill()
        wait_until(lambda: status()["connected"] and status()["name"] != leader.name, "the agent's next session")
        print(f"the agent's failover after kill -9: {(time.monotonic() - began) * 1000:.0f} ms", flush=True)
        leader = self.leader(others)
        self.assertEqual(leader.mappings(), before)
        plug(2)
        wait_until(lambda: (100, "02:00:00:00:01:02") in leader.mappings(), "the second endpoint to be known")
        self.assertEqual(leader.mappings()[100, "02:00:00:00:01:01"]["generation"], 1)

    def test_tls(self):
        """Both sides show certificates; without the right ones nothing is said."""
        def path(name):
            return os.path.join(self.directory, name)

        def openssl(*words):
            subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.directory)
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        for ca in ("ca", "other"):
            openssl("req", "-x509", *new_key, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", f"/CN={ca}", "-days", "2")
        for name, ca in (("etcd", "ca"), ("client", "ca"), ("stranger", "other")):
            pathlib.Path(path(f"{name}.ext")).write_text("subjectAltName=IP:127.0.0.1\n", encoding="ascii")
            openssl("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
                    "-out", f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext")
        with open(path("tls.log"), "w", encoding="utf-8") as log:
            node = subprocess.Popen(
                ["etcd", "--name", "tls", "--data-dir", path("tls"), "--listen-client-urls", "https://127.0.0.1:2479",
                 "--advertise-client-urls", "https://127.0.0.1:2479", "--listen-peer-urls", "http://127.0.0.1:2480",
                 "--initial-advertise-peer-urls", "http://127.0.0.1:2480", "--initial-cluster", "tls=http://127.0.0.1:2480",
                 "--cert-file", path("etcd.pem"), "--key-file", path("etcd.key"), "--trusted-ca-file", path("ca.pem"),
                 "--client-cert-auth"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def stop():
            node.kill()
            node.wait(DEADLINE_S)
        self.addCleanup(stop)

        def check(*lines):
            config = pathlib.Path(path("tls.conf"))
            config.write_text("\n".join(["[nva]", "store = etcd", "[etcd]", "endpoints = https://127.0.0.1:2479", *lines]),
                              encoding="ascii")
            done = subprocess.run([test_nva.NVA, "--config", config, "--check"], capture_output=True, text=True,
                                  timeout=DEADLINE_S, check=False)
            return done.returncode, done.stderr
        files = {name: (f"cert = {path(name)}.pem", f"key = {path(name)}.key") for name in ("client", "stranger")}
        good = f"ca = {path('ca.pem')}"
        wait_until(lambda: check(good, *files["client"])[0] == 0, "an etcd that takes our certificate")
        # etcd hangs up after the handshake, on whatever is said first: how that shows is libcurl's to say.
        for lines, words in (([good, *files["stranger"]], "etcd does not answer: ."),
                             ([f"ca = {path('other.pem')}", *files["client"]], "etcd does not answer: SSL certificate problem")):
            status, text = check(*lines)
            self.assertEqual(status, 1, text)
            self.assertRegex(text, words)
        self.assertEqual(check(good, files["client"][0])[0], 2)  # a certificate without its key


class Chaos(ClusterCase):
    """Registrations and withdrawals without end, while whatever leads is killed or stopped."""

    def found(self, nva, script):
        return {mac: (m["generation"], tuple(m["ips"])) for (_, mac), m in nva.mappings().items()
                if m["vtep"] == script.vtep}

    def kill(self, leader):
        leader.kill()
        return lambda: leader.start()

    def kill_two(self, leader):
        leader.kill()
        second = self.leader()
        second.kill()
        return lambda: (leader.start(), second.start())

    def stop(self, leader):
        leader.process.send_signal(signal.SIGSTOP)
        self.leader([nva for nva in self.nvas if nva is not leader])
        return lambda: leader.process.send_signal(signal.SIGCONT)

    def kill_with_etcd(self, leader):
        number = self.etcd.leader()
        node = self.etcd.nodes[number]
        node.kill()
        leader.kill()
        node.wait(DEADLINE_S)

        def undo():
            self.etcd.nodes[number] = self.etcd.start(number)
            leader.start()
            wait_until(lambda: self.etcd.try_call(number, "kv/range", key=self.etcd.encode("/")), "the node to be back")
        return undo

    def round(self, rng, scripts, fault):
        leader = self.leader()
        nves = [self.session(leader, script.name, script.vtep) for script in scripts]
        for nve, script in zip(nves, scripts):
            with contextlib.suppress(BrokenPipeError):
                nve.say(*(script.line() for _ in range(rng.randrange(1, 400))))
        if rng.random() < 0.5:
            nves[0].out.until("registered|update")
        time.sleep(rng.random() * rng.choice((0.001, 0.05)))  # no matter when: the seed need not give the same moment
        undo = fault(leader)
        if fault == self.stop:
            undo()
        for nve in nves:
            nve.out.until("closed")
        leader = self.leader()
        for nve, script in zip(nves, scripts):
            found, steps, least = self.found(leader, script), len(script.steps), script.confirmed(nve.out.seen)
            self.assertTrue(script.settle(nve.out.seen, found),
                            f"{script.name}: {least} of {steps} steps were confirmed, and {leader.name} has {found}")
        if fault != self.stop:
            undo()
        self.agree(self.settled().mappings())

    def test_what_was_heard_is_known(self):
        rng = random.Random(SEED)
        scripts = [test_nva_store.Script(n + 1, rng) for n in range(3)]
        faults = [self.kill, self.kill_two, self.stop, self.kill_with_etcd]
        for number in range(ROUNDS):
            fault = faults[number] if number < len(faults) else rng.choice(faults[:2])
            try:
                self.round(rng, scripts, fault)
            except BaseException:
                print(f"REHOME_SEED={SEED} REHOME_ROUNDS={ROUNDS}: round {number}, {fault.__name__}", flush=True)
                for nva in self.nvas:
                    print(nva.name, nva.is_running() and nva.store(), nva.log.seen[-5:], flush=True)
                raise


def main():
    global NVECTL, NVEAGENT
    if not shutil.which("etcd"):
        print("SKIP: there is no etcd")
        sys.exit(77)
    os.environ["no_proxy"] = "*"
    test_nva.enter_namespaces("--mount")
    NVECTL, NVEAGENT = (os.path.abspath(sys.argv.pop(3)) for _ in range(2))
    test_nva.main()


if __name__ == "__main__":
    main()
