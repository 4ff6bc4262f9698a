from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from training.adversarial import discriminator_loss, generator_loss
from training.discriminator import RECEPTIVE_FIELD, patch_discriminator, receptive_field


def test_an_opinion_depends_on_seventy_pixels_and_on_all_of_them():
    keras.utils.set_random_seed(0)
    model = patch_discriminator(3, 1, 128, filters=(4, 4, 4, 4), normalisation="none")
    assert receptive_field(model) == RECEPTIVE_FIELD == 70
    random = np.random.default_rng(0)
    image, answer = random.normal(size=(1, 128, 128, 3)), random.normal(size=(1, 128, 128, 1))
    opinion = np.asarray(model([image, answer]))
    assert opinion.shape == (1, 14, 14, 1)
    # The opinion at (7, 7), whose patch begins 8 pixels an opinion further, less 23 pixels of padding.
    top = 7 * 8 - 23

    def changes(row: int, column: int, bands: int) -> bool:
        other = [image.copy(), answer.copy()]
        other[bands][0, row, column] += 10.0
        return bool(np.asarray(model(other))[0, 7, 7, 0] != opinion[0, 7, 7, 0])

    for bands in (0, 1):
        inside = [(top, top), (top, top + 69), (top + 69, top), (top + 69, top + 69), (top + 35, top + 35)]
        assert all(changes(*place, bands) for place in inside)
        outside = [(top - 1, top + 35), (top + 70, top + 35), (top + 35, top - 1), (top + 35, top + 70)]
        assert not any(changes(*place, bands) for place in outside)


def test_it_is_the_published_network():
    model = patch_discriminator(3, 1)
    assert model.output_shape == (None, 30, 30, 1)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [64, 128, 256, 512, 1]
    assert [layer.strides[0] for layer in convolutions] == [2, 2, 2, 1, 1]
    assert {layer.kernel_size for layer in convolutions} == {(4, 4)}
    normalised = [layer.name for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert normalised == ["patch1_norm", "patch2_norm", "patch3_norm"]
    # Kernels and biases by hand: 4 x 4 kernels over 4, 64, 128, 256 and 512 channels.
    kernels = 16 * (4 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512)
    assert model.count_params() == kernels + 64 + 1 + 4 * (128 + 256 + 512)


def test_its_opinion_is_float32_under_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = patch_discriminator(3, 1, 64, filters=(4, 4, 4, 4))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    tile = np.zeros((1, 64, 64, 3), np.float32), np.zeros((1, 64, 64, 1), np.float32)
    assert keras.backend.standardize_dtype(model(list(tile)).dtype) == "float32"


LOGITS = np.array([[0.0, 2.0], [-3.0, 1.0]], np.float32).reshape(1, 2, 2, 1)


def test_the_losses_are_those_of_the_formula():
    other = -LOGITS[:, ::-1] + 0.5

    def log_sigmoid(logits: np.ndarray) -> np.ndarray:
        return np.log(1.0 / (1.0 + np.exp(-logits.astype(np.float64))))

    np.testing.assert_allclose(generator_loss(LOGITS), [-log_sigmoid(LOGITS).mean()], rtol=1e-6)
    expected = 0.5 * (-log_sigmoid(LOGITS).mean() - log_sigmoid(-other).mean())
    np.testing.assert_allclose(discriminator_loss(LOGITS, other), [expected], rtol=1e-6)


def test_who_cannot_tell_loses_ln_2_and_certainty_stays_finite():
    undecided = np.zeros((2, 3, 3, 1), np.float32)
    np.testing.assert_allclose(generator_loss(undecided), [math.log(2)] * 2, rtol=1e-6)
    np.testing.assert_allclose(discriminator_loss(undecided, undecided), [math.log(2)] * 2, rtol=1e-6)
    certain = np.full((1, 1, 1, 1), 200.0, np.float32)
    assert float(generator_loss(-certain)[0]) == pytest.approx(200.0)
    assert float(discriminator_loss(certain, -certain)[0]) == pytest.approx(0.0, abs=1e-6)
