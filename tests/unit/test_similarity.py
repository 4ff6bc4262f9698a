from __future__ import annotations

import numpy as np
import pytest

from imagetodem_qgis.core.similarity import WINDOW, structural_similarity


def relief(rows: int = 30, columns: int = 25, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 5.0, (rows, columns)).cumsum(axis=0).cumsum(axis=1)


def test_a_surface_is_wholly_similar_to_itself():
    surface = relief() + 3000.0
    np.testing.assert_allclose(structural_similarity(surface, surface, 500.0), 1.0, atol=1e-9)


def test_level_surfaces_differ_by_their_means_alone():
    """With no variance, eq. 13 is (2 a b + C1) / (a² + b² + C1)."""
    a, b, data_range = 120.0, 90.0, 1000.0
    c1 = (0.01 * data_range) ** 2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    found = structural_similarity(np.full((8, 9), a), np.full((8, 9), b), data_range)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_window_that_is_upside_down_is_dissimilar():
    surface = relief(WINDOW, WINDOW)
    surface -= surface.mean()
    c2 = 0.03**2
    variance = surface.var(ddof=1)
    expected = (-2 * variance + c2) / (2 * variance + c2)
    assert structural_similarity(-surface, surface, 1.0)[0, 0] == pytest.approx(expected, rel=1e-9)


def test_windows_that_are_not_wholly_known_have_none():
    first, second = relief(), relief(seed=1)
    whole = structural_similarity(first, second, 100.0)
    first[12, 10] = second[4, 20] = np.nan
    found = structural_similarity(first, second, 100.0)
    holes = np.zeros(whole.shape, bool)
    holes[6:13, 4:11] = holes[0:5, 14:19] = True
    np.testing.assert_array_equal(np.isnan(found), holes)
    np.testing.assert_allclose(found[~holes], whole[~holes], rtol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (6, 40), (40, 6)])
def test_surfaces_smaller_than_a_window_have_none(shape):
    assert structural_similarity(np.zeros(shape), np.zeros(shape), 1.0).size == 0
