from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetodem_qgis.core.observations import AnchorObservation, observation_arrays
from imagetodem_qgis.core.surface import Levels, PlacedTile, blend, observe_overlap
from imagetodem_qgis.core.tiling import TilePlan, Window, blending_weights, plan_tiles
from imagetodem_qgis.worker.solve import guessed_tiles, solve_levels

NOTHING = np.zeros((0, 7))
NO_TILES = np.zeros(0, np.int64)
NO_ANCHORS = np.zeros((0, 3))


def overlaps_of(differences: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Overlaps that tell a difference and nothing of gains."""
    flat = np.zeros(len(differences))
    return np.stack([flat, differences, flat, flat, flat, variances, flat + 1.0], axis=1)


def offsets_of(
    pairs: np.ndarray, differences: np.ndarray, areas: np.ndarray, variances: np.ndarray | None = None
) -> np.ndarray:
    variances = np.ones(len(differences)) if variances is None else variances
    overlaps = overlaps_of(differences, variances)
    return solve_levels(pairs, overlaps, NO_TILES, NO_ANCHORS, areas)[0]


def smooth_ground(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Hills with a little roughness, metres."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:rows, :columns] / 40.0
    ground = sum(
        100.0 / wave * np.sin(wave * down * a + wave * across * b + c)
        for wave, (a, b, c) in zip((1, 2, 3, 5), random.uniform(0.3, 2.0, (4, 3)))
    )
    return (ground + random.normal(0.0, 0.5, (rows, columns))).astype(np.float32)


def tiles_of(ground: np.ndarray, plan: TilePlan, noise: float, seed: int, gains: bool) -> list[PlacedTile]:
    """Tiles of the ground, each around 0, its heights divided by a gain from 0.8 to 1.25, lifted at random by
    up to 500 m and disturbed by noise of its own; unknown ground has no weight."""
    random = np.random.default_rng(seed)
    weights = blending_weights(plan.tile_size, plan.overlap)
    tiles = []
    for index in range(len(plan)):
        window = plan.window(index)
        cut = ground[window.within(Window(0, 0, *ground.shape))]
        known = np.isfinite(cut)
        cut = np.where(known, cut, 0.0)
        gain = np.exp(random.uniform(np.log(0.8), np.log(1.25))) if gains else 1.0
        cut = (cut - (cut.mean(where=known) if known.any() else 0.0)) / gain
        disturbed = cut + random.normal(0.0, noise, cut.shape) + random.uniform(-500, 500)
        own = weights[: window.rows, : window.columns] * known
        tiles.append(PlacedTile(window, disturbed.astype(np.float32), own))
    return tiles


def corrupted(tiles: list[PlacedTile], share: float, seed: int) -> list[int]:
    """Replace some tiles by ones that saw something else altogether; which they are."""
    random = np.random.default_rng(seed)
    bad = random.choice(len(tiles), round(share * len(tiles)), replace=False).tolist()
    for number, index in enumerate(bad):
        tile = tiles[index]
        noise = random.normal(0.0, 100.0, tile.heights.shape)
        wrong = (-3.0 * tile.heights[::-1] + noise, noise, 2.0 * tile.heights[::-1, ::-1])[number % 3]
        tiles[index] = PlacedTile(tile.window, wrong.astype(np.float32), tile.weights)
    return bad


def solved(plan: TilePlan, tiles: list[PlacedTile], gains: bool, anchors: tuple = ()) -> Levels:
    observed = [
        seen
        for index in range(len(plan))
        for other in plan.earlier_neighbours(index)
        if (seen := observe_overlap(index, tiles[index], other, tiles[other])) is not None
    ]
    areas = np.array([float((tile.weights > 0).sum()) for tile in tiles])
    return Levels(*solve_levels(*observation_arrays(observed, list(anchors)), areas, gains))


def surface_of(tiles: list[PlacedTile], levels: Levels, shape: tuple[int, int]) -> np.ndarray:
    return blend(Window(0, 0, *shape), tiles, levels).heights.astype(np.float64)


def relative_error(surface: np.ndarray, ground: np.ndarray, gains: bool, counted: np.ndarray) -> float:
    """RMSE by the ground's standard deviation, less what no overlap tells of: a constant, and with gains a
    scale."""
    found, truth = surface[counted], ground[counted].astype(np.float64)
    terms = [np.ones(len(found)), found] if gains else [np.ones(len(found))]
    design = np.stack(terms, axis=1)
    target = truth if gains else truth - found
    error = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
    return float(np.sqrt((error**2).mean()) / truth.std())


# --- synthetic truth ----------------------------------------------------------------------------------------


def real_dem(shared_data) -> np.ndarray:
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(shared_data / "scenes" / "zion_l8_dem.tif") as source:
        return source.read(1, window=((100, 900), (100, 900))).astype(np.float32)


@pytest.mark.parametrize("gains", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_tiles_of_a_real_dem_are_put_back_in_spite_of_bad_ones(shared_data, gains, seed):
    """Offsets of ± 500 m, gains of 0.8 to 1.25, noise, 5 % of the tiles corrupted. Where tiles overlap by
    half, even the ground under a bad tile is seen by good ones."""
    ground = real_dem(shared_data)
    plan = plan_tiles(*ground.shape, 128, 64)
    tiles = tiles_of(ground, plan, 0.01 * ground.std(), seed, gains)
    bad = corrupted(tiles, 0.05, seed)
    levels = solved(plan, tiles, gains)
    surface = surface_of(tiles, levels, ground.shape)
    assert len(bad) >= 6
    assert relative_error(surface, ground, gains, np.ones(ground.shape, bool)) < 0.02
    assert (levels.trust[bad] < 0.05).all()
    assert np.median(levels.trust) == 1.0


@pytest.mark.parametrize("gains", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_bad_tiles_do_not_bend_the_ground_that_good_ones_see(seed, gains):
    """With the default overlap of a quarter, most of a bad tile's ground is seen by no other."""
    ground = smooth_ground(500, 500, seed)
    plan = plan_tiles(500, 500, 96, 24)
    tiles = tiles_of(ground, plan, 0.01 * ground.std(), seed, gains)
    bad = corrupted(tiles, 0.05, seed)
    good = np.ones((500, 500), bool)
    for index in bad:
        good[tiles[index].window.within(Window(0, 0, 500, 500))] = False
    assert good.mean() > 0.5
    surface = surface_of(tiles, solved(plan, tiles, gains), ground.shape)
    assert relative_error(surface, ground, gains, good) < 0.02


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    tile = draw(st.integers(24, 48))
    rows, columns = (draw(st.integers(tile, 5 * tile // 2)) for _ in range(2))
    return rows, columns, tile, draw(st.integers(tile // 4, tile // 2)), draw(st.integers(0, 99))


@settings(max_examples=15)
@given(layouts(), st.booleans(), st.integers(0, 3))
def test_any_layout_with_holes_and_islands_is_put_back(layout, gains, holes):
    """Each island is put back up to a constant of its own, and a scale."""
    rows, columns, tile, overlap, seed = layout
    random = np.random.default_rng(seed)
    ground = smooth_ground(rows, columns, seed)
    for _ in range(holes):
        row, column = (int(random.integers(0, side)) for side in (rows, columns))
        ground[row : row + tile // 2, column : column + tile // 2] = np.nan
    if holes == 3:
        # A channel wider than a tile parts the ground.
        ground[:, columns // 2 - tile // 2 : columns // 2 + tile // 2 + 1] = np.nan
    plan = plan_tiles(rows, columns, tile, overlap)
    tiles = tiles_of(ground, plan, 0.0, seed, gains)
    levels = solved(plan, tiles, gains)
    surface = surface_of(tiles, levels, ground.shape)
    known = np.isfinite(ground)
    for part in islands(plan, tiles):
        counted = np.zeros(ground.shape, bool)
        for index in part:
            counted[tiles[index].window.within(Window(0, 0, rows, columns))] = True
        counted &= known
        if counted.sum() > 50 and ground[counted].std() > 1.0:
            # Small overlaps say little of a gain, which then stays nearer to 1 than it was.
            assert relative_error(surface, ground, gains, counted) < (0.12 if gains else 1e-3)


def islands(plan: TilePlan, tiles: list[PlacedTile]) -> list[set[int]]:
    pairs = [
        (index, other)
        for index in range(len(plan))
        for other in plan.earlier_neighbours(index)
        if observe_overlap(index, tiles[index], other, tiles[other]) is not None
    ]
    return parts_of(len(plan), np.array(pairs, np.int64).reshape(-1, 2))


def test_the_blended_surface_has_no_step_where_tiles_begin():
    ground = smooth_ground(300, 300, 5)
    plan = plan_tiles(300, 300, 96, 32)
    tiles = tiles_of(ground, plan, 0.0, 5, gains=False)
    error = surface_of(tiles, solved(plan, tiles, False), ground.shape) - ground
    assert np.abs(np.diff(error, axis=0)).max() < 0.01
    assert np.abs(np.diff(error, axis=1)).max() < 0.01


# --- known heights ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gains", [False, True])
def test_known_heights_make_the_surface_absolute(gains):
    ground = smooth_ground(300, 400, 3) + 1500.0
    plan = plan_tiles(300, 400, 96, 32)
    tiles = tiles_of(ground, plan, 0.0, 3, gains)
    # Three tiles know their mean height; of the first, two places are known, which tells the scale.
    anchors = []
    for index in (0, 7, len(plan) - 1):
        cut = ground[tiles[index].window.within(Window(0, 0, 300, 400))]
        anchors.append(AnchorObservation(index, float(tiles[index].heights.mean()), float(cut.mean()), 0.01))
    for place in ((5, 5), (50, 60)):
        heights = tiles[0].heights[place], ground[place]
        anchors.append(AnchorObservation(0, float(heights[0]), float(heights[1]), 0.01))
    surface = surface_of(tiles, solved(plan, tiles, gains, tuple(anchors)), ground.shape)
    assert np.sqrt(((surface - ground) ** 2).mean()) < (1.0 if gains else 0.1)


def test_one_wrong_known_height_among_many_is_outvoted():
    ground = smooth_ground(300, 300, 1) + 200.0
    plan = plan_tiles(300, 300, 96, 32)
    tiles = tiles_of(ground, plan, 0.0, 1, gains=False)
    anchors = []
    for index, tile in enumerate(tiles):
        cut = ground[tile.window.within(Window(0, 0, 300, 300))]
        wrong = 800.0 if index == 5 else 0.0
        anchors.append(AnchorObservation(index, float(tile.heights.mean()), float(cut.mean()) + wrong, 4.0))
    surface = surface_of(tiles, solved(plan, tiles, False, tuple(anchors)), ground.shape)
    assert np.abs(surface - ground).max() < 800.0 / len(plan) / 4


# --- the equations ------------------------------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, np.ndarray, np.random.Generator]:
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
    offsets = offsets_of(pairs, differences, areas, random.uniform(0.1, 10, len(pairs)))
    for part in map(sorted, parts_of(tiles, pairs)):
        # Each part that hangs together is right up to a constant, which makes its own mean by area zero.
        expected = truth[part] - np.average(truth[part], weights=areas[part])
        np.testing.assert_allclose(offsets[part], expected, atol=1e-5)


@settings(max_examples=60)
@given(graphs(), st.floats(0.001, 1.0))
def test_small_disagreements_are_shared_out_as_dense_least_squares_does(graph, noise):
    tiles, pairs, random = graph
    truth = random.uniform(-500, 500, tiles)
    # Disagreements of one size, so that none is bad enough to lose weight.
    signs = random.choice([-1.0, 1.0], len(pairs))
    design = np.zeros((len(pairs), tiles))
    design[np.arange(len(pairs)), pairs[:, 0]] = 1.0
    design[np.arange(len(pairs)), pairs[:, 1]] -= 1.0
    differences = design @ truth + noise * signs
    expected = np.linalg.lstsq(design, differences, rcond=None)[0]
    residual = np.abs(differences - design @ expected)
    offsets = offsets_of(pairs, differences, np.ones(tiles))
    # Huber's function leaves residuals alone that are less than 1.5 robust deviations.
    if len(residual) == 0 or residual.max() < 1.5 * 1.4826 * np.median(residual):
        for part in map(sorted, parts_of(tiles, pairs)):
            np.testing.assert_allclose(offsets[part], expected[part] - expected[part].mean(), atol=1e-5)
    else:
        assert np.abs(design @ (offsets - expected)).max() < 20 * noise


def test_variances_decide_between_two_ways_round():
    # A ring of three whose differences add up to 3. With half the usual variance as common ground, the third
    # is (4 + 0.25) / (1 + 0.25) = 3.4 times as uncertain, and takes so much more of it.
    pairs = np.array([[0, 1], [1, 2], [2, 0]], np.int64)
    offsets = offsets_of(pairs, np.ones(3), np.ones(3))
    np.testing.assert_allclose(offsets, 0.0, atol=1e-9)
    offsets = offsets_of(pairs, np.ones(3), np.ones(3), np.array([1.0, 1.0, 4.0]))
    residuals = 1.0 - (offsets[[0, 1, 2]] - offsets[[1, 2, 0]])
    np.testing.assert_allclose(residuals, np.array([1.0, 1.0, 3.4]) * 3.0 / 5.4, rtol=1e-6)


def test_one_wrong_difference_among_many_is_outvoted():
    random = np.random.default_rng(0)
    side, pairs = 12, grid_pairs(12)
    truth = random.uniform(-500, 500, side * side)
    differences = truth[pairs[:, 0]] - truth[pairs[:, 1]] + random.normal(0, 0.1, len(pairs))
    # Not at a corner, whose tile has but two witnesses.
    differences[7::50] += 300.0
    offsets = offsets_of(pairs, differences, np.ones(side * side))
    assert np.abs(offsets - (truth - truth.mean())).max() < 300.0 / 50
    plain = np.linalg.lstsq(
        np.eye(side * side)[pairs[:, 0]] - np.eye(side * side)[pairs[:, 1]], differences, rcond=None
    )[0]
    assert np.abs(plain - (truth - truth.mean())).max() > 50.0


def grid_pairs(side: int) -> np.ndarray:
    numbers = np.arange(side * side).reshape(side, side)
    beside = np.stack([numbers[:, 1:].ravel(), numbers[:, :-1].ravel()], axis=1)
    below = np.stack([numbers[1:].ravel(), numbers[:-1].ravel()], axis=1)
    return np.concatenate([beside, below])


def test_gains_do_not_shrink_to_make_tiles_agree():
    """Tiles that agree in nothing would agree best if all were flat."""
    random = np.random.default_rng(0)
    pairs = grid_pairs(5)
    overlaps = np.stack(
        [
            *(random.normal(0.0, 1.0, len(pairs)) for _ in range(2)),
            *(random.uniform(1.0, 2.0, len(pairs)) for _ in range(2)),
            random.uniform(0.0, 0.6, len(pairs)),
            np.full(len(pairs), 4.0),
            np.full(len(pairs), 20.0),
        ],
        axis=1,
    )
    _, gains, _ = solve_levels(pairs, overlaps, NO_TILES, NO_ANCHORS, np.ones(25), True)
    assert np.exp(np.log(gains).mean()) == pytest.approx(1.0, abs=1e-9)
    assert 0.5 < gains.min() < gains.max() < 2.0


def test_islands_have_mean_zero_by_area_each():
    pairs = np.array([[0, 1], [2, 3], [3, 4]], np.int64)
    areas = np.array([1.0, 3.0, 5.0, 5.0, 10.0, 7.0])
    offsets = offsets_of(pairs, np.array([8.0, 1.0, -2.0]), areas)
    np.testing.assert_allclose(offsets[:2], [6.0, -2.0], atol=1e-6)
    # o2 - o3 = 1, o3 - o4 = -2: (a, a - 1, a + 1) with 5 a + 5 (a - 1) + 10 (a + 1) = 0
    np.testing.assert_allclose(offsets[2:5], [-0.25, -1.25, 0.75], atol=1e-6)
    assert offsets[5] == 0.0


@pytest.mark.parametrize("tiles", [0, 1, 5])
@pytest.mark.parametrize("gains", [False, True])
def test_without_overlaps_nothing_is_changed(tiles, gains):
    offsets, found, trust = solve_levels(
        np.zeros((0, 2), np.int64), NOTHING, NO_TILES, NO_ANCHORS, np.ones(tiles), gains
    )
    np.testing.assert_array_equal(offsets, np.zeros(tiles))
    np.testing.assert_array_equal(found, np.ones(tiles))
    np.testing.assert_array_equal(trust, np.ones(tiles))


def test_tiles_without_an_area_do_no_harm():
    # A tile that was left out has no known pixel and no overlap.
    offsets = offsets_of(np.array([[0, 1]], np.int64), np.array([2.0]), np.array([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(offsets, [1.0, -1.0, 0.0], atol=1e-9)


@pytest.mark.parametrize("gains", [False, True])
def test_constant_tiles_stay_constant(gains):
    plan = plan_tiles(200, 200, 64, 16)
    weights = blending_weights(64, 16)
    constant = np.full((64, 64), 3.25, np.float32)
    tiles = [PlacedTile(plan.window(index), constant, weights) for index in range(len(plan))]
    levels = solved(plan, tiles, gains)
    assert np.abs(levels.offsets).max() < 1e-9
    np.testing.assert_allclose(surface_of(tiles, levels, (200, 200)), 3.25, rtol=4e-7)


def test_many_tiles_are_solved_too():
    side, pairs = 60, grid_pairs(60)
    random = np.random.default_rng(0)
    truth = random.uniform(-500, 500, side * side)
    differences = truth[pairs[:, 0]] - truth[pairs[:, 1]] + random.normal(0, 0.5, len(pairs))
    offsets = offsets_of(pairs, differences, np.ones(side * side))
    assert np.abs(offsets - (truth - truth.mean())).max() < 5.0


def test_ground_without_a_known_height_is_put_as_high_as_the_rest():
    """Two rows of three tiles that do not touch; heights are known in the first alone."""
    pairs = np.array([[0, 1], [1, 2], [3, 4], [4, 5]])
    overlaps = overlaps_of(np.array([-10.0, -10.0, 4.0, 4.0]), np.ones(4))
    anchored, anchors = np.array([1]), np.array([[0.0, 800.0, 1.0]])
    areas = np.array([1.0, 1.0, 1.0, 1.0, 2.0, 1.0])
    offsets, _, _ = solve_levels(pairs, overlaps, anchored, anchors, areas)
    np.testing.assert_allclose(offsets[:3], [790.0, 800.0, 810.0], atol=1e-6)
    np.testing.assert_allclose(offsets[3:], [804.0, 800.0, 796.0], atol=1e-6)
    assert guessed_tiles(pairs, anchored, areas) == 3
    areas[3] = 0.0
    assert guessed_tiles(pairs, anchored, areas) == 2
    assert guessed_tiles(pairs, NO_TILES, areas) == 0
