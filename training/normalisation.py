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


@keras.saving.register_keras_serializable(package="imagetodem")
class GroupNormalization(keras.layers.GroupNormalization):
    """Normalisation by groups of each sample's own channels (Wu & He 2018, eq. 3 and 7) for channels in the
    last axis: Keras's layer, with the same weights and answers.

    Keras takes the moments over rows, columns and a group's channels at once, and has more passes over the
    whole; on a processor, where each costs more than a convolution, that was half of a trunk's step. Here the
    whole is read for two sums a channel, and scaled and shifted once. Statistics are float32 under mixed
    precision, as in Keras.

    Input and output: (n, rows, columns, channels).
    """

    def call(self, inputs: Any) -> Any:
        """Normalise."""
        values = ops.cast(inputs, "float32")
        mean = self._of_groups(ops.mean(values, axis=(1, 2)))
        square = self._of_groups(ops.mean(values * values, axis=(1, 2)))
        # A difference of two means may fall below 0 by rounding.
        variance = ops.maximum(square - mean * mean, 0.0)
        scale = ops.rsqrt(variance + self.epsilon) * ops.cast(self.gamma, "float32")
        shift = ops.cast(self.beta, "float32") - mean * scale
        return ops.cast(values * scale[:, None, None] + shift[:, None, None], self.compute_dtype)

    def _of_groups(self, of_channels: Any) -> Any:
        """Each channel's mean, (n, channels), replaced by its group's."""
        channels = of_channels.shape[-1]
        grouped = ops.reshape(of_channels, (-1, self.groups, channels // self.groups))
        return ops.reshape(
            ops.repeat(ops.mean(grouped, axis=2), channels // self.groups, axis=1), (-1, channels)
        )
