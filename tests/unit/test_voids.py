"""Heights for voids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from imagetodem_qgis.core.voids import fill_voids


@settings(max_examples=40)
@given(data=st.data(), shape=array_shapes(min_dims=2, max_dims=2, max_side=20))
def test_known_heights_stay_and_filled_ones_lie_among_them(
    data: st.DataObject, shape: tuple[int, int]
) -> None:
    heights = data.draw(arrays(np.float32, shape, elements=st.floats(-500, 9000, width=32)))
    known = data.draw(arrays(bool, shape))
    if not known.any():
        known[0, 0] = True
    filled = fill_voids(np.where(known, heights, np.nan), known)
    np.testing.assert_array_equal(filled[known], heights[known])
    slack = 1e-3
    assert filled.min() >= heights[known].min() - slack
    assert filled.max() <= heights[known].max() + slack


def test_a_void_takes_its_neighbours_height_before_that_of_the_far_side() -> None:
    heights = np.zeros((64, 64), np.float32)
    heights[:, 32:] = 100
    known = np.ones(heights.shape, bool)
    known[10:20, 4:12] = False
    known[10:20, 50:60] = False
    filled = fill_voids(heights, known)
    assert (filled[:, :32] == 0).all()
    assert (filled[:, 32:] == 100).all()


def test_nothing_known_is_refused() -> None:
    with pytest.raises(ValueError, match="known"):
        fill_voids(np.zeros((3, 3), np.float32), np.zeros((3, 3), bool))
