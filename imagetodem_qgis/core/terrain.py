"""Virtual terrain: heights in metres from fractal noise, at any place and any resolution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.coast import Coast
from imagetodem_qgis.core.hashing import key_of
from imagetodem_qgis.core.noise import DEVIATION, Fractal, Octave, noise_at
from imagetodem_qgis.core.noise_grid import Axis, fractal_noise
from imagetodem_qgis.core.tiling import Window, blocks

FloatArray = NDArray[np.float64]

FRACTAL, RIDGED = "fractal", "ridged"

_SPREAD = 2.5
"""Standard deviations of the noise that take 84 % of the relief."""
_RIDGE_GAIN = 2.0
_FLOOR = 0.15
"""Weight of finer octaves that is left on the floors between ridges."""
_WARP_OCTAVES = 2
_BLOCK = 256
"""Pixels along a side that are warped at once: their arrays stay in the processor's cache."""


@dataclass(frozen=True)
class Terrain:
    """A landscape without end.

    Attributes:
        fractal: the noise that it is made from; its wavelength in the places' unit.
        form: :data:`FRACTAL` hills, or :data:`RIDGED` ranges.
        warp: how far places are shifted by noise before they are looked up, as a share of the wavelength.
        base: lowest height in metres.
        relief: metres between the lowest and the highest that can be.
        coast: where it meets the sea, if it does.
    """

    fractal: Fractal
    form: str = FRACTAL
    warp: float = 0.0
    base: float = 0.0
    relief: float = 1000.0
    coast: Coast | None = None

    def heights(self, rows: Axis, columns: Axis) -> FloatArray:
        """Heights in metres, (rows.count, columns.count) float64, from ``base`` to ``base + relief``; with a
        coast, the sea's ground is below ``base``."""
        if self.warp > 0.0:
            shares: FloatArray = np.empty((rows.count, columns.count))
            for block in blocks(rows.count, columns.count, _BLOCK):
                part = (
                    rows.part(block.row, block.rows),
                    columns.part(block.column, block.columns),
                )
                shares[block.within(Window(0, 0, *shares.shape))] = self._shares(*part)
        else:
            shares = self._shares(rows, columns)
        if self.coast is not None:
            shares = self.coast.apply(shares, rows.places(), columns.places())
        return self.base + self.relief * shares

    def _shares(self, rows: Axis, columns: Axis) -> FloatArray:
        """Heights from 0 to 1."""
        octaves = self.fractal.drawable(rows.spacing)
        if self.warp > 0.0:
            down, across = self._warped(rows, columns)
        if self.form == RIDGED:
            single = [
                noise_at((_whole(octave),), down, across)
                if self.warp > 0.0
                else fractal_noise((_whole(octave),), rows, columns)
                for octave in octaves
            ]
            return _ridged(single, [octave.amplitude for octave in octaves])
        noise = noise_at(octaves, down, across) if self.warp > 0.0 else fractal_noise(octaves, rows, columns)
        return 0.5 + 0.5 * _limited(noise / (_SPREAD * self.fractal.deviation()))

    def _warped(self, rows: Axis, columns: Axis) -> tuple[FloatArray, FloatArray]:
        """Places shifted by two further fractals (Perlin 1985's perturbed coordinates; Quilez 2002's domain
        warping)."""
        reach = self.warp * self.fractal.wavelength
        shifts = (
            fractal_noise(fractal.drawable(rows.spacing), rows, columns) * reach / DEVIATION * 0.5
            for fractal in self._warps
        )
        return (
            rows.places()[:, None] + next(shifts),
            columns.places()[None] + next(shifts),
        )

    @cached_property
    def _warps(self) -> tuple[Fractal, Fractal]:
        octaves = min(_WARP_OCTAVES, self.fractal.octaves)
        first, second = (
            replace(self.fractal, octaves=octaves, seed=key_of(self.fractal.seed, 1000 + number))
            for number in (0, 1)
        )
        return first, second


def _whole(octave: Octave) -> Octave:
    return replace(octave, amplitude=1.0)


def _limited(values: FloatArray) -> FloatArray:
    """Bring any value smoothly into -1 to 1: x / (1 + x⁴)^¼."""
    squares = values * values
    limited: FloatArray = values / np.sqrt(np.sqrt(1.0 + squares * squares))
    return limited


def _ridged(octaves: list[FloatArray], amplitudes: list[float]) -> FloatArray:
    """The ridged multifractal (Musgrave in Ebert et al. 2003, *Texturing and modeling*, ch. 16): crests where
    the noise is 0, and finer octaves only upon the crests of coarser ones; from 0 to 1."""
    total: FloatArray = np.zeros(octaves[0].shape)
    weight: FloatArray = np.ones(octaves[0].shape)
    for noise, amplitude in zip(octaves, amplitudes):
        crest = 1.0 - np.minimum(1.0, np.abs(noise) / (_SPREAD * DEVIATION))
        crest *= crest
        crest *= weight
        total += amplitude * crest
        weight = np.clip(_RIDGE_GAIN * crest, _FLOOR, 1.0)
    total /= sum(amplitudes)
    return total
