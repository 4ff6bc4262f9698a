from __future__ import annotations

import json

import numpy as np
import pytest

from imagetodem_qgis.core.card import ModelCard, parse_card
from imagetodem_qgis.core.light import IDENTITY
from imagetodem_qgis.core.likeness import FEATURES, Likeness, likeness_of, tile_features
from imagetodem_qgis.core.stretch import Stretch
from imagetodem_qgis.core.tiling import Window, plan_tiles
from imagetodem_qgis.prediction.frame import Frame
from imagetodem_qgis.prediction.likeness import warn_if_unlike
from tests.tiny_models import card as card_content

SIDE = 32
EVERYTHING = Stretch((-1.0,) * 3, (1.0,) * 3, 10.0)


def soft(seed: int) -> np.ndarray:
    """A tile of smooth waves, the same in all bands but for a little colour."""
    random = np.random.default_rng(seed)
    down, right = np.mgrid[:SIDE, :SIDE]
    waves = sum(
        np.sin(down * a + right * b + c) for a, b, c in random.uniform(0.05, 0.4, (3, 3)) * [1, 1, 15]
    )
    grain = random.normal(0.0, 0.05, (SIDE, SIDE, 3))
    return (0.3 * waves[..., None] + random.normal(0.0, 0.1, 3) + grain).astype(np.float32)


@pytest.fixture(scope="module")
def learned() -> Likeness:
    known = np.ones((SIDE, SIDE), bool)
    rows = np.array([tile_features(soft(seed), known) for seed in range(400)])
    precision = np.linalg.inv(np.cov(rows.T) + 1e-6 * np.eye(len(FEATURES)))
    likeness = Likeness(rows.mean(axis=0), precision, np.inf)
    return Likeness(likeness.mean, precision, float(np.percentile([likeness.distance(r) for r in rows], 99)))


def model(likeness: Likeness | None) -> ModelCard:
    told = {}
    if likeness is not None:
        told["input_statistics"] = {
            "features": list(FEATURES),
            "mean": likeness.mean.tolist(),
            "precision": likeness.precision.tolist(),
            "far": likeness.far,
        }
    return parse_card(json.dumps(card_content(tile_size=SIDE, **told)))


def test_the_features_are_what_they_are_called():
    image = np.zeros((8, 40, 3), np.float32)
    image[..., 0] = np.arange(40) * 0.1
    image[..., 1] = 0.5
    image[..., 2] = -image[..., 0]
    known = np.ones((8, 40), bool)
    told = dict(zip(FEATURES, tile_features(image, known)))
    ramp = np.arange(40) * 0.1
    assert told["red"] == pytest.approx(ramp.mean(), rel=1e-5)
    assert (told["green"], told["blue"]) == pytest.approx((0.5, -ramp.mean()), rel=1e-5)
    assert told["brightness_spread"] == pytest.approx(0.0, abs=1e-6)
    assert told["red_over_green"] == pytest.approx(ramp.std(), rel=1e-5)
    assert told["bands_alike"] == pytest.approx(-1.0, abs=1e-5)
    assert told["rough_1"] == pytest.approx(np.log(1e-3), abs=1e-3)


def test_roughness_is_the_mean_step_of_brightness_over_known_pixels():
    image = np.repeat((np.arange(40) * 0.3)[None, :, None], 40, axis=0).repeat(3, axis=2).astype(np.float32)
    known = np.ones((40, 40), bool)
    known[:, 20] = False
    image[:, 20] = 1e6
    told = dict(zip(FEATURES, tile_features(image, known)))
    # Steps down are 0, steps right 0.3 a pixel, and as many as there are without the unknown column.
    for step in (1, 4, 16):
        right = 40 * (40 - step - (2 if 20 + step < 40 else 1))
        down = (40 - step) * 39
        assert told[f"rough_{step}"] == pytest.approx(
            np.log(1e-3 + 0.3 * step * right / (right + down)), rel=1e-5
        )


def test_too_few_known_pixels_tell_nothing():
    known = np.zeros((SIDE, SIDE), bool)
    known[:4, :4] = True
    assert tile_features(soft(0), known) is None


def test_the_distance_is_mahalanobis(learned):
    random = np.random.default_rng(0)
    for _ in range(5):
        features = learned.mean + random.normal(size=len(FEATURES))
        departure = features - learned.mean
        expected = np.sqrt(np.sum(departure * np.linalg.solve(np.linalg.inv(learned.precision), departure)))
        assert learned.distance(features) == pytest.approx(expected, rel=1e-6)
    assert learned.distance(learned.mean) == 0.0


@pytest.mark.parametrize(
    "spoiled",
    [
        {},
        {"features": ["red"]},
        {"far": None},
        {"mean": [0.0]},
        {"precision": [[float("inf")] * len(FEATURES)] * len(FEATURES)},
        "words",
    ],
)
def test_a_card_without_whole_statistics_tells_nothing(learned, spoiled):
    card = model(learned)
    assert likeness_of(card).far == learned.far
    content = dict(card.content)
    whole = content.pop("input_statistics")
    if spoiled:
        content["input_statistics"] = {**whole, **spoiled} if isinstance(spoiled, dict) else spoiled
    object.__setattr__(card, "content", content)
    assert likeness_of(card) is None


class Told:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.warn = self.warnings.append

    def is_cancelled(self) -> bool:
        return False


class Scene:
    """An image whose tiles are made when they are read."""

    def __init__(self, unlike: float) -> None:
        self._unlike, self.read_tiles = unlike, 0

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        self.read_tiles += 1
        seed = window.row * 1000 + window.column
        tile = soft(10_000 + seed)
        if np.random.default_rng(seed).random() < self._unlike:
            tile = np.random.default_rng(seed).normal(0.0, 1.0, tile.shape).astype(np.float32)
        return tile, np.ones(tile.shape[:2], bool)


@pytest.mark.parametrize(("unlike", "warned"), [(0.0, False), (0.2, False), (1.0, True)])
@pytest.mark.parametrize(("side", "looked_at"), [(SIDE, 1), (3 * SIDE, 9), (40 * SIDE, 16)])
def test_a_warning_comes_where_most_tiles_are_unlike(learned, unlike, warned, side, looked_at):
    if side == SIDE and unlike not in (0.0, 1.0):
        pytest.skip("one tile is either like or not")
    plan = plan_tiles(side, side, SIDE, 0)
    whole = Window(0, 0, side, side)
    frame = Frame(None, whole, None, whole, 30.0, plan, IDENTITY, "", "m", 30.0)
    told, scene = Told(), Scene(unlike)
    share = warn_if_unlike(frame, model(learned), EVERYTHING, scene, told)
    assert scene.read_tiles == looked_at
    assert bool(told.warnings) == warned
    if warned:
        assert share == 1.0
        assert "unlike" in told.warnings[0]
        assert "(BANDS)" in told.warnings[0]
    assert warn_if_unlike(frame, model(None), EVERYTHING, scene, told) is None
