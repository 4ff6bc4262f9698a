"""The guided networks' loss against itself written down once more with NumPy, and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from training.losses import detail_loss, gradient_loss

SPREAD = 0.05
"""Weight of the spread's likelihood, whose value for an error of 0 and ln scale 0 is 0."""


def loss_of(lacking, coarse, predicted, known=None, log_scale=0.0) -> float:
    known = np.ones_like(lacking) if known is None else known
    target = np.stack([lacking, coarse, known], -1)[None].astype(np.float32)
    answer = np.stack([predicted, np.full_like(predicted, log_scale)], -1)[None].astype(np.float32)
    return float(np.asarray(detail_loss(target, answer))[0])


def ground(seed: int, side: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / side
    coarse = 8.0 * np.sin(3.0 * rows + seed) * np.cos(2.0 * columns)
    return 0.4 * random.standard_normal((side, side)), coarse


def slope(height: np.ndarray) -> np.ndarray:
    down, right = np.gradient(height)
    return np.arctan(np.hypot(down, right))[1:-1, 1:-1]


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_what_its_description_says(seed):
    lacking, coarse = ground(seed)
    predicted = ground(seed + 10)[0]
    error = predicted - lacking
    relief = rms(lacking) + 0.01
    truth = slope(coarse + lacking)
    missed = rms(slope(coarse) - truth) + 0.005
    matching = gradient_loss(
        np.stack([lacking / relief, np.ones_like(lacking)], -1)[None].astype(np.float32),
        (predicted / relief)[None, ..., None].astype(np.float32),
    )
    expected = (
        rms(error) / relief
        + 0.5 * float(np.asarray(matching)[0])
        + 0.4 * rms(slope(coarse + predicted) - truth) / missed
        + SPREAD * np.abs(error).mean()
    )
    # The root mean squares count one pixel more, so that nothing known divides by 1.
    assert loss_of(lacking, coarse, predicted) == pytest.approx(expected, rel=2e-3)


def test_the_coarse_dem_alone_costs_about_one_for_the_height_and_the_slopes_weight():
    lacking, coarse = ground(0)
    nothing = loss_of(lacking, coarse, np.zeros_like(lacking), log_scale=-8.0)
    whole = loss_of(lacking, coarse, lacking)
    assert whole == pytest.approx(0.0, abs=2e-3)
    assert nothing > 1.4


def test_terrain_of_the_right_roughness_in_the_wrong_place_costs_less_slope_than_none():
    # What the slope's term is for: the other terms prefer the smoother of the two.
    random = np.random.default_rng(0)
    lacking = 3.0 * random.standard_normal((64, 64))
    elsewhere = 3.0 * random.standard_normal((64, 64))
    coarse = np.zeros_like(lacking)
    truth = slope(lacking)
    assert rms(slope(elsewhere) - truth) < rms(slope(coarse) - truth)
    half = loss_of(lacking, coarse, 0.2 * elsewhere)
    by_height = rms(0.2 * elsewhere - lacking) / rms(lacking)
    assert by_height > 1.0
    assert half < loss_of(lacking, coarse, np.zeros_like(lacking))


def test_unknown_pixels_do_not_count():
    lacking, coarse = ground(1)
    known = np.ones_like(lacking)
    known[5:9, 20:30] = 0.0
    spoilt, odd = lacking.copy(), coarse.copy()
    spoilt[known == 0], odd[known == 0] = 1e3, -1e3
    predicted = 0.5 * lacking
    assert loss_of(spoilt, odd, predicted, known) == pytest.approx(loss_of(lacking, coarse, predicted, known))


@pytest.mark.parametrize("level", [0.0, 5.0])
def test_flat_ground_has_finite_gradients(level):
    flat = np.zeros((1, 32, 32, 1), np.float32)
    target = np.concatenate([flat, flat + level, flat + 1.0], -1)
    answer = tf.Variable(np.concatenate([flat, flat], -1))
    with tf.GradientTape() as tape:
        loss = detail_loss(target, answer)
    gradient = np.asarray(tape.gradient(loss, answer))
    assert np.isfinite(gradient).all()
    assert np.isfinite(np.asarray(loss)).all()
