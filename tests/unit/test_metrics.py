from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from imagetodem_qgis.core.metrics import accuracy, aspect_difference, error_figures, gradient, slope

gdal = pytest.importorskip("osgeo.gdal", reason="slopes are compared with GDAL's")


def rough(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.cumsum(np.cumsum(random.normal(0, 3.0, (rows, columns)), axis=0), axis=1).astype(np.float32)


def gdal_slope(heights: np.ndarray, pixel_size: tuple[float, float]) -> np.ndarray:
    """Slope by ``gdaldem``, NaN where it answers nodata."""
    source = gdal.GetDriverByName("MEM").Create("", heights.shape[1], heights.shape[0], 1, gdal.GDT_Float32)
    source.SetGeoTransform((0.0, pixel_size[0], 0.0, 0.0, 0.0, -pixel_size[1]))
    source.GetRasterBand(1).SetNoDataValue(-9999.0)
    source.GetRasterBand(1).WriteArray(np.where(np.isfinite(heights), heights, -9999.0))
    answer = gdal.DEMProcessing("", source, "slope", format="MEM", alg="Horn").ReadAsArray()
    return np.where(answer == -9999.0, np.nan, answer)


@pytest.mark.parametrize("pixel_size", [(30.0, 30.0), (10.0, 25.0)])
def test_slope_is_gdaldems(pixel_size):
    heights = rough(40, 53)
    expected = gdal_slope(heights, pixel_size)
    assert np.isfinite(expected[1:-1, 1:-1]).all()
    assert np.nanmax(expected) > 10.0
    np.testing.assert_allclose(slope(heights, pixel_size), expected, atol=2e-3)


def test_slope_beside_unknown_pixels_is_unknown_as_gdaldems_is():
    heights = rough(30, 30, 1)
    heights[10, 12] = np.nan
    heights[20:23, 5:9] = np.nan
    ours, expected = slope(heights, (30.0, 30.0)), gdal_slope(heights, (30.0, 30.0))
    known = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(ours), known)
    assert 600 < known.sum() < 28 * 28
    np.testing.assert_allclose(ours[known], expected[known], atol=2e-3)


def test_slope_of_a_plane_is_its_angle():
    rows, columns = np.mgrid[:6, :7].astype(np.float64)
    tilted = slope(3.0 * columns * 0.5 + 4.0 * rows * 0.5, (0.5, 0.5))
    np.testing.assert_allclose(tilted[1:-1, 1:-1], math.degrees(math.atan(5.0)))
    assert np.isnan(tilted[0]).all()
    assert np.isnan(tilted[:, -1]).all()


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (9, 2)])
def test_a_surface_too_small_for_a_slope_has_none(shape):
    assert np.isnan(slope(np.zeros(shape), (1.0, 1.0))).all()
    assert math.isnan(accuracy(np.ones(shape), np.zeros(shape), (1.0, 1.0)).slope_rmse)


def test_figures_of_a_short_list_of_errors_by_hand():
    errors = [1.0, -2.0, 4.0, 10.0, -3.0, 0.0, 5.0]
    reference = np.array([[0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]])
    figures = accuracy(reference + errors, reference, (1.0, 1.0))
    assert figures.count == 7
    assert figures.bias == pytest.approx(15 / 7)
    assert figures.median == 1.0
    assert figures.mae == pytest.approx(25 / 7)
    assert figures.rmse == pytest.approx(math.sqrt(155 / 7))
    # |error - 1| in order: 0 1 3 3 4 4 9
    assert figures.nmad == pytest.approx(1.4826 * 3.0)
    # |error| in order: 0 1 2 3 4 5 10; place 0.9 · 6 = 5.4
    assert figures.le90 == pytest.approx(5.0 + 0.4 * 5.0)
    assert figures.rmse_by_sigma == pytest.approx(math.sqrt(155 / 7) / 20.0)
    assert math.isnan(figures.slope_rmse)


