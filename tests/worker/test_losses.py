from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from training.losses import gradient_loss, relief_loss


def loss_of(target: np.ndarray, answer: np.ndarray) -> np.ndarray:
    return np.asarray(relief_loss(target.astype(np.float32), answer.astype(np.float32)))


def target_of(heights: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Heights (n, rows, columns) around 0 where they are known."""
    known = np.ones_like(heights) if known is None else known.astype(np.float64)
    mean = (heights * known).sum((1, 2), keepdims=True) / np.maximum(known.sum((1, 2), keepdims=True), 1)
    return np.stack([(heights - mean) * known, known], axis=-1)


def answer_of(heights: np.ndarray, log_scale: float | np.ndarray = 0.0) -> np.ndarray:
    return np.stack([heights, np.broadcast_to(log_scale, heights.shape)], axis=-1)


def hills(count: int = 1, side: int = 48, seed: int = 0, size: float = 3.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    rough = np.cumsum(np.cumsum(random.normal(size=(count, side, side)), 1), 2)
    rough -= rough.mean((1, 2), keepdims=True)
    return size * rough / rough.std((1, 2), keepdims=True)


def in_numpy(target: np.ndarray, answer: np.ndarray) -> float:
    """The loss of one sample, written down once more from its description."""
    height, known = target[..., 0], target[..., 1]
    count = known.sum() + 1.0
    relief = math.sqrt((known * height**2).sum() / count) + 0.05
    predicted = (answer[..., 0] - (known * answer[..., 0]).sum() / count) * known
    error = predicted - height
    absolute = np.abs(error).sum() / count / relief
    spread = math.sqrt((predicted**2).sum() / count + 1e-6)
    correlation = (predicted * height).sum() / count / (spread * relief)
    gradients = 0.0
    for step in (1, 2, 4, 8, 16):
        total, pairs = 0.0, 1.0
        for e, k in ((error, known), (error.T, known.T)):
            both = k[step:] * k[:-step]
            total += (np.abs(e[step:] - e[:-step]) * both).sum() / relief
            pairs += both.sum()
        gradients += total / pairs / 5
    log_scale = np.clip(answer[..., 1], -8, 8)
    likelihood = (known * (np.abs(error) / np.exp(log_scale) + log_scale)).sum() / count
    return 0.5 * absolute + 1 - correlation + 0.5 * gradients + 0.05 * likelihood


@pytest.mark.parametrize("seed", range(4))
def test_the_loss_is_what_its_description_says(seed):
    random = np.random.default_rng(seed)
    known = random.random((3, 48, 48)) > 0.3 * seed
    target = target_of(hills(3, seed=seed), known)
    answer = answer_of(hills(3, seed=seed + 10), random.uniform(-9, 9, (3, 48, 48)))
    expected = [in_numpy(one, other) for one, other in zip(target, answer)]
    np.testing.assert_allclose(loss_of(target, answer), expected, rtol=1e-3)


def test_a_perfect_answer_leaves_what_the_spread_costs():
    for size, log_scale in ((0.5, 0.0), (3.0, -4.0), (20.0, 1.5)):
        target = target_of(hills(size=size))
        pixels = 48 * 48
        mean_square = (target[..., 0] ** 2).sum() / (pixels + 1)
        correlation = mean_square / (math.sqrt(mean_square + 1e-6) * (math.sqrt(mean_square) + 0.05))
        expected = 1 - correlation + 0.05 * log_scale * pixels / (pixels + 1)
        loss = loss_of(target, answer_of(target[..., 0], log_scale))
        np.testing.assert_allclose(loss, expected, atol=2e-4)


def test_a_perfect_answer_beats_every_other():
    target = target_of(hills())
    best = loss_of(target, answer_of(target[..., 0]))[0]
    for other in (0 * target[..., 0], -target[..., 0], 0.5 * target[..., 0], target[..., 0] + hills(seed=1)):
        assert loss_of(target, answer_of(other))[0] > best + 0.1
    assert loss_of(target, answer_of(-target[..., 0]))[0] > loss_of(target, answer_of(0 * target[..., 0]))[0]


def test_a_shift_of_the_answer_does_not_count():
    target, answer = target_of(hills(2, 128)), hills(2, 128, seed=5)
    plain = loss_of(target, answer_of(answer))
    for shift in (-30.0, 0.7, 50.0):
        np.testing.assert_allclose(loss_of(target, answer_of(answer + shift)), plain, rtol=5e-3)


def test_a_larger_relief_with_an_answer_as_much_larger_costs_the_same_but_for_the_spread():
    small, large = target_of(hills(size=5.0)), target_of(hills(size=500.0))
    one = loss_of(small, answer_of(0.5 * small[..., 0], math.log(5.0)))
    other = loss_of(large, answer_of(0.5 * large[..., 0], math.log(500.0)))
    assert other[0] - one[0] == pytest.approx(0.05 * math.log(100.0), abs=0.03)


def test_unknown_pixels_do_not_count():
    known = np.ones((1, 48, 48))
    known[:, 10:30, 5:40] = 0
    target = target_of(hills(), known)
    answer = answer_of(hills(seed=7), -1.0)
    other = answer.copy()
    other[known == 0] = np.random.default_rng(0).normal(0, 1000, ((known == 0).sum(), 2))
    np.testing.assert_allclose(loss_of(target, other), loss_of(target, answer), rtol=1e-5)


def test_samples_do_not_mix():
    target, answer = target_of(hills(3)), answer_of(hills(3, seed=9))
    together = loss_of(target, answer)
    assert together.shape == (3,)
    for index in range(3):
        alone = loss_of(target[index : index + 1], answer[index : index + 1])
        np.testing.assert_allclose(alone, together[index], rtol=1e-5)


def test_the_spread_is_cheapest_at_the_mean_absolute_error():
    target = target_of(hills())
    answer = target[..., 0] + np.random.default_rng(1).laplace(0, 0.7, target.shape[:3])
    error = np.abs(answer - answer.mean() - target[..., 0]).mean()
    scales = np.linspace(-1.5, 1.0, 126)
    answers = answer_of(np.repeat(answer, 126, axis=0), scales[:, None, None])
    losses = loss_of(np.repeat(target, 126, axis=0), answers)
    assert scales[int(np.argmin(losses))] == pytest.approx(math.log(error), abs=0.05)


def gradients_of(target: np.ndarray, answer: np.ndarray) -> Any:
    variable = tf.Variable(answer.astype(np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(relief_loss(tf.constant(target.astype(np.float32)), variable))
    return loss.numpy(), tape.gradient(loss, variable).numpy()


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        pytest.param(target_of(hills()), answer_of(hills(seed=1)), id="ordinary"),
        pytest.param(target_of(hills()), answer_of(np.zeros((1, 48, 48))), id="flat answer"),
        pytest.param(target_of(np.zeros((1, 48, 48))), answer_of(np.zeros((1, 48, 48))), id="flat both"),
        pytest.param(target_of(np.zeros((1, 48, 48))), answer_of(hills()), id="flat target"),
        pytest.param(target_of(hills(), np.zeros((1, 48, 48))), answer_of(hills()), id="nothing known"),
        pytest.param(target_of(hills()), answer_of(hills(seed=1), 80.0), id="spread much too large"),
        pytest.param(target_of(hills()), answer_of(hills(seed=1), -80.0), id="spread much too small"),
        pytest.param(target_of(hills(size=1e4)), answer_of(hills(seed=1)), id="steep"),
    ],
)
def test_loss_and_gradients_are_finite(target, answer):
    loss, gradients = gradients_of(target, answer)
    assert np.isfinite(loss)
    assert np.isfinite(gradients).all()


def test_gradients_are_those_of_finite_differences():
    target, answer = target_of(hills(side=20)), answer_of(hills(side=20, seed=2), 0.3)
    answer[..., 1] = np.random.default_rng(0).uniform(-1, 1, (1, 20, 20))
    gradients = gradients_of(target, answer)[1]
    step = 1e-4
    for row, column in ((3, 4), (10, 0), (19, 19), (7, 12)):
        moved = [answer.copy(), answer.copy()]
        for sign, one in zip((1, -1), moved):
            one[0, row, column, 1] += sign * step
        slope = (in_numpy(target[0], moved[0][0]) - in_numpy(target[0], moved[1][0])) / (2 * step)
        assert gradients[0, row, column, 1] == pytest.approx(slope, rel=1e-2, abs=1e-6)


def test_heights_do_not_learn_from_the_spread():
    target = target_of(hills())
    narrow, wide = (gradients_of(target, answer_of(hills(seed=4), scale))[1] for scale in (-3.0, 2.0))
    np.testing.assert_allclose(narrow[..., 0], wide[..., 0], rtol=1e-4, atol=1e-9)
    assert np.abs(narrow[..., 0]).max() > 0


@pytest.mark.parametrize("bands", [1, 3])
def test_gradient_matching_is_what_its_description_says_in_any_number_of_bands(bands):
    random = np.random.default_rng(bands)
    target, answer = random.normal(size=(2, 2, 40, 48, bands))
    known = (random.random((2, 40, 48, 1)) > 0.3).astype(np.float64)
    found = gradient_loss(np.concatenate([target, known], -1).astype(np.float32), answer.astype(np.float32))
    for sample in range(2):
        expected = 0.0
        for step in (1, 2, 4, 8, 16):
            total, pairs = 0.0, 1.0
            for turn in (lambda plane: plane, lambda plane: plane.swapaxes(0, 1)):
                e, k = turn(answer[sample] - target[sample]), turn(known[sample])
                both = k[step:] * k[:-step]
                total += (np.abs(e[step:] - e[:-step]) * both).sum()
                pairs += both.sum()
            expected += total / pairs / 5
        assert float(np.asarray(found)[sample]) == pytest.approx(expected / bands, rel=1e-4)
