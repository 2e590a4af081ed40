#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Whether what README.md and docs/ tell an operator to write is what the programs take: configuration files, keys and
their defaults, commands and their options, and links from page to page.

usage: test_docs.py SOURCE-DIRECTORY NVA NVEAGENT NVECTL [UNITTEST-ARGUMENT...]
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path()
NVA = NVEAGENT = NVECTL = ""

# What a table gives no default for.
NEEDED = {"vtep": "192.0.2.1", "nva": "192.0.2.10:7365", "endpoints": "https://127.0.0.1:1"}
NEEDED.update(dict.fromkeys(["ca", "cert", "key"], "/etc/rehome/file.pem"))
WORDS = ("host name", "loopback", "the first of `listen`", "`brN`", "`vxN`", "")


def pages():
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page, first_line):
    """The blocks of code of a page that begin with that line."""
    found = re.findall(r"^```\w*\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)
    return [text for text in found if text.startswith(first_line + "\n")]


def documented_keys(section):
    """(key, default) of each row of that section's table; None: the table has words for it."""
    text = (ROOT / "docs/operations.md").read_text()
    table = text[text.index(f"| Key of `[{section}]` |"):].split("\n\n")[0]
    for row in table.splitlines()[2:]:
        _, keys, default, _ = row.split("|", 3)
        default = default.strip()
        for key in re.findall(r"`([^`]+)`", keys):
            value = None if default in WORDS else default.strip("`")
            yield key, NEEDED.get(key, value)


def section_text(section):
    lines = [f"{key} = {default}" for key, default in documented_keys(section) if default is not None]
    return "\n".join([f"[{section}]", *lines, ""])


def shown_commands():
    """The nvectl commands of all pages, in blocks of code and in sentences."""
    for page in pages():
        text = page.read_text()
        for line in re.findall(r"^(?:hv\d# )?(nvectl .*)$", text, re.M) + re.findall(r"`(nvectl [^`]*)`", text):
            yield line.split("#")[0]


class Docs(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def check(self, program, text):
        """The exit status of --check, and what it said."""
        path = os.path.join(self.directory.name, "conf")
        pathlib.Path(path).write_text(text)
        done = subprocess.run([program, "--check", "--config", path], text=True, capture_output=True, timeout=60)
        return done.returncode, done.stderr

    def store(self):
        return f"[store]\npath = {self.directory.name}/store\n"

    def test_readme_agent_conf(self):
        (text,) = blocks("README.md", "[agent]")
        self.assertEqual(self.check(NVEAGENT, text), (0, ""))

    def test_readme_nva_conf(self):
        (text,) = blocks("README.md", "[nva]")
        code, said = self.check(NVA, text + self.store())
        self.assertEqual(code, 0, said)

    def check_etcd(self, text):
        """All of it is read and taken, but that the key was taken away: so etcd need not be called."""
        path = os.path.join(self.directory.name, "file")
        pathlib.Path(path).touch()
        text = re.sub(r"^key = .*\n", "", re.sub(r"/etc/rehome/\S+", path, text), flags=re.M)
        code, said = self.check(NVA, text)
        self.assertEqual(code, 2)
        self.assertIn("section [etcd]: cert and key go together", said)

    def test_several_nvas_conf(self):
        (text,) = blocks("docs/operations.md", "[nva]")
        self.check_etcd(text)

    def test_agent_keys(self):
        text = section_text("agent").replace("insecure-plain = no", "insecure-plain = yes")
        self.assertEqual(self.check(NVEAGENT, text + section_text("vni N").replace("vni N", "vni 100")), (0, ""))

    def test_nva_keys(self):
        text = section_text("nva") + self.store() + section_text("limits")
        code, said = self.check(NVA, text)
        self.assertEqual(code, 0, said)

    def test_etcd_keys(self):
        text = section_text("nva").replace("store = file", "store = etcd")
        self.check_etcd(text + section_text("etcd"))

    def test_commands_are_there(self):
        commands = list(shown_commands())
        self.assertGreater(len(commands), 10)
        for command in commands:
            words = [word for word in command.replace("--json ", "").split() if not word.startswith("-")][1:3]
            with self.subTest(command=command):
                self.check_command(words, re.findall(r"--[a-z-]+", command))

    def check_command(self, words, options):
        done = subprocess.run([NVECTL, *words[:2 if words[0] in ("nva", "port") else 1], "--help"], text=True,
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        for option in options:
            self.assertIn(option, done.stdout)

    def test_links_lead_somewhere(self):
        for page in pages():
            for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
                target, _, anchor = link.partition("#")
                if "://" in target:
                    continue
                path = page.parent / target if target else page
                with self.subTest(page=str(page.relative_to(ROOT)), link=link):
                    self.assertTrue(path.exists())
                    if anchor:
                        self.assertIn(anchor, anchors(path))


def anchors(path):
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


if __name__ == "__main__":
    ROOT, NVA, NVEAGENT, NVECTL = pathlib.Path(sys.argv[1]), *sys.argv[2:5]
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
