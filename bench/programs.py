# SPDX-License-Identifier: LGPL-2.1-or-later
"""The programs a run needs: made from the sources with meson, or brought up to date."""

import os
import subprocess

from lab import LabError

from . import ROOT

DEFAULT = os.path.join(ROOT, "build")
PROBE = "tests/lab/probe"
REHOME = ("nva/nva", "nveagent/nveagent", "nvectl/nvectl", "hook/rehome-hook")
RELEASE = ("--buildtype=release",)
LAST_LINES = 30


def _run(argv, say):
    say(f"$ {' '.join(argv)}")
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, cwd=ROOT)
    if done.returncode != 0:
        raise LabError("the build failed:\n" + "\n".join(done.stdout.splitlines()[-LAST_LINES:]))


def build(directory, systems, say, setup_options=RELEASE):
    """Makes what SYSTEMS (names of lab.systems) need in DIRECTORY; returns its absolute path."""
    wanted = [PROBE, *(REHOME if "rehome" in systems else ())]
    return build_targets(directory, wanted, say, setup_options)


def build_targets(directory, targets, say, setup_options=RELEASE):
    """The same for TARGETS, paths in the build directory."""
    directory = os.path.abspath(directory)
    if not os.path.exists(os.path.join(directory, "build.ninja")):
        _run(["meson", "setup", directory, ROOT, *setup_options], say)
    _run(["ninja", "-C", directory, *targets], say)
    return directory
