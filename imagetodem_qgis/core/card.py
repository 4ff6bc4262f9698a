"""The card of a model, ``model.json``: what it is, what it takes, what it gives, how good it is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imagetodem_qgis.core.stretch import BANDS, EACH, StretchRecipe

CARD_FILE = "model.json"

ONNX_FILE = "generator.onnx"

LOG_GSD = "log_ground_sampling_distance"
"""Input plane: ln(ground sampling distance / 100 m)."""

COARSE_DEM = "coarse_dem"
"""Input plane: a coarse DEM, resampled smoothly to the image's grid, around the tile's mean, in pixels."""

LOG_CELL = "log_coarse_cell"
"""Input plane: ln(side of the coarse DEM's cells in pixels / 16): what the coarse DEM cannot hold, a network
cannot see in it."""

RELIEF = "relief"
"""Input plane: height relative to the tile's mean, in units of a pixel."""

ELEVATION = "elevation"
"""Input plane: height above the sea in kilometres."""

SEA = "sea"
"""Input plane: 1 where a DEM shows the sea, else 0. Level land by the sea has much the same height."""

PALETTE = ("palette_red", "palette_green", "palette_blue")
"""Input planes: the mean colour that the image is to have, in the stretched range, the same everywhere."""

PALETTES = "palettes"
"""Key of a card: mean colours of the images that a model with the planes of :data:`PALETTE` learned from."""

SEA_COLOUR = "sea_colour"
"""Key of a card: the colour that the sea has in the images that a model from the DEM learned from."""

IMAGE_TO_DEM, DEM_TO_IMAGE = "image_to_dem", "dem_to_image"

GUIDED = "guided"

_COLOURS = ("red", "green", "blue")
_HEIGHTS = ("height", "log_scale")
_INPUTS = {
    IMAGE_TO_DEM: (*_COLOURS, COARSE_DEM, LOG_CELL, LOG_GSD),
    DEM_TO_IMAGE: (RELIEF, ELEVATION, *PALETTE, SEA, LOG_GSD),
}
_REQUIRED_INPUTS = {IMAGE_TO_DEM: _COLOURS, DEM_TO_IMAGE: (RELIEF,)}
_OUTPUTS = {IMAGE_TO_DEM: _HEIGHTS, DEM_TO_IMAGE: _COLOURS}
_REQUIRED_OUTPUTS = {IMAGE_TO_DEM: ("height",), DEM_TO_IMAGE: _COLOURS}
_TARGETS = ("relief_per_pixel", "relative")
_DIRECTIONS = (IMAGE_TO_DEM, DEM_TO_IMAGE)


class CardError(ValueError):
    """A card that cannot be used; the message names the key."""


@dataclass(frozen=True)
class ModelCard:
    """A checked card.

    Attributes:
        name: of the model.
        version: of the model.
        licence: of its weights.
        architecture: name and sizes, as ``training.generator`` takes them.
        direction: ``image_to_dem`` or ``dem_to_image``.
        inputs: planes that the network takes, in order.
        outputs: planes that it answers, in order: ``height`` first, or the bands of an image.
        stretch: of the image.
        target: unit of the heights: ``relief_per_pixel`` or ``relative``.
        sun_azimuth: degrees clockwise from the top that training images' light came from, or ``None``.
        gsd_range: least and largest ground sampling distance of training in metres.
        tile_size: side of a tile in pixels.
        spread_factor: what the predicted spread is multiplied by to be calibrated.
        palettes: mean colours to choose from, red, green and blue from -1 to 1, of a model whose inputs have
            :data:`PALETTE`; else none.
        sea_colour: red, green and blue from -1 to 1 of the sea, if the card tells it.
        files: SHA-256 of each file by its name.
        content: the whole card, unknown keys included.
    """

    name: str
    version: str
    licence: str
    architecture: Mapping[str, Any]
    direction: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    stretch: StretchRecipe
    target: str
    sun_azimuth: float | None
    gsd_range: tuple[float, float]
    tile_size: int
    spread_factor: float
    palettes: tuple[tuple[float, ...], ...]
    sea_colour: tuple[float, ...] | None
    files: Mapping[str, str]
    content: Mapping[str, Any] = field(repr=False)

    @property
    def task(self) -> str:
        """What the model is for: ``image_to_dem``, ``dem_to_image``, or ``guided``: from the image and a
        coarse DEM to the DEM."""
        return GUIDED if COARSE_DEM in self.inputs else self.direction

    @property
    def fills_tiles(self) -> bool:
        """Whether an image smaller than a tile is to be enlarged to fill one: the network must be told the
        ground sampling distance, and of the ground by nothing but the image, not by a coarse DEM as well."""
        return LOG_GSD in self.inputs and COARSE_DEM not in self.inputs

    def typical_gsd(self) -> float:
        """The middle of the training's ground sampling distances on a logarithmic scale, metres."""
        return float((self.gsd_range[0] * self.gsd_range[1]) ** 0.5)


def parse_card(text: str) -> ModelCard:
    """Read a card.

    Args:
        text: JSON.

    Raises:
        CardError: it is no JSON object, or a key is missing or wrong; the message names the key.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise CardError(f"{CARD_FILE} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise CardError(f"{CARD_FILE} must hold a JSON object")
    for key in ("training_data", "metrics", "libraries"):
        _get(content, key, dict)
    _get(content, "seed", int)
    architecture = _get(content, "architecture", dict)
    _get(architecture, "name", str, "architecture.name")
    tile_size = _get(content, "tile_size", int)
    if tile_size < 1:
        raise CardError(f"tile_size must be a positive number of pixels, not {tile_size}")
    direction = _one_of(content, "direction", _DIRECTIONS)
    inputs = _names(content, "inputs", _INPUTS[direction], _REQUIRED_INPUTS[direction])
    return ModelCard(
        name=_get(content, "name", str),
        version=_get(content, "version", str),
        licence=_get(content, "licence", str),
        architecture=architecture,
        direction=direction,
        inputs=inputs,
        outputs=_names(content, "outputs", _OUTPUTS[direction], _REQUIRED_OUTPUTS[direction]),
        stretch=_stretch(_get(content, "stretch", dict)),
        target=_one_of(content, "target", _TARGETS),
        sun_azimuth=_azimuth(content),
        gsd_range=_gsd_range(_get(content, "ground_sampling_distance", dict)),
        tile_size=tile_size,
        spread_factor=_spread_factor(content),
        palettes=_palettes(content, inputs),
        sea_colour=_sea_colour(content),
        files=_files(_get(content, "files", dict)),
        content=content,
    )


def _get(content: dict[str, Any], key: str, kind: Any, called: str | None = None) -> Any:
    called = called or key
    if key not in content:
        raise CardError(f"{CARD_FILE} lacks the key '{called}'")
    value = content[key]
    wrong_kind = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
    # Python's JSON knows NaN and Infinity, which are numbers to no one else.
    if wrong_kind or (isinstance(value, float) and not math.isfinite(value)):
        raise CardError(f"{CARD_FILE} has a wrong value for '{called}': {value!r}")
    return value


def _one_of(content: dict[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = _get(content, key, str)
    if value not in choices:
        raise CardError(
            f"{CARD_FILE} has a wrong value for '{key}': {value!r}, not one of {', '.join(choices)}"
        )
    return str(value)


def _names(
    content: dict[str, Any], key: str, known: tuple[str, ...], required: tuple[str, ...]
) -> tuple[str, ...]:
    names = tuple(_get(content, key, list))
    repeated = any(names.count(name) > 1 for name in names)
    if names[: len(required)] != required or repeated or not all(name in known for name in names):
        raise CardError(
            f"{CARD_FILE} has a wrong value for '{key}': {list(names)!r} does not begin with "
            f"{list(required)!r} "
            f"and go on with some of {list(known)!r}"
        )
    return names


def _stretch(content: dict[str, Any]) -> StretchRecipe:
    method = _get(content, "method", str, "stretch.method")
    if method != "percentile":
        raise CardError(f"{CARD_FILE} has a wrong value for 'stretch.method': {method!r}, not 'percentile'")
    lower, upper, clip = (
        float(_get(content, key, (int, float), f"stretch.{key}")) for key in ("lower", "upper", "clip")
    )
    if not 0.0 <= lower < upper <= 100.0 or clip < 1.0:
        raise CardError(
            f"{CARD_FILE} has a wrong value for 'stretch': percentiles {lower} to {upper}, clip {clip}"
        )
    bands = content.get("bands", EACH)
    if bands not in BANDS:
        raise CardError(
            f"{CARD_FILE} has a wrong value for 'stretch.bands': {bands!r}, not one of "
            f"{', '.join(map(repr, BANDS))}"
        )
    return StretchRecipe(lower, upper, clip, bands)


def _azimuth(content: dict[str, Any]) -> float | None:
    value = _get(content, "sun_azimuth", (int, float, type(None)))
    return None if value is None else float(value) % 360.0


def _spread_factor(content: dict[str, Any]) -> float:
    factor = float(_get(content, "spread_factor", (int, float))) if "spread_factor" in content else 1.0
    if factor <= 0.0:
        raise CardError(f"{CARD_FILE} has a wrong value for 'spread_factor': {factor} is not positive")
    return factor


def _palettes(content: dict[str, Any], inputs: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
    asked = [name for name in PALETTE if name in inputs]
    if not asked:
        return ()
    if len(asked) != len(PALETTE):
        raise CardError(f"{CARD_FILE} has a wrong value for 'inputs': {asked} without the rest of {PALETTE}")
    palettes = _get(content, PALETTES, list)
    if not palettes:
        raise CardError(f"{CARD_FILE} has a wrong value for '{PALETTES}': there is none")
    return tuple(_colour(palette, PALETTES) for palette in palettes)


def _sea_colour(content: dict[str, Any]) -> tuple[float, ...] | None:
    return _colour(content[SEA_COLOUR], SEA_COLOUR) if SEA_COLOUR in content else None


def _colour(value: Any, key: str) -> tuple[float, ...]:
    if not (isinstance(value, list) and len(value) == len(_COLOURS) and all(map(_is_share, value))):
        raise CardError(
            f"{CARD_FILE} has a wrong value for '{key}': {value!r} is not three numbers from -1 to 1"
        )
    return tuple(float(share) for share in value)


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1.0 <= value <= 1.0


def _gsd_range(content: dict[str, Any]) -> tuple[float, float]:
    least, largest = (
        float(_get(content, key, (int, float), f"ground_sampling_distance.{key}"))
        for key in ("minimum", "maximum")
    )
    if not 0.0 < least <= largest:
        raise CardError(
            f"{CARD_FILE} has a wrong value for 'ground_sampling_distance': {least} to {largest} m"
        )
    return least, largest


def _files(content: dict[str, Any]) -> dict[str, str]:
    for name, digest in content.items():
        if not isinstance(digest, str) or len(digest) != 64:
            raise CardError(f"{CARD_FILE} has a wrong value for 'files': no SHA-256 for {name}")
        # A colon leads to another drive on Windows.
        if name.startswith(".") or any(sign in name for sign in "/\\:"):
            raise CardError(
                f"{CARD_FILE} has a wrong value for 'files': {name} is not a file of the model's folder"
            )
    return dict(content)
