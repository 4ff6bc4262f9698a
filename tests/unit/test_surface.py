from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagetodem_qgis.core.observations import (
    AnchorObservation,
    Observations,
    OverlapObservation,
    numbers_of,
    observation_arrays,
)
from imagetodem_qgis.core.surface import Levels, PlacedTile, blend, observe_overlap
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


def lifted(offsets: np.ndarray) -> Levels:
    return Levels(offsets, np.ones(len(offsets)), np.ones(len(offsets)))


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
def test_an_overlap_tells_the_robust_moments_of_the_two(seed):
    one, other = random_tile(Window(2, 3, 9, 8), seed), random_tile(Window(6, 1, 10, 7), seed + 10)
    first, second = heights_by_pixel(one), heights_by_pixel(other)
    shared = sorted(set(first) & set(second))
    assert len(shared) == 5 * 5
    heights = np.array([[first[pixel][0], second[pixel][0]] for pixel in shared])
    difference = heights[:, 1] - heights[:, 0]
    distance = np.abs(difference - np.sort(difference)[12])
    robust = 1.4826 * np.sort(distance)[12]
    # Cauchy's weights, a quarter at three robust deviations.
    weights = np.array([first[pixel][1] * second[pixel][1] for pixel in shared])
    weights = weights / (1.0 + 3.0 * (distance / (3.0 * robust)) ** 2)
    means = np.average(heights, axis=0, weights=weights)
    covariance = np.cov(heights.T, aweights=weights, ddof=0)
    deviations = np.sqrt(np.diag(covariance))
    observed = observe_overlap(7, one, 4, other)
    assert (observed.first, observed.second) == (7, 4)
    assert (observed.first_mean, observed.second_mean) == pytest.approx(tuple(means), rel=1e-5)
    assert (observed.first_deviation, observed.second_deviation) == pytest.approx(tuple(deviations), rel=1e-5)
    assert observed.correlation == pytest.approx(covariance[0, 1] / deviations.prod(), rel=1e-4)
    expected = np.average((difference - np.average(difference, weights=weights)) ** 2, weights=weights)
    assert observed.variance == pytest.approx(expected, rel=1e-4)
    assert observed.places == pytest.approx(weights.sum() / 64.0, rel=1e-5)


def test_a_large_overlap_is_judged_by_a_sample_of_it():
    """The moments of waves are known, whatever pixels they are taken from."""
    row, column = np.mgrid[:256, :300].astype(np.float32)
    waves = np.sin(row / 5.0) * np.cos(column / 7.0)
    one = PlacedTile(Window(0, 0, 256, 256), 3.0 * waves[:, :256], np.ones((256, 256), np.float32))
    other = PlacedTile(Window(0, 44, 256, 256), 3.0 * waves[:, 44:] + 7.0, np.ones((256, 256), np.float32))
    observed = observe_overlap(0, one, 1, other)
    assert observed.second_mean - observed.first_mean == pytest.approx(7.0, rel=1e-6)
    assert observed.first_deviation == pytest.approx(1.5, rel=0.1)
    assert observed.correlation == pytest.approx(1.0)
    # Rounding alone makes some pixels count a little less than others.
    assert 0.7 < observed.places / (256 * 212 / 64.0) < 1.05
    scaled = PlacedTile(other.window, 2.0 * waves[:, 44:] + 7.0, other.weights)
    observed = observe_overlap(0, one, 1, scaled)
    assert observed.first_deviation / observed.second_deviation == pytest.approx(1.5, rel=1e-6)


def test_a_lake_in_a_part_of_the_overlap_does_not_count():
    ground = np.random.default_rng(0).normal(0.0, 5.0, (64, 96)).astype(np.float32)
    ones = np.ones((64, 64), np.float32)
    first, second = ground[:, :64] - 5.0, ground[:, 32:] + 2.0
    # Over water, a network says anything.
    second[:, :10] += np.random.default_rng(1).normal(300.0, 50.0, (64, 10)).astype(np.float32)
    one = PlacedTile(Window(0, 0, 64, 64), first, ones)
    other = PlacedTile(Window(0, 32, 64, 64), second, ones)
    observed = observe_overlap(0, one, 1, other)
    assert observed.second_mean - observed.first_mean == pytest.approx(7.0, abs=1.0)


def test_the_difference_is_what_the_offsets_must_differ_by():
    ground = np.random.default_rng(0).normal(size=(8, 12)).astype(np.float32)
    ones = np.ones((8, 8), np.float32)
    one = PlacedTile(Window(0, 0, 8, 8), ground[:, :8] - 5.0, ones)
    other = PlacedTile(Window(0, 4, 8, 8), ground[:, 4:] + 2.0, ones)
    observed = observe_overlap(0, one, 1, other)
    # Offsets 5 and -2 put both tiles back on the ground.
    assert observed.second_mean - observed.first_mean == pytest.approx(5.0 - -2.0, abs=1e-5)
    assert observed.variance == pytest.approx(0.0, abs=1e-10)
    assert observed.correlation == pytest.approx(1.0)


def test_flat_tiles_have_no_correlation():
    ones = np.ones((6, 6), np.float32)
    observed = observe_overlap(
        0, PlacedTile(Window(0, 0, 6, 6), ones, ones), 1, PlacedTile(Window(0, 3, 6, 6), 2.5 * ones, ones)
    )
    assert observed.second_mean - observed.first_mean == 1.5
    assert (observed.first_deviation, observed.correlation, observed.variance) == (0.0, 0.0, 0.0)


