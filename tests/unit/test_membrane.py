"""A smooth surface over what is unknown, in memory and on disk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from imagetodem_qgis.core.membrane import bridged, halved
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster import plane_file
from imagetodem_qgis.raster.plane_file import PlaneFile


def hills(rows: int, columns: int) -> np.ndarray:
    row, column = np.mgrid[:rows, :columns]
    return (800.0 + 100.0 * np.sin(row / 60.0) * np.cos(column / 45.0)).astype(np.float32)


@settings(max_examples=40)
@given(data=st.data(), shape=array_shapes(min_dims=2, max_dims=2, max_side=20))
def test_known_heights_stay_and_others_lie_among_them(data: st.DataObject, shape: tuple[int, int]) -> None:
    heights = data.draw(arrays(np.float32, shape, elements=st.floats(-500, 9000, width=32)))
    known = data.draw(arrays(bool, shape))
    if not known.any():
        known[0, 0] = True
    found = bridged(np.where(known, heights, np.float32(np.nan)))
    np.testing.assert_array_equal(found[known], heights[known])
    assert heights[known].min() - 0.01 <= found.min()
    assert found.max() <= heights[known].max() + 0.01


def test_a_hole_is_bridged_without_a_step() -> None:
    truth = hills(200, 240)
    holed = truth.copy()
    holed[60:110, 90:150] = np.nan
    found = bridged(holed)
    assert np.abs(found - truth).max() < 40.0
    for axis in (0, 1):
        steps = np.abs(np.diff(found, axis=axis))
        assert steps.max() < 3.0 * np.abs(np.diff(truth, axis=axis)).max()


def test_a_plane_goes_on_level_beyond_its_border() -> None:
    heights = np.full((64, 200), np.nan, np.float32)
    heights[:, :50] = 1234.0
    np.testing.assert_allclose(bridged(heights), 1234.0)


def test_nothing_known_is_refused() -> None:
    with pytest.raises(ValueError, match="known"):
        bridged(np.full((5, 3), np.nan, np.float32))


def test_halving_takes_the_means_of_what_is_known() -> None:
    heights = np.array([[1.0, 3.0, np.nan], [np.nan, 5.0, np.nan], [7.0, np.nan, np.nan]], np.float32)
    np.testing.assert_array_equal(halved(heights), [[3.0, np.nan], [7.0, np.nan]])


@pytest.mark.parametrize("in_memory", [1 << 20, 300])
def test_planes_on_disk_are_bridged_as_in_memory(tmp_path, monkeypatch, in_memory) -> None:
    monkeypatch.setattr(plane_file, "_IN_MEMORY", in_memory)
    monkeypatch.setattr(plane_file, "_BLOCK", 64)
    truth = hills(230, 150)
    holed = truth.copy()
    # Wider than a block, at a corner, and single pixels.
    holed[40:180, 30:130] = np.nan
    holed[200:, 120:] = np.nan
    holed[5, 7] = np.nan
    whole = Window(0, 0, 230, 150)
    planes = PlaneFile(tmp_path, 230, 150, 2)
    planes.put(1, Window(0, 0, 100, 150), holed[:100])
    planes.put(1, Window(100, 0, 130, 150), holed[100:])
    np.testing.assert_array_equal(planes.get(1, whole), holed)
    np.testing.assert_array_equal(planes.get(1, Window(90, 20, 30, 40)), holed[90:120, 20:60])
    assert planes.bridge(1)
    found = planes.get(1, whole)
    known = np.isfinite(holed)
    np.testing.assert_array_equal(found[known], holed[known])
    expected = bridged(holed)
    if in_memory == 1 << 20:
        np.testing.assert_array_equal(found, expected)
    assert np.abs(found - expected).max() < 15.0
    assert max(np.abs(np.diff(found, axis=axis)).max() for axis in (0, 1)) < 8.0
    assert np.isnan(planes.get(0, whole)).all()
    assert not planes.bridge(0)
    assert np.isnan(planes.get(0, whole)).all()


def test_a_plane_leaves_no_file(tmp_path) -> None:
    planes = PlaneFile(tmp_path, 10, 10)
    planes.put(0, Window(0, 0, 10, 10), np.ones((10, 10)))
    del planes
    assert list(tmp_path.iterdir()) == []
