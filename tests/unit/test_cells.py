from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from osgeo import gdal

from imagetodem_qgis.core.cells import CellGrid, cell_grid, mean_preserving
from imagetodem_qgis.core.tiling import Window


def all_cells(grid: CellGrid) -> Window:
    return Window(0, 0, grid.down, grid.across)


def all_pixels(grid: CellGrid) -> Window:
    return Window(0, 0, grid.rows, grid.columns)


@given(st.integers(1, 90), st.integers(1, 90), st.floats(1.0, 40.0), st.integers(1, 60))
def test_windows_of_whole_cells_cover_the_raster_once(rows, columns, cell, size):
    grid = cell_grid(rows, columns, cell)
    seen_cells, seen_pixels = np.zeros((grid.down, grid.across), int), np.zeros((rows, columns), int)
    for cells, pixels in grid.windows(size):
        assert not cells.is_empty()
        assert not pixels.is_empty()
        seen_cells[cells.within(all_cells(grid))] += 1
        seen_pixels[pixels.within(all_pixels(grid))] += 1
    assert (seen_cells == 1).all()
    assert (seen_pixels == 1).all()


@given(st.integers(2, 60), st.integers(2, 60), st.floats(1.0, 12.0))
def test_sums_are_those_of_each_cells_pixels(rows, columns, cell):
    grid = cell_grid(rows, columns, cell)
    values = np.random.default_rng(rows).normal(size=(rows, columns)).astype(np.float32)
    sums = grid.sums(values, all_cells(grid))
    assert sums.shape == (grid.down, grid.across)
    for row in range(0, grid.down, max(1, grid.down // 3)):
        for column in range(0, grid.across, max(1, grid.across // 3)):
            pixels = grid.pixels(Window(row, column, 1, 1))
            part = values[pixels.within(all_pixels(grid))].astype(np.float64)
            assert sums[row, column] == pytest.approx(part.sum(), abs=1e-9)
            assert part.size in (
                (rows // grid.down + a) * (columns // grid.across + b) for a in (0, 1) for b in (0, 1)
            )


def test_the_smooth_surface_is_the_same_window_by_window():
    grid = cell_grid(103, 250, 7.3)
    means = np.random.default_rng(0).normal(size=(grid.down, grid.across)).astype(np.float32)
    whole = grid.smooth(means, all_cells(grid), all_pixels(grid))
    for pixels in (
        Window(0, 0, 20, 30),
        Window(13, 27, 50, 61),
        Window(90, 240, 13, 10),
        Window(50, 0, 1, 1),
    ):
        around = grid.around(pixels)
        part = grid.smooth(means[around.within(all_cells(grid))], around, pixels)
        np.testing.assert_allclose(part, whole[pixels.within(all_pixels(grid))], atol=1e-5)


def test_cubic_convolution_is_exact_for_parabolas_away_from_the_border():
    grid = cell_grid(120, 120, 10.0)
    place = np.arange(12.0)
    parabola = (0.5 * place**2 - 3.0 * place)[:, None] + np.zeros(12) + 2.0 * place[None]
    smooth = grid.smooth(parabola.astype(np.float32), all_cells(grid), all_pixels(grid))
    fine = (np.arange(120.0) + 0.5) / 10.0 - 0.5
    expected = (0.5 * fine**2 - 3.0 * fine)[:, None] + 2.0 * fine[None]
    np.testing.assert_allclose(smooth[20:-20, 20:-20], expected[20:-20, 20:-20], atol=1e-4)


def test_cubic_convolution_is_gdals_of_the_same_name():
    means = np.random.default_rng(1).normal(size=(9, 11)).astype(np.float32)
    coarse = gdal.GetDriverByName("MEM").Create("", 11, 9, 1, gdal.GDT_Float32)
    coarse.SetGeoTransform((0.0, 8.0, 0.0, 72.0, 0.0, -8.0))
    coarse.GetRasterBand(1).WriteArray(means)
    fine = gdal.Translate("", coarse, format="MEM", width=88, height=72, resampleAlg="cubic").ReadAsArray()
    grid = cell_grid(72, 88, 8.0)
    smooth = grid.smooth(means, all_cells(grid), all_pixels(grid))
    np.testing.assert_allclose(smooth[16:-16, 16:-16], fine[16:-16, 16:-16], atol=1e-4)


def test_a_slope_goes_on_at_half_beyond_the_outermost_cells():
    grid = cell_grid(1, 90, 15.0)
    plane = 2.0 * (np.arange(90.0) - 7.0)[None]
    means = (grid.sums(plane, all_cells(grid)) / 15.0).astype(np.float32)
    found = grid.smooth(means, all_cells(grid), all_pixels(grid))[0]
    np.testing.assert_allclose(found[22:-22], plane[0, 22:-22], atol=1e-3)
    # Half a cell beyond the last centre: between the level and the slope.
    assert -14.0 < found[0] < 0.0
    assert 2.0 * 75.0 < found[-1] < 2.0 * 82.0
    assert (np.diff(found) > 0.0).all()


def test_linear_interpolation_does_not_overshoot():
    grid = cell_grid(60, 60, 6.0)
    steps = (np.arange(100).reshape(10, 10) % 2).astype(np.float32)
    smooth = grid.smooth(steps, all_cells(grid), all_pixels(grid), linear=True)
    assert smooth.min() >= 0.0
    assert smooth.max() <= 1.0
    assert np.ptp(smooth) == pytest.approx(1.0, abs=0.2)


def test_nodes_can_be_found_whose_surface_has_given_means():
    grid = cell_grid(150, 200, 10.0)
    means = np.random.default_rng(2).normal(size=(15, 20)).astype(np.float32)

    def misfit(nodes: np.ndarray) -> float:
        surface = grid.smooth(nodes, all_cells(grid), all_pixels(grid))
        return float(np.abs(grid.sums(surface, all_cells(grid)) / 100.0 - means)[2:-2, 2:-2].max())

    # White noise is the hardest there is; each of three steps takes away most of what is left.
    assert misfit(means) > 0.5
    assert misfit(mean_preserving(means)) < 0.15 * misfit(means)


def test_level_and_sloping_means_are_their_own_nodes():
    slope = np.add.outer(2.0 * np.arange(12.0), -3.0 * np.arange(9.0)).astype(np.float32)
    np.testing.assert_allclose(mean_preserving(slope)[6:-5, 4:-4], slope[6:-5, 4:-4], atol=1e-4)
    np.testing.assert_allclose(mean_preserving(np.full((3, 4), 7.0, np.float32)), 7.0, rtol=1e-6)