def test_observations_as_the_solve_takes_them():
    overlap = OverlapObservation(3, 1, 0.5, 1.5, 2.5, 3.5, 0.75, 4.5, 5.5)
    pairs, overlaps, anchored, anchors = observation_arrays([overlap], [AnchorObservation(2, 7.0, 8.0, 9.0)])
    np.testing.assert_array_equal(pairs, [[3, 1]])
    np.testing.assert_array_equal(overlaps, [[0.5, 1.5, 2.5, 3.5, 0.75, 4.5, 5.5]])
    np.testing.assert_array_equal(anchored, [2])
    np.testing.assert_array_equal(anchors, [[7.0, 8.0, 9.0]])
    assert [array.shape for array in observation_arrays([], [])] == [(0, 2), (0, 7), (0,), (0, 3)]


def test_many_observations_are_in_one_order_however_they_came():
    random = np.random.default_rng(0)
    rows = [[float(index // 3), float(index % 5), *random.normal(size=7)] for index in range(60)]
    one, other, rest = (Observations(OverlapObservation) for _ in range(3))
    one.add(rows)
    other.add(rows[40:])
    rest.add(numbers_of([OverlapObservation(*row) for row in rows[:40]]))
    other.join(rest)
    assert len(one) == len(other) == 60
    np.testing.assert_array_equal(one.sorted_rows(), other.sorted_rows())
    assert (np.diff(one.sorted_rows()[:, 0]) >= 0).all()
    assert sorted(one.sorted_rows().tolist()) == sorted(rows)
    assert Observations(AnchorObservation).sorted_rows().shape == (0, 4)


def test_tiles_without_a_known_pixel_in_common_tell_nothing():
    one = random_tile(Window(0, 0, 5, 5), 0)
    assert observe_overlap(0, one, 1, random_tile(Window(0, 5, 5, 5), 1)) is None
    weights = one.weights.copy()
    weights[:, 3:] = 0.0
    half = PlacedTile(one.window, one.heights, weights)
    assert observe_overlap(0, half, 1, random_tile(Window(0, 3, 5, 5), 1)) is None
    assert observe_overlap(0, half, 1, random_tile(Window(0, 2, 5, 5), 1)) is not None


@given(st.integers(0, 10_000), st.sampled_from([1.0, 0.4]))
def test_blending_is_a_mean_of_each_pixel_and_obeys_the_law_of_total_variance(seed, overlaps):
    random = np.random.default_rng(seed)
    block = Window(4, 6, 7, 9)
    tiles = []
    levels = Levels(random.uniform(-50, 50, 4), random.uniform(0.5, 2.0, 4), random.uniform(0.01, 1.0, 4))
    for number in range(4):
        window = Window(*(int(value) for value in random.integers(0, 9, 2)), 6, 6)
        tiles.append(random_tile(window, seed + number, with_spread=True))
    touching = [number for number, tile in enumerate(tiles) if not tile.window.intersection(block).is_empty()]
    blended = blend(block, [tiles[number] for number in touching], levels.of(touching), overlaps)
    expected_heights = np.full((7, 9), np.nan)
    expected_spread = np.full((7, 9), np.nan)
    for row in range(7):
        for column in range(9):
            heights, weights, variances = [], [], []
            for number in touching:
                window = tiles[number].window
                there = (block.row + row - window.row, block.column + column - window.column)
                if 0 <= there[0] < 6 and 0 <= there[1] < 6:
                    gain = levels.gains[number]
                    heights.append(tiles[number].heights[there] * gain + levels.offsets[number])
                    weights.append(tiles[number].weights[there] * levels.trust[number])
                    variances.append((tiles[number].spread[there].astype(float) * gain) ** 2)
            if heights:
                mean = np.average(heights, weights=weights)
                between = overlaps * np.average((np.array(heights) - mean) ** 2, weights=weights)
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
    blended = blend(Window(0, 0, 4, 6), tiles, lifted(np.array([0.0, 500.0])))
    np.testing.assert_array_equal(blended.heights, 8000.0)
    np.testing.assert_allclose(blended.spread, 0.01, rtol=1e-5)


@pytest.mark.parametrize("height", [0.0, 7.25, -123.4, 4321.9])
def test_constant_tiles_blend_to_that_constant(height):
    plan = plan_tiles(90, 110, 32, 12)
    weights = blending_weights(32, 12)
    constant = np.full((32, 32), height, np.float32)
    tiles = [PlacedTile(plan.window(index), constant, weights) for index in range(len(plan))]
    blended = blend(Window(0, 0, 90, 110), tiles, lifted(np.zeros(len(plan))))
    np.testing.assert_allclose(blended.heights, np.float32(height), rtol=4e-7)
    assert blended.spread is None


def test_a_block_without_tiles_is_unknown():
    blended = blend(Window(0, 0, 3, 4), [], lifted(np.zeros(0)))
    assert blended.heights.shape == (3, 4)
    assert np.isnan(blended.heights).all()


def test_blending_block_by_block_is_blending_at_once():
    plan = plan_tiles(60, 70, 32, 8)
    tiles = [random_tile(plan.window(index), index) for index in range(len(plan))]
    levels = lifted(np.random.default_rng(1).normal(0, 100, len(plan)))
    whole = blend(Window(0, 0, 60, 70), tiles, levels).heights
    part = Window(20, 25, 30, 31)
    touching = plan.touching(part)
    blended = blend(part, [tiles[index] for index in touching], levels.of(touching))
    np.testing.assert_array_equal(blended.heights, whole[20:50, 25:56])
