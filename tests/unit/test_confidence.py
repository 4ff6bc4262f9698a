from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagetodem_qgis.core.card import CardError, ModelCard, parse_card
from imagetodem_qgis.core.confidence import Doubt, doubt_of, tile_deviation
from imagetodem_qgis.prediction.copies import TileCopies, box_mean, departure
from tests.tiny_models import card as card_content

SIZE = 12


def card(**changes: object) -> ModelCard:
    return parse_card(json.dumps(card_content(tile_size=SIZE, **changes)))


def test_the_weights_come_from_the_card():
    told = {"spread": 1.5, "copies": 2.0, "overlaps": 0.5, "floor": 0.01, "within": {"test": {}}}
    assert doubt_of(card(confidence=told)) == Doubt(1.5, 2.0, 0.5, 0.01, True)
    # A Laplace distribution's variance is twice the square of its scale.
    assert doubt_of(card(spread_factor=3.0)) == Doubt(18.0, 1.0, 1.0, 0.0, False)


@pytest.mark.parametrize(
    "told", [{}, {"spread": 1}, [1, 2, 3, 4], {"spread": -1, "copies": 0, "overlaps": 0, "floor": 0}]
)
def test_wrong_weights_are_named(told):
    with pytest.raises(CardError, match="confidence"):
        doubt_of(card(confidence=told))


def test_a_tiles_variance_is_the_weighted_sum():
    random = np.random.default_rng(0)
    log_scale, copies = (random.normal(size=(3, 4)).astype(np.float32) for _ in range(2))
    doubt = Doubt(2.0, 3.0, 1.0, 0.25)
    expected = np.sqrt(0.25 + 2.0 * np.exp(log_scale) ** 2 + 3.0 * copies**2)
    np.testing.assert_allclose(tile_deviation(doubt, log_scale, copies**2), expected, rtol=1e-5)
    np.testing.assert_allclose(
        tile_deviation(doubt, None, copies**2), np.sqrt(0.25 + 3.0 * copies**2), rtol=1e-5
    )
    assert tile_deviation(doubt, None, None) is None


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12))
def test_a_box_mean_is_the_mean_of_the_pixels_around(rows, columns, side):
    values = np.random.default_rng(rows * 10 + columns).normal(size=(rows, columns))
    reach = side // 2
    expected = [
        [
            values[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1].mean()
            for column in range(columns)
        ]
        for row in range(rows)
    ]
    np.testing.assert_allclose(box_mean(values, side), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sun_azimuth": 135.0}, 3),
        ({"sun_azimuth": 0.0}, 3),
        ({"sun_azimuth": None}, 3),
        # No mirror keeps this light.
        ({"sun_azimuth": 110.0}, 2),
        # The network mirrors by itself.
        ({"sun_azimuth": 135.0, "architecture": {"name": "light_unet", "mirrored": True}}, 2),
    ],
)
def test_the_copies_keep_the_light_and_are_turned_back(changes, expected):
    model = card(**changes)
    copies = TileCopies(model, True)
    assert len(copies) == expected
    assert len(TileCopies(model, False)) == 1
    planes = np.random.default_rng(1).normal(size=(SIZE, SIZE, 5)).astype(np.float32)
    shown = copies.of(planes)
    assert len(shown) == expected
    np.testing.assert_array_equal(shown[0], planes)
    # The last has less contrast in its colours, and the same other planes.
    np.testing.assert_allclose(shown[-1][..., :3], 0.75 * planes[..., :3])
    np.testing.assert_array_equal(shown[-1][..., 3:], planes[..., 3:])
    for back in copies.undo([copy[..., 3:] for copy in shown]):
        np.testing.assert_array_equal(back, planes[..., 3:])


@pytest.mark.parametrize(
    ("azimuth", "up"), [(135.0, (1, 1)), (315.0, (-1, -1)), (0.0, (-1, 0)), (90.0, (0, 1))]
)
def test_a_mirrored_hillshade_is_lit_from_the_same_side(azimuth, up):
    """A slope is bright where it falls towards the light; after mirroring heights and shade alike it still
    does."""
    random = np.random.default_rng(2)
    hills = np.cumsum(np.cumsum(random.normal(size=(SIZE, SIZE)), axis=0), axis=1)

    def shade(heights: np.ndarray) -> np.ndarray:
        down, right = np.gradient(heights)
        return -(up[0] * down + up[1] * right)

    planes = np.stack([shade(hills)] * 3 + [hills], axis=-1).astype(np.float32)
    mirrored = TileCopies(card(sun_azimuth=azimuth), True).of(planes)[1]
    assert not np.array_equal(mirrored, planes)
    np.testing.assert_allclose(shade(mirrored[..., 3]), mirrored[..., 0], rtol=1e-4, atol=1e-4)


def test_answers_that_differ_by_a_constant_do_not_disagree():
    heights = np.random.default_rng(3).normal(size=(SIZE, SIZE)).astype(np.float32)
    known = np.ones((SIZE, SIZE), bool)
    assert departure([heights], known) is None
    np.testing.assert_allclose(departure([heights, heights + 7.0], known), 0.0, atol=1e-10)
    tilted = heights + np.linspace(-1, 1, SIZE)[None].astype(np.float32)
    squares = departure([heights, tilted, heights - 2.0], known)
    expected = np.repeat(np.linspace(-1, 1, SIZE)[None] ** 2 / 2, SIZE, axis=0)
    np.testing.assert_allclose(squares, expected, atol=1e-5)
