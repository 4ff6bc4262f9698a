"""Virtual terrain: its range, its coasts, its erosion, and that a pixel is the same in any block."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetodem_qgis.core.coast import COASTS, ISLAND, Coast
from imagetodem_qgis.core.erosion import Erosion, eroded
from imagetodem_qgis.core.noise import DEVIATION, Fractal
from imagetodem_qgis.core.noise_grid import Axis, fractal_noise
from imagetodem_qgis.core.terrain import FRACTAL, RIDGED, Terrain
from imagetodem_qgis.core.tiling import Window

SPACING = 30.0
SIDE = 200
DIGEST = "055228e919522359ac269a08e73ce253e82eaf40a7a26b93201a2150de734c88"
FORMS = [(FRACTAL, 0.0), (RIDGED, 0.0), (FRACTAL, 0.3), (RIDGED, 0.3)]


def heights(terrain: Terrain, window: Window, spacing: float = SPACING) -> np.ndarray:
    rows, columns = Axis(window.row, window.rows, spacing), Axis(window.column, window.columns, spacing)
    return terrain.heights(rows, columns)


def sampled(terrain: Terrain):
    def sample(level: int, window: Window) -> np.ndarray:
        return heights(terrain, window, SPACING * 2.0**level).astype(np.float32)

    return sample


# --- form ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "warp"), FORMS)
@pytest.mark.parametrize("seed", [0, 1])
def test_heights_lie_within_base_and_relief_and_use_most_of_it(form, warp, seed):
    terrain = Terrain(Fractal(1000.0, 6, seed=seed), form, warp, base=-100.0, relief=900.0)
    found = heights(terrain, Window(0, 0, 300, 300))
    assert found.min() >= -100.0
    assert found.max() <= 800.0
    assert np.ptp(found) > 0.7 * 900.0


def test_fractal_heights_are_the_noise_in_units_of_its_deviation():
    fractal = Fractal(1000.0, 5, 0.6, 2.0, seed=2)
    x = fractal_noise(fractal.parts, Axis(-7, 40, SPACING), Axis(9, 50, SPACING))
    x = x / (2.5 * DEVIATION * math.sqrt(sum(part.amplitude**2 for part in fractal.parts)))
    expected = 50.0 + 700.0 * (0.5 + 0.5 * x / (1.0 + x**4) ** 0.25)
    found = heights(Terrain(fractal, base=50.0, relief=700.0), Window(-7, 9, 40, 50))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_one_octave_of_ridges_is_highest_where_the_noise_is_zero():
    fractal = Fractal(600.0, 1, seed=4)
    noise = fractal_noise(fractal.parts, Axis(0, 90, SPACING), Axis(0, 90, SPACING))
    found = heights(Terrain(fractal, RIDGED, relief=1.0), Window(0, 0, 90, 90))
    np.testing.assert_allclose(found, (1.0 - np.minimum(1.0, np.abs(noise) / (2.5 * DEVIATION))) ** 2)


def test_finer_ridges_stand_upon_coarser_ones():
    """Roughness, as the mean size of the second difference, is larger on high ground than on low."""
    found = heights(Terrain(Fractal(2000.0, 6, seed=1), RIDGED), Window(0, 0, 400, 400))
    rough = np.abs(np.diff(found, 2, axis=1))
    low, high = np.percentile(found, (30, 70))
    inner = found[:, 1:-1]
    assert rough[inner > high].mean() > 2.0 * rough[inner < low].mean()


def test_warping_moves_places_by_no_more_than_it_says():
    """Each warped height is found unwarped within the reach."""
    plain, warped = (Terrain(Fractal(3000.0, 1, seed=3), warp=warp) for warp in (0.0, 0.1))
    before = heights(plain, Window(-40, -40, SIDE + 80, SIDE + 80))
    after = heights(warped, Window(0, 0, SIDE, SIDE))
    assert np.abs(after - before[40:-40, 40:-40]).max() > 20.0
    for row, column in ((5, 7), (100, 120), (190, 20)):
        near = before[row : row + 81, column : column + 81]
        assert near.min() - 1.0 <= after[row, column] <= near.max() + 1.0


@settings(max_examples=20)
@given(
    st.sampled_from(FORMS),
    st.integers(-500, 500),
    st.integers(-500, 500),
    st.integers(1, 60),
    st.integers(1, 60),
)
def test_a_height_is_the_same_in_any_block(form, row, column, rows, columns):
    terrain = Terrain(Fractal(1500.0, 6, seed=8), *form)
    part = heights(terrain, Window(row, column, rows, columns))
    around = heights(terrain, Window(row - 11, column - 30, rows + 20, columns + 40))
    assert (part == around[11 : 11 + rows, 30 : 30 + columns]).all()


def test_the_heights_are_the_same_on_every_machine():
    """Every kind of terrain, to the last bit."""
    digest = hashlib.sha256()
    window = Window(-20, 3000, 48, 56)
    for number, form in enumerate(FORMS):
        middle = ((-20 + 24) * SPACING, (3000 + 28) * SPACING)
        shore = Coast(ISLAND, middle, (24 * SPACING, 28 * SPACING)) if number == 3 else None
        terrain = Terrain(Fractal(900.0, 7, 0.55, 1.9, seed=number), *form, relief=1234.5, coast=shore)
        digest.update(heights(terrain, window).tobytes())
        digest.update(eroded(sampled(terrain), window, Erosion(0.4, SPACING, 0.0, 4)).tobytes())
    assert digest.hexdigest() == DIGEST


# --- the sea ------------------------------------------------------------------------------------------------


def coast(kind: str) -> Coast:
    return Coast(kind, (0.0, 1000.0), (500.0, 800.0))


PLACES = np.linspace(-500.0, 500.0, 41), np.linspace(200.0, 1800.0, 61)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_an_island_has_the_sea_all_around(share):
    found = coast(ISLAND).apply(np.full((41, 61), share), *PLACES)
    border = np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]])
    assert border.max() < 0.0
    assert found[20, 30] == share
    assert found.max() <= 1.0
    assert found.min() >= -1.0


@pytest.mark.parametrize(("kind", "side"), [(kind, side) for kind, side in COASTS.items()])
def test_a_coast_has_the_sea_on_its_side_and_land_on_the_other(kind, side):
    found = coast(kind).apply(np.full((41, 61), 0.5), *PLACES)
    sea = {(-1, 0): found[0], (1, 0): found[-1], (0, -1): found[:, 0], (0, 1): found[:, -1]}
    assert (sea[side] == -0.5).all()
    opposite = sea[(-side[0], -side[1])]
    assert (opposite == 0.5).all()


def test_higher_land_reaches_further_out():
    low, high = (coast(ISLAND).apply(np.full((41, 61), share), *PLACES) > 0 for share in (0.2, 0.8))
    assert high.sum() > 1.8 * low.sum()
    assert (high >= low).all()


# --- erosion ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [1, 4])
@pytest.mark.parametrize("place", [(0, 0, 40, 50), (37, 51, 9, 33), (-64, 63, 64, 65)])
def test_an_eroded_height_is_the_same_in_any_block(levels, place):
    sample = sampled(Terrain(Fractal(2000.0, 6, seed=8)))
    erosion = Erosion(0.7, SPACING, 0.0, levels)
    whole = eroded(sample, Window(-70, -20, 180, 170), erosion)
    window = Window(*place)
    assert (eroded(sample, window, erosion) == whole[window.within(Window(-70, -20, 180, 170))]).all()


def drained_area(surface: np.ndarray) -> np.ndarray:
    """Cells that drain through each, along steepest descent from the highest cell to the lowest."""
    rows, columns = surface.shape
    area = np.ones(surface.shape)
    for flat in np.argsort(-surface, axis=None):
        row, column = divmod(int(flat), columns)
        steepest, target = 0.0, None
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                r, c = row + down, column + right
                if (down or right) and 0 <= r < rows and 0 <= c < columns:
                    fall = (surface[row, column] - surface[r, c]) / math.hypot(down, right)
                    if fall > steepest:
                        steepest, target = fall, (r, c)
        if target is not None:
            area[target] += area[row, column]
    return area


@pytest.fixture(scope="module")
def landscape() -> tuple[np.ndarray, np.ndarray]:
    terrain = Terrain(Fractal(3000.0, 7, seed=6), relief=1500.0)
    window = Window(0, 0, 128, 128)
    return heights(terrain, window), eroded(sampled(terrain), window, Erosion(0.6, SPACING, 0.0, 6)).astype(
        np.float64
    )


def test_water_cuts_connected_valleys(landscape):
    """Streams run further: the largest areas drained grow, and there are fewer hollows without an outlet."""
    before, after = landscape

    def hollows(surface: np.ndarray) -> int:
        middle = surface[1:-1, 1:-1]
        around = [
            surface[1 + down : surface.shape[0] - 1 + down, 1 + right : surface.shape[1] - 1 + right]
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
            if down or right
        ]
        return int((middle < np.min(around, axis=0)).sum())

    areas = [np.percentile(drained_area(surface), 99.5) for surface in (before, after)]
    assert areas[1] > 1.4 * areas[0]
    assert hollows(after) < 0.6 * hollows(before)


def test_valleys_are_cut_and_crests_stay(landscape):
    before, after = landscape
    change = after - before
    area = drained_area(after)
    assert change[area > np.percentile(area, 99)].mean() < change[area == 1].mean() - 20.0
    assert after.max() > 0.85 * before.max()
    assert after.min() >= 0.0


def test_without_strength_water_only_smooths():
    """A plane, on which there is nothing to smooth, stays."""

    def plane(level: int, window: Window) -> np.ndarray:
        rows = np.arange(window.row, window.row + window.rows, dtype=np.float32)
        return np.repeat((rows[:, None] + np.float32(0.5)) * np.float32(2.0**level), window.columns, axis=1)

    window = Window(10, 20, 30, 40)
    np.testing.assert_allclose(
        eroded(plane, window, Erosion(0.0, 1.0, levels=5)), plane(0, window), atol=1e-4
    )


def test_a_tilted_plane_is_lowered_as_the_stream_power_law_says():
    """On a plane every cell drains a strip of n cells after n steps, so that step n takes the share
    F / (1 + F) of the fall to the lowest neighbour, F = K (√n - 1), the same from all cells."""
    slope = 0.5

    def plane(level: int, window: Window) -> np.ndarray:
        columns = np.arange(window.column, window.column + window.columns, dtype=np.float32)
        return np.repeat(columns[None] * np.float32(slope * SPACING), window.rows, axis=0)

    found = eroded(plane, Window(0, 0, 5, 6), Erosion(1.0, SPACING, levels=1))
    lowered = plane(0, Window(0, 0, 5, 6)) - found
    expected = 0.0
    for step in range(1, 17):
        power = 0.05 * (math.sqrt(step) - 1.0)
        expected += slope * SPACING * power / (1.0 + power)
    np.testing.assert_allclose(lowered, expected, rtol=1e-3)


def test_nothing_is_eroded_below_the_sea():
    terrain = Terrain(Fractal(1500.0, 6, seed=2), base=0.0, relief=100.0)
    window = Window(0, 0, 60, 60)
    before = heights(terrain, window)
    after = eroded(sampled(terrain), window, Erosion(1.0, SPACING, 50.0, 1))
    low = before < 50.0
    assert low.any()
    assert (after[low] == before[low].astype(np.float32)).all()
    assert after[~low].min() > 45.0


def test_erosion_can_be_interrupted():
    calls = []

    def interrupt() -> None:
        calls.append(1)
        if len(calls) == 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        eroded(sampled(Terrain(Fractal(500.0))), Window(0, 0, 10, 10), Erosion(0.5, SPACING), interrupt)
    assert len(calls) == 5
