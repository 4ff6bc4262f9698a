from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagetodem_qgis.core.stretch import Stretch, percentile_stretch


@given(
    st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3),
    st.lists(st.floats(0.5, 1e4), min_size=3, max_size=3),
    st.floats(1.0, 3.0),
)
def test_apply_is_the_line_through_both_limits(low, widths, clip):
    high = [a + b for a, b in zip(low, widths)]
    random = np.random.default_rng(1)
    image = random.uniform(-2e4, 2e4, (5, 6, 3)).astype(np.float32)
    expected = np.clip(-1 + 2 * (image.astype(np.float64) - low) / np.subtract(high, low), -clip, clip)
    stretched = Stretch(tuple(low), tuple(high), clip).apply(image)
    assert stretched.dtype == np.float32
    # Float32 carries a value near 10,000 to a thousandth, which a narrow stretch widens.
    np.testing.assert_allclose(stretched, expected, atol=1e-4 + 0.01 / min(widths))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_limits_become_one_and_values_beyond_are_clipped(dtype):
    image = np.array([[[10, 20, 30], [50, 100, 90], [30, 60, 60], [0, 0, 0], [110, 120, 110]]], dtype)
    stretched = Stretch((10, 20, 30), (50, 100, 90), 1.5).apply(image)
    expected = [[-1] * 3, [1] * 3, [0] * 3, [-1.5, -1.5, -1.5], [1.5, 1.5, 1.5]]
    expected[3][1] = -1 + 2 * (0 - 20) / 80
    np.testing.assert_allclose(stretched[0], expected, atol=1e-6)


def test_the_input_is_left_as_it_was():
    image = np.full((2, 2, 3), 7.0, np.float32)
    Stretch((0, 0, 0), (10, 10, 10)).apply(image)
    assert (image == 7.0).all()


def test_percentiles_of_an_even_ramp_are_known():
    ramp = np.stack([np.arange(101), np.arange(101) * 10 + 5, -np.arange(101)], axis=1)
    stretch = percentile_stretch(ramp, 2, 98, 1.25)
    np.testing.assert_allclose(stretch.low, (2, 25, -98))
    np.testing.assert_allclose(stretch.high, (98, 985, -2))
    assert stretch.clip == 1.25


def test_percentiles_agree_with_a_sort():
    samples = np.random.default_rng(2).gamma(2.0, 100.0, (777, 3))
    stretch = percentile_stretch(samples, 5, 90)
    ordered = np.sort(samples, axis=0)
    for share, limits in ((0.05, stretch.low), (0.90, stretch.high)):
        place = share * 776
        below, part = int(place), place - int(place)
        np.testing.assert_allclose(limits, ordered[below] * (1 - part) + ordered[below + 1] * part)


def test_a_constant_band_becomes_minus_one():
    samples = np.stack([np.full(50, 9), np.arange(50), np.zeros(50)], axis=1)
    stretch = percentile_stretch(samples)
    answer = stretch.apply(samples[None].astype(np.uint8))
    assert (answer[..., 0] == -1.0).all()
    assert (answer[..., 2] == -1.0).all()
    assert answer[..., 1].std() > 0.5


def test_one_sample_is_enough_and_none_is_refused():
    assert percentile_stretch(np.array([[4, 5, 6]])).low == (4.0, 5.0, 6.0)
    with pytest.raises(ValueError, match="no valid pixel"):
        percentile_stretch(np.empty((0, 3)))
