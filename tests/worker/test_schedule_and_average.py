from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.average import WeightAverage
from training.schedule import WARM_UP, learning_rate


@given(fraction=st.floats(0.0, 1.0))
def test_a_constant_rate_is_constant(fraction):
    assert learning_rate("constant", 2e-4, fraction) == 2e-4


def test_a_cosine_rises_to_its_peak_and_falls_to_nothing():
    assert learning_rate("cosine", 1.0, WARM_UP / 3) == pytest.approx(1 / 3)
    assert learning_rate("cosine", 1.0, WARM_UP) == pytest.approx(1.0)
    assert learning_rate("cosine", 1.0, (1 + WARM_UP) / 2) == pytest.approx(0.5)
    three_quarters = WARM_UP + 0.75 * (1 - WARM_UP)
    assert learning_rate("cosine", 2.0, three_quarters) == pytest.approx(1.0 - math.sqrt(0.5))
    assert learning_rate("cosine", 1.0, 1.0) == pytest.approx(0.0)
    assert learning_rate("cosine", 1.0, 0.0) > 0.0


@given(first=st.floats(WARM_UP, 1.0), second=st.floats(WARM_UP, 1.0))
def test_after_the_rise_it_only_falls(first, second):
    low, high = sorted((first, second))
    assert learning_rate("cosine", 1.0, high) <= learning_rate("cosine", 1.0, low)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="'step'"):
        learning_rate("step", 1.0, 0.5)


def one_weight() -> keras.Model:
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs))


def test_the_average_is_that_of_the_formula_and_leaves_the_weights_alone():
    model, momentum, expected = one_weight(), 0.3, 0.0
    average = WeightAverage(model, momentum)
    for step, value in enumerate([1.0, 4.0, -2.0, 3.0, 8.0, 0.5, 0.25, 6.0]):
        model.set_weights([np.full((1, 1), value, np.float32)])
        average.update()
        share = min(momentum, (1.0 + step) / (10.0 + step))
        expected = share * expected + (1.0 - share) * value
    with average.in_place():
        assert model.get_weights()[0][0, 0] == pytest.approx(expected, rel=1e-5)
    assert model.get_weights()[0][0, 0] == 6.0
    with pytest.raises(KeyError), average.in_place():
        raise KeyError
    assert model.get_weights()[0][0, 0] == 6.0
