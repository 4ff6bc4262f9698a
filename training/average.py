"""A moving average of weights, which generalises better than the last ones (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops


class WeightAverage:
    """The exponential moving average of a network's trainable weights.

    Early on it follows the weights more closely, with the momentum (1 + n) / (10 + n) after n steps, so that
    the first, random ones do not weigh on a short run.

    Args:
        model: whose weights are averaged.
        momentum: of the average, in [0, 1).
    """

    def __init__(self, model: keras.Model, momentum: float) -> None:
        self._model = model
        self._momentum = momentum
        self._count = _variable(0.0, "averaged_steps")
        self._averages = [_variable(value, "average") for value in model.trainable_variables]

    @property
    def variables(self) -> list[Any]:
        """All that a checkpoint must hold."""
        return [self._count, *self._averages]

    def update(self) -> None:
        """Take the weights in after a step."""
        momentum = ops.minimum(self._momentum, (1.0 + self._count) / (10.0 + self._count))
        for average, weight in zip(self._averages, self._model.trainable_variables):
            average.assign(average + (1.0 - momentum) * (weight - average))
        self._count.assign(self._count + 1.0)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average in the network's place for as long as the context lasts."""
        weights = [ops.convert_to_numpy(weight) for weight in self._model.trainable_variables]
        for weight, average in zip(self._model.trainable_variables, self._averages):
            weight.assign(average)
        try:
            yield
        finally:
            for weight, value in zip(self._model.trainable_variables, weights):
                weight.assign(value)


def _variable(value: Any, name: str) -> keras.Variable:
    # Where several cards share the work, all hold the same average: any one's will do.
    return keras.Variable(
        ops.convert_to_numpy(value),
        dtype="float32",
        trainable=False,
        aggregation="only_first_replica",
        name=name,
    )
