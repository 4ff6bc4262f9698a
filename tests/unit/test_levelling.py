from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagetodem_qgis.core.levelling import PLANE, SHIFT, SHIFT_AND_SCALE, Levelling, level
from imagetodem_qgis.core.tiling import Window

TRUTH = {
    SHIFT: Levelling(120.5),
    PLANE: Levelling(-40.0, 1.0, 0.25, -0.5),
    SHIFT_AND_SCALE: Levelling(300.0, 1.75),
}


def places(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(50.0, 30.0, count), random.uniform(0, 400, count), random.uniform(0, 300, count)


@given(st.sampled_from(list(TRUTH)), st.integers(3, 40), st.integers(0, 999))
def test_what_was_done_to_the_heights_is_found(method, count, seed):
    heights, columns, rows = places(count, seed)
    known = TRUTH[method].at(heights, columns, rows)
    found = level(method, heights, known, columns, rows)
    np.testing.assert_allclose(found.at(heights, columns, rows), known, atol=1e-5)


@pytest.mark.parametrize("method", TRUTH)
def test_a_few_wrong_heights_do_not_decide(method):
    heights, columns, rows = places(60, 1)
    known = TRUTH[method].at(heights, columns, rows) + np.random.default_rng(2).normal(0, 0.5, 60)
    known[:6] += 500.0
    found = level(method, heights, known, columns, rows)
    error = (found.at(heights, columns, rows) - known)[6:]
    assert np.abs(error.mean()) < 1.0
    assert error.std() < 1.5
    plain = np.mean(known - heights)
    if method == SHIFT:
        assert abs(plain - 120.5) > 40.0


def test_weights_count():
    found = level(SHIFT, np.zeros(2), np.array([0.0, 4.0]), np.zeros(2), np.zeros(2), np.array([3.0, 1.0]))
    assert found.shift == pytest.approx(1.0)


def test_a_window_is_levelled_as_its_places_are():
    truth = Levelling(5.0, 2.0, 0.1, -0.2)
    window = Window(30, 40, 5, 6)
    heights = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    heights[2, 3] = np.nan
    row, column = np.mgrid[30:35, 40:46].astype(float)
    expected = truth.at(heights.astype(float), column, row)
    np.testing.assert_allclose(truth.apply(window, heights), expected, rtol=1e-6)
    assert truth.apply(window, heights).dtype == np.float32


@pytest.mark.parametrize(
    ("method", "count", "word"), [(SHIFT, 0, "1"), (PLANE, 2, "3 known heights"), (SHIFT_AND_SCALE, 1, "2")]
)
def test_too_few_heights_are_refused(method, count, word):
    heights, columns, rows = places(count, 0)
    with pytest.raises(ValueError, match=word):
        level(method, heights, heights, columns, rows)


def test_places_that_decide_nothing_are_refused():
    heights, columns, _ = places(10, 0)
    with pytest.raises(ValueError, match="on one line"):
        level(PLANE, heights, heights, columns, 2.0 * columns + 7.0)
    with pytest.raises(ValueError, match="at one height"):
        level(SHIFT_AND_SCALE, np.full(10, 3.0), heights, columns, columns)
