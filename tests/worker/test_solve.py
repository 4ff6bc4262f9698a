from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetodem_qgis.core.surface import PlacedTile, blend, observe_overlap
from imagetodem_qgis.core.tiling import TilePlan, Window, blending_weights, plan_tiles
from imagetodem_qgis.worker.solve import solve_offsets


def smooth_ground(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Hills with a little roughness, metres."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:rows, :columns] / 40.0
    ground = sum(
        100.0 / wave * np.sin(wave * down * a + wave * across * b + c)
        for wave, (a, b, c) in zip((1, 2, 3, 5), random.uniform(0.3, 2.0, (4, 3)))
    )
    return (ground + random.normal(0.0, 0.5, (rows, columns))).astype(np.float32)


def tiles_of(ground: np.ndarray, plan: TilePlan, noise: float, seed: int) -> list[PlacedTile]:
    """Tiles of the ground, each lifted at random by up to 500 m and disturbed by noise of its own."""
    random = np.random.default_rng(seed)
    weights = blending_weights(plan.tile_size, plan.overlap)
    tiles = []
    for index in range(len(plan)):
        window = plan.window(index)
        cut = ground[window.within(Window(0, 0, *ground.shape))]
        disturbed = cut + random.normal(0.0, noise, cut.shape) + random.uniform(-500, 500)
        tiles.append(
            PlacedTile(window, disturbed.astype(np.float32), weights[: window.rows, : window.columns])
        )
    return tiles


def solved(plan: TilePlan, tiles: list[PlacedTile]) -> np.ndarray:
    observed = [
        observe_overlap(index, tiles[index], other, tiles[other])
        for index in range(len(plan))
        for other in plan.earlier_neighbours(index)
    ]
    observed = [one for one in observed if one is not None]
    return solve_offsets(
        len(plan),
        np.array([(one.first, one.second) for one in observed], np.int64).reshape(-1, 2),
        np.array([one.difference for one in observed]),
        np.array([one.weight for one in observed]),
        np.array([float(tile.heights.size) for tile in tiles]),
    )


def departure(surface: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """What is left of the difference without the constant that no overlap tells of."""
    difference = surface.astype(np.float64) - ground
    return difference - np.median(difference)


@pytest.mark.parametrize("seed", range(3))
def test_tiles_are_put_back_to_the_ground_they_were_cut_from(seed):
    ground = smooth_ground(400, 500, seed)
    plan = plan_tiles(400, 500, 96, 32)
    tiles = tiles_of(ground, plan, 1.0, seed)
    surface = blend(Window(0, 0, 400, 500), tiles, solved(plan, tiles)).heights
    error = departure(surface, ground)
    assert np.sqrt((error**2).mean()) < 0.02 * ground.std()


@pytest.mark.parametrize("seed", range(3))
def test_a_few_bad_tiles_do_not_bend_the_others(seed):
    ground = smooth_ground(500, 500, seed)
    plan = plan_tiles(500, 500, 96, 40)
    tiles = tiles_of(ground, plan, 1.0, seed)
    random = np.random.default_rng(seed)
    bad = random.choice(len(plan), round(0.05 * len(plan)), replace=False)
    for index in bad:
        tile = tiles[index]
        # A tile that saw something else altogether: other hills, upside down, and steep.
        wrong = -3.0 * tile.heights[::-1] + random.normal(0.0, 100.0, tile.heights.shape)
        tiles[index] = PlacedTile(tile.window, wrong.astype(np.float32), tile.weights)
    offsets = solved(plan, tiles)
    good = np.ones((500, 500), bool)
    for index in bad:
        good[tiles[index].window.within(Window(0, 0, 500, 500))] = False
    surface = blend(Window(0, 0, 500, 500), tiles, offsets).heights
    error = departure(surface[good], ground[good])
    assert len(bad) >= 3
    assert good.mean() > 0.5
    assert np.sqrt((error**2).mean()) < 0.02 * ground.std()


def test_the_blended_surface_has_no_step_where_tiles_begin():
    ground = smooth_ground(300, 300, 5)
    plan = plan_tiles(300, 300, 96, 32)
    tiles = tiles_of(ground, plan, 0.0, 5)
    surface = blend(Window(0, 0, 300, 300), tiles, solved(plan, tiles)).heights
    error = departure(surface, ground)
    assert np.abs(np.diff(error, axis=0)).max() < 0.01
    assert np.abs(np.diff(error, axis=1)).max() < 0.01


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, np.ndarray, np.ndarray]:
    tiles = draw(st.integers(1, 12))
    every = [(one, other) for one in range(tiles) for other in range(one)]
    pairs = draw(st.lists(st.sampled_from(every), unique=True, max_size=30)) if every else []
    return tiles, np.array(pairs, np.int64).reshape(-1, 2), np.random.default_rng(draw(st.integers(0, 99)))


def parts_of(tiles: int, pairs: np.ndarray) -> list[set[int]]:
    parts = [{tile} for tile in range(tiles)]
    for one, other in pairs.tolist():
        first, second = (next(part for part in parts if tile in part) for tile in (one, other))
        if first is not second:
            first |= second
            parts.remove(second)
    return parts


@settings(max_examples=60)
@given(graphs())
def test_differences_that_fit_together_give_back_the_offsets(graph):
    tiles, pairs, random = graph
    truth = random.uniform(-500, 500, tiles)
    areas = random.uniform(1, 100, tiles)
    differences = truth[pairs[:, 0]] - truth[pairs[:, 1]]
    offsets = solve_offsets(tiles, pairs, differences, random.uniform(0.1, 10, len(pairs)), areas)
    for part in map(sorted, parts_of(tiles, pairs)):
        # Each part that hangs together is right up to a constant, which makes its own mean by area zero.
        expected = truth[part] - np.average(truth[part], weights=areas[part])
        np.testing.assert_allclose(offsets[part], expected, atol=1e-5)


@settings(max_examples=60)
@given(graphs(), st.floats(0.001, 1.0))
def test_small_disagreements_are_shared_out_as_dense_least_squares_does(graph, noise):
    tiles, pairs, random = graph
    truth = random.uniform(-500, 500, tiles)
    weights = random.uniform(0.5, 2.0, len(pairs))
    # Disagreements of one size once weighted, so that none is bad enough to lose weight.
    signs = random.choice([-1.0, 1.0], len(pairs))
    design = np.zeros((len(pairs), tiles))
    design[np.arange(len(pairs)), pairs[:, 0]] = 1.0
    design[np.arange(len(pairs)), pairs[:, 1]] -= 1.0
    root = np.sqrt(weights)[:, None]
    differences = design @ truth + noise * signs / root[:, 0]
    expected = np.linalg.lstsq(root * design, root[:, 0] * differences, rcond=None)[0]
    residual = root[:, 0] * (differences - design @ expected)
    offsets = solve_offsets(tiles, pairs, differences, weights, np.ones(tiles))
    # Huber's function leaves residuals alone that are less than 1.5 robust deviations.
    size = np.abs(residual)
    if len(size) == 0 or size.max() < 1.5 * 1.4826 * np.median(size):
        for part in map(sorted, parts_of(tiles, pairs)):
            np.testing.assert_allclose(offsets[part], expected[part] - expected[part].mean(), atol=1e-5)
    else:
        assert np.abs(design @ (offsets - expected)).max() < 20 * noise


def test_weights_decide_between_two_ways_round():
    # A ring of three whose differences add up to 3: the lighter pairs take more of it.
    pairs = np.array([[0, 1], [1, 2], [2, 0]], np.int64)
    weights = np.array([1.0, 1.0, 1.0])
    offsets = solve_offsets(3, pairs, np.array([1.0, 1.0, 1.0]), weights, np.ones(3))
    np.testing.assert_allclose(offsets, 0.0, atol=1e-9)
    # Residuals share out 3 as 1 / weight does: 0.75, 0.75, 1.5, none of them out of the ordinary.
    offsets = solve_offsets(3, pairs, np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 1.0]), np.ones(3))
    residuals = 1.0 - (offsets[[0, 1, 2]] - offsets[[1, 2, 0]])
    np.testing.assert_allclose(residuals, [0.75, 0.75, 1.5], atol=1e-6)


