from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from imagetodem_qgis.core.alignment import ShiftAndScale, best_plane, fit_shift, fit_shift_and_scale


def with_holes(shape: tuple[int, ...], seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    surface = random.normal(300.0, 40.0, shape)
    surface[random.random(shape) < 0.2] = np.nan
    return surface


@pytest.mark.parametrize("seed", range(5))
def test_shift_and_scale_is_polyfits_line(seed):
    surface, reference = with_holes((20, 30), seed), with_holes((20, 30), seed + 100)
    reference = reference + 0.4 * surface
    both = np.isfinite(surface) & np.isfinite(reference)
    slope, intercept = np.polyfit(surface[both], reference[both], 1)
    line = fit_shift_and_scale(surface, reference)
    assert line.scale == pytest.approx(slope, rel=1e-9)
    assert line.shift == pytest.approx(intercept, rel=1e-9)


@given(
    arrays.arrays(np.float64, (6, 7), elements=st.integers(-500, 500).map(float)),
    st.floats(-1e4, 1e4),
    st.floats(-50, 50).filter(lambda scale: abs(scale) > 1e-3),
)
def test_a_line_is_found_again(surface, shift, scale):
    surface[0, 0] = 600.0
    line = fit_shift_and_scale(surface, surface * scale + shift)
    assert line.scale == pytest.approx(scale, rel=1e-6)
    assert line.shift == pytest.approx(shift, abs=1e-5 * (1 + abs(shift) + abs(scale) * 600))


@pytest.mark.parametrize("seed", range(3))
def test_shift_is_the_mean_difference_where_both_are_known(seed):
    surface, reference = with_holes((9, 8), seed), with_holes((9, 8), seed + 50)
    fitted = fit_shift(surface, reference)
    assert fitted.scale == 1.0
    assert fitted.shift == pytest.approx(np.nanmean(reference - surface))


def test_a_flat_surface_takes_the_references_mean():
    reference = with_holes((10, 10), 1)
    line = fit_shift_and_scale(np.full((10, 10), 1234.5, np.float32), reference)
    assert line.scale == 0.0
    assert line.shift == pytest.approx(np.nanmean(reference))


def test_an_upside_down_surface_gets_a_negative_scale():
    reference = np.random.default_rng(2).normal(size=(8, 8))
    assert fit_shift_and_scale(-2.0 * reference, reference).scale == pytest.approx(-0.5)


def test_apply_keeps_unknown_pixels_unknown():
    surface = np.array([[1.0, np.nan]], np.float32)
    np.testing.assert_array_equal(ShiftAndScale(10.0, 3.0).apply(surface), [[13.0, np.nan]])


@pytest.mark.parametrize("seed", range(3))
def test_best_plane_is_the_normal_equations_answer(seed):
    reference = with_holes((13, 17), seed)
    known = np.isfinite(reference)
    rows, columns = np.nonzero(known)
    terms = np.stack([np.ones(len(rows)), rows, columns]).astype(np.float64)
    coefficients = np.linalg.solve(terms @ terms.T, terms @ reference[known])
    all_rows, all_columns = np.mgrid[:13, :17]
    expected = coefficients[0] + coefficients[1] * all_rows + coefficients[2] * all_columns
    np.testing.assert_allclose(best_plane(reference), expected, rtol=1e-8)


def test_a_plane_is_its_own_best_plane_even_through_holes():
    rows, columns = np.mgrid[:20, :15]
    plane = 5.0 - 0.3 * rows + 2.0 * columns
    holed = plane.copy()
    holed[3:9, 2:8] = np.nan
    np.testing.assert_allclose(best_plane(holed), plane, atol=1e-9)


def test_surfaces_without_a_common_pixel_are_refused():
    one, other = np.array([[1.0, np.nan]]), np.array([[np.nan, 1.0]])
    for fit in (fit_shift, fit_shift_and_scale):
        with pytest.raises(ValueError, match="no known pixel in common"):
            fit(one, other)
    with pytest.raises(ValueError, match="no known pixel"):
        best_plane(np.full((3, 3), np.nan))
