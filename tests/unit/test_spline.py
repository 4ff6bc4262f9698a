from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetodem_qgis.core.spline import MOST_PLACES, ThinPlate


def scattered(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.0, 500.0, (count, 2))


def hills(places: np.ndarray) -> np.ndarray:
    return 20.0 * np.sin(places[:, 0] / 90.0) * np.cos(places[:, 1] / 70.0)


@settings(max_examples=20)
@given(st.integers(1, 60), st.integers(0, 99))
def test_it_passes_through_its_values(count, seed):
    places = scattered(count, seed)
    values = np.random.default_rng(seed + 1).normal(0.0, 10.0, count)
    np.testing.assert_allclose(ThinPlate(places, values)(places), values, atol=1e-5)


@settings(max_examples=10)
@given(st.integers(0, 99))
def test_of_a_plane_it_is_the_plane(seed):
    places = scattered(12, seed)
    plane = lambda p: 3.0 + 0.5 * p[:, 0] - 0.25 * p[:, 1]  # noqa: E731 - one line says it
    anywhere = scattered(50, seed + 100)
    np.testing.assert_allclose(ThinPlate(places, plane(places))(anywhere), plane(anywhere), atol=1e-5)


def test_it_follows_hills_between_many_places():
    spline = ThinPlate(scattered(400, 0), hills(scattered(400, 0)))
    inside = np.random.default_rng(1).uniform(50.0, 450.0, (500, 2))
    assert np.abs(spline(inside) - hills(inside)).max() < 1.0


def test_what_it_would_be_without_a_value_is_what_it_is_without_it():
    places = scattered(30, 3)
    values = hills(places)
    left_out = ThinPlate(places, values).left_out()
    for index in range(0, 30, 7):
        others = np.arange(30) != index
        without = ThinPlate(places[others], values[others])(places[index : index + 1])[0]
        assert left_out[index] == pytest.approx(values[index] - without, abs=1e-5)


def test_places_on_a_line_and_equal_places_are_taken():
    places = np.array([[0.0, 0.0], [10.0, 10.0], [20.0, 20.0], [30.0, 30.0]])
    values = np.array([1.0, 5.0, 2.0, 3.0])
    np.testing.assert_allclose(ThinPlate(places, values)(places), values, atol=1e-6)
    twice = ThinPlate(np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([2.0, 4.0]))
    np.testing.assert_allclose(twice(scattered(5, 0)), 3.0)
    np.testing.assert_array_equal(twice.left_out(), [0.0, 0.0])


def test_more_places_than_can_be_solved_for_are_averaged():
    places = scattered(3 * MOST_PLACES, 5)
    spline = ThinPlate(places, hills(places))
    assert len(spline.left_out()) == len(places)
    inside = np.random.default_rng(1).uniform(50.0, 450.0, (300, 2))
    assert np.abs(spline(inside) - hills(inside)).max() < 1.0
