"""Gradient noise against a second implementation, pixel by pixel, and against what Perlin 2002 promises."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetodem_qgis.core.hashing import key_of, lattice_hash
from imagetodem_qgis.core.noise import DEVIATION, Fractal, Octave, noise_at
from imagetodem_qgis.core.noise_grid import Axis, fractal_noise

EDGES = [
    *[(x, y, 0) for y in (1, -1) for x in (1, -1)],
    *[(x, 0, z) for z in (1, -1) for x in (1, -1)],
    *[(0, y, z) for z in (1, -1) for y in (1, -1)],
]
"""The midpoints of a cube's edges, in the order of Perlin's reference implementation."""
MASK = (1 << 64) - 1
SOME_VALUES = (
    "-0x1.8355ba64c6300p-6 -0x1.5e0e0583271c0p-4 -0x1.edaacdb818a00p-6 "
    "0x1.80486a5c62000p-8 -0x1.2272885abeb00p-4 -0x1.18053f2490c00p-6 "
    "0x1.a45935de037c0p-4 0x1.63d82e92bcd00p-4 0x1.a03c4bdd70100p-4 "
    "0x1.7b8f97e4cadc0p-3 0x1.a197dc02fe5e0p-3 0x1.4883f36c0e600p-3 "
)


def single(wavelength: float = 1.0, seed: int = 0) -> tuple[Octave]:
    """One octave whose lattice lies on whole multiples of the wavelength."""
    return (Octave(1.0 / wavelength, 1.0, (0.0, 0.0), key_of(seed, 0)),)


def reference_hash(key: int, row: int, column: int) -> int:
    bits = (row * 0xD1342543DE82EF95 + column * 0xAF251AF3B0F025B5 + key) & MASK
    bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & MASK
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & MASK
    return bits ^ bits >> 31


def reference_noise(octave: Octave, down: float, across: float) -> float:
    """Perlin 2002 in the plane z = 0 of space, for one place: trilinear over eight corners, of which those
    above have no weight there."""
    place = (across * octave.frequency + octave.shift[1], down * octave.frequency + octave.shift[0], 0.0)
    cell = [math.floor(value) for value in place]
    total = 0.0
    for corner in np.ndindex(2, 2, 2):
        distance = [value - low - step for value, low, step in zip(place, cell, corner)]
        weight = 1.0
        for part in distance:
            t = 1.0 - abs(part)
            weight *= t**3 * (t * (6 * t - 15) + 10)
        if weight:
            bits = reference_hash(octave.key, cell[1] + corner[1], cell[0] + corner[0])
            edge = EDGES[(bits >> 32) * 12 >> 32]
            total += weight * sum(one * other for one, other in zip(edge, distance))
    return total


def test_the_noise_is_perlins_of_2002():
    fractal = Fractal(37.0, 3, 0.5, 2.1, seed=5)
    rows, columns = Axis(-40, 50, 1.0), Axis(1000, 20, 1.0)
    noise = fractal_noise(fractal.parts, rows, columns)
    expected = [
        [sum(o.amplitude * reference_noise(o, y, x) for o in fractal.parts) for x in columns.places()]
        for y in rows.places()
    ]
    np.testing.assert_allclose(noise, expected, atol=3e-7)


def test_the_hash_is_the_same_on_every_machine():
    places = np.array([-3, 0, 7])
    hashes = lattice_hash(key_of(9, 2), places, places)
    assert hashes.tolist() == [[reference_hash(key_of(9, 2), r, c) for c in (-3, 0, 7)] for r in (-3, 0, 7)]
    # SplitMix64's first numbers for the seed 0, as published with it.
    assert key_of(0) == 0xE220A8397B1DCDAF


def test_the_values_are_the_same_on_every_machine():
    """Some values, to the last bit."""
    noise = fractal_noise(Fractal(100.0, 9, 0.5, 2.0, seed=42).parts, Axis(-2, 4, 10.0), Axis(7, 3, 10.0))
    assert (noise * 2.0**50 == np.rint(noise * 2.0**50)).all()
    assert " ".join(value.hex() for value in noise.ravel().tolist()) == SOME_VALUES.strip()


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(0, 2**31), st.data())
def test_the_noise_is_zero_at_the_lattices_points(row, column, seed, data):
    # A spacing of two halves: a pixel's middle is a lattice point wherever its number is odd.
    wavelength = data.draw(st.sampled_from([0.5, 1.0, 3.0, 30.0]))
    rows, columns = (Axis(2 * first - 1, 1, wavelength * 2) for first in (row, column))
    assert fractal_noise(single(wavelength, seed), rows, columns)[0, 0] == 0.0


def test_value_and_slope_are_continuous_across_cells():
    """512 steps a cell: no step changes the value by more than the steepest slope allows, nor the slope by
    more than the largest second derivative does, those across a cell's border included."""
    step = 1.0 / 512.0
    noise = fractal_noise(single(), Axis(-3 * 512, 6 * 512, step), Axis(100, 7, 0.317))
    slope = np.diff(noise, axis=0) / step
    bend = np.diff(slope, axis=0) / step
    assert np.abs(slope).max() < 3.0
    assert np.abs(bend).max() < 12.0
    at_borders = (np.arange(512, 6 * 512, 512)[:, None] + np.array([-2, -1])).ravel()
    # A jump of the slope would stand out there as a second derivative of hundreds.
    assert np.abs(bend[at_borders]).max() < 12.0
    assert np.abs(bend[at_borders]).max() > 0.0


