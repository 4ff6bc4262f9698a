from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagetodem_qgis.core.light import (
    IDENTITY,
    all_symmetries,
    angular_distance,
    default_azimuth,
    symmetry_towards,
)

_SIDE = 101
_MIDDLE = _SIDE // 2


def marked(azimuth: float) -> np.ndarray:
    """A dark image with one bright pixel, off its middle in a direction."""
    image = np.zeros((_SIDE, _SIDE), np.float32)
    row = _MIDDLE - round(45 * math.cos(math.radians(azimuth)))
    image[row, _MIDDLE + round(45 * math.sin(math.radians(azimuth)))] = 1.0
    return image


def direction_of(image: np.ndarray) -> float:
    row, column = np.unravel_index(image.argmax(), image.shape)
    return math.degrees(math.atan2(column - _MIDDLE, _MIDDLE - row)) % 360.0


def test_there_are_eight_symmetries_and_they_differ():
    array = np.arange(6).reshape(2, 3)
    square = np.arange(9).reshape(3, 3)
    assert len({symmetry.apply(square).tobytes() for symmetry in all_symmetries()}) == 8
    assert all_symmetries()[0] == IDENTITY
    assert np.array_equal(IDENTITY.apply(array), array)


@pytest.mark.parametrize("symmetry", all_symmetries(), ids=str)
@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (2, 7, 4)])
def test_undo_takes_apply_back(symmetry, shape):
    array = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    np.testing.assert_array_equal(symmetry.undo(symmetry.apply(array)), array)
    np.testing.assert_array_equal(symmetry.apply(symmetry.undo(array)), array)


@pytest.mark.parametrize("symmetry", all_symmetries(), ids=str)
@pytest.mark.parametrize("azimuth", [0.0, 20.0, 45.0, 90.0, 135.0, 158.0, 200.0, 270.0, 333.0])
def test_azimuth_follows_a_mark_in_the_image(symmetry, azimuth):
    image = marked(azimuth)
    turned = symmetry.azimuth(direction_of(image))
    assert 0.0 <= turned < 360.0
    assert angular_distance(turned, direction_of(symmetry.apply(image))) < 1e-9


@given(st.floats(0, 360), st.floats(0, 360))
def test_symmetry_towards_comes_as_near_as_any_can(image_azimuth, model_azimuth):
    chosen = symmetry_towards(image_azimuth, model_azimuth)
    reached = angular_distance(chosen.azimuth(image_azimuth), model_azimuth)
    distances = [
        angular_distance(symmetry.azimuth(image_azimuth), model_azimuth) for symmetry in all_symmetries()
    ]
    assert reached <= min(distances) + 1e-6
    # Four directions by turning and their mirror images are never further apart than this.
    assert reached <= 45.0 + 1e-6


@given(st.floats(0, 360), st.floats(0, 360))
def test_ties_are_broken_towards_the_identity_then_towards_rotations(image_azimuth, model_azimuth):
    chosen = symmetry_towards(image_azimuth, model_azimuth)
    reached = angular_distance(chosen.azimuth(image_azimuth), model_azimuth)
    for earlier in all_symmetries()[: all_symmetries().index(chosen)]:
        assert angular_distance(earlier.azimuth(image_azimuth), model_azimuth) > reached - 1e-6
    if chosen.mirrored:
        rotations = [symmetry for symmetry in all_symmetries() if not symmetry.mirrored]
        nearest = min(angular_distance(turn.azimuth(image_azimuth), model_azimuth) for turn in rotations)
        assert nearest > reached


def test_known_choices():
    assert symmetry_towards(135.0, 135.0) == IDENTITY
    assert symmetry_towards(145.0, 135.0) == IDENTITY
    half_turn = symmetry_towards(315.0, 135.0)
    assert (half_turn.quarter_turns, half_turn.mirrored) == (2, False)
    assert symmetry_towards(35.0, 135.0).azimuth(35.0) in (125.0, 145.0)


@given(st.floats(-1000, 1000), st.floats(-1000, 1000))
def test_angular_distance_is_that_of_unit_vectors(first, second):
    cosine = math.cos(math.radians(first)) * math.cos(math.radians(second)) + math.sin(
        math.radians(first)
    ) * math.sin(math.radians(second))
    expected = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
    assert angular_distance(first, second) == pytest.approx(expected, abs=1e-5)
    assert angular_distance(first, second) == pytest.approx(angular_distance(second, first), abs=1e-9)


@pytest.mark.parametrize(("latitude", "azimuth"), [(47.0, 145.0), (0.0, 145.0), (-0.1, 35.0), (-60.0, 35.0)])
def test_the_default_sun_is_a_mornings(latitude, azimuth):
    assert default_azimuth(latitude) == azimuth
