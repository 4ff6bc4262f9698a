from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagetodem_qgis.core.grid import PixelGrid, Vector
from imagetodem_qgis.core.network_grid import filling_a_tile, filling_factor, network_grid, surroundings
from imagetodem_qgis.core.tiling import Window

TRAINED = (10.0, 20.0)
METRES = st.floats(0.1, 1000.0)


class Placeless(PixelGrid):
    """A grid whose CRS leads nowhere."""

    def to_longitude_latitude(self, places: Sequence[Vector]) -> list[Vector] | None:
        return None


def grid_of(rows: int, columns: int, across: float, down: float) -> Placeless:
    return Placeless(columns, rows, (500.0, across, 0.0, 900.0, 0.0, -down), "somewhere")


def test_pixels_like_the_trainings_are_shown_as_they_are():
    grid = grid_of(300, 200, 16.0, 15.0)
    seen = network_grid(grid, 16.0, 15.0, TRAINED)
    assert seen.grid is grid
    assert seen.gsd == seen.own == seen.wanted == math.sqrt(240.0)
    assert not seen.is_far


def test_fine_pixels_are_brought_to_the_finest_of_the_training():
    seen = network_grid(grid_of(300, 200, 5.0, 5.0), 5.0, 5.0, TRAINED)
    assert seen.grid == grid_of(150, 100, 10.0, 10.0)
    assert (seen.gsd, seen.own, seen.wanted, seen.is_far) == (10.0, 5.0, 10.0, True)


def test_coarse_pixels_are_brought_to_the_coarsest_of_the_training():
    seen = network_grid(grid_of(30, 20, 80.0, 80.0), 80.0, 80.0, TRAINED)
    assert seen.grid == grid_of(120, 80, 20.0, 20.0)
    assert (seen.gsd, seen.own, seen.wanted, seen.is_far) == (20.0, 80.0, 20.0, True)


def test_whole_rows_and_columns_change_the_size_of_a_pixel():
    # 505 m by 495 m make 50 rows and 50 columns of about 10 m.
    seen = network_grid(grid_of(101, 99, 5.0, 5.0), 5.0, 5.0, TRAINED)
    assert (seen.grid.rows, seen.grid.columns) == (50, 50)
    assert seen.gsd == pytest.approx(math.sqrt(10.1 * 9.9), rel=1e-12)
    assert seen.wanted == 10.0


def test_oblong_pixels_are_made_square_at_their_own_mean_size():
    seen = network_grid(grid_of(90, 160, 9.0, 16.0), 9.0, 16.0, TRAINED)
    assert (seen.grid.rows, seen.grid.columns) == (120, 120)
    assert seen.grid.geotransform == pytest.approx((500.0, 12.0, 0.0, 900.0, 0.0, -12.0), rel=1e-12)
    assert (seen.gsd, seen.own, seen.wanted, seen.is_far) == (12.0, 12.0, 12.0, False)


def test_oblong_pixels_far_from_the_training_are_made_square_at_its_size():
    seen = network_grid(grid_of(90, 160, 2.0, 4.0), 2.0, 4.0, TRAINED)
    assert (seen.grid.rows, seen.grid.columns) == (36, 32)
    assert seen.grid.geotransform == pytest.approx((500.0, 10.0, 0.0, 900.0, 0.0, -10.0), rel=1e-12)
    assert (seen.gsd, seen.own, seen.is_far) == (10.0, math.sqrt(8.0), True)


@pytest.mark.parametrize(("pixel", "is_far"), [(7.99, True), (8.0, False), (25.0, False), (25.01, True)])
def test_far_is_a_quarter_beyond_the_training(pixel, is_far):
    grid = grid_of(100, 100, pixel, pixel)
    seen = network_grid(grid, pixel, pixel, TRAINED)
    assert seen.is_far == is_far
    assert (seen.grid is grid) == (not is_far)


@pytest.mark.parametrize(("ratio", "is_shown"), [(1.14, True), (1.15, False)])
def test_oblong_is_a_ratio_of_1_15_whichever_side_is_longer(ratio, is_shown):
    for across, down in ((10.0, 10.0 * ratio), (10.0 * ratio, 10.0)):
        grid = grid_of(400, 400, across, down)
        assert (network_grid(grid, across, down, TRAINED).grid is grid) == is_shown


def test_a_raster_smaller_than_a_pixel_of_the_training_makes_one():
    seen = network_grid(grid_of(2, 3, 1.0, 1.0), 1.0, 1.0, TRAINED)
    assert (seen.grid.rows, seen.grid.columns) == (1, 1)
    assert seen.gsd == pytest.approx(math.sqrt(6.0), rel=1e-12)


@given(st.integers(1, 3000), st.integers(1, 3000), METRES, METRES, METRES, st.floats(1.0, 10.0))
def test_the_extent_and_its_area_stay(rows, columns, across, down, least, span):
    grid = grid_of(rows, columns, across, down)
    seen = network_grid(grid, across, down, (least, least * span))
    corner = seen.grid.to_map(seen.grid.columns, seen.grid.rows)
    assert corner == pytest.approx(grid.to_map(columns, rows), rel=1e-9, abs=1e-6)
    area = seen.gsd**2 * seen.grid.rows * seen.grid.columns
    assert area == pytest.approx(across * down * rows * columns, rel=1e-9)


