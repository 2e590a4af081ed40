#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
NVEs that hold only what they talk to (mode = pull), with real agents, a real NVA and tenants in namespaces.
Needs root; both underlay families.

usage: test_pull.py BUILD-DIRECTORY NVA NVEAGENT NVECTL [UNITTEST-ARGUMENT...]
(the last three only so that meson builds them first)
"""

import json
import os
import pathlib
import sys
import unittest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[0:0] = [str(TESTS), str(TESTS / "lib")]
from lab import Lab, wait_until  # noqa: E402
from lab.systems.rehome import Rehome  # noqa: E402
from tenants import speak  # noqa: E402

BUILD = ""
SKIP = 77
AGE_S = 4


def say(text):
    print(text, flush=True)


class Pull(unittest.TestCase):
    underlay = 4

    def setUp(self):
        self.system = Rehome(BUILD, agent={"libvirt-uri": "none", "pull-age": self.age_s}, vni={"mode": "pull"})
        self.lab = self.enterContext(Lab(self.system, self.underlay, build=BUILD, libvirtd=False, say=say))
        self.here, self.there, self.third = (self.lab.tenants[name] for name in ("ts-hv1", "ts-hv2", "ts-peer"))
        wait_until(self.all_registered, "three tenants in the directory")

    def all_registered(self):
        lines = self.system.ctl(self.lab["nva"], "nva", "export").stdout.splitlines()
        known = {ip for line in lines for ip in json.loads(line).get("ips", ())}
        tenants = (self.here, self.there, self.third)
        for tenant in tenants:
            if not {tenant.ip4, tenant.ip6} <= known:
                speak(tenant)
        return all({tenant.ip4, tenant.ip6} <= known for tenant in tenants)

    def held(self, tenant):
        """The MACs that the NVE of TENANT holds."""
        shown = json.loads(self.system.ctl(tenant.host, "--json", "mappings").stdout)["mappings"]
        return {mapping["mac"] for mapping in shown}

    def vn(self, tenant):
        return json.loads(self.system.ctl(tenant.host, "--json", "status").stdout)["vnis"][0]

    def interests(self):
        """{NVE: how many}; None while there is no session to the NVA."""
        done = self.system.ctl(self.here.host, "--json", "nva", "status", check=False)
        if done.returncode != 0:
            return None
        return {nve["name"]: nve["interests"] for nve in json.loads(done.stdout)["nva"]["nves"]}

    def talk(self, one, other):
        """Until both NVEs have pulled what the two need to talk."""
        for address in (other.ip4, other.ip6):
            wait_until(lambda address=address: one.ping(address), f"an answer of {address}")
        wait_until(lambda: other.mac in self.held(one) and one.mac in self.held(other), "both are held")


class WithoutAgeing(Pull):
    age_s = 3600

    def test_what_it_talks_to_is_all_it_holds(self):
        for tenant in (self.here, self.there, self.third):
            self.assertEqual(self.held(tenant), {tenant.mac})
        self.assertEqual(self.vn(self.here)["mode"], "pull")
        self.talk(self.here, self.there)
        both = {self.here.mac, self.there.mac}
        self.assertEqual((self.held(self.here), self.held(self.there)), (both, both))
        self.assertEqual(self.held(self.third), {self.third.mac})
        self.assertEqual(self.interests(), {"hv1": 1, "hv2": 1, "peer": 0})

    def test_what_is_withdrawn_goes_where_it_was_pulled(self):
        self.talk(self.here, self.there)
        self.there.remove()
        wait_until(lambda: self.held(self.here) == {self.here.mac}, "end of the mapping")
        self.assertNotIn(self.there.mac, self.here.host.run(["bridge", "fdb", "show", "dev", "vx100"]).stdout)
        wait_until(lambda: self.interests() == {"hv1": 0, "hv2": 1, "peer": 0}, "end of the interest")

    def test_an_address_that_changes_hands_is_told(self):
        """Its MAC too: as when a container is started anew on another host."""
        self.talk(self.here, self.there)
        mac, ip4, ip6 = self.there.mac, self.there.ip4, self.there.ip6
        self.there.remove()
        self.third.run(["ip", "link", "set", "dev", "eth0", "address", mac])
        self.third.run(["ip", "address", "add", f"{ip4}/24", "dev", "eth0"])
        self.third.run(["ip", "address", "add", f"{ip6}/64", "dev", "eth0", "nodad"])
        speak(self.third, ip4)
        for address in (ip4, ip6):
            wait_until(lambda address=address: self.here.ping(address), f"an answer of {address} at its new place")
        vtep = self.third.host.vtep
        wait_until(lambda: any(mac in line and vtep in line for line in self.here.host.run(
            ["bridge", "fdb", "show", "dev", "vx100"]).stdout.splitlines()), "the new place in the kernel")

    def test_what_it_holds_outlives_an_nva(self):
        self.talk(self.here, self.there)
        self.lab["nva"].daemons["nva"].kill()
        self.here.host.daemons["nveagent"].wait_output("No session to the NVA")
        self.assertTrue(self.here.ping(self.there.ip4))
        self.system.start_nva(self.lab)
        wait_until(lambda: self.interests() == {"hv1": 1, "hv2": 1, "peer": 0}, "interests said again")
        self.assertIn(self.there.mac, self.held(self.here))
        self.there.remove()
        wait_until(lambda: self.held(self.here) == {self.here.mac}, "end of the mapping")


class WithAgeing(Pull):
    age_s = AGE_S

    def test_what_is_not_used_is_dropped_and_pulled_again(self):
        self.talk(self.here, self.there)
        # Their kernels ask each other from time to time (RFC 4861 section 7.3): that is use.
        for tenant in (self.here, self.there):
            tenant.run(["ip", "neigh", "flush", "dev", "eth0"])
        wait_until(lambda: self.interests() == {"hv1": 0, "hv2": 0, "peer": 0}, "nothing is held", 10 * AGE_S)
        self.assertGreaterEqual(self.vn(self.here)["dropped"], 1)
        self.assertEqual(self.held(self.here), {self.here.mac})
        self.assertNotIn(self.there.mac, self.here.host.run(["bridge", "fdb", "show", "dev", "vx100"]).stdout)
        self.talk(self.here, self.there)


def load_tests(loader, tests, pattern):
    suite = unittest.TestSuite()
    for case in (WithoutAgeing, WithAgeing):
        for underlay in (4, 6):
            suite.addTests(loader.loadTestsFromTestCase(type(f"{case.__name__}{underlay}", (case,),
                                                             {"underlay": underlay})))
    return suite


def main():
    global BUILD
    if len(sys.argv) < 5:
        sys.exit(__doc__.strip().splitlines()[-2])
    BUILD = os.path.abspath(sys.argv[1])
    if os.geteuid() != 0:
        print("SKIP: needs root")
        sys.exit(SKIP)
    unittest.main(argv=[sys.argv[0], *sys.argv[5:]], verbosity=2)


if __name__ == "__main__":
    main()
