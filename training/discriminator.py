"""The discriminator: which patches of an answer look true beside the input that it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from training.normalisation import SampleNormalization

RECEPTIVE_FIELD = 70
"""Side in pixels of the patch that one opinion of the full discriminator is about."""

_KERNEL = 4
_NORMALISATIONS: dict[str, Any] = {
    "batch": layers.BatchNormalization,
    "sample": SampleNormalization,
    "none": None,
}


def patch_discriminator(
    input_bands: int,
    answer_bands: int,
    tile_size: int | None = 256,
    filters: Sequence[int] = (64, 128, 256, 512),
    normalisation: str = "batch",
) -> keras.Model:
    """The 70 × 70 PatchGAN of Isola et al. 2017 (§3.2 and appendix 6.1.2): C64-C128-C256-C512, conditional on
    the input.

    Args:
        input_bands: planes of the generator's input.
        answer_bands: planes of its answer.
        tile_size: side of the tiles in pixels; ``None`` leaves it open.
        filters: of each level; all but the last two levels' convolutions have a stride of 2.
        normalisation: ``batch``, as published, ``sample``, each sample's own, or ``none``; never on the first
            level.

    Returns:
        A model that maps [(n, tile_size, tile_size, input_bands), (n, tile_size, tile_size, answer_bands)] to
        (n, tile_size / 8 - 2, tile_size / 8 - 2, 1): the logit that a patch of :data:`RECEPTIVE_FIELD` pixels
        is true.
    """
    weights = keras.initializers.RandomNormal(0.0, 0.02)
    normalise = _NORMALISATIONS[normalisation]
    image = keras.Input((tile_size, tile_size, input_bands), name="image")
    answer = keras.Input((tile_size, tile_size, answer_bands), name="answer")
    x = layers.Concatenate(name="pair")([image, answer])
    for level, channels in enumerate(filters):
        strides = 1 if level == len(filters) - 1 else 2
        normalised = normalise is not None and level > 0
        x = layers.ZeroPadding2D(1, name=f"patch{level}_pad")(x)
        x = layers.Conv2D(
            channels,
            _KERNEL,
            strides=strides,
            use_bias=not normalised,
            kernel_initializer=weights,
            name=f"patch{level}_conv",
        )(x)
        if normalised:
            x = normalise(name=f"patch{level}_norm")(x)
        x = layers.LeakyReLU(negative_slope=0.2, name=f"patch{level}_act")(x)
    x = layers.ZeroPadding2D(1, name="opinion_pad")(x)
    # Logits in float32 under mixed precision: the loss takes their exponential.
    opinion = layers.Conv2D(1, _KERNEL, kernel_initializer=weights, name="opinion", dtype="float32")(x)
    return keras.Model([image, answer], opinion, name="patch_discriminator")


def receptive_field(model: keras.Model) -> int:
    """Side in pixels of the patch that one value of the last convolution's answer depends on."""
    field = 1
    for layer in reversed(model.layers):
        if isinstance(layer, layers.Conv2D):
            field = (field - 1) * layer.strides[0] + layer.kernel_size[0]
    return field
