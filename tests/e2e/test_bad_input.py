# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wrong configuration, a second agent, missing rights, junk: said plainly with file and line, nothing half-applied."""

import json
import os
import signal
import socket
import unittest

from lab import Lab, wait_until
from lab.guest import uri_host
from lab.namespaces import net_namespace
from lab.systems.rehome import NVA_PORT, Rehome
from support import BUILD, say

EXIT_CONFIG = 2
CONFIG = "/run/bad.conf"
AGENT_SOCKET = "/run/rehome/agent.sock"
LINE_MAX = 1 << 20
REPLY_TIMEOUT_S = 10

AGENT = """\
[agent]
name = hv1
vtep = 192.0.2.1
nva = 192.0.2.10:7365
insecure-plain = yes
libvirt-uri = none
[vni 100]
bridge = br100
vxlan = vx100
port = 4789
"""
# What is wrong: a line of AGENT, what stands there instead, the line that is blamed (counted from 1), a word of why.
BAD_AGENT = (
    ("unknown key", "insecure-plain = yes", "insecure-plan = yes", 5, "insecure-plan"),
    ("unknown section", "[vni 100]", "[vnis 100]", 7, "vnis"),
    ("VNI 0", "[vni 100]", "[vni 0]", 7, "VNI"),
    ("VNI above 2^24 - 1", "[vni 100]", "[vni 16777216]", 7, "VNI"),
    ("VTEP of another host", "vtep = 192.0.2.1", "vtep = 192.0.2.77", 3, "192.0.2.77"),
    ("IPv6 VTEP of another host", "vtep = 192.0.2.1", "vtep = 2001:db8::77", 3, "2001:db8::77"),
    ("VTEP that is no address", "vtep = 192.0.2.1", "vtep = 192.0.2.256", 3, "address"),
    ("group VTEP", "vtep = 192.0.2.1", "vtep = 224.0.0.1", 3, "address"),
    ("NVA without address", "nva = 192.0.2.10:7365", "nva = :7365", 4, "address"),
    ("port 0", "port = 4789", "port = 0", 10, "1 to 65535"),
    ("port above 65535", "port = 4789", "port = 65536", 10, "1 to 65535"),
    ("device name too long", "bridge = br100", "bridge = sixteen-letters!", 8, "15"),
    ("missing bridge", "port = 4789", "create = no", 7, "br100"),
    ("key twice", "libvirt-uri = none", "name = hv2", 6, "name"),
    ("no key", "libvirt-uri = none", "libvirt-uri", 6, ""),
)
NVA = """\
[nva]
name = nva1
listen = 192.0.2.10
port = 7365
insecure-plain = yes
store = none
"""
BAD_NVA = (
    ("unknown key", "name = nva1", "nam = nva1", 2, "nam"),
    ("bad address", "listen = 192.0.2.10", "listen = 192.0.2", 3, ""),
    ("bad port", "port = 7365", "port = 70000", 4, ""),
    ("unknown section", "[nva]", "[nvo]", 1, "nvo"),
)
JUNK = (b"\n", b"{\n", b"[]\n", b"null\n", b"\0\0\0\n", b"\xff\xfe\n", b'{"op":7}\n', b'{"op":"no such"}\n',
        b'{"op":"port-add"}\n', b'{"op":"port-add","vni":4294967296,"mac":"x","qmp":"","tap":""}\n',
        b'{"op":"move-switch","vni":100,"mac":"52:54:00:00:00:99"}\n', b'{"op":"hook"}\n',
        b'{"op":"hook","operation":"migrate","uuid":"x","ports":7}\n', b"[" * 4000 + b"\n", b"x" * (LINE_MAX + 2) + b"\n")