def test_a_raster_smaller_than_a_tile_is_shown_finer_to_fill_it():
    seen = network_grid(grid_of(100, 80, 15.0, 15.0), 15.0, 15.0, TRAINED)
    filling = filling_a_tile(seen, TRAINED[0], 120)
    assert filling.grid == grid_of(120, 96, 12.5, 12.5)
    assert (filling.gsd, filling.own, filling.wanted, filling.is_far) == (12.5, 15.0, 15.0, False)


def test_it_is_shown_no_finer_than_the_training_was():
    seen = network_grid(grid_of(100, 80, 15.0, 15.0), 15.0, 15.0, TRAINED)
    assert filling_a_tile(seen, TRAINED[0], 512).grid == grid_of(150, 120, 10.0, 10.0)


@pytest.mark.parametrize(("rows", "columns"), [(64, 20), (20, 64), (57, 57), (500, 30)])
def test_a_raster_that_about_fills_a_tile_is_shown_as_it_is(rows, columns):
    seen = network_grid(grid_of(rows, columns, 15.0, 15.0), 15.0, 15.0, TRAINED)
    assert filling_a_tile(seen, TRAINED[0], 64) is seen


def test_a_raster_that_is_resampled_anyway_fills_a_tile_as_well():
    # 5 m is too fine, so that it is read at 10 m; 80 m is too coarse, and would be read at 20 m.
    fine = network_grid(grid_of(60, 60, 5.0, 5.0), 5.0, 5.0, TRAINED)
    assert filling_a_tile(fine, TRAINED[0], 256) is fine
    coarse = network_grid(grid_of(20, 30, 80.0, 80.0), 80.0, 80.0, TRAINED)
    filling = filling_a_tile(coarse, TRAINED[0], 240)
    assert (filling.grid, filling.gsd, filling.is_far) == (grid_of(160, 240, 10.0, 10.0), 10.0, True)


@given(st.integers(1, 400), st.integers(1, 400), METRES, METRES, st.integers(16, 256))
def test_what_fills_a_tile_is_never_larger_than_one_nor_finer_than_known(rows, columns, gsd, least, tile):
    factor = filling_factor(rows, columns, gsd, least, tile)
    assert factor == 1.0 or 1.15 <= factor <= 4.0
    if factor > 1.0:
        assert max(rows, columns) * factor <= tile * (1 + 1e-9)
        assert gsd / factor >= least * (1 - 1e-9)
    elif max(rows, columns) * 1.15 < tile:
        assert gsd / 1.15 < least * (1 + 1e-9)


def seen_of(window: Window, across: float, down: float, trained: tuple[float, float] = TRAINED):
    return network_grid(grid_of(window.rows, window.columns, across, down), across, down, trained)


def test_a_window_is_shown_with_what_fills_a_tile_around_it():
    window, whole = Window(100, 80, 30, 40), Window(0, 0, 500, 300)
    assert surroundings(window, whole, seen_of(window, 15.0, 15.0), 64) == Window(83, 68, 64, 64)


def test_a_tile_is_told_in_the_rasters_own_pixels():
    # 5 m are read at 10 m: two rows make one of the network's; 9 m by 16 m at their mean of 12 m.
    window, whole = Window(100, 80, 30, 40), Window(0, 0, 500, 300)
    assert surroundings(window, whole, seen_of(window, 5.0, 5.0), 64) == Window(51, 36, 128, 128)
    shown = surroundings(window, whole, seen_of(window, 16.0, 9.0), 64)
    assert (shown.rows, shown.columns) == (85, 48)


def test_no_more_is_read_around_a_window_than_makes_sense():
    window, whole = Window(30_000, 30_000, 100, 100), Window(0, 0, 100_000, 100_000)
    shown = surroundings(window, whole, seen_of(window, 0.05, 0.05), 256)
    assert (shown.rows, shown.columns) == (4096, 4096)


@given(st.data(), METRES, st.floats(0.5, 2.0), METRES, st.floats(1.0, 10.0), st.integers(8, 64))
def test_what_is_shown_around_a_window_makes_no_second_tile(data, across, oblong, least, span, tile):
    whole, trained, down = Window(0, 0, 2000, 1500), (least, least * span), across * oblong
    row, column = data.draw(st.integers(0, 1990)), data.draw(st.integers(0, 1490))
    rows, columns = data.draw(st.integers(1, 2000 - row)), data.draw(st.integers(1, 1500 - column))
    window = Window(row, column, rows, columns)
    alone = seen_of(window, across, down, trained)
    shown = surroundings(window, whole, alone, tile)
    around = seen_of(shown, across, down, trained)
    assert shown.intersection(window) == window
    for side, own in (("rows", rows), ("columns", columns)):
        if getattr(shown, side) > own:
            assert getattr(around.grid, side) <= max(tile, getattr(alone.grid, side))
        else:
            assert getattr(around.grid, side) == getattr(alone.grid, side)
