"""Axes of charts: values to places, and round numbers along them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_FACTORS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """Maps values evenly to places in a picture.

    Attributes:
        low: value at the start.
        high: value at the end.
        start: place in pixels.
        end: likewise.
        ticks: round values between, both ends included where they are round.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Where a value lies, in pixels."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def label(self, tick: float) -> str:
        """A tick's number with as many digits as tell it from the next."""
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1.0
        return f"{tick:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def axis_over(values: Iterable[float], start: float, end: float, most: int = 6, widen: bool = True) -> Axis:
    """An axis that holds all finite values.

    Args:
        values: to hold; any number, all of which may be alike.
        start: place of the lowest in pixels.
        end: place of the highest.
        most: intervals between ticks at most.
        widen: whether it ends at round numbers.
    """
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if high - low < 1e-9 * max(1.0, abs(low), abs(high)):
        low, high = low - 0.5, high + 0.5
    step = _round_step((high - low) / most)
    if widen:
        low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = tuple(number * step for number in range(first, last + 1))
    return Axis(low, high, start, end, ticks)


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in _FACTORS if factor * power >= least * (1 - 1e-9))
