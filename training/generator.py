"""The generators: the paper's U-Net and the light one that the plugin ships.

Both are functional Keras 3 models written with Keras layers and ``keras.ops`` only, so that one definition
serves TensorFlow, PyTorch and JAX.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import layers, ops

from training.normalisation import SampleNormalization

PAPER_PARAMETERS = 54_421_761
"""Parameters of the paper's U-Net with three input bands and one output band (the published 54.4 M)."""

_PAPER_DOWN = (64, 128, 256, 512, 512, 512, 512, 512)
_PAPER_UP = (512, 512, 512, 512, 256, 128, 64)
_PAPER_DROPOUT_LEVELS = 3

TRUNK_STRIDE = 4
"""Pixels of a tile that one pixel of the light generator's trunk stands for, along each side."""

_TRUNK_FILTERS = (32, 48, 72, 96, 128)
_GROUPS = 8
_DETAIL_FILTERS = (16, 24, 32)
_RELIEF_EXPONENT = -0.6
"""First guess of how relief per pixel falls with the ground sampling distance: terrain is roughly self-affine
with a Hurst exponent near 0.4 over 10 m to 1 km, hence relief / distance ~ distance ** (0.4 - 1)."""


def paper_unet(
    input_bands: int = 3, output_bands: int = 1, tile_size: int | None = 256, statistics: str = "batch"
) -> keras.Model:
    """The U-Net generator of Panagiotou et al. 2020 (after Isola et al. 2017, "U-Net 256").

    Args:
        input_bands: bands of the input image.
        output_bands: bands of the answer.
        tile_size: side of the tiles in pixels, a multiple of 256; ``None`` leaves it open.
        statistics: of the normalisation: ``batch``, as published, or ``sample``, each sample's own; see
            :class:`training.normalisation.SampleNormalization`.

    Returns:
        A model that maps ``(n, tile_size, tile_size, input_bands)`` in [-1, 1] to ``(n, tile_size, tile_size,
        output_bands)`` in [-1, 1] (tanh), float32. Eight levels, 64 filters at the top, 54.4 M parameters.
    """
    weights = keras.initializers.RandomNormal(0.0, 0.02)
    normalisation = {"batch": layers.BatchNormalization, "sample": SampleNormalization}[statistics]
    inputs = keras.Input((tile_size, tile_size, input_bands), name="image")
    x = inputs
    skips = []
    for level, filters in enumerate(_PAPER_DOWN):
        x = layers.Conv2D(
            filters,
            4,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=weights,
            name=f"down{level}_conv",
        )(x)
        if level > 0:
            x = normalisation(name=f"down{level}_norm")(x)
        x = layers.LeakyReLU(negative_slope=0.3, name=f"down{level}_act")(x)
        skips.append(x)
    for level, (filters, skip) in enumerate(zip(_PAPER_UP, reversed(skips[:-1]))):
        x = layers.Conv2DTranspose(
            filters,
            4,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=weights,
            name=f"up{level}_conv",
        )(x)
        x = normalisation(name=f"up{level}_norm")(x)
        if level < _PAPER_DROPOUT_LEVELS:
            x = layers.Dropout(0.5, name=f"up{level}_dropout")(x)
        x = layers.ReLU(name=f"up{level}_act")(x)
        x = layers.Concatenate(name=f"up{level}_skip")([x, skip])
    outputs = layers.Conv2DTranspose(
        output_bands,
        4,
        strides=2,
        padding="same",
        kernel_initializer=weights,
        activation="tanh",
        name="up7_conv",
    )(x)
    return keras.Model(inputs, outputs, name="paper_unet")


def light_unet(input_bands: int = 4, tile_size: int | None = 256, mirrored: bool = False) -> keras.Model:
    """A two-scale residual U-Net that predicts heights and their spread.

    Its trunk, :func:`coarse_unet`, sees the tile at a quarter of its resolution and makes the shape of the
    landscape, where most of a height's error lies; a thin branch at full resolution adds the detail. It
    differs from the paper's network in what hurts a surface there: resize-convolutions instead of transposed
    ones (Odena et al. 2016: no checkerboard, a smoother slope), normalisation by groups of each sample's own
    channels (Wu & He 2018: a tile's answer depends on nothing but the tile), none at the bottleneck, a linear
    head instead of tanh, and a head scale that follows the ground sampling distance.

    Args:
        input_bands: the image bands followed by one plane of ln(ground sampling distance / 100 m).
        tile_size: side of the tiles in pixels, a multiple of 64; ``None`` leaves it open.
        mirrored: answer with the mean of the answers for the tile and for its mirror image across the
            diagonal, the mirror that keeps a south-east light where it is. It takes twice the time and no
            further weights.

    Returns:
        A model that maps ``(n, tile_size, tile_size, input_bands)`` float32 to
        ``(n, tile_size, tile_size, 2)`` float32: height in units of a pixel, and the natural logarithm of the
        height error's Laplace scale in the same unit (Kendall & Gal 2017, eq. 8 with a Laplace likelihood).
    """
    if mirrored:
        return _mirrored(light_unet(input_bands, tile_size))
    inputs = keras.Input((tile_size, tile_size, input_bands), name="image")
    pooled = layers.AveragePooling2D(TRUNK_STRIDE, name="pool")(inputs)
    # A pixel of the trunk is four of the tile's: its ground sampling distance and its unit of height are.
    log_gsd = layers.Rescaling(1.0, offset=math.log(TRUNK_STRIDE), name="trunk_gsd")(
        pooled[..., input_bands - 1 :]
    )
    reduced = layers.Concatenate(name="trunk_input")([pooled[..., : input_bands - 1], log_gsd])
    features, trunk_answer = _trunk(reduced, log_gsd)
    shape = layers.Rescaling(float(TRUNK_STRIDE), name="shape_scale", dtype="float32")(trunk_answer[..., :1])
    shape = layers.UpSampling2D(TRUNK_STRIDE, interpolation="bilinear", name="shape", dtype="float32")(shape)

    full = _conv(inputs, _DETAIL_FILTERS[0], "detail0", normalise=False)
    half = _conv(full, _DETAIL_FILTERS[1], "detail1", strides=2, normalise=False)
    quarter = _conv(half, _DETAIL_FILTERS[2], "detail2", strides=2, normalise=False)
    x = layers.Concatenate(name="join2")([features, quarter])
    x = _conv(x, _DETAIL_FILTERS[2], "merge2", normalise=False)
    for level, skip in ((1, half), (0, full)):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"up{level}")(x)
        x = layers.Concatenate(name=f"join{level}")([x, skip])
        x = _conv(x, _DETAIL_FILTERS[level], f"merge{level}", normalise=False)
    detail, spread = _head(x, inputs[..., input_bands - 1 :], "detail")
    height = layers.Add(name="height", dtype="float32")([shape, detail])
    return keras.Model(
        inputs, layers.Concatenate(name="answer", dtype="float32")([height, spread]), name="light_unet"
    )


