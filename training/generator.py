"""The generators: the paper's U-Net and the light one that the plugin ships.

Both are functional Keras 3 models written with Keras layers and ``keras.ops`` only, so that one definition
serves TensorFlow, PyTorch and JAX.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from imagetodem_qgis.core.card import COARSE_DEM, ELEVATION, LOG_CELL, LOG_GSD, PALETTE, RELIEF, SEA
from training.muting import muting
from training.normalisation import GroupNormalization, SampleNormalization

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


IMAGE_INPUTS = ("red", "green", "blue", LOG_GSD)
"""Planes of a generator that knows nothing but the image."""
GUIDED_INPUTS = ("red", "green", "blue", COARSE_DEM, LOG_CELL, LOG_GSD)
"""Planes of a generator that also sees a coarse DEM, and is told how coarse it is."""
DEM_INPUTS = (RELIEF, ELEVATION, *PALETTE, SEA, LOG_GSD)
"""Planes of a generator that goes from the DEM to the image; the palette says what heights cannot: whether it
is the Sahara or the Alps."""
RELIEF_OUTPUTS = ("height", "log_scale")
IMAGE_OUTPUTS = ("red", "green", "blue")
_HEIGHT_INPUT_SCALE = 0.2
"""Brings heights, which reach some ten pixels, to the order of the other planes."""


def light_unet(
    inputs: Sequence[str] = IMAGE_INPUTS,
    outputs: Sequence[str] = RELIEF_OUTPUTS,
    tile_size: int | None = 256,
    guided: bool = False,
    mirrored: bool = False,
    detail_filters: Sequence[int] = _DETAIL_FILTERS,
    detail_blocks: int = 0,
    muted: bool = False,
) -> keras.Model:
    """A two-scale residual U-Net that predicts heights and their spread, or an image.

    Its trunk, :func:`coarse_unet`, sees the tile at a quarter of its resolution and makes the shape of the
    landscape, where most of a height's error lies; a thin branch at full resolution adds the detail. It
    differs from the paper's network in what hurts a surface there: resize-convolutions instead of transposed
    ones (Odena et al. 2016: no checkerboard, a smoother slope), normalisation by groups of each sample's own
    channels (Wu & He 2018: a tile's answer depends on nothing but the tile), none at the bottleneck, a linear
    head instead of tanh, and a head scale that follows the ground sampling distance.

    Args:
        inputs: names of the input's planes, as a model card gives them; the last is
            ``log_ground_sampling_distance``.
        outputs: ``("height", "log_scale")``, or the bands of an image.
        tile_size: side of the tiles in pixels, a multiple of 64; ``None`` leaves it open.
        guided: add the plane ``coarse_dem`` to the height, so that the network need only know what the coarse
            DEM lacks. It is trained without, on what is lacking.
        mirrored: answer with the mean of the answers for the tile and for its mirror image across the
            diagonal, the mirror that keeps a south-east light where it is. It takes twice the time and no
            further weights.
        detail_filters: of the branch at full resolution: at the tile's, half and a quarter of it.
        detail_blocks: residual blocks at half and at a quarter of the resolution, on the way down and on the
            way up. What a coarse DEM lacks is small, and is made there.
        muted: answer to fine images in muted colours, see :func:`training.muting.muting`. It, too, has no
            weights.

    Returns:
        A model that maps ``(n, tile_size, tile_size, len(inputs))`` float32 to
        ``(n, tile_size, tile_size, len(outputs))`` float32: height in units of a pixel, and the natural
        logarithm of the height error's Laplace scale in the same unit (Kendall & Gal 2017, eq. 8 with a
        Laplace likelihood); or bands from -1 to 1.

    Raises:
        ValueError: the planes are not as said above.
    """
    if mirrored or muted:
        network = light_unet(
            inputs, outputs, tile_size, guided, detail_filters=detail_filters, detail_blocks=detail_blocks
        )
        return _answering(network, inputs, mirrored, muted)
    _check_planes(inputs, outputs, guided)
    tile = keras.Input((tile_size, tile_size, len(inputs)), name="image")
    pooled = layers.AveragePooling2D(TRUNK_STRIDE, name="pool")(tile)
    # A pixel of the trunk is four of the tile's: its ground sampling distance and its unit of height are.
    log_gsd = layers.Rescaling(1.0, offset=math.log(TRUNK_STRIDE), name="trunk_gsd")(
        pooled[..., len(inputs) - 1 :]
    )
    reduced = _scaled(pooled, inputs, log_gsd, TRUNK_STRIDE, "trunk")
    features, trunk_answer = _trunk(reduced, log_gsd, outputs)
    answers = len(trunk_answer)
    shape = trunk_answer[0]
    if "height" in outputs:
        shape = layers.Rescaling(float(TRUNK_STRIDE), name="shape_scale", dtype="float32")(shape)
    shape = layers.UpSampling2D(TRUNK_STRIDE, interpolation="bilinear", name="shape", dtype="float32")(shape)

    fine_gsd = tile[..., len(inputs) - 1 :]
    fine = tile if _height_plane(inputs) is None else _scaled(tile, inputs, fine_gsd, 1, "fine")
    full = _conv(fine, detail_filters[0], "detail0", normalise=False)
    half = _conv(full, detail_filters[1], "detail1", strides=2, normalise=False)
    half = _residuals(half, detail_blocks, "detail1_block")
    quarter = _conv(half, detail_filters[2], "detail2", strides=2, normalise=False)
    quarter = _residuals(quarter, detail_blocks, "detail2_block")
    x = layers.Concatenate(name="join2")([features, quarter])
    x = _conv(x, detail_filters[2], "merge2", normalise=False)
    x = _residuals(x, detail_blocks, "merge2_block")
    for level, skip in ((1, half), (0, full)):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"up{level}")(x)
        x = layers.Concatenate(name=f"join{level}")([x, skip])
        x = _conv(x, detail_filters[level], f"merge{level}", normalise=False)
        x = _residuals(x, detail_blocks if level else 0, f"merge{level}_block")
    detail = _head(x, fine_gsd, "detail", outputs)
    parts = [shape, detail[0]]
    if guided:
        number = list(inputs).index(COARSE_DEM)
        parts.append(tile[..., number : number + 1])
    answer = layers.Add(name=outputs[0], dtype="float32")(parts)
    if answers > 1:
        answer = layers.Concatenate(name="answer", dtype="float32")([answer, detail[1]])
    return keras.Model(tile, answer, name="light_unet")


def coarse_unet(
    inputs: Sequence[str] = IMAGE_INPUTS,
    outputs: Sequence[str] = RELIEF_OUTPUTS,
    tile_size: int | None = 64,
) -> keras.Model:
    """The trunk of :func:`light_unet` on its own, with the same names of layers, to be trained first.

    Args:
        inputs: as for :func:`light_unet`.
        outputs: likewise.
        tile_size: side of the reduced tiles in pixels, a multiple of 16; ``None`` leaves it open.

    Returns:
        A model of the same input and output layout, at the reduced resolution.

    Raises:
        ValueError: the planes are not as said there.
    """
    _check_planes(inputs, outputs, guided=False)
    tile = keras.Input((tile_size, tile_size, len(inputs)), name="image")
    log_gsd = tile[..., len(inputs) - 1 :]
    _, answer = _trunk(_scaled(tile, inputs, log_gsd, 1, "trunk"), log_gsd, outputs)
    if len(answer) > 1:
        answer = [layers.Concatenate(name="trunk_answer", dtype="float32")(answer)]
    return keras.Model(tile, answer[0], name="coarse_unet")


def _check_planes(inputs: Sequence[str], outputs: Sequence[str], guided: bool) -> None:
    if inputs[-1] != LOG_GSD or (guided and COARSE_DEM not in inputs):
        raise ValueError(f"the planes {list(inputs)} must end with {LOG_GSD}, and hold a guide if guided")
    if tuple(outputs) not in (RELIEF_OUTPUTS, IMAGE_OUTPUTS):
        raise ValueError(f"the answer {list(outputs)} is neither {RELIEF_OUTPUTS} nor {IMAGE_OUTPUTS}")


def _height_plane(inputs: Sequence[str]) -> int | None:
    """Number of the plane that holds heights in units of a pixel, if there is one."""
    return next((number for number, name in enumerate(inputs) if name in (COARSE_DEM, RELIEF)), None)


def _scaled(tile: Any, inputs: Sequence[str], log_gsd: Any, stride: int, where: str) -> Any:
    """The planes of a tile with ``log_gsd`` as the last, and heights, in the unit of a pixel that stands for
    ``stride`` of the tile's, brought to the order of the others whatever the ground sampling distance."""
    number = _height_plane(inputs)
    if number is None:
        parts = [tile[..., : len(inputs) - 1]]
    else:
        exponent = layers.Rescaling(
            -_RELIEF_EXPONENT,
            offset=math.log(_HEIGHT_INPUT_SCALE / stride),
            name=f"{where}_height_exponent",
            dtype="float32",
        )(log_gsd)
        heights = layers.Multiply(name=f"{where}_height", dtype="float32")(
            [tile[..., number : number + 1], ops.exp(exponent)]
        )
        parts = [heights, tile[..., number + 1 : len(inputs) - 1]]
        if number > 0:
            parts.insert(0, tile[..., :number])
        parts = [part for part in parts if part.shape[-1] > 0]
    return layers.Concatenate(name=f"{where}_input")([*parts, log_gsd])


