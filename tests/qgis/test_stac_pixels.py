"""The STAC source's arithmetic beside a second implementation of it, and its way of waiting."""

from __future__ import annotations

import threading
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from imagetodem_qgis.pairs.source import FetchCancelled, RetryableSourceError, Tile
from imagetodem_qgis.pairs.stac_cog import Patch
from imagetodem_qgis.pairs.stac_files import OpenFiles
from imagetodem_qgis.pairs.stac_patience import patiently
from imagetodem_qgis.pairs.stac_planes import Planes, merged, stacked
from imagetodem_qgis.pairs.stac_view import composite
from imagetodem_qgis.pairs.stac_warp import nearest, onto, resampled
from tests.services.stac_world import Lattice, to_crs

UTM_32, UTM_33 = "EPSG:32632", "EPSG:32633"


def planes(values: Any, left: float, top: float, pixel: float, tile: Tile, crs: str = UTM_33) -> Planes:
    transform = (left, pixel, 0.0, top, 0.0, -pixel)
    return Planes(np.asarray(values, np.float32), transform, crs, tile.resolution / pixel)


@pytest.mark.parametrize(("times", "shift"), [(1, (0, 0)), (2, (3, 5)), (3, (4, 1)), (5, (0, 7))])
def test_means_are_gdals(times: int, shift: tuple[int, int]) -> None:
    tile = Tile("t", "a", "train", UTM_33, 500_000.0, 5_200_000.0, 10.0 * times, 12)
    side = 12 * times + 9
    values = np.random.default_rng(times).uniform(0, 9000, (2, side, side))
    given = planes(values, 500_000.0 - 10 * shift[1], 5_200_000.0 + 10 * shift[0], 10.0, tile)
    np.testing.assert_allclose(resampled(tile, given), onto(tile, given, "average"), rtol=1e-5)


@pytest.mark.parametrize("crs", [UTM_33, UTM_32])
def test_a_pixel_known_in_part_is_unknown(crs: str) -> None:
    """In step with the file and across zones: there at its border and beside a gap."""
    tile = Tile("t", "a", "train", UTM_33, 290_000.0, 5_240_000.0, 30.0, 30)
    middle = Lattice(UTM_33, 290_450.0, 5_239_550.0, 1.0, 1, 1).degrees()
    x, y = to_crs("EPSG:4326", crs, *middle)
    left, top = 10.0 * round((x.item() - 350) / 10), 10.0 * round((y.item() + 350) / 10)
    values = np.ones((1, 70, 70), np.float32)
    values[0, 30, 30] = np.nan
    given = planes(values, left, top, 10.0, tile, crs)
    answer = resampled(tile, given)[0]
    assert set(np.unique(answer[~np.isnan(answer)])) == {np.float32(1.0)}
    # GDAL itself also averages what there is of a pixel.
    assert np.isnan(answer).sum() > np.isnan(onto(tile, given, "average")[0]).sum()
    inside = answer[6:-6, 6:-6]
    assert 1 <= np.isnan(inside).sum() <= 4


def test_a_tile_beyond_the_files_border_is_unknown_there() -> None:
    tile = Tile("t", "a", "train", UTM_33, 500_000.0, 5_200_000.0, 20.0, 10)
    given = planes(np.ones((1, 12, 30)), 500_000.0 - 40.0, 5_200_000.0 - 60.0, 10.0, tile)
    expected = np.full((10, 10), np.nan, np.float32)
    expected[3:9] = 1.0
    np.testing.assert_array_equal(resampled(tile, given)[0], expected)
    far = Tile("t", "a", "train", UTM_33, 600_000.0, 5_200_000.0, 20.0, 10)
    assert np.isnan(resampled(far, given)).all()


@pytest.mark.parametrize("resolution", [7.0, 10.0, 20.0, 50.0])
def test_the_nearest_pixel_is_gdals(resolution: float) -> None:
    tile = Tile("t", "a", "train", UTM_33, 500_003.0, 5_200_001.0, resolution, 12)
    values = np.random.default_rng(1).integers(0, 12, (1, 50, 50))
    given = planes(values, 499_920.0, 5_200_080.0, 20.0, tile)
    np.testing.assert_array_equal(nearest(tile, given), onto(tile, given, "near"))


def test_neighbouring_files_are_put_together_and_others_are_not() -> None:
    tile = Tile("t", "a", "train", UTM_33, 500_000.0, 5_200_000.0, 30.0, 10)
    values = np.arange(200.0).reshape(1, 10, 20)
    west = planes(values[..., :9], 0.0, 100.0, 10.0, tile)
    east = planes(values[..., 7:], 70.0, 100.0, 10.0, tile)
    other = planes(values, 3.0, 100.0, 10.0, tile)
    east.values[0, 2, 0] = -1.0
    west.values[0, 5, 8] = np.nan
    both, alone = merged([west, other, east])
    np.testing.assert_array_equal(both.values, values)
    assert both.geotransform == west.geotransform
    assert alone is other


def test_files_on_both_sides_of_the_antimeridian_are_put_together() -> None:
    transform = (179.9, 0.01, 0.0, 10.0, 0.0, -0.01)
    west = stacked([Patch(np.ones((4, 10), np.int16), transform, "EPSG:4326", None, 1.0)])
    east = replace(west, geotransform=(-180.0, 0.01, 0.0, 10.0, 0.0, -0.01))
    (both,) = merged([east, west])
    assert both.values.shape == (1, 4, 20)
    assert both.geotransform[0] == pytest.approx(-180.1)


@given(st.integers(1, 7), st.integers(0, 10_000))
def test_the_median_is_numpys(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    images = random.uniform(0, 1, (count, 3, 4, 4)).astype(np.float32)
    images[random.random(images.shape) < 0.4] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = np.nanmedian(images, axis=0)
    np.testing.assert_allclose(composite(list(images)), expected, rtol=1e-6)


def test_one_thread_makes_a_callers_calls() -> None:
    """So that connections are kept; another caller has another one."""
    first = [patiently(threading.get_ident, lambda: False, "x") for _ in range(3)]
    others: list[int] = []
    caller = threading.Thread(
        target=lambda: others.append(patiently(threading.get_ident, lambda: False, "x"))
    )
    caller.start()
    caller.join()
    assert len(set(first)) == 1
    assert others[0] not in (first[0], threading.get_ident())
    with pytest.raises(ZeroDivisionError):
        patiently(lambda: 1 // 0, lambda: False, "x")
    assert patiently(threading.get_ident, lambda: False, "x") == first[0]


def test_a_call_without_an_end_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagetodem_qgis.pairs.stac_patience.LONGEST_SECONDS", 0.2)
    end, told = threading.Event(), threading.Event()
    with pytest.raises(RetryableSourceError, match="the file did not come"):
        patiently(end.wait, lambda: False, "the file", told.set)
    assert told.is_set()
    with pytest.raises(FetchCancelled):
        patiently(end.wait, lambda: True, "the file")
    assert patiently(lambda: 7, lambda: False, "the file") == 7
    end.set()


def test_files_are_kept_for_the_next_reader_and_the_oldest_are_closed() -> None:
    files = OpenFiles(most=2)
    first, second, third = object(), object(), object()
    for name, file in (("a", first), ("b", second), ("a", third)):
        files.give_back(name, file)
    assert files.take("a") is third
    assert files.take("a") is None
    assert files.take("b") is second
    files.give_back("b", second)
    files.close()
    assert files.take("b") is None