def test_one_wrong_difference_among_many_is_outvoted():
    random = np.random.default_rng(0)
    side = 12
    numbers = np.arange(side * side).reshape(side, side)
    pairs = np.concatenate(
        [
            np.stack([numbers[:, 1:].ravel(), numbers[:, :-1].ravel()], axis=1),
            np.stack([numbers[1:].ravel(), numbers[:-1].ravel()], axis=1),
        ]
    )
    truth = random.uniform(-500, 500, side * side)
    differences = truth[pairs[:, 0]] - truth[pairs[:, 1]] + random.normal(0, 0.1, len(pairs))
    # Not at a corner, whose tile has but two witnesses.
    differences[7::50] += 300.0
    offsets = solve_offsets(side * side, pairs, differences, np.ones(len(pairs)), np.ones(side * side))
    assert np.abs(offsets - (truth - truth.mean())).max() < 300.0 / 50
    plain = np.linalg.lstsq(
        np.eye(side * side)[pairs[:, 0]] - np.eye(side * side)[pairs[:, 1]], differences, rcond=None
    )[0]
    assert np.abs(plain - (truth - truth.mean())).max() > 50.0


def test_islands_have_mean_zero_by_area_each():
    pairs = np.array([[0, 1], [2, 3], [3, 4]], np.int64)
    areas = np.array([1.0, 3.0, 5.0, 5.0, 10.0, 7.0])
    offsets = solve_offsets(6, pairs, np.array([8.0, 1.0, -2.0]), np.ones(3), areas)
    np.testing.assert_allclose(offsets[:2], [6.0, -2.0], atol=1e-8)
    # o2 - o3 = 1, o3 - o4 = -2: (a, a - 1, a + 1) with 5 a + 5 (a - 1) + 10 (a + 1) = 0
    np.testing.assert_allclose(offsets[2:5], [-0.25, -1.25, 0.75], atol=1e-8)
    assert offsets[5] == 0.0