def coarse_unet(input_bands: int = 4, tile_size: int | None = 64) -> keras.Model:
    """The trunk of :func:`light_unet` on its own, with the same names of layers, to be trained first.

    Args:
        input_bands: as for :func:`light_unet`.
        tile_size: side of the reduced tiles in pixels, a multiple of 16; ``None`` leaves it open.

    Returns:
        A model of the same input and output layout, at the reduced resolution.
    """
    inputs = keras.Input((tile_size, tile_size, input_bands), name="image")
    _, answer = _trunk(inputs, inputs[..., input_bands - 1 :])
    return keras.Model(inputs, answer, name="coarse_unet")


def _mirrored(network: keras.Model) -> keras.Model:
    """The mean of a network's answers for a tile and for its mirror image, mirrored back."""
    inputs = keras.Input(network.input_shape[1:], name="image")
    mirror = layers.Permute((2, 1, 3), name="mirror")
    answers = [network(inputs), mirror(network(mirror(inputs)))]
    return keras.Model(inputs, layers.Average(name="mean")(answers), name=f"{network.name}_mirrored")


def _trunk(x: Any, log_gsd: Any) -> tuple[Any, Any]:
    """Features and answer of the trunk."""
    x = _residual(_conv(x, _TRUNK_FILTERS[0], "enter"), _TRUNK_FILTERS[0], "encode0", normalise=True)
    skips = []
    for level, filters in enumerate(_TRUNK_FILTERS[1:], start=1):
        skips.append(x)
        last = level == len(_TRUNK_FILTERS) - 1
        x = _conv(x, filters, f"trunk_down{level}", strides=2, normalise=not last)
        x = _residual(x, filters, f"encode{level}", normalise=not last)
    for level in reversed(range(len(_TRUNK_FILTERS) - 1)):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"trunk_up{level}")(x)
        x = layers.Concatenate(name=f"trunk_skip{level}")([x, skips[level]])
        x = _conv(x, _TRUNK_FILTERS[level], f"trunk_merge{level}")
        x = _conv(x, _TRUNK_FILTERS[level], f"decode{level}")
    height, spread = _head(x, log_gsd, "trunk")
    return x, layers.Concatenate(name="trunk_answer", dtype="float32")([height, spread])


def _head(x: Any, log_gsd: Any, name: str) -> tuple[Any, Any]:
    """Height in units of a pixel and ln of its error's scale, both following the ground sampling distance."""
    # Kept in float32 under mixed precision: half precision would quantise heights at a thousandth of the
    # relief.
    raw = layers.Conv2D(2, 3, padding="same", name=f"{name}_head", dtype="float32")(x)
    log_scale = layers.Conv2D(
        1,
        1,
        kernel_initializer=keras.initializers.Constant(_RELIEF_EXPONENT),
        bias_initializer="zeros",
        name=f"{name}_relief_scale",
        dtype="float32",
    )(log_gsd)
    return raw[..., :1] * ops.exp(log_scale), raw[..., 1:] + log_scale


ARCHITECTURES: dict[str, Any] = {
    "paper_unet": paper_unet,
    "light_unet": light_unet,
    "coarse_unet": coarse_unet,
}
"""Generators by the name that a model card gives."""


def build(architecture: Mapping[str, Any]) -> keras.Model:
    """The generator that a model card's ``architecture`` describes: its name, and its other keys as
    arguments.

    Raises:
        ValueError: there is no generator of that name, or it does not take one of the arguments.
    """
    arguments = {key: value for key, value in architecture.items() if key != "name"}
    try:
        return ARCHITECTURES[architecture["name"]](**arguments)
    except (KeyError, TypeError) as error:
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"no architecture {dict(architecture)}; known names: {known} ({error})") from error


def _conv(
    x: Any, filters: int, name: str, strides: int = 1, normalise: bool = True, activate: bool = True
) -> Any:
    x = layers.Conv2D(
        filters,
        3,
        strides=strides,
        padding="same",
        use_bias=not normalise,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    if normalise:
        x = layers.GroupNormalization(_GROUPS, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_act")(x) if activate else x


def _residual(x: Any, filters: int, name: str, normalise: bool) -> Any:
    y = _conv(x, filters, f"{name}a", normalise=normalise)
    y = _conv(y, filters, f"{name}b", normalise=normalise, activate=False)
    return layers.ReLU(name=f"{name}_act")(layers.Add(name=f"{name}_add")([x, y]))
