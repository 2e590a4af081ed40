# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can go wrong in a lab, as exceptions that tell the whole story in one message."""


class LabError(Exception):
    """The lab could not do what was asked."""


class Unsupported(LabError):
    """This system cannot do that by its nature (a fact of the system, not a fault of the lab)."""


class CommandFailed(LabError):
    """A command ended with a status that was not asked for."""

    def __init__(self, where, argv, returncode, stdout, stderr):
        self.where, self.argv, self.returncode = where, list(argv), returncode
        self.stdout, self.stderr = stdout, stderr
        super().__init__(self._describe())

    def _describe(self):
        said = (self.stderr or self.stdout or "").strip() or "(it said nothing)"
        return f"{self.where}: `{' '.join(self.argv)}` ended with {self.returncode}: {said}"


class TimedOut(LabError):
    """A condition did not come true before its deadline."""
