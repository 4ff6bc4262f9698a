from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagetodem_qgis.core.alignment import best_plane, fit_shift, fit_shift_and_scale
from imagetodem_qgis.core.moments import Moments, PlaneFit


def gathered(surface, reference, cuts=()):
    moments = Moments()
    for one, other in zip(np.split(surface, cuts), np.split(reference, cuts)):
        moments.add(one, other)
    return moments


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 90), max_size=5))
def test_fits_and_correlation_are_those_of_all_at_once(seed, cuts):
    random = np.random.default_rng(seed)
    surface = random.normal(1500.0, 40.0, 90)
    reference = 0.3 * surface + random.normal(200.0, 25.0, 90)
    moments = gathered(surface, reference, sorted(cuts))
    assert moments.count == 90
    assert moments.correlation == pytest.approx(np.corrcoef(surface, reference)[0, 1], rel=1e-9)
    assert moments.sigma_surface == pytest.approx(surface.std(), rel=1e-12)
    assert moments.sigma_reference == pytest.approx(reference.std(), rel=1e-12)
    assert (moments.least, moments.largest) == (reference.min(), reference.max())
    assert moments.shift().shift == pytest.approx(fit_shift(surface, reference).shift, rel=1e-12)
    expected = fit_shift_and_scale(surface, reference)
    assert moments.shift_and_scale().scale == pytest.approx(expected.scale, rel=1e-9)
    assert moments.shift_and_scale().shift == pytest.approx(expected.shift, rel=1e-8)
    left = float(((expected.apply(surface) - reference) ** 2).sum())
    assert moments.squares_left() == pytest.approx(left, rel=1e-8)


def test_small_relief_on_high_ground_keeps_its_digits():
    random = np.random.default_rng(3)
    relief = random.normal(0.0, 0.01, 1000)
    moments = gathered(relief + 8000.0, relief + 8000.0, [10, 500])
    assert moments.sigma_reference == pytest.approx(relief.std(), rel=1e-6)
    assert moments.correlation == pytest.approx(1.0, abs=1e-9)


def test_level_ground_has_no_correlation_and_leaves_all_to_the_shift():
    level, sloping = np.full(30, 812.5), np.arange(30.0)
    of_level = gathered(level, sloping)
    assert math.isnan(of_level.correlation)
    assert of_level.shift_and_scale().scale == 0.0
    assert of_level.squares_left() == pytest.approx(((sloping - sloping.mean()) ** 2).sum())
    against_level = gathered(sloping, level)
    assert math.isnan(against_level.correlation)
    assert against_level.reference_is_flat
    assert not of_level.reference_is_flat


def test_nothing_gathered_tells_nothing():
    moments = Moments()
    moments.add(np.empty(0), np.empty(0))
    moments.merge(Moments())
    assert moments.count == 0
    assert math.isnan(moments.sigma_reference)
    assert math.isnan(moments.correlation)
    assert math.isnan(PlaneFit(4, 4).rmse())


@pytest.mark.parametrize("base", [0.0, 4000.0])
def test_the_plane_is_the_one_of_least_squares(base):
    random = np.random.default_rng(5)
    rows, columns = np.indices((60, 45)).astype(float)
    heights = base + 3.0 * rows - 2.0 * columns + random.normal(0.0, 4.0, rows.shape)
    heights[10:20, 5:30] = np.nan
    fit = PlaneFit(60, 45)
    for start in range(0, 60, 7):
        part = slice(start, start + 7)
        known = np.isfinite(heights[part])
        fit.add(rows[part][known], columns[part][known], heights[part][known])
    expected = math.sqrt(np.nanmean((heights - best_plane(heights)) ** 2))
    assert fit.rmse() == pytest.approx(expected, rel=1e-8)


def test_a_plane_has_no_distance_from_itself():
    rows, columns = np.indices((30, 40)).astype(float)
    fit = PlaneFit(30, 40)
    fit.add(rows.ravel(), columns.ravel(), (2000.0 + 5.0 * rows - columns).ravel())
    assert fit.rmse() == pytest.approx(0.0, abs=1e-5)