@pytest.mark.parametrize("seed", range(4))
def test_the_range_is_from_minus_one_to_one(seed):
    halves = Axis(0, 400, 0.5)
    assert np.abs(fractal_noise(single(seed=seed), halves, halves)).max() <= 1.0
    # The bound is met in the middle of the cells, 1 of 10,368, where all four gradients point there, or away.
    middles = Axis(0, 600, 1.0)
    assert np.abs(fractal_noise(single(seed=seed), middles, middles)).max() == 1.0
    fractal = Fractal(16.0, 8, 0.7, 1.9, seed)
    assert sum(part.amplitude for part in fractal.parts) == pytest.approx(1.0, abs=1e-6)
    pixels = Axis(0, 512, 1.0)
    assert np.abs(fractal_noise(fractal.parts, pixels, pixels)).max() < 1.0


def test_the_deviation_is_the_integral_of_the_squares():
    """By exact integration of the polynomials: E[noise²] = 2/3 · 2 · I₀ · I₁, each a sum over two corners."""

    def times(one: list[Fraction], other: list[Fraction]) -> list[Fraction]:
        product = [Fraction(0)] * (len(one) + len(other) - 1)
        for i, a in enumerate(one):
            for j, b in enumerate(other):
                product[i + j] += a * b
        return product

    def integral(polynomial: list[Fraction]) -> Fraction:
        return sum((c / (power + 1) for power, c in enumerate(polynomial)), Fraction(0))

    weight = [Fraction(c) for c in (1, 0, 0, -10, 15, -6)]
    square = [Fraction(c) for c in (0, 0, 1)]
    weights, distances = (
        2 * integral(times(weight, weight)),
        2 * integral(times(times(weight, weight), square)),
    )
    variance = Fraction(2, 3) * 2 * weights * distances
    assert pytest.approx(math.sqrt(variance), rel=1e-9) == DEVIATION
    noise = fractal_noise(single(16.0), Axis(0, 2000, 1.0), Axis(0, 2000, 1.0))
    assert noise.std() == pytest.approx(DEVIATION, rel=0.02)
    assert noise.mean() == pytest.approx(0.0, abs=0.01)


@settings(max_examples=30)
@given(
    st.integers(-300, 300), st.integers(-300, 300), st.integers(1, 90), st.integers(1, 90), st.integers(1, 9)
)
def test_a_pixel_is_the_same_in_any_block(row, column, rows, columns, octaves):
    fractal = Fractal(41.7, octaves, 0.6, 1.87, seed=3)
    part = fractal_noise(fractal.parts, Axis(row, rows, 7.3), Axis(column, columns, 7.3))
    around = fractal_noise(fractal.parts, Axis(row - 5, rows + 70, 7.3), Axis(column - 33, columns + 40, 7.3))
    assert (part == around[5 : 5 + rows, 33 : 33 + columns]).all()


def test_any_places_give_what_the_grid_gives():
    fractal = Fractal(61.0, 6, 0.5, 2.0, seed=11)
    rows, columns = Axis(-70, 130, 1.0), Axis(500, 90, 1.0)
    down, across = np.meshgrid(rows.places(), columns.places(), indexing="ij")
    np.testing.assert_allclose(
        noise_at(fractal.parts, down, across), fractal_noise(fractal.parts, rows, columns), atol=3e-7
    )


def test_other_seeds_and_octaves_have_lattices_of_their_own():
    axis = Axis(0, 300, 1.0)
    fields = [fractal_noise(Fractal(8.0, 1, seed=seed).parts, axis, axis).ravel() for seed in range(3)]
    fields += [
        fractal_noise((Octave(1 / 8, 1.0, (0.0, 0.0), part.key),), axis, axis).ravel()
        for part in Fractal(8.0, 3).parts[1:]
    ]
    correlation = np.corrcoef(fields) - np.eye(len(fields))
    assert np.abs(correlation).max() < 0.06


def test_octaves_too_fine_to_draw_are_left_out():
    fractal = Fractal(64.0, 9)
    assert len(fractal.drawable(1.0)) == 6
    assert len(fractal.drawable(30.0)) == 1
    assert len(fractal.drawable(1e6)) == 1