def test_figures_of_normal_errors_are_the_distributions():
    random = np.random.default_rng(4)
    reference = random.normal(0.0, 50.0, (700, 700))
    figures = accuracy(reference + random.normal(2.0, 5.0, (700, 700)), reference, (30.0, 30.0))
    assert figures.bias == pytest.approx(2.0, abs=0.05)
    assert figures.nmad == pytest.approx(5.0, rel=0.01)
    assert figures.rmse == pytest.approx(math.hypot(2.0, 5.0), rel=0.01)
    normal = statistics.NormalDist(2.0, 5.0)
    assert normal.cdf(figures.le90) - normal.cdf(-figures.le90) == pytest.approx(0.9, abs=0.005)
    assert figures.correlation == pytest.approx(50.0 / math.hypot(50.0, 5.0), abs=1e-3)


def test_correlation_is_numpys_and_pixels_unknown_in_either_do_not_count():
    surface, reference = rough(30, 20, 5), rough(30, 20, 6)
    surface[3, 4] = reference[10, 11] = np.nan
    both = np.isfinite(surface) & np.isfinite(reference)
    figures = accuracy(surface, reference, (30.0, 30.0))
    assert figures.count == 598
    expected = np.corrcoef(surface[both], reference[both])[0, 1]
    assert figures.correlation == pytest.approx(expected, rel=1e-6)
    error = surface[both].astype(np.float64) - reference[both]
    assert figures.rmse == pytest.approx(math.sqrt((error**2).mean()))


def test_slope_rmse_compares_the_slopes_of_both():
    surface, reference = rough(30, 20, 7), rough(30, 20, 8)
    surface[12, 12] = np.nan
    difference = gdal_slope(surface, (30.0, 30.0)) - gdal_slope(reference, (30.0, 30.0))
    expected = math.sqrt(np.nanmean(difference**2))
    assert expected > 1.0
    assert accuracy(surface, reference, (30.0, 30.0)).slope_rmse == pytest.approx(expected, abs=1e-3)


def test_flat_surfaces_have_no_correlation_and_no_ratio():
    flat, sloping = np.full((5, 5), 100.0), np.arange(25.0).reshape(5, 5)
    against_flat = accuracy(sloping, flat, (1.0, 1.0))
    assert math.isnan(against_flat.correlation)
    assert math.isnan(against_flat.rmse_by_sigma)
    of_flat = accuracy(flat, sloping, (1.0, 1.0))
    assert math.isnan(of_flat.correlation)
    assert of_flat.rmse_by_sigma == pytest.approx(of_flat.rmse / sloping.std())


def test_surfaces_without_a_common_pixel_are_refused():
    with pytest.raises(ValueError, match="no known pixel in common"):
        accuracy(np.array([[1.0, np.nan]]), np.array([[np.nan, 1.0]]), (1.0, 1.0))


def gdal_aspect(heights: np.ndarray) -> np.ndarray:
    source = gdal.GetDriverByName("MEM").Create("", heights.shape[1], heights.shape[0], 1, gdal.GDT_Float32)
    source.SetGeoTransform((0.0, 30.0, 0.0, 0.0, 0.0, -30.0))
    source.GetRasterBand(1).WriteArray(heights)
    answer = gdal.DEMProcessing("", source, "aspect", format="MEM", alg="Horn").ReadAsArray()
    return np.where(answer == -9999.0, np.nan, answer)


def test_aspect_difference_is_that_of_gdaldems_aspects():
    first, second = rough(40, 30, 9), rough(40, 30, 10)
    turn = np.abs(gdal_aspect(first) - gdal_aspect(second))
    expected = np.minimum(turn, 360.0 - turn)
    sizes = (30.0, 30.0)
    steep = np.minimum(slope(first, sizes), slope(second, sizes)) >= 2.0
    found = aspect_difference(gradient(first, sizes), gradient(second, sizes))
    assert 500 < steep.sum() < 38 * 28
    np.testing.assert_array_equal(np.isfinite(found), steep)
    np.testing.assert_allclose(found[steep], expected[steep], atol=1e-3)


