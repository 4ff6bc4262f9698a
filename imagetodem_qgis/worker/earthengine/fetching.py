"""A tile's pair from Earth Engine: a survey of the images, a choice, the pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.worker.earthengine import products
from imagetodem_qgis.worker.earthengine.expressions import (
    BANDS,
    CLASS,
    HEIGHT,
    UNKNOWN,
    Ground,
    Season,
    pair,
    survey,
)
from imagetodem_qgis.worker.earthengine.failures import Failure, PassingFailure
from imagetodem_qgis.worker.earthengine.products import Elevation
from imagetodem_qgis.worker.earthengine.session import Session

_SMALLEST_PICTURE = 32
"""Pixels along a side below which a picture that is too much for the server is not divided further."""


class NothingThere(Exception):
    """A tile without an image or without land.

    Attributes:
        reason: ``sea`` or ``cloud``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Scene:
    """An image of the survey: index, day (``YYYY-MM-DD``), sun in degrees if known, datatake."""

    index: str
    day: str
    azimuth: float | None
    zenith: float | None
    datatake: str


@dataclass(frozen=True)
class Pair:
    """A tile's pixels.

    Attributes:
        image: (3, size, size) float32, reflectance; NaN where there is none.
        heights: (size, size) float32, metres; NaN where they are not known.
        sea: (size, size) bool.
        scenes: that the image was made of.
    """

    image: NDArray[np.float32]
    heights: NDArray[np.float32]
    sea: NDArray[np.bool_]
    scenes: tuple[Scene, ...]


def fetch_pair(
    session: Session, ground: Ground, season: Season, elevation: Elevation, is_composite: bool
) -> Pair:
    """A tile's pixels.

    Raises:
        NothingThere: no image or no land is there.
        Failure: it cannot be had.
        PassingFailure: likewise, in as many attempts as were to be made.
    """
    found = session.value(survey(ground, season, elevation, wants_clear_shares=not is_composite))
    try:
        tiles, images = int(found["tiles"]), [_scene(*row) for row in found["images"]]
        clear = {} if is_composite else dict(zip(found["datatakes"], found["clear"]))
    except (TypeError, ValueError, KeyError) as error:
        raise PassingFailure("Earth Engine's list of images is not whole") from error
    if tiles == 0:
        raise NothingThere("sea", f"{elevation.collection} has no tile here: open sea")
    if not images:
        raise NothingThere(
            "cloud",
            f"{products.SENTINEL_2} has no image from {season.start} to {season.end} with {season.cloud:g} "
            "% cloud at most",
        )
    scenes = images if is_composite else clearest(images, clear)
    expression = pair(ground, season, elevation, [scene.index for scene in scenes], is_composite)
    made = _Making(ground.size, elevation)
    for row, column, side in windows(ground.size, products.LARGEST_PICTURE):
        _fill(session, expression, ground, made, (row, column, side))
    return Pair(made.image, made.heights, made.sea, tuple(scenes))


def clearest(images: Sequence[Scene], clear: dict[str, float | None]) -> list[Scene]:
    """The images of the pass that shows most of the ground, in the order of their indices.

    Args:
        images: of the survey, those of the least cloudy scenes first.
        clear: share of the ground that each datatake shows without a cloud, if it is known.
    """
    order = list(dict.fromkeys(scene.datatake for scene in images))
    best = max(order, key=lambda name: (clear.get(name) or 0.0, -order.index(name)))
    return sorted((scene for scene in images if scene.datatake == best), key=lambda scene: scene.index)


def windows(size: int, largest: int) -> Iterator[tuple[int, int, int]]:
    """Squares that cover a square: first row, first column, side; the last ones reach beyond it."""
    count = math.ceil(size / largest)
    side = math.ceil(size / count)
    for row in range(0, size, side):
        for column in range(0, size, side):
            yield row, column, side


class _Making:
    """A pair's pixels, which come in windows."""

    def __init__(self, size: int, elevation: Elevation) -> None:
        self._elevation = elevation
        self.image = np.empty((3, size, size), np.float32)
        self.heights = np.empty((size, size), np.float32)
        self.sea = np.empty((size, size), bool)

    def put(self, row: int, column: int, part: NDArray[Any]) -> None:
        """Take a window in, by its first row and column."""
        place = (slice(row, row + part.shape[0]), slice(column, column + part.shape[1]))
        for plane, name in zip(self.image, products.COLOURS):
            # In float64, so that a count comes to the reflectance that is nearest to it.
            np.multiply(
                part[name],
                products.REFLECTANCE,
                out=plane[place],
                dtype=np.float64,
                casting="same_kind",
            )
            plane[place][part[name] == UNKNOWN] = np.nan
        classes, heights = part[CLASS], part[HEIGHT]
        worth = np.logical_or.reduce([classes == known for known in self._elevation.known])
        sea = ~worth & ((classes == self._elevation.sea) | (classes < 0))
        known = worth & (heights != UNKNOWN)
        self.sea[place] = sea
        self.heights[place] = np.where(known, heights, np.where(sea, np.float32(0.0), np.float32(np.nan)))


def _fill(
    session: Session, expression: str, ground: Ground, made: _Making, window: tuple[int, int, int]
) -> None:
    """Fetch a window; in quarters where it is too much for the server."""
    row, column, side = window
    height, width = min(side, ground.size - row), min(side, ground.size - column)
    try:
        part = session.pixels(expression, _grid(ground, row, column, height, width), BANDS)
    except Failure as failure:
        if not failure.too_much or side < 2 * _SMALLEST_PICTURE:
            raise
        half = math.ceil(side / 2)
        for first_row in range(row, row + height, half):
            for first_column in range(column, column + width, half):
                _fill(session, expression, ground, made, (first_row, first_column, half))
        return
    made.put(row, column, part)


def _grid(ground: Ground, row: int, column: int, height: int, width: int) -> dict[str, Any]:
    return {
        "dimensions": {"width": width, "height": height},
        "affineTransform": {
            "scaleX": ground.resolution,
            "shearX": 0,
            "translateX": ground.left + column * ground.resolution,
            "shearY": 0,
            "scaleY": -ground.resolution,
            "translateY": ground.top - row * ground.resolution,
        },
        "crsCode": ground.crs,
    }


def _scene(index: Any, milliseconds: Any, azimuth: Any, zenith: Any, datatake: Any) -> Scene:
    moment = datetime.fromtimestamp(float(milliseconds) / 1000.0, timezone.utc)
    return Scene(
        str(index),
        moment.date().isoformat(),
        None if azimuth is None else float(azimuth),
        None if zenith is None else float(zenith),
        # Without one it is a pass of its own.
        str(index if datatake is None else datatake),
    )
