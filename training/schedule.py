"""How the learning rate changes over a stage."""

from __future__ import annotations

import math

WARM_UP = 0.03
"""Share of a stage over which a cosine schedule rises to its peak."""


def learning_rate(schedule: str, peak: float, fraction: float) -> float:
    """The learning rate at a place of a stage.

    Args:
        schedule: ``constant``; or ``cosine``, a linear rise over the first 3 % and half a cosine down to 0
            (Loshchilov & Hutter 2017, eq. 5, without restarts).
        peak: the largest.
        fraction: of the stage that is done, in [0, 1].

    Raises:
        ValueError: there is no such schedule.
    """
    if schedule == "constant":
        return peak
    if schedule != "cosine":
        raise ValueError(f"no learning rate schedule {schedule!r}")
    if fraction < WARM_UP:
        # The first step must already move something.
        return peak * max(fraction / WARM_UP, 0.01)
    done = (min(fraction, 1.0) - WARM_UP) / (1.0 - WARM_UP)
    return peak * 0.5 * (1.0 + math.cos(math.pi * done))
