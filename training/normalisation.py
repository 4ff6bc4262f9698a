"""Normalisation by each sample's own statistics."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="imagetodem")
class SampleNormalization(keras.layers.Layer):
    """Normalises each channel of each sample by its own mean and variance over rows and columns, then scales
    and shifts it (instance normalisation, Ulyanov et al. 2016, eq. 3).

    It is what batch normalisation computes in training with a batch of one. The original project predicts in
    that mode; with this layer in place of batch normalisation its weights give one answer, whatever the
    batch.

    Input and output: (n, rows, columns, channels).
    """

    def __init__(self, epsilon: float = 1e-3, **options: Any) -> None:
        super().__init__(**options)
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the scale and the shift of each channel."""
        channels = (input_shape[-1],)
        self.gamma = self.add_weight(shape=channels, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=channels, initializer="zeros", name="beta")

    def call(self, inputs: Any) -> Any:
        """Normalise."""
        mean, variance = ops.moments(inputs, axes=(1, 2), keepdims=True)
        return (inputs - mean) * ops.rsqrt(variance + self.epsilon) * self.gamma + self.beta

    def get_config(self) -> dict[str, Any]:
        """What the layer is made anew from."""
        return {**super().get_config(), "epsilon": self.epsilon}