def _answering(network: keras.Model, inputs: Sequence[str], mirrored: bool, muted: bool) -> keras.Model:
    """A network that answers to a tile with muted colours, and with the mean of its answers for the tile and
    for its mirror image, mirrored back."""
    image = keras.Input(network.input_shape[1:], name="image")
    tile = muting(inputs, network.input_shape[1])(image) if muted else image
    answer = network(tile)
    if mirrored:
        mirror = layers.Permute((2, 1, 3), name="mirror")
        answer = layers.Average(name="mean")([answer, mirror(network(mirror(tile)))])
    kinds = [kind for kind, is_so in (("muted", muted), ("mirrored", mirrored)) if is_so]
    return keras.Model(image, answer, name="_".join([network.name, *kinds]))


def _trunk(x: Any, log_gsd: Any, outputs: Sequence[str]) -> tuple[Any, list[Any]]:
    """Features and answers of the trunk."""
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
    return x, _head(x, log_gsd, "trunk", outputs)


def _head(x: Any, log_gsd: Any, name: str, outputs: Sequence[str]) -> list[Any]:
    """The bands of an image; or height in units of a pixel and ln of its error's scale, both following the
    ground sampling distance."""
    # Kept in float32 under mixed precision: half precision would quantise heights at a thousandth of the
    # relief.
    raw = layers.Conv2D(len(outputs), 3, padding="same", name=f"{name}_head", dtype="float32")(x)
    if "height" not in outputs:
        return [raw]
    log_scale = layers.Conv2D(
        1,
        1,
        kernel_initializer=keras.initializers.Constant(_RELIEF_EXPONENT),
        bias_initializer="zeros",
        name=f"{name}_relief_scale",
        dtype="float32",
    )(log_gsd)
    return [raw[..., :1] * ops.exp(log_scale), raw[..., 1:] + log_scale]


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
    except (KeyError, TypeError, ValueError) as error:
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
        x = GroupNormalization(_GROUPS, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_act")(x) if activate else x


def _residuals(x: Any, blocks: int, name: str) -> Any:
    for number in range(blocks):
        x = _residual(x, x.shape[-1], f"{name}{number}", normalise=False)
    return x


def _residual(x: Any, filters: int, name: str, normalise: bool) -> Any:
    y = _conv(x, filters, f"{name}a", normalise=normalise)
    y = _conv(y, filters, f"{name}b", normalise=normalise, activate=False)
    return layers.ReLU(name=f"{name}_act")(layers.Add(name=f"{name}_add")([x, y]))
