from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetodem_qgis.core.tiling import (
    TilePlan,
    Window,
    blending_weights,
    blocks,
    pad_to_tile,
    plan_tiles,
)


@st.composite
def plans(draw: st.DrawFn) -> TilePlan:
    tile_size = draw(st.integers(1, 24))
    overlap = draw(st.integers(0, tile_size - 1))
    # At most a dozen tiles a side: these tests look at every pair of them.
    sides = st.integers(1, tile_size + 10 * (tile_size - overlap))
    return plan_tiles(draw(sides), draw(sides), tile_size, overlap)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    row, column = draw(st.integers(0, 30)), draw(st.integers(0, 30))
    return Window(row, column, draw(st.integers(0, 30)), draw(st.integers(0, 30)))


def pixels_of(window: Window) -> set[tuple[int, int]]:
    return {
        (row, column)
        for row in range(window.row, window.row + window.rows)
        for column in range(window.column, window.column + window.columns)
    }


def least_count(size: int, tile_size: int, overlap: int) -> int:
    """How many tiles a walk needs that steps as far as the overlap lets it."""
    count, end = 1, tile_size
    while end < size:
        count, end = count + 1, end + tile_size - overlap
    return count


@given(plans())
def test_every_pixel_lies_in_a_tile_and_no_tile_leaves_the_raster(plan):
    covered = np.zeros((plan.rows, plan.columns), int)
    for index in range(len(plan)):
        window = plan.window(index)
        assert window.row >= 0
        assert window.column >= 0
        assert window.row + window.rows <= plan.rows
        assert window.column + window.columns <= plan.columns
        covered[window.within(Window(0, 0, plan.rows, plan.columns))] += 1
    assert covered.min() >= 1


@given(plans())
def test_tiles_are_as_few_as_the_overlap_allows_and_evenly_spread(plan):
    for size, starts in ((plan.rows, plan.row_starts), (plan.columns, plan.column_starts)):
        assert len(starts) == least_count(size, plan.tile_size, plan.overlap)
        assert starts[0] == 0
        assert starts[-1] == max(0, size - plan.tile_size)
        steps = np.diff(starts)
        assert (steps >= 1).all()
        assert (plan.tile_size - steps >= plan.overlap).all()
        if len(steps):
            assert steps.max() - steps.min() <= 1


@given(plans())
def test_neighbours_overlap_as_asked_and_a_window_has_a_tiles_size(plan):
    across = len(plan.column_starts)
    for index in range(len(plan)):
        window = plan.window(index)
        assert (window.rows, window.columns) == (
            min(plan.tile_size, plan.rows),
            min(plan.tile_size, plan.columns),
        )
        if index % across:
            shared = window.intersection(plan.window(index - 1))
            assert shared.columns >= plan.overlap
            assert shared.rows == window.rows
        if index >= across:
            shared = window.intersection(plan.window(index - across))
            assert shared.rows >= plan.overlap
            assert shared.columns == window.columns


@given(plans(), windows())
def test_touching_is_what_a_look_at_every_tile_finds(plan, window):
    expected = [index for index in range(len(plan)) if not plan.window(index).intersection(window).is_empty()]
    if window.is_empty():
        # No block is ever empty, so what touches one without pixels is left open.
        assert expected == []
    else:
        assert plan.touching(window) == expected


@settings(max_examples=40)
@given(plans())
def test_each_pair_of_neighbours_is_met_once_and_before_its_second_tile(plan):
    across = len(plan.column_starts)
    met = [(index, other) for index in range(len(plan)) for other in plan.earlier_neighbours(index)]
    assert all(other < index for index, other in met)
    adjacent = {
        (one, other)
        for one in range(len(plan))
        for other in range(one)
        if max(abs(one // across - other // across), abs(one % across - other % across)) == 1
    }
    assert len(met) == len(set(met))
    assert set(met) == adjacent


@settings(max_examples=40)
@given(plans())
def test_pairs_that_overlap_without_being_met_lie_two_tiles_apart_under_large_overlaps_only(plan):
    across = len(plan.column_starts)
    for one in range(len(plan)):
        met = set(plan.earlier_neighbours(one))
        for other in range(one):
            overlapping = not plan.window(one).intersection(plan.window(other)).is_empty()
            if overlapping and other not in met:
                # A chain of closer pairs ties these two together, so the solve can do without them.
                apart = max(abs(one // across - other // across), abs(one % across - other % across))
                assert apart >= 2
                steps = np.concatenate([np.diff(plan.row_starts), np.diff(plan.column_starts)])
                assert 2 * steps.min() < plan.tile_size


@pytest.mark.parametrize(
    ("window", "rows", "columns", "expected"),
    [
        (Window(40, 30, 10, 20), 16, 32, Window(37, 24, 16, 32)),
        (Window(40, 30, 10, 20), 15, 31, Window(38, 25, 15, 31)),
        (Window(40, 30, 10, 20), 8, 20, Window(40, 30, 10, 20)),
        (Window(5, 30, 10, 20), 40, 8, Window(0, 30, 40, 20)),
        (Window(85, 75, 10, 20), 40, 30, Window(60, 69, 40, 30)),
        (Window(85, 75, 10, 20), 400, 300, Window(0, 0, 100, 99)),
    ],
)
def test_a_known_window_grown(window, rows, columns, expected):
    assert window.grown(rows, columns, Window(0, 0, 100, 99)) == expected


@given(st.data())
def test_a_grown_window_holds_the_window_in_its_middle_as_far_as_there_is_room(data):
    whole = Window(data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9)), 40, 30)
    row, column = data.draw(st.integers(0, 39)), data.draw(st.integers(0, 29))
    rows, columns = data.draw(st.integers(1, 40 - row)), data.draw(st.integers(1, 30 - column))
    window = Window(row, column, rows, columns).moved(whole.row, whole.column)
    wanted = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    grown = window.grown(*wanted, whole)
    assert grown.intersection(window) == window
    assert grown.intersection(whole) == grown
    assert (grown.rows, grown.columns) == (
        max(rows, min(wanted[0], 40)),
        max(columns, min(wanted[1], 30)),
    )
    before, after = window.row - grown.row, grown.row + grown.rows - window.row - window.rows
    if grown.row > whole.row and grown.row + grown.rows < whole.row + whole.rows:
        assert abs(before - after) <= 1


def test_a_known_plan():
    plan = plan_tiles(257, 1000, 256, 64)
    assert plan.row_starts == (0, 1)
    assert plan.column_starts == (0, 186, 372, 558, 744)
    assert len(plan) == 10
    assert plan.window(6) == Window(1, 186, 256, 256)
    assert plan.earlier_neighbours(6) == [5, 0, 1, 2]
    assert plan.touching(Window(0, 186, 1, 1)) == [0, 1]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 256), (256, 256), (256, 5)])
