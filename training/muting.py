"""Muting the colours of fine images before a network sees them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

MUTED_BELOW = 90.0
"""Ground sampling distance in metres at which colours are half muted."""
_MUTING_WIDTH = 0.2
"""Of the logistic curve from muted to full colours, in natural logarithms of the distance."""
_BLUE_LEFT = 0.5
"""What is left, in muted colours, of blue's difference from the mean of all three; of that between red and
green nothing is."""
MUTING = "muting"
"""Name of the model that does it."""
_COLOURS = ("red", "green", "blue")


def muting(inputs: Sequence[str], tile_size: int | None = 256) -> keras.Model:
    """A tile with muted colours where its pixels are fine: red and green alike, blue half as far from them.

    Whether wood lies above the fields or pasture above the wood is another in each region. A network trusts
    what colours told it of the few that it has seen, and takes the next one upside down; it is asked to look
    at light, form and water instead, which blue tells. From some 90 m a pixel on, colours are as they are:
    one sensor's, and learned from all the world.

    Args:
        inputs: names of the planes; red, green and blue come first, ``log_ground_sampling_distance`` last.
        tile_size: side of the tiles in pixels; ``None`` leaves it open.

    Returns:
        A model without weights from ``(n, tile_size, tile_size, len(inputs))`` to the same, float32.

    Raises:
        ValueError: the planes do not begin with colours.
    """
    if tuple(inputs[:3]) != _COLOURS:
        raise ValueError(f"the planes {list(inputs)} do not begin with colours that could be muted")
    tile = keras.Input((tile_size, tile_size, len(inputs)), name="image")
    colours, log_gsd = tile[..., :3], tile[..., len(inputs) - 1 :]
    mean = layers.Average(name="mean_colour", dtype="float32")([tile[..., n : n + 1] for n in range(3)])
    blue = layers.Subtract(name="blue_over_mean", dtype="float32")([tile[..., 2:3], mean])

    def with_blue(name: str, share: float) -> Any:
        part = layers.Rescaling(share, name=f"{name}_part", dtype="float32")(blue)
        return layers.Add(name=f"muted_{name}", dtype="float32")([mean, part])

    # What blue has more, red and green have less: the mean stays.
    yellow = with_blue("yellow", -_BLUE_LEFT / 2.0)
    muted = layers.Concatenate(name="muted_colours", dtype="float32")(
        [yellow, yellow, with_blue("blue", _BLUE_LEFT)]
    )
    limit = math.log(MUTED_BELOW / 100.0)

    def share_of(name: str, steepness: float) -> Any:
        offset = -steepness * limit
        exponent = layers.Rescaling(steepness, offset=offset, name=f"{name}_exponent", dtype="float32")
        return ops.sigmoid(exponent(log_gsd))

    parts = [
        layers.Multiply(name="coarse_colours", dtype="float32")(
            [colours, share_of("coarse", 1 / _MUTING_WIDTH)]
        ),
        layers.Multiply(name="fine_colours", dtype="float32")([muted, share_of("fine", -1 / _MUTING_WIDTH)]),
    ]
    mixed = layers.Add(name="colours", dtype="float32")(parts)
    answer = layers.Concatenate(name="muted_tile", dtype="float32")([mixed, tile[..., 3:]])
    return keras.Model(tile, answer, name=MUTING)
