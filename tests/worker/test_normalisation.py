from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from training.normalisation import GroupNormalization


def both(channels: int, groups: int, seed: int = 0) -> tuple[keras.Layer, keras.Layer]:
    """This project's layer and Keras's, of the same random weights."""
    random = np.random.default_rng(seed)
    weights = [random.normal(size=channels), random.normal(size=channels)]
    pair = GroupNormalization(groups), keras.layers.GroupNormalization(groups)
    for layer in pair:
        layer.build((None, None, None, channels))
        layer.set_weights(weights)
    return pair


def answer_and_gradients(layer: keras.Layer, values: np.ndarray, upstream: np.ndarray) -> list[np.ndarray]:
    given_values = tf.constant(values, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(given_values)
        answer = layer(given_values)
        loss = tf.reduce_sum(tf.cast(answer, tf.float32) * upstream)
    gradients = tape.gradient(loss, [given_values, *(weight.value for weight in layer.trainable_variables)])
    return [np.asarray(tensor, np.float32) for tensor in (answer, *gradients)]


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(2, 9)),
    groups=st.integers(1, 4),
    of_group=st.integers(1, 4),
    mean=st.floats(-20.0, 20.0),
    seed=st.integers(0, 99),
)
def test_it_answers_and_learns_as_kerass_own(shape, groups, of_group, mean, seed):
    random = np.random.default_rng(seed)
    values = random.normal(mean, 2.0, (*shape, groups * of_group)).astype(np.float32)
    upstream = random.normal(size=values.shape).astype(np.float32)
    for one, other in zip(
        *(answer_and_gradients(layer, values, upstream) for layer in both(groups * of_group, groups, seed))
    ):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-3)


def test_a_constant_image_becomes_the_shift():
    layer, _ = both(channels=6, groups=3)
    for value in (0.0, 7.3, -1e4):
        answer = np.asarray(layer(np.full((2, 5, 5, 6), value, np.float32)))
        np.testing.assert_allclose(answer, np.broadcast_to(layer.beta, answer.shape), atol=0.05)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_that_of_the_answer_alone(policy):
    values = np.random.default_rng(1).normal(3.0, 2.0, (2, 8, 8, 8)).astype(np.float32)
    full, _ = both(8, 4)
    half = GroupNormalization(4, dtype=policy)
    half.build(values.shape)
    half.set_weights(full.get_weights())
    values = tf.cast(values, half.compute_dtype)
    answer = half(values)
    assert answer.dtype.name == policy.removeprefix("mixed_")
    expected = np.asarray(full(tf.cast(values, tf.float32)))
    np.testing.assert_allclose(np.asarray(tf.cast(answer, tf.float32)), expected, atol=2e-2)


def test_weights_kept_by_kerass_layer_are_taken(tmp_path):
    image = keras.Input((8, 8, 4))
    layer, original = both(4, 2)
    keras.Model(image, original(image)).save_weights(tmp_path / "one.weights.h5")
    layer.set_weights([np.zeros(4), np.zeros(4)])
    keras.Model(image, layer(image)).load_weights(tmp_path / "one.weights.h5")
    np.testing.assert_array_equal(layer.get_weights(), original.get_weights())
