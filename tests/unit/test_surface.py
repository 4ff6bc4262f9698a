from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagetodem_qgis.core.surface import PlacedTile, blend, observe_overlap
from imagetodem_qgis.core.tiling import Window, blending_weights, plan_tiles


def random_tile(window: Window, seed: int, with_spread: bool = False) -> PlacedTile:
    random = np.random.default_rng(seed)
    shape = (window.rows, window.columns)
    return PlacedTile(
        window,
        random.normal(0.0, 20.0, shape).astype(np.float32),
        random.uniform(0.01, 1.0, shape).astype(np.float32),
        random.uniform(0.5, 3.0, shape).astype(np.float32) if with_spread else None,
    )


def heights_by_pixel(tile: PlacedTile) -> dict[tuple[int, int], tuple[float, float]]:
    """Height and weight by the raster's row and column."""
    return {
        (tile.window.row + row, tile.window.column + column): (
            float(tile.heights[row, column]),
            float(tile.weights[row, column]),
        )
        for row in range(tile.window.rows)
        for column in range(tile.window.columns)
    }


@pytest.mark.parametrize("seed", range(4))
def test_an_overlap_tells_the_weighted_mean_difference_and_its_inverse_variance(seed):
    one, other = random_tile(Window(2, 3, 9, 8), seed), random_tile(Window(6, 1, 10, 7), seed + 10)
    first, second = heights_by_pixel(one), heights_by_pixel(other)
    shared = sorted(set(first) & set(second))
    assert len(shared) == 5 * 5
    weights = np.array([first[pixel][1] * second[pixel][1] for pixel in shared])
    differences = np.array([second[pixel][0] - first[pixel][0] for pixel in shared])
    mean = np.average(differences, weights=weights)
    variance = np.average((differences - mean) ** 2, weights=weights)
    observed = observe_overlap(7, one, 4, other)
    assert (observed.first, observed.second) == (7, 4)
    assert observed.difference == pytest.approx(mean, rel=1e-4)
    assert observed.weight == pytest.approx(weights.sum() / (variance + 1e-4), rel=1e-3)


def test_the_difference_is_what_the_offsets_must_differ_by():
    ground = np.random.default_rng(0).normal(size=(8, 12)).astype(np.float32)
    ones = np.ones((8, 8), np.float32)
    one = PlacedTile(Window(0, 0, 8, 8), ground[:, :8] - 5.0, ones)
    other = PlacedTile(Window(0, 4, 8, 8), ground[:, 4:] + 2.0, ones)
    observed = observe_overlap(0, one, 1, other)
    # Offsets 5 and -2 put both tiles back on the ground.
    assert observed.difference == pytest.approx(5.0 - -2.0, abs=1e-5)
    # 32 pixels that agree to rounding, whose weight is bounded by the least variance.
    assert observed.weight == pytest.approx(32 / 1e-4, rel=1e-3)


def test_a_noisy_overlap_weighs_less_than_a_quiet_one():
    one = random_tile(Window(0, 0, 6, 6), 0)
    quiet = PlacedTile(one.window, one.heights + np.float32(1.0), one.weights)
    noisy = random_tile(Window(0, 0, 6, 6), 1)
    assert observe_overlap(0, one, 1, quiet).weight > 1e4 * observe_overlap(0, one, 1, noisy).weight


def test_tiles_without_a_known_pixel_in_common_tell_nothing():
    one = random_tile(Window(0, 0, 5, 5), 0)
    assert observe_overlap(0, one, 1, random_tile(Window(0, 5, 5, 5), 1)) is None
    weights = one.weights.copy()
    weights[:, 3:] = 0.0
    half = PlacedTile(one.window, one.heights, weights)
    assert observe_overlap(0, half, 1, random_tile(Window(0, 3, 5, 5), 1)) is None
    assert observe_overlap(0, half, 1, random_tile(Window(0, 2, 5, 5), 1)) is not None


@given(st.integers(0, 10_000))
def test_blending_is_a_mean_of_each_pixel_and_obeys_the_law_of_total_variance(seed):
    random = np.random.default_rng(seed)
    block = Window(4, 6, 7, 9)
    tiles, offsets = [], random.uniform(-50, 50, 4)
    for number in range(4):
        window = Window(*(int(value) for value in random.integers(0, 9, 2)), 6, 6)
        tiles.append(random_tile(window, seed + number, with_spread=True))
    touching = [number for number, tile in enumerate(tiles) if not tile.window.intersection(block).is_empty()]
    blended = blend(block, [tiles[number] for number in touching], offsets[touching])
    expected_heights = np.full((7, 9), np.nan)
    expected_spread = np.full((7, 9), np.nan)
    for row in range(7):
        for column in range(9):
            heights, weights, variances = [], [], []
            for number in touching:
                window = tiles[number].window
                there = (block.row + row - window.row, block.column + column - window.column)
                if 0 <= there[0] < 6 and 0 <= there[1] < 6:
                    heights.append(tiles[number].heights[there] + offsets[number])
                    weights.append(tiles[number].weights[there])
                    variances.append(tiles[number].spread[there].astype(float) ** 2)
            if heights:
                mean = np.average(heights, weights=weights)
                between = np.average((np.array(heights) - mean) ** 2, weights=weights)
                expected_heights[row, column] = mean
                expected_spread[row, column] = np.sqrt(np.average(variances, weights=weights) + between)
    np.testing.assert_allclose(blended.heights, expected_heights, rtol=1e-4, atol=1e-4)
    if touching:
        np.testing.assert_allclose(blended.spread, expected_spread, rtol=1e-4)


def test_tiles_that_agree_keep_their_spread_even_on_high_ground():
    ones = np.ones((4, 4), np.float32)
    tiles = [
        PlacedTile(Window(0, column, 4, 4), ones * np.float32(8000.0 - lift), ones, ones * np.float32(0.01))
        for column, lift in ((0, 0.0), (2, 500.0))
    ]
    blended = blend(Window(0, 0, 4, 6), tiles, np.array([0.0, 500.0]))
    np.testing.assert_array_equal(blended.heights, 8000.0)
    np.testing.assert_allclose(blended.spread, 0.01, rtol=1e-5)


@pytest.mark.parametrize("height", [0.0, 7.25, -123.4, 4321.9])
def test_constant_tiles_blend_to_that_constant(height):
    plan = plan_tiles(90, 110, 32, 12)
    weights = blending_weights(32, 12)
    constant = np.full((32, 32), height, np.float32)
    tiles = [PlacedTile(plan.window(index), constant, weights) for index in range(len(plan))]
    blended = blend(Window(0, 0, 90, 110), tiles, np.zeros(len(plan)))
    np.testing.assert_allclose(blended.heights, np.float32(height), rtol=4e-7)
    assert blended.spread is None


def test_a_block_without_tiles_is_unknown():
    blended = blend(Window(0, 0, 3, 4), [], np.zeros(0))
    assert blended.heights.shape == (3, 4)
    assert np.isnan(blended.heights).all()


def test_blending_block_by_block_is_blending_at_once():
    plan = plan_tiles(60, 70, 32, 8)
    tiles = [random_tile(plan.window(index), index) for index in range(len(plan))]
    offsets = np.random.default_rng(1).normal(0, 100, len(plan))
    whole = blend(Window(0, 0, 60, 70), tiles, offsets).heights
    part = Window(20, 25, 30, 31)
    touching = plan.touching(part)
    blended = blend(part, [tiles[index] for index in touching], offsets[touching])
    np.testing.assert_array_equal(blended.heights, whole[20:50, 25:56])
