"""What is seen of tiles' levels: in their overlaps, and where heights are known."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class OverlapObservation:
    """What an overlap tells of two tiles' levels, by its pixels' robust moments.

    Attributes:
        first: index of a tile.
        second: index of another.
        first_mean: mean of the first tile's heights in the overlap, in the network's unit.
        second_mean: of the second's.
        first_deviation: standard deviation of the first tile's heights in the overlap.
        second_deviation: of the second's.
        correlation: of the two.
        variance: of the difference of the two.
        places: independent places that these come from.
    """

    first: int
    second: int
    first_mean: float
    second_mean: float
    first_deviation: float
    second_deviation: float
    correlation: float
    variance: float
    places: float


@dataclass(frozen=True)
class AnchorObservation:
    """What a known height tells of a tile's level.

    Attributes:
        tile: its index.
        height: of the tile there, in the network's unit.
        known: height that it ought to have, in the same unit.
        variance: of their difference once the tile is at its level.
    """

    tile: int
    height: float
    known: float
    variance: float


Observation = Union[OverlapObservation, AnchorObservation]


class Observations:
    """Many observations of one kind, as bare numbers: a country has hundreds of thousands.

    Args:
        kind: of them.
    """

    def __init__(self, kind: type[Any]) -> None:
        self._width = len(fields(kind))
        self._numbers = array("d")

    def __len__(self) -> int:
        return len(self._numbers) // self._width

    def add(self, rows: Iterable[Sequence[float]]) -> None:
        """Add observations, each by its numbers."""
        for row in rows:
            self._numbers.extend(row)

    def join(self, other: Observations) -> None:
        """Add those of another."""
        self._numbers.extend(other._numbers)

    def sorted_rows(self) -> NDArray[np.float64]:
        """(n, numbers), one row each, in an order that does not depend on that of their coming."""
        rows = np.array(self._numbers, np.float64).reshape(-1, self._width)
        return np.asarray(rows[np.lexsort(rows.T[::-1])])


def numbers_of(observations: Iterable[Observation]) -> list[list[float]]:
    """The numbers of observations, in the order of their fields."""
    return [list(vars(one).values()) for one in observations]


def solve_arrays(
    overlaps: NDArray[np.float64], anchors: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Observations as the solve takes them: ``pairs``, ``overlaps``, ``anchored`` and ``anchors`` of
    :func:`imagetodem_qgis.worker.solve.solve_levels`.

    Args:
        overlaps: (n, 9), one :class:`OverlapObservation` a row.
        anchors: (k, 4), one :class:`AnchorObservation` a row.
    """
    return (
        overlaps[:, :2].astype(np.int64),
        np.ascontiguousarray(overlaps[:, 2:]),
        anchors[:, 0].astype(np.int64),
        np.ascontiguousarray(anchors[:, 1:]),
    )


def observation_arrays(
    overlaps: Sequence[OverlapObservation], anchors: Sequence[AnchorObservation]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """The same from observations."""
    return solve_arrays(
        np.array(numbers_of(overlaps), np.float64).reshape(-1, 9),
        np.array(numbers_of(anchors), np.float64).reshape(-1, 4),
    )
