"""Bringing tiles' colours together: offsets from overlaps, blending, palettes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetodem_qgis.core.colour import (
    ColourOverlap,
    ColourTile,
    blend_colours,
    choose_palette,
    observe_colours,
    solve_colours,
)
from imagetodem_qgis.core.tiling import Window, blending_weights, blocks, plan_tiles


def tile(window: Window, colours: np.ndarray, weights: np.ndarray | None = None) -> ColourTile:
    weights = np.ones((window.rows, window.columns), np.float32) if weights is None else weights
    return ColourTile(window, colours.astype(np.float32), weights.astype(np.float32))


def test_an_overlap_tells_the_weighted_mean_difference():
    random = np.random.default_rng(1)
    one = tile(Window(0, 0, 6, 8), random.normal(size=(6, 8, 3)), random.uniform(0, 1, (6, 8)))
    other = tile(Window(2, 5, 6, 8), random.normal(size=(6, 8, 3)), random.uniform(0, 1, (6, 8)))
    observed = observe_colours(4, one, 2, other)
    weights = one.weights[2:, 5:] * other.weights[:4, :3]
    expected = [
        np.average((other.colours[:4, :3] - one.colours[2:, 5:])[..., band], weights=weights)
        for band in range(3)
    ]
    assert (observed.first, observed.second) == (4, 2)
    np.testing.assert_allclose(observed.difference, expected, rtol=1e-5)
    assert observed.weight == pytest.approx(weights.sum(), rel=1e-6)


def test_tiles_that_share_no_known_pixel_tell_nothing():
    one = tile(Window(0, 0, 4, 4), np.zeros((4, 4, 3)))
    assert observe_colours(0, one, 1, tile(Window(0, 4, 4, 4), np.zeros((4, 4, 3)))) is None
    unknown = tile(Window(0, 2, 4, 4), np.zeros((4, 4, 3)), np.zeros((4, 4)))
    assert observe_colours(0, one, 1, unknown) is None


def dense(is_level: np.ndarray, overlaps: list[ColourOverlap]) -> np.ndarray:
    """The same least squares by NumPy's solver: one row an overlap, one row a tile for the prior."""
    tiles = len(is_level)
    mean = np.mean([overlap.weight for overlap in overlaps])
    rows, values = [], []
    for overlap in overlaps:
        row = np.zeros(tiles)
        row[overlap.first], row[overlap.second] = 1.0, -1.0
        root = np.sqrt(overlap.weight / mean)
        rows.append(row * root)
        values.append(np.array(overlap.difference) * root)
    rows += list(np.diag(np.sqrt(np.where(is_level, 10.0, 0.25))))
    values += [np.zeros(3)] * tiles
    return np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]


@settings(max_examples=40)
@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_offsets_are_those_of_least_squares(tiles, seed):
    """For any layout: chains, parts without a link, tiles without any."""
    random = np.random.default_rng(seed)
    overlaps = []
    for _ in range(random.integers(1, 3 * tiles)):
        first, second = random.choice(tiles, 2, replace=False)
        difference = tuple(float(value) for value in random.normal(size=3))
        overlaps.append(ColourOverlap(int(first), int(second), difference, float(random.uniform(0.1, 50))))
    is_level = random.random(tiles) < 0.3
    np.testing.assert_allclose(solve_colours(is_level, overlaps), dense(is_level, overlaps), atol=1e-5)


def test_without_overlaps_nothing_is_moved():
    assert (solve_colours(np.zeros(3, bool), []) == 0.0).all()


def mosaic(offsets: np.ndarray | None, solve: bool) -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture, and what comes of its tiles, each with an offset of its own."""
    rows, columns, size, overlap = 150, 190, 64, 16
    y, x = np.mgrid[:rows, :columns] / 40.0
    picture = np.stack([np.sin(x + y), np.cos(x - y), np.sin(2 * x) * np.cos(y)], axis=-1) * 0.5
    plan = plan_tiles(rows, columns, size, overlap)
    weights = blending_weights(size, overlap)
    tiles = []
    for index in range(len(plan)):
        window = plan.window(index)
        own = 0.0 if offsets is None else offsets[index]
        tiles.append(tile(window, picture[window.within(Window(0, 0, rows, columns))] + own, weights))
    overlaps = [
        observed
        for index in range(len(plan))
        for other in plan.earlier_neighbours(index)
        if (observed := observe_colours(index, tiles[index], other, tiles[other])) is not None
    ]
    solved = solve_colours(np.zeros(len(plan), bool), overlaps) if solve else np.zeros((len(plan), 3))
    blended = np.empty((rows, columns, 3))
    for block in blocks(rows, columns, 100):
        touching = plan.touching(block)
        blended[block.within(Window(0, 0, rows, columns))] = blend_colours(
            block, [tiles[index] for index in touching], solved[touching]
        )
    return picture, blended


def test_tiles_without_offsets_give_the_picture_back():
    picture, blended = mosaic(None, solve=True)
    np.testing.assert_allclose(blended, picture, atol=1e-6)


def test_the_tiles_own_colours_are_solved_away():
    offsets = np.random.default_rng(3).normal(0.0, 0.2, (12, 3))
    picture, blended = mosaic(offsets, solve=True)
    _, unsolved = mosaic(offsets, solve=False)
    # What remains is what the prior keeps: mostly the offsets' own mean, the same everywhere.
    remaining = blended - picture - offsets.mean(axis=0)
    assert np.abs(remaining).max() < 0.35 * np.abs(unsolved - picture - offsets.mean(axis=0)).max()


def test_a_difference_that_all_overlaps_share_does_not_add_up():
    """Each of 40 tiles in a row seems a step darker than the one before: the last is no 40 steps darker."""
    overlaps = [ColourOverlap(index, index - 1, (0.1, -0.1, 0.0), 1.0) for index in range(1, 40)]
    offsets = solve_colours(np.zeros(40, bool), overlaps)
    assert np.abs(offsets).max() < 0.2
    assert np.abs(offsets[15:25]).max() < 0.01


def test_level_ground_keeps_its_colour():
    """Land a step brighter comes towards the sea, not the sea towards the land."""
    offsets = solve_colours(np.array([True, False]), [ColourOverlap(0, 1, (1.0, 1.0, 1.0), 1.0)])
    assert np.abs(offsets[0]).max() < 0.03
    assert (offsets[1] < -0.7).all()


def test_where_no_tile_counts_nothing_is_known():
    blended = blend_colours(
        Window(0, 0, 2, 6), [tile(Window(0, 0, 2, 4), np.ones((2, 4, 3)))], np.zeros((1, 3))
    )
    assert (blended[:, :4] == 1.0).all()
    assert np.isnan(blended[:, 4:]).all()


def test_a_seed_chooses_a_palette_and_later_ones_mix_two():
    palettes = [(0.0, 0.1, 0.2), (1.0, 0.9, 0.8), (-1.0, -1.0, -1.0)]
    assert [choose_palette(palettes, seed) for seed in range(3)] == palettes
    mixed = [choose_palette(palettes, seed) for seed in range(3, 60)]
    assert len(set(mixed)) > 30
    assert mixed == [choose_palette(palettes, seed) for seed in range(3, 60)]
    for palette in mixed:
        on_a_line = [
            abs(np.cross(np.subtract(palette, one), np.subtract(other, one))).max() < 1e-9
            for one in palettes
            for other in palettes
            if one != other
        ]
        assert any(on_a_line) or palette in palettes
    assert choose_palette(palettes[:1], 99) == palettes[0]
