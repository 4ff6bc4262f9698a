"""Fractal gradient noise over a regular grid, as a product of matrices.

Along a row of the grid only the factors of u change and along a column only those of v (see
:mod:`imagetodem_qgis.core.noise`), so that a block of any number of octaves is one product of two matrices,
left (rows × corners) and right (corners × columns). All factors are rounded to multiples of 2⁻²⁵ and
gradients are 0 or ±1, hence every partial sum fits float64's 53 bits: the product is exact, and the same in
any order of summation, for any cut into blocks, on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.noise import ACROSS, DOWN, QUANTA, Octave, directions, fade

FloatArray = NDArray[np.float64]

_TILE = 32
"""Rows that are multiplied at once: more need more corners a pixel, fewer more calls."""
_LARGEST_PRODUCT = 1 << 18
"""Multiplications that a BLAS does at once in one thread. Threads cost more than they bring in so small
products, and on a busy machine they wait for each other."""


@dataclass(frozen=True)
class Axis:
    """Places of a grid's rows or columns along their axis, each taken at its middle.

    Attributes:
        first: number of the first.
        count: how many.
        spacing: length of one.
    """

    first: int
    count: int
    spacing: float

    def places(self) -> FloatArray:
        """(count,) in the spacing's unit."""
        numbers = np.arange(self.first, self.first + self.count, dtype=np.float64)
        return (numbers + 0.5) * self.spacing

    def part(self, start: int, count: int) -> Axis:
        """Some of the places, counted from the first."""
        return Axis(self.first + start, count, self.spacing)


def fractal_noise(octaves: tuple[Octave, ...], rows: Axis, columns: Axis) -> FloatArray:
    """The sum of octaves over a block of a grid.

    Args:
        octaves: of a :class:`Fractal`, or single ones.
        rows: of the block.
        columns: of the block.

    Returns:
        (rows.count, columns.count) float64, within plus and minus the sum of the amplitudes; the same for a
        pixel whatever block it is in.
    """
    noise = np.empty((rows.count, columns.count))
    down = _Factors([(octave.frequency, octave.shift[0]) for octave in octaves], rows)
    across = _Factors([(octave.frequency, octave.shift[1]) for octave in octaves], columns)
    amplitudes = np.array([octave.amplitude for octave in octaves])[:, None]
    left = _Left(down, amplitudes)
    tiles = [
        (lines, *left.of(lines))
        for lines in (slice(start, start + _TILE) for start in range(0, rows.count, _TILE))
    ]
    gradients = [_gradients(octave, number, down, across) for number, octave in enumerate(octaves)]
    width = max(1, _LARGEST_PRODUCT // max(matrix.size for _, matrix, _ in tiles))
    for start in range(0, columns.count, width):
        pixels = slice(start, start + width)
        right = np.concatenate(
            [_right(across, number, pixels, *both) for number, both in enumerate(gradients)]
        )
        for lines, matrix, corners in tiles:
            np.matmul(matrix, right.take(corners, 0), out=noise[lines, pixels])
    return noise


class _Factors:
    """Of each place along an axis, in each octave's lattice, (octaves, places): the corner before it, counted
    from the first place's; the weights of that and of the next corner; and those times the distances.

    Attributes:
        first: (octaves,) the first place's corner.
        count: (octaves,) corners that count.
    """

    def __init__(self, lattices: list[tuple[float, float]], axis: Axis) -> None:
        frequency, shift = np.array(lattices).T[..., None]
        cells = axis.places() * frequency + shift
        corner = np.floor(cells)
        fraction = cells - corner
        self.first = corner[:, 0].astype(np.int64)
        self.corner = (corner - corner[:, :1]).astype(np.intp)
        self.count = self.corner[:, -1] + 2
        before = _rounded(fade(fraction))
        after = 1.0 - before
        self.weights = (before, after)
        self.slopes = (_rounded(before * fraction), _rounded(after * (fraction - 1.0)))


class _Left:
    """The rows' side of the product: each octave's weights and then its weights times distances, times the
    octave's amplitude."""

    def __init__(self, down: _Factors, amplitudes: FloatArray) -> None:
        self._corner = np.repeat(down.corner, 2, axis=0)
        self._values = [
            _rounded(np.stack(pair, axis=1) * amplitudes[:, None]).reshape(self._corner.shape)
            for pair in zip(down.weights, down.slopes)
        ]
        counts = np.repeat(down.count, 2)
        self._start = np.cumsum(counts) - counts

    def of(self, lines: slice) -> tuple[FloatArray, NDArray[np.intp]]:
        """The matrix of some rows, (rows, corners), and the rows of the right matrix, which has all corners,
        that it is for."""
        corner = self._corner[:, lines]
        counts = corner[:, -1] - corner[:, 0] + 2
        start = np.cumsum(counts) - counts
        place = corner + (start - corner[:, 0])[:, None]
        matrix = np.zeros((corner.shape[1], int(counts.sum())))
        line = np.arange(corner.shape[1])
        for beside in (0, 1):
            matrix[line, place + beside] = self._values[beside][:, lines]
        corners = np.repeat(self._start + corner[:, 0] - start, counts) + np.arange(matrix.shape[1])
        return matrix, corners


def _right(
    across: _Factors, number: int, pixels: slice, gradients_across: FloatArray, gradients_down: FloatArray
) -> FloatArray:
    """The columns' side of the product for an octave: the sums over a place's two corners of weights times
    distances times gradients across, and of weights times gradients down, (twice the corners, pixels)."""
    corner = across.corner[number, pixels]
    parts = []
    for values, gradients in ((across.slopes, gradients_across), (across.weights, gradients_down)):
        total = gradients.take(corner, 1)
        total *= values[0][number, pixels]
        beside = gradients.take(corner + 1, 1)
        beside *= values[1][number, pixels]
        total += beside
        parts.append(total)
    return np.concatenate(parts)


def _gradients(
    octave: Octave, number: int, down: _Factors, across: _Factors
) -> tuple[FloatArray, FloatArray]:
    """Across and down, (corners down, corners across)."""
    rows, columns = (
        np.arange(factors.first[number], factors.first[number] + factors.count[number])
        for factors in (down, across)
    )
    numbers = directions(octave.key, rows, columns)
    return ACROSS.astype(np.float64)[numbers], DOWN.astype(np.float64)[numbers]


def _rounded(values: FloatArray) -> FloatArray:
    return np.rint(values * QUANTA) / QUANTA
