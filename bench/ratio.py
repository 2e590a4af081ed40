# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ratio of two medians, with the range it has when the same samples are drawn again (percentile bootstrap)."""

import random
from statistics import median

DRAWS, CONFIDENCE = 10000, 0.95


def ratio(samples, reference):
    """{"ratio", "low", "high"} of median(SAMPLES) / median(REFERENCE), or None."""
    if not samples or not reference:
        return None
    draw = random.Random(1)  # the same samples give the same range
    found = sorted(median(draw.choices(samples, k=len(samples))) / median(draw.choices(reference, k=len(reference)))
                   for _ in range(DRAWS))
    edge = int(DRAWS * (1 - CONFIDENCE) / 2)
    return {"ratio": round(median(samples) / median(reference), 4), "low": round(found[edge], 4),
            "high": round(found[-edge - 1], 4)}


def text(found):
    return "-" if not found else f"{found['ratio']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
