"""Gradient noise (Perlin 2002, *Improving noise*, ACM SIGGRAPH) and its fractal sums.

Between the four corners of a lattice's cell, with the fractions u and v of the cell's sides,

    noise(u, v) = sum over corners of fade(|u - corner|) · fade(|v - corner|) · gradient · (u, v from corner),

with fade falling from 1 to 0 as 1 - (6t⁵ - 15t⁴ + 10t³) (Perlin 2002, eq. 1b). Gradients point to the twelve
edges of a cube, here seen from above. Over a grid, :mod:`imagetodem_qgis.core.noise_grid` is the quicker way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.hashing import key_of, lattice_hash, unit_of

FloatArray = NDArray[np.float64]

DEVIATION = 0.24908138008
"""Standard deviation of the noise of one octave, the root of 387340/6243237: the variance of each part of a
gradient, 2/3, times the sum over the corners of the mean squared weights and distances."""

QUANTA = float(1 << 25)
"""Amplitudes and weights are multiples of one over it."""
_LEAST_PIXELS = 2.0
"""Pixels of a wave below which it cannot be drawn (Nyquist)."""

# The twelve edges of a cube (Perlin 2002, §3), seen from above: across and down.
ACROSS = np.array([1, -1, 1, -1, 1, -1, 1, -1, 0, 0, 0, 0], np.int8)
DOWN = np.array([1, 1, -1, -1, 0, 0, 0, 0, 1, -1, 1, -1], np.int8)


@dataclass(frozen=True)
class Octave:
    """One lattice of gradients.

    Attributes:
        frequency: cells per unit of the places.
        amplitude: what the noise, from -1 to 1, is multiplied by; a multiple of 2⁻²⁵.
        shift: of the lattice down and across, in cells.
        key: of its gradients.
    """

    frequency: float
    amplitude: float
    shift: tuple[float, float]
    key: int


@dataclass(frozen=True)
class Fractal:
    """A sum of octaves, each finer and lower than the one before (fractional Brownian motion; Musgrave, Kolb
    & Mace 1989, *The synthesis and rendering of eroded fractal terrains*).

    Attributes:
        wavelength: side of the first octave's cells, in the places' unit.
        octaves: how many.
        persistence: amplitude of an octave over that of the one before.
        lacunarity: frequency of an octave over that of the one before.
        seed: any integer.
    """

    wavelength: float
    octaves: int = 8
    persistence: float = 0.5
    lacunarity: float = 2.0
    seed: int = 0

    @cached_property
    def parts(self) -> tuple[Octave, ...]:
        """The octaves; their amplitudes sum to 1."""
        frequency, amplitude = 1.0 / self.wavelength, 1.0
        rows = []
        for number in range(self.octaves):
            key = key_of(self.seed, number)
            shift = (unit_of(key_of(key, 1)), unit_of(key_of(key, 2)))
            rows.append((frequency, amplitude, shift, key))
            # Step by step: a power may differ in its last digit from one machine's library to another's.
            frequency, amplitude = frequency * self.lacunarity, amplitude * self.persistence
        total = sum(row[1] for row in rows)
        return tuple(Octave(row[0], _rounded(row[1] / total), row[2], row[3]) for row in rows)

    def drawable(self, spacing: float) -> tuple[Octave, ...]:
        """The octaves whose cells are at least two pixels long; finer ones would be aliased. The first one
        stays."""
        fine = 1.0 / (_LEAST_PIXELS * spacing)
        return tuple(part for number, part in enumerate(self.parts) if number == 0 or part.frequency <= fine)

    def deviation(self) -> float:
        """Standard deviation of the sum: the octaves know nothing of each other."""
        squares = 0.0
        for part in self.parts:
            squares += part.amplitude * part.amplitude
        return float(DEVIATION * np.sqrt(squares))


def noise_at(octaves: tuple[Octave, ...], down: FloatArray, across: FloatArray) -> FloatArray:
    """The sum of octaves at any places, as a warped domain needs it; slower than :func:`fractal_noise`.

    Args:
        octaves: of a :class:`Fractal`, or single ones.
        down: (rows, columns) places along the rows' axis.
        across: the same along the columns'.

    Returns:
        (rows, columns) float64.
    """
    total = np.zeros(down.shape)
    for octave in octaves:
        v, u = down * octave.frequency + octave.shift[0], across * octave.frequency + octave.shift[1]
        row, column = np.floor(v), np.floor(u)
        v, u = v - row, u - column
        first_row, first_column = int(row.min()), int(column.min())
        places = (np.arange(first_row, int(row.max()) + 2), np.arange(first_column, int(column.max()) + 2))
        numbers = directions(octave.key, *places)
        gradient_across, gradient_down = (
            table.astype(np.float64)[numbers].ravel() for table in (ACROSS, DOWN)
        )
        width = numbers.shape[1]
        corner = ((row - first_row) * width + (column - first_column)).astype(np.intp)
        fade_down, fade_across = fade(v), fade(u)
        sides = []
        for below in (0, 1):
            ends = []
            for beside in (0, 1):
                place = corner + (below * width + beside)
                slope = gradient_across.take(place) * (u - beside)
                slope += gradient_down.take(place) * (v - below)
                ends.append(slope)
            sides.append(ends[1] + fade_across * (ends[0] - ends[1]))
        total += (sides[1] + fade_down * (sides[0] - sides[1])) * octave.amplitude
    return total


def directions(key: int, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of the twelve edges lies at each corner of a lattice."""
    bits = lattice_hash(key, rows, columns) >> np.uint64(32)
    return ((bits * np.uint64(len(ACROSS))) >> np.uint64(32)).astype(np.int64)


def fade(fraction: FloatArray) -> FloatArray:
    """From 1 at 0 to 0 at 1, without a first or second derivative at either."""
    return 1.0 - fraction * fraction * fraction * (fraction * (fraction * 6.0 - 15.0) + 10.0)


def _rounded(value: float) -> float:
    return round(value * QUANTA) / QUANTA
