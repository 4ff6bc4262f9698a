"""Transformed copies of a tile: how far a network's answers to them lie apart tells how sure it is.

The copies change nothing that the answer should depend on (Ayhan & Berens 2018, test-time augmentation): the
mirror that leaves the light where it is, and a weaker contrast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.card import ModelCard
from imagetodem_qgis.core.light import IDENTITY, Symmetry, all_symmetries, angular_distance

FloatArray = NDArray[np.float32]

_CONTRAST = np.float32(0.75)
_STEADY = 1.0
"""Degrees by which a mirror may move the light."""
_SMOOTH = 1.0 / 16.0
"""Side, as a share of the tile's, of the square over which squared differences are averaged: those of two
answers vanish wherever the two cross."""


class TileCopies:
    """The copies that a model is shown of each tile, the tile itself first.

    Args:
        card: of the model.
        wanted: whether to make any.
    """

    def __init__(self, card: ModelCard, wanted: bool) -> None:
        self._mirrors = _mirrors(card) if wanted else []
        self._weaker = wanted

    def __len__(self) -> int:
        return 1 + len(self._mirrors) + int(self._weaker)

    def of(self, planes: FloatArray) -> list[FloatArray]:
        """A tile's planes (rows, columns, planes) and those of its copies."""
        copies = [planes, *(mirror.apply(planes) for mirror in self._mirrors)]
        if self._weaker:
            weaker = planes.copy()
            # The colours come first in every model's input.
            weaker[..., :3] *= _CONTRAST
            copies.append(weaker)
        return copies

    def undo(self, answers: list[FloatArray]) -> list[FloatArray]:
        """Turn the answers to a tile and to its copies, (rows, columns, answers) each, back to how the tile
        lies."""
        turned = [mirror.undo(answer) for mirror, answer in zip(self._mirrors, answers[1:])]
        return [answers[0], *turned, *answers[1 + len(turned) :]]


def departure(heights: list[FloatArray], valid: NDArray[np.bool_]) -> FloatArray | None:
    """The mean square of the departures of the copies' heights from the tile's, smoothed.

    Args:
        heights: (rows, columns) of the tile, and of each copy.
        valid: (rows, columns), pixels known in the image.

    Returns:
        (rows, columns) float32 in the square of the heights' unit; ``None`` without copies.
    """
    if len(heights) == 1:
        return None
    squares = np.zeros(heights[0].shape, np.float32)
    for copy in heights[1:]:
        difference = copy - heights[0]
        # A network's heights have no zero of their own.
        difference -= difference.mean(where=valid, dtype=np.float64)
        squares += difference * difference
    squares /= np.float32(len(heights) - 1)
    return box_mean(squares, max(1, round(max(squares.shape) * _SMOOTH)))


def box_mean(values: NDArray[np.floating], side: int) -> FloatArray:
    """The mean over the square of side × side pixels around each pixel, cut at the border.

    Args:
        values: (rows, columns), all known.
        side: in pixels; an even one is one more.

    Returns:
        (rows, columns) float32.
    """
    result = np.asarray(values, np.float64)
    reach = side // 2
    for axis in (0, 1):
        sums = np.cumsum(result, axis=axis)
        sums = np.concatenate([np.zeros_like(np.take(sums, [0], axis)), sums], axis=axis)
        size = result.shape[axis]
        first = np.maximum(np.arange(size) - reach, 0)
        end = np.minimum(np.arange(size) + reach + 1, size)
        count = (end - first).reshape((-1, 1) if axis == 0 else (1, -1))
        result = (np.take(sums, end, axis) - np.take(sums, first, axis)) / count
    return np.asarray(result, np.float32)


def _mirrors(card: ModelCard) -> list[Symmetry]:
    """The mirror that keeps the model's light; none for a network that has it inside."""
    if card.architecture.get("mirrored"):
        return []
    if card.sun_azimuth is None:
        return [Symmetry(0, True)]
    sun = card.sun_azimuth
    kept = [
        symmetry
        for symmetry in all_symmetries()
        if symmetry != IDENTITY and angular_distance(symmetry.azimuth(sun), sun) <= _STEADY
    ]
    return kept[:1]