@pytest.mark.parametrize("tiles", [0, 1, 5])
def test_without_overlaps_every_offset_is_zero(tiles):
    offsets = solve_offsets(tiles, np.zeros((0, 2), np.int64), np.zeros(0), np.zeros(0), np.ones(tiles))
    np.testing.assert_array_equal(offsets, np.zeros(tiles))


def test_tiles_without_an_area_do_no_harm():
    # A tile that was left out has no known pixel and no overlap.
    offsets = solve_offsets(
        3, np.array([[0, 1]], np.int64), np.array([2.0]), np.ones(1), np.array([1.0, 1, 0])
    )
    np.testing.assert_allclose(offsets, [1.0, -1.0, 0.0], atol=1e-9)


def test_constant_tiles_stay_constant():
    plan = plan_tiles(200, 200, 64, 16)
    weights = blending_weights(64, 16)
    tiles = [
        PlacedTile(plan.window(index), np.full((64, 64), 3.25, np.float32), weights)
        for index in range(len(plan))
    ]
    offsets = solved(plan, tiles)
    assert np.abs(offsets).max() == 0.0
    np.testing.assert_allclose(blend(Window(0, 0, 200, 200), tiles, offsets).heights, 3.25, rtol=4e-7)


def test_many_tiles_are_solved_in_seconds():
    side = 60
    numbers = np.arange(side * side).reshape(side, side)
    pairs = np.concatenate(
        [
            np.stack([numbers[:, 1:].ravel(), numbers[:, :-1].ravel()], axis=1),
            np.stack([numbers[1:].ravel(), numbers[:-1].ravel()], axis=1),
        ]
    )
    random = np.random.default_rng(0)
    truth = random.uniform(-500, 500, side * side)
    differences = truth[pairs[:, 0]] - truth[pairs[:, 1]] + random.normal(0, 0.5, len(pairs))
    started = time.monotonic()
    offsets = solve_offsets(side * side, pairs, differences, np.ones(len(pairs)), np.ones(side * side))
    assert time.monotonic() - started < 20.0
    assert np.abs(offsets - (truth - truth.mean())).max() < 5.0