def test_planes_face_where_they_fall():
    rows, columns = np.mgrid[:5, :5].astype(np.float64)
    east, south = gradient(columns, (1.0, 1.0)), gradient(rows, (1.0, 1.0))
    west, level = gradient(-columns, (1.0, 1.0)), gradient(0.03 * columns, (1.0, 1.0))
    assert aspect_difference(east, south)[2, 2] == pytest.approx(90.0)
    assert aspect_difference(east, west)[2, 2] == pytest.approx(180.0)
    assert aspect_difference(east, east)[2, 2] == 0.0
    # 0.03 is a slope of 1.7 degrees.
    assert np.isnan(aspect_difference(east, level)).all()


def test_each_row_may_have_steps_of_its_own():
    heights = rough(12, 15, 11)
    wide = np.linspace(20.0, 31.0, 12)
    found = slope(heights, (wide, 30.0))
    for row in range(1, 11):
        np.testing.assert_allclose(found[row], slope(heights, (float(wide[row]), 30.0))[row])


def test_no_error_has_no_figures():
    figures = error_figures(np.empty(0))
    assert figures.count == 0
    assert math.isnan(figures.le90)


def exact_gdal_slope(centimetres: np.ndarray, pixel_size: float) -> np.ndarray:
    """Slope by ``gdaldem`` of whole centimetres, which it adds without rounding; NaN where it has none."""
    rows, columns = centimetres.shape
    source = gdal.GetDriverByName("MEM").Create("", columns, rows, 1, gdal.GDT_Int32)
    source.SetGeoTransform((0.0, pixel_size, 0.0, 0.0, 0.0, -pixel_size))
    source.GetRasterBand(1).SetNoDataValue(-1)
    source.GetRasterBand(1).WriteArray(centimetres)
    answer = gdal.DEMProcessing("", source, "slope", format="MEM", alg="Horn", scale=100).ReadAsArray()
    return np.where(answer == -9999.0, np.nan, answer.astype(np.float64))


def drawn_centimetres(request) -> tuple[np.ndarray, float]:
    centimetres = np.round(100.0 * (rough(90, 80, 12) + 2000.0)).astype(np.int32)
    centimetres[30:40, 50:52] = -1
    return centimetres, 30.0


def real_centimetres(request) -> tuple[np.ndarray, float]:
    path = request.getfixturevalue("shared_data") / "scenes" / "sertig_valley_dem.tif"
    file = gdal.Open(str(path))
    heights = file.ReadAsArray()
    centimetres = np.round(100.0 * heights).astype(np.int32)
    centimetres[heights == file.GetRasterBand(1).GetNoDataValue()] = -1
    return centimetres, file.GetGeoTransform()[1]


@pytest.mark.parametrize("ground", [drawn_centimetres, real_centimetres])
def test_slopes_and_their_error_are_gdaldems_to_a_millionth(ground, request):
    centimetres, step = ground(request)
    smoother = centimetres // 700 * 700
    smoother[centimetres == -1] = -1
    ours, theirs = [], []
    for heights in (centimetres, smoother):
        metres = np.where(heights == -1, np.nan, heights / 100.0)
        ours.append(metres)
        theirs.append(exact_gdal_slope(heights, step))
        known = np.isfinite(theirs[-1])
        found = slope(metres, (step, step))
        np.testing.assert_array_equal(np.isfinite(found), known)
        np.testing.assert_allclose(found[known], theirs[-1][known], rtol=1e-6, atol=1e-9)
    expected = math.sqrt(np.nanmean((theirs[0] - theirs[1]) ** 2))
    assert expected > 1.0
    assert accuracy(*ours, (step, step)).slope_rmse == pytest.approx(expected, rel=1e-6)
