from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagetodem_qgis.core.stretch import BANDS, DEHAZED, EACH, TOGETHER, Stretch, StretchRecipe


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
    stretch = StretchRecipe(2, 98, 1.25).of(ramp)
    np.testing.assert_allclose(stretch.low, (2, 25, -98))
    np.testing.assert_allclose(stretch.high, (98, 985, -2))
    assert stretch.clip == 1.25


def test_percentiles_agree_with_a_sort():
    samples = np.random.default_rng(2).gamma(2.0, 100.0, (777, 3))
    stretch = StretchRecipe(5, 90).of(samples)
    ordered = np.sort(samples, axis=0)
    for share, limits in ((0.05, stretch.low), (0.90, stretch.high)):
        place = share * 776
        below, part = int(place), place - int(place)
        np.testing.assert_allclose(limits, ordered[below] * (1 - part) + ordered[below + 1] * part)


def test_a_constant_band_becomes_minus_one():
    samples = np.stack([np.full(50, 9), np.arange(50), np.zeros(50)], axis=1)
    stretch = StretchRecipe().of(samples)
    answer = stretch.apply(samples[None].astype(np.uint8))
    assert (answer[..., 0] == -1.0).all()
    assert (answer[..., 2] == -1.0).all()
    assert answer[..., 1].std() > 0.5


def test_one_sample_is_enough_and_none_is_refused():
    assert StretchRecipe().of(np.array([[4, 5, 6]])).low == (4.0, 5.0, 6.0)
    for bands in BANDS:
        with pytest.raises(ValueError, match="no valid pixel"):
            StretchRecipe(bands=bands).of(np.empty((0, 3)))


def ground(dtype: type = np.float64) -> np.ndarray:
    """Pixels of a landscape of red rock and dark shadows, black where it is darkest: (2500, 3)."""
    random = np.random.default_rng(8)
    light = random.uniform(0.0, 1.0, (2500, 1))
    light[:200] = 0.0
    return np.rint(light * (90, 60, 40) * random.uniform(0.8, 1.2, (2500, 3))).astype(dtype)


def test_bands_together_have_the_limits_of_all_their_values():
    stretch = StretchRecipe(2, 98, bands=TOGETHER).of(ground())
    assert stretch.low == (0.0,) * 3
    assert stretch.high == (np.percentile(ground(), 98),) * 3


@given(
    st.lists(st.integers(0, 120), min_size=3, max_size=3), st.sampled_from((np.uint8, np.int16, np.float64))
)
def test_haze_is_taken_off_whatever_there_is_of_it(steps, dtype):
    """Under haze that grows towards blue the stretched image is that without it."""
    clear = ground().reshape(50, 50, 3)
    haze = np.minimum(np.cumsum(steps), 120)
    hazy = (clear + haze).astype(dtype)
    recipe = StretchRecipe(2, 98, 1.5, DEHAZED)
    without = StretchRecipe(2, 98, 1.5, TOGETHER).of(clear.reshape(-1, 3)).apply(clear)
    np.testing.assert_allclose(recipe.of(hazy.reshape(-1, 3)).apply(hazy), without, atol=1e-5)


@given(st.lists(st.integers(0, 100), min_size=3, max_size=3))
def test_what_falls_towards_blue_is_no_haze(steps):
    """Red sand has no black ground: its colour stays."""
    sand = ground() + np.cumsum(steps)[::-1]
    assert StretchRecipe(bands=DEHAZED).of(sand) == StretchRecipe(bands=TOGETHER).of(sand)


def test_only_what_all_bluer_bands_have_is_haze():
    stretch = StretchRecipe(0, 100, bands=DEHAZED).of(np.array([[10.0, 50, 30], [110, 120, 130]]))
    # Green's 50 is the ground's beyond the 30 that blue has; red's 10 is everyone's.
    np.testing.assert_allclose(np.subtract(stretch.low, stretch.low[0]), (0, 20, 20))
    np.testing.assert_allclose(np.subtract(stretch.high, stretch.low), [100.0] * 3)


def test_each_band_alone_is_the_default():
    assert StretchRecipe() == StretchRecipe(2.0, 98.0, 1.5, EACH)