def test_a_raster_no_larger_than_a_tile_is_one_tile_of_its_own_size(rows, columns):
    plan = plan_tiles(rows, columns, 256, 64)
    assert len(plan) == 1
    assert plan.window(0) == Window(0, 0, rows, columns)
    assert plan.earlier_neighbours(0) == []


@pytest.mark.parametrize(
    ("rows", "columns", "tile_size", "overlap"),
    [(0, 5, 4, 1), (5, 0, 4, 1), (5, 5, 0, 0), (5, 5, 4, 4), (5, 5, 4, -1), (-3, 5, 4, 1)],
)
def test_impossible_plans_are_refused(rows, columns, tile_size, overlap):
    with pytest.raises(ValueError, match="tiles of"):
        plan_tiles(rows, columns, tile_size, overlap)


@given(windows(), windows())
def test_intersection_is_that_of_the_sets_of_pixels(one, other):
    shared = one.intersection(other)
    assert pixels_of(shared) == pixels_of(one) & pixels_of(other)
    assert shared.is_empty() == (not pixels_of(one) & pixels_of(other))
    assert pixels_of(other.intersection(one)) == pixels_of(shared)


def test_within_gives_the_slices_of_the_same_pixels():
    whole = Window(10, 20, 30, 40)
    part = Window(15, 41, 3, 4)
    rows, columns = np.mgrid[10:40, 20:60]
    assert np.array_equal(rows[part.within(whole)], np.mgrid[15:18, 41:45][0])
    assert np.array_equal(columns[part.within(whole)], np.mgrid[15:18, 41:45][1])


@given(st.integers(1, 64), st.integers(0, 70))
def test_blending_weights_are_positive_symmetric_and_separable(tile_size, overlap):
    weights = blending_weights(tile_size, overlap)
    assert weights.shape == (tile_size, tile_size)
    assert weights.dtype == np.float32
    assert weights.min() > 0.0
    assert weights.max() <= 1.0
    np.testing.assert_allclose(weights, weights.T, rtol=1e-6)
    np.testing.assert_array_equal(weights, weights[::-1])
    np.testing.assert_array_equal(weights, weights[:, ::-1])
    profile = weights[tile_size // 2]
    assert (np.diff(profile[: (tile_size + 1) // 2]) >= 0.0).all()


def test_blending_weights_follow_the_smoothstep_and_are_one_inside():
    weights = blending_weights(64, 16)
    assert (weights[16:48, 16:48] == 1.0).all()
    place = np.arange(1, 16)
    t = (place + 0.5) / 16
    np.testing.assert_allclose(weights[place, 32], 3 * t**2 - 2 * t**3, rtol=1e-5)
    # Two tiles that overlap by exactly that width share out a full weight between them.
    np.testing.assert_allclose(weights[:16, 32] + weights[48:, 32], 1.0, atol=4e-3)


def test_a_margin_counts_for_next_to_nothing():
    weights = blending_weights(64, 16, margin=4)
    assert weights[:4].max() == weights[:, 60:].max() == np.float32(1e-3)
    assert (weights[12:52, 12:52] == 1.0).all()
    t = (np.arange(8) + 0.5) / 8
    np.testing.assert_allclose(weights[4:12, 32], 3 * t**2 - 2 * t**3, rtol=1e-5)
    np.testing.assert_allclose(weights[:16, 32] + weights[48:, 32], 1.0, atol=2e-3)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 20))
def test_blocks_cover_a_raster_once_and_are_no_larger_than_asked(rows, columns, size):
    covered = np.zeros((rows, columns), int)
    for block in blocks(rows, columns, size):
        assert 1 <= block.rows <= size
        assert 1 <= block.columns <= size
        covered[block.within(Window(0, 0, rows, columns))] += 1
    assert (covered == 1).all()


@settings(max_examples=25)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(12, 30))
def test_padding_mirrors_the_image_at_its_lower_and_right_border(rows, columns, size):
    array = np.random.default_rng(0).normal(size=(rows, columns, 3)).astype(np.float32)
    padded = pad_to_tile(array, size)
    assert padded.shape == (size, size, 3)

    def mirrored(place: int, side: int) -> int:
        place %= 2 * side
        return place if place < side else 2 * side - 1 - place

    for row in range(size):
        expected = [array[mirrored(row, rows), mirrored(column, columns)] for column in range(size)]
        assert np.array_equal(padded[row], expected)


def test_a_whole_tile_is_not_copied():
    array = np.zeros((8, 8), np.float32)
    assert pad_to_tile(array, 8) is array
