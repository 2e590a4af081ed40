# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for conditions, never for time to pass."""

import time

from .errors import TimedOut

POLL_S = 0.02  # how often a condition that cannot be waited on is looked at


def wait_until(condition, what, timeout=10.0, poll=POLL_S):
    """Returns the first true value of condition(); TimedOut names WHAT, and its last false value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            shown = "" if value in (None, False) else f" (last: {value!r})"
            raise TimedOut(f"no {what} within {timeout:g} s{shown}")
        time.sleep(poll)
