#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The real nveagent is cut off from the real nva while things change, and comes back: it is told what differs, in few
bytes, and its kernel is right. Both families, as underlay and as guest addresses.

usage: test_resync.py NVA NVE-CLIENT NVEAGENT NVECTL [UNITTEST-ARGUMENT...]
"""

import json
import os
import pathlib
import select
import socket
import subprocess
import sys
import threading

import test_nva
from test_nva import DEADLINE_S, PORT, Case
from test_nva_store import wait_until

NVEAGENT = NVECTL = ""
COUNT = 600  # mappings; over nveagent/vn.h, VN_DIGEST_MIN
WAY_PORT = 17365


def mac_of(number):
    return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"


class Way:
    """Between agent and NVA: one connection at a time, which it cuts, and whose bytes it counts."""

    def __init__(self, address):
        self.address, self.closed, self.open = address, False, True
        self.bytes = {"up": 0, "down": 0}
        self.listener = socket.create_server((address, WAY_PORT), backlog=1,
                                             family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.wake, self.woken = socket.socketpair()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.closed:
            ready, _, _ = select.select([self.listener, self.woken], [], [])
            if self.woken in ready:
                self.woken.recv(1)
                continue
            agent, _ = self.listener.accept()
            with agent:
                if self.open:
                    self.carry(agent)

    def carry(self, agent):
        """Until one end closes, or the way is cut."""
        self.bytes = {"up": 0, "down": 0}
        with socket.create_connection((self.address, PORT)) as nva:
            ways = {agent: (nva, "up"), nva: (agent, "down")}
            while True:
                ready, _, _ = select.select([*ways, self.woken], [], [])
                if self.woken in ready:
                    self.woken.recv(1)
                    return
                for end in ready:
                    data = end.recv(1 << 16)
                    if not data:
                        return
                    self.bytes[ways[end][1]] += len(data)
                    ways[end][0].sendall(data)

    def cut(self):
        self.open = False
        self.wake.send(b"x")

    def mend(self):
        self.open = True

    def close(self):
        self.closed = True
        self.wake.send(b"x")
        self.thread.join(DEADLINE_S)
        for end in (self.listener, self.wake, self.woken):
            end.close()


class Resync(Case):
    def run_ip(self, *words, check=True):
        subprocess.run(["ip", *words], check=check, capture_output=True)

    def agent(self, vtep, address):
        path = pathlib.Path(self.directory.name, "agent.conf")
        way = f"[{address}]:{WAY_PORT}" if ":" in address else f"{address}:{WAY_PORT}"
        self.socket = os.path.join(self.directory.name, "agent.sock")
        path.write_text(f"[agent]\nname = hv1\nvtep = {vtep}\nnva = {way}\nlibvirt-uri = none\nsocket = {self.socket}\n"
                        "[vni 100]\n", encoding="ascii")
        self.run_ip("addr", "add", f"{vtep}/{128 if ':' in vtep else 32}", "dev", "lo", *(["nodad"] if ":" in vtep else []))
        self.addCleanup(self.run_ip, "addr", "del", f"{vtep}/{128 if ':' in vtep else 32}", "dev", "lo")
        with open(os.path.join(self.directory.name, "agent.log"), "w", encoding="utf-8") as log:
            agent = subprocess.Popen([NVEAGENT, "--config", path], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def stop():
            agent.terminate()
            self.assertEqual(agent.wait(DEADLINE_S), 0, pathlib.Path(self.directory.name, "agent.log").read_text())
            for device in ("br100", "vx100"):
                self.run_ip("link", "del", device, check=False)
        self.addCleanup(stop)

    def ask_agent(self, what):
        done = subprocess.run([NVECTL, what, "--json", "--socket", self.socket], capture_output=True, text=True,
                              timeout=DEADLINE_S, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def is_connected(self):
        return self.ask_agent("status").get("nva", {}).get("connected", False)

    def held(self):
        """What the agent has, and its kernel."""
        return {m["mac"]: (m["vtep"], m["generation"], sorted(m["ips"])) for m in self.ask_agent("mappings").get("mappings", [])}

    @staticmethod
    def kernel():
        shown = json.loads(subprocess.run(["bridge", "-j", "fdb", "show", "dev", "vx100"], check=True, capture_output=True,
                                          text=True).stdout)
        return {entry["mac"]: entry["dst"] for entry in shown if "dst" in entry and entry["mac"] != "00:00:00:00:00:00"}

    @staticmethod
    def known(nva):
        return {m["mac"]: (m["vtep"], m["generation"], sorted(m["ips"])) for m in nva.ask(op="mappings")["mappings"]}

    def agree(self, nva):
        known = self.known(nva)
        wait_until(lambda: self.held() == known, "the agent to have what the NVA has")
        want = {mac: vtep for mac, (vtep, _, _) in known.items()}
        wait_until(lambda: self.kernel() == want, "its kernel to have that")
        wait_until(lambda: {n["name"]: n["acked_revision"] for n in nva.ask(op="status")["nves"]}["hv1"] > 0,
                   "the agent to confirm that")

    def check(self, vteps, address):
        vtep, old, new = vteps
        nva = self.nva()
        way = Way(address)
        self.addCleanup(way.close)
        there, elsewhere = self.members(("hv2", old, address), ("hv3", new, address))
        there.say(*(f"register {n} 100 {mac_of(n)} 1 10.0.{n >> 8}.{n & 255} fd00::{n:x}" for n in range(1, COUNT + 1)))
        there.out.until(rf"registered id={COUNT} .* yes")
        self.agent(vtep, address)
        wait_until(lambda: len(self.held()) == COUNT, "the whole VN")
        self.agree(nva)
        whole = way.bytes["down"]
        self.assertGreater(whole, COUNT * 40)

        way.cut()
        wait_until(lambda: not self.is_connected(), "the end of the session")
        # What is withdrawn, what is new, what has another address, and what is the same at the same NVE, but newer.
        there.say(f"withdraw 100 {mac_of(1)} 0", f"register 1001 100 {mac_of(COUNT + 1)} 1 10.1.0.1 fd00::ffff",
                  f"register 1002 100 {mac_of(2)} 1 10.1.0.2", f"withdraw 100 {mac_of(3)} 0",
                  f"register 1003 100 {mac_of(3)} 1 10.0.0.3 fd00::3", f"withdraw 100 {mac_of(4)} 0")
        there.out.until(r"registered id=1003 .* generation=2 yes")
        # What has moved.
        wait_until(lambda: mac_of(4) not in self.known(nva), "the withdrawal")
        elsewhere.say(f"register 1004 100 {mac_of(4)} 1 10.0.0.4 fd00::4")
        elsewhere.out.until(r"registered id=1004 .* generation=2 yes")
        self.assertNotEqual(self.held(), self.known(nva))

        resyncs = nva.ask(op="status")["counters"]["resyncs"]
        way.mend()
        wait_until(self.is_connected, "the next session")
        self.agree(nva)
        self.assertEqual(self.known(nva)[mac_of(4)], (new, 2, ["10.0.0.4", "fd00::4"]))
        self.assertEqual(nva.ask(op="status")["counters"]["resyncs"], resyncs + 1)
        print(f"whole VN: {whole} bytes; coming back: {way.bytes}", flush=True)
        self.assertLess(way.bytes["down"], whole / 10)
        self.assertLess(way.bytes["up"], 4096)  # 256 sums, and what is around them

        # Nothing has changed: nothing is told.
        way.cut()
        wait_until(lambda: not self.is_connected(), "the end of that session")
        way.mend()
        wait_until(self.is_connected, "the third session")
        self.agree(nva)
        self.assertLess(way.bytes["down"], 1024)

    def test_ipv4(self):
        self.check(("192.0.2.1", "192.0.2.2", "192.0.2.3"), "127.0.0.1")

    def test_ipv6(self):
        self.check(("2001:db8::1", "2001:db8::2", "2001:db8::3"), "::1")


def main():
    global NVEAGENT, NVECTL
    test_nva.enter_namespaces("--mount")
    NVEAGENT, NVECTL = (os.path.abspath(sys.argv.pop(3)) for _ in range(2))
    test_nva.main()


if __name__ == "__main__":
    main()
