"""The figures of accuracy against other people's: xDEM and GeoUtils, scikit-image, NumPy and SciPy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import rasterio

from imagetodem_qgis.core.error_tally import PASSES, ErrorTally
from imagetodem_qgis.core.metrics import accuracy, aspect_difference, gradient, slope
from imagetodem_qgis.core.similarity import WINDOW, structural_similarity

xdem = pytest.importorskip("xdem", reason="needs xDEM, which is made for Python 3.10 and later")
metrics = pytest.importorskip("skimage.metrics", reason="needs scikit-image")
geoutils_stats = pytest.importorskip("geoutils.stats", reason="needs GeoUtils")

REL = 1e-6


def drawn() -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Fractal ground and a bad copy of it, with holes."""
    random = np.random.default_rng(7)
    frequency = np.hypot(np.fft.fftfreq(150)[:, None], np.fft.rfftfreq(130)[None])
    frequency[0, 0] = np.inf
    truth = np.fft.irfft2(np.fft.rfft2(random.normal(size=(150, 130))) * frequency**-2.0, (150, 130))
    truth = 1200.0 + 200.0 * truth / truth.std()
    surface = 0.7 * truth + 300.0 + random.normal(0.0, 9.0, truth.shape)
    surface[40:52, 60:75] = np.nan
    truth[100, 20] = truth[0, 0] = np.nan
    return surface.astype(np.float32), truth.astype(np.float32), (30.0, 30.0)


def real(shared_data) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """A real DEM, and the same ground from averages of 4 x 4 pixels, with nodata in both."""
    with rasterio.open(shared_data / "scenes" / "sertig_valley_dem.tif") as source:
        truth = source.read(1, masked=True).astype(np.float32).filled(np.nan)[:320, :280]
    coarse = np.kron(truth.reshape(80, 4, 70, 4).mean(axis=(1, 3)), np.ones((4, 4), np.float32))
    surface = coarse.astype(np.float32)
    surface[100:140, 30:60] = np.nan
    truth[200:210, 200:230] = np.nan
    return surface, truth, (10.0, 10.0)


@pytest.fixture(params=["drawn", "real"])
def pair(request):
    if request.param == "drawn":
        return drawn()
    return real(request.getfixturevalue("shared_data"))


def test_errors_are_geoutils_and_numpys(pair):
    surface, truth, steps = pair
    errors = surface.astype(np.float64) - truth
    known = errors[np.isfinite(errors)]
    tally = ErrorTally()
    for _ in range(PASSES):
        for part in np.array_split(known, 5):
            tally.add(part)
        tally.end_pass()
    for figures in (accuracy(surface, truth, steps), tally.figures()[0]):
        assert figures.count == known.size
        assert figures.bias == pytest.approx(np.nanmean(errors), rel=REL)
        assert figures.median == pytest.approx(np.nanmedian(errors), rel=REL)
        assert figures.mae == pytest.approx(np.nanmean(np.abs(errors)), rel=REL)
        assert figures.rmse == pytest.approx(float(geoutils_stats.rmse(errors)), rel=REL)
        assert figures.nmad == pytest.approx(float(geoutils_stats.nmad(errors)), rel=REL)
        # GeoUtils' "linear error" is the width between percentiles: of errors and their mirror images it is
        # twice the percentile of their sizes.
        mirrored = np.concatenate([known, -known])
        width = float(geoutils_stats.linear_error(mirrored, 90.0))
        assert figures.le90 == pytest.approx(width / 2.0, rel=1e-3)
        assert figures.le90 == pytest.approx(np.percentile(np.abs(known), 90), rel=REL)
    both = np.isfinite(errors)
    expected = np.corrcoef(surface[both].astype(float), truth[both].astype(float))[0, 1]
    assert accuracy(surface, truth, steps).correlation == pytest.approx(expected, rel=REL)


def xdem_terrain(heights: np.ndarray, attribute: str, step: float) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(
            xdem.terrain.get_terrain_attribute(
                heights, attribute, resolution=step, surface_fit="Horn", degrees=True
            ),
            np.float64,
        )


def test_slopes_are_xdems(pair):
    surface, truth, steps = pair
    # In double precision: single holds the difference of two heights to a part in ten thousand only.
    ours = [slope(heights, steps) for heights in (surface, truth)]
    theirs = [xdem_terrain(heights.astype(np.float64), "slope", steps[0]) for heights in (surface, truth)]
    for one, other in zip(ours, theirs):
        known = np.isfinite(other)
        np.testing.assert_array_equal(np.isfinite(one), known)
        np.testing.assert_allclose(one[known], other[known], rtol=REL, atol=1e-5)
    expected = np.sqrt(np.nanmean((theirs[0] - theirs[1]) ** 2))
    assert accuracy(surface, truth, steps).slope_rmse == pytest.approx(expected, rel=REL)


def test_aspects_differ_as_xdems_do(pair):
    surface, truth, steps = pair
    found = aspect_difference(gradient(surface, steps), gradient(truth, steps))
    aspects = [xdem_terrain(heights.astype(np.float64), "aspect", steps[0]) for heights in (surface, truth)]
    turn = np.abs(aspects[0] - aspects[1])
    expected = np.minimum(turn, 360.0 - turn)
    known = np.isfinite(found)
    assert known.sum() > 1000
    assert np.mean(found[known]) == pytest.approx(np.mean(expected[known]), rel=REL)


def test_structural_similarity_is_scikit_images(pair):
    surface, truth, _ = pair
    known = np.isfinite(surface) & np.isfinite(truth)
    data_range = float(np.nanmax(truth)) - float(np.nanmin(truth))
    found = structural_similarity(surface.astype(np.float64), truth.astype(np.float64), data_range)
    # What is put into the holes is seen by no window that is wholly known.
    first, second = (np.where(known, heights, 0.0).astype(np.float64) for heights in (surface, truth))
    _, whole = metrics.structural_similarity(first, second, win_size=WINDOW, data_range=data_range, full=True)
    half = WINDOW // 2
    expected = whole[half:-half, half:-half]
    seen = np.isfinite(found)
    assert seen.sum() > 5000
    np.testing.assert_allclose(found[seen], expected[seen], rtol=REL, atol=REL)
    assert found[seen].mean() == pytest.approx(expected[seen].mean(), rel=REL)
