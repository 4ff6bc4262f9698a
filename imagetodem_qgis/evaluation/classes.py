"""The classes of ground by which errors are told: slope, elevation, and zones that the user gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SLOPE_EDGES = (0.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0)
"""Degrees from which the classes of slope begin; the last has no end."""
UNKNOWN_SLOPE = len(SLOPE_EDGES)
"""Number of the class of pixels whose reference's slope is not known."""

_ELEVATION_CLASSES = 10
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)

SLOPE, ELEVATION, ZONE = "slope", "elevation", "zone"


@dataclass(frozen=True)
class ElevationClasses:
    """Classes of equal height.

    Attributes:
        low: where the first begins, in metres.
        step: height of a class.
        count: how many.
    """

    low: float
    step: float
    count: int

    def labels(self) -> list[str]:
        """What they are called."""
        edges = [self.low + number * self.step for number in range(self.count + 1)]
        return [f"{start:g} to {end:g} m" for start, end in zip(edges, edges[1:])]

    def of(self, heights: NDArray[np.float64]) -> NDArray[np.intp]:
        """The class of each height."""
        numbers = np.floor((heights - self.low) / self.step).astype(np.intp)
        return np.clip(numbers, 0, self.count - 1)


def elevation_classes(least: float, largest: float) -> ElevationClasses:
    """At most eleven classes of a round height that hold all heights from ``least`` to ``largest``."""
    wanted = (largest - least) / _ELEVATION_CLASSES
    if not wanted > 1e-6:
        return ElevationClasses(float(np.floor(least)), 1.0, 1)
    power = 10.0 ** np.floor(np.log10(wanted))
    step = next(float(factor * power) for factor in _ROUND if factor * power >= wanted * (1 - 1e-9))
    low = float(np.floor(least / step) * step)
    return ElevationClasses(low, step, max(1, int(np.ceil((largest - low) / step))))


def slope_labels() -> list[str]:
    """What the classes of slope are called."""
    ends = [f" to {end:g}°" for end in SLOPE_EDGES[1:]]
    return [f"{start:g}{end}" for start, end in zip(SLOPE_EDGES, ends)] + [f"over {SLOPE_EDGES[-1]:g}°"]


def slope_class(slopes: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The class of each slope in degrees, :data:`UNKNOWN_SLOPE` for NaN."""
    numbers = np.searchsorted(SLOPE_EDGES, slopes, side="right") - 1
    return np.where(np.isfinite(slopes), numbers, UNKNOWN_SLOPE).astype(np.uint8)