def talk(path, data):
    """Sends DATA to the UNIX socket PATH and ends the sending; all that comes back."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(REPLY_TIMEOUT_S)
        client.connect(path)
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough: its answer may still be there
        answer = b""
        try:
            while chunk := client.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass
        return answer


class BadInput(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab(None, build=BUILD, libvirtd=False, tenants=False, say=say))
        self.system = Rehome(BUILD)

    def tearDown(self):
        self.system.down(self.lab)

    def write(self, host, text):
        with open(host.path(CONFIG), "w", encoding="utf-8") as file:
            file.write(text)

    def start_bad(self, host, program, text, *before):
        """Runs PROGRAM with configuration TEXT to its end: (status, stderr)."""
        self.write(host, text)
        done = host.run([*before, self.system.program(program), "--config", CONFIG], check=False, timeout=20)
        return done.returncode, done.stderr

    def check_lines(self, host, program, good, table):
        for what, line, instead, number, why in table:
            with self.subTest(program=program, what=what):
                self.assertIn(line + "\n", good)
                status, said = self.start_bad(host, program, good.replace(line + "\n", instead + "\n"))
                self.assertEqual(status, EXIT_CONFIG, said)
                self.assertIn(f"{CONFIG}:{number}:", said)
                self.assertIn(why, said)
                self.assertEqual(len(said.strip().splitlines()), 1, said)

    def links(self, host):
        return sorted(link["ifname"] for link in json.loads(host.run(["ip", "-j", "link", "show"]).stdout))

    def test_agent_configuration(self):
        host = self.lab["hv1"]
        before = self.links(host)
        self.check_lines(host, "nveagent", AGENT, BAD_AGENT)
        self.assertEqual(self.links(host), before)

    def test_nva_configuration(self):
        self.check_lines(self.lab["nva"], "nva", NVA, BAD_NVA)

    def test_no_configuration(self):
        for program in ("nva", "nveagent"):
            done = self.lab["hv1"].run([self.system.program(program), "--config", "/run/none"], check=False)
            self.assertEqual(done.returncode, EXIT_CONFIG, done.stderr)
            self.assertIn("/run/none", done.stderr)

    def start_both(self):
        self.system.start_nva(self.lab)
        agent = self.system.start_agent(self.lab, self.lab["hv1"])
        agent.wait_output("ready")
        return agent

    def status(self):
        return json.loads(self.system.ctl(self.lab["hv1"], "status", "--json").stdout)

    def test_second_agent(self):
        self.start_both()
        status, said = self.start_bad(self.lab["hv1"], "nveagent", AGENT)
        self.assertNotEqual(status, 0)
        self.assertIn("another agent", said)
        self.assertIn(AGENT_SOCKET, said)
        self.assertEqual(self.status()["name"], "hv1")

    def test_socket_path_taken_by_a_file(self):
        host = self.lab["hv1"]
        host.run(["mkdir", "-p", os.path.dirname(AGENT_SOCKET)])
        host.run(["sh", "-c", f"echo keep > {AGENT_SOCKET}"])
        status, said = self.start_bad(host, "nveagent", AGENT)
        self.assertNotEqual(status, 0)
        self.assertIn(AGENT_SOCKET, said)
        self.assertEqual(host.run(["cat", AGENT_SOCKET]).stdout, "keep\n")

    def test_socket_left_by_a_crash(self):
        agent = self.start_both()
        self.assertEqual(agent.kill(), -signal.SIGKILL)
        self.assertTrue(os.path.exists(self.lab["hv1"].path(AGENT_SOCKET)))
        self.system.start_agent(self.lab, self.lab["hv1"]).wait_output("ready")
        self.assertEqual(self.status()["name"], "hv1")

    def test_no_capability(self):
        host = self.lab["hv1"]
        before = self.links(host)
        drop = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
        status, said = self.start_bad(host, "nveagent", AGENT, *drop)
        self.assertNotEqual(status, 0)
        self.assertIn("CAP_NET_ADMIN", said)
        self.assertEqual(self.links(host), before)

    def test_junk_on_the_control_socket(self):
        agent = self.start_both()
        path = self.lab["hv1"].path(AGENT_SOCKET)
        for junk in JUNK:
            with self.subTest(junk=junk[:40]):
                answer = talk(path, junk)
                if len(junk) < LINE_MAX:  # else it hangs up before all is sent, and the kernel may drop its answer
                    self.assertEqual(len(answer.splitlines()), 1, answer)
                for line in answer.splitlines():
                    self.assertIs(json.loads(line)["ok"], False, line)
                agent.require_running()
                self.assertEqual(self.status()["name"], "hv1")

    def junk_to_nva(self, data):
        """Sends DATA to the NVA from hv1; waits until the NVA closes."""
        nva, hv1 = self.lab["nva"], self.lab["hv1"]
        family = socket.AF_INET6 if ":" in nva.vtep else socket.AF_INET
        with net_namespace(hv1.holder.namespace("net")):
            client = socket.socket(family, socket.SOCK_STREAM)
        with client:
            client.settimeout(REPLY_TIMEOUT_S)
            client.connect((nva.vtep, NVA_PORT))
            try:
                client.sendall(data)
                while client.recv(65536):
                    pass
            except (BrokenPipeError, ConnectionResetError):
                pass

    def test_junk_on_the_nva_port(self):
        self.start_both()
        nva = self.lab["nva"].daemons["nva"]
        wait_until(lambda: self.status()["nva"]["connected"], "session of the agent")
        for junk in (b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 64, b"\0" * 64, b"\0\0\0\1\0", b"\x7f\xff\xff\xff" + b"x" * 9000):
            with self.subTest(junk=junk[:16]):
                said = len(nva.output())
                self.junk_to_nva(junk)
                wait_until(lambda seen=said: f"{uri_host(self.lab['hv1'].vtep)}" in nva.output()[seen:],
                           "line that names the peer")
                nva.require_running()
                self.assertTrue(self.status()["nva"]["connected"])
