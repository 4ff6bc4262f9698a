"""Collections of images, and the filters over their properties and outlines."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np

from tests.services.earthengine.grids import meet
from tests.services.earthengine.images import NO_PROJECTION, Band, Image, Pixels

Filter = Callable[[Image], bool]


@dataclass(frozen=True)
class Collection:
    """Images in an order."""

    images: tuple[Image, ...]

    def filtered(self, keeps: Filter) -> Collection:
        """Those that a filter keeps."""
        return Collection(tuple(image for image in self.images if keeps(image)))

    def limited(self, count: int | None, key: str | None, ascending: bool) -> Collection:
        """The first so many, sorted by a property if one is named; images without it come last."""
        images = list(self.images)
        if key is not None:
            images = [image for image in images if image.properties.get(key) is not None]
            images.sort(key=lambda image: image.properties[key], reverse=not ascending)
            images += [image for image in self.images if image.properties.get(key) is None]
        return Collection(tuple(images[:count]))

    def values(self, name: str) -> list[Any]:
        """A property of the images that have it."""
        return [image.properties[name] for image in self.images if image.properties.get(name) is not None]

    def mosaic(self) -> Image:
        """The last of the images that know a pixel."""
        return self._reduced(_last_known)

    def median(self) -> Image:
        """The median of the images that know a pixel."""
        return self._reduced(_median)

    def _reduced(self, reduce: Callable[[np.ndarray, np.ndarray], Pixels]) -> Image:
        names = self.images[0].bands if self.images else {}
        return Image({name: self._band(name, reduce) for name in names})

    def _band(self, name: str, reduce: Callable[[np.ndarray, np.ndarray], Pixels]) -> Band:
        bands = [image.bands[name] for image in self.images]

        def pixels(grid: Any) -> Pixels:
            found = [band.pixels(grid) for band in bands]
            return reduce(np.stack([values for values, _ in found]), np.stack([mask for _, mask in found]))

        return Band(NO_PROJECTION, pixels, bands[0].dtype)


def _last_known(values: np.ndarray, masks: np.ndarray) -> Pixels:
    known = masks > 0.0
    last = len(masks) - 1 - np.argmax(known[::-1], axis=0)
    take = lambda stack: np.take_along_axis(stack, last[None], axis=0)[0]  # noqa: E731
    return take(values), np.where(known.any(axis=0), take(masks), 0.0)


def _median(values: np.ndarray, masks: np.ndarray) -> Pixels:
    known = masks > 0.0
    nowhere = ~known.any(axis=0)
    # A column without a value gets one, which the mask hides.
    filled = np.where(known | nowhere[None], values, np.nan)
    return np.nanmedian(filled, axis=0), np.where(nowhere, 0.0, 1.0)


def intersects(geometry: Any) -> Filter:
    """Images whose outline touches a polygon."""
    return lambda image: image.footprint is None or meet(image.footprint, geometry)


def in_dates(start: Any, end: Any, name: str) -> Filter:
    """Images with a time from a moment on and before another, in milliseconds or ISO 8601."""
    first, last = milliseconds(start), milliseconds(end)
    return lambda image: first <= image.properties.get(name, math.inf) < last


def in_months(first: int, last: int) -> Filter:
    """Images of some months, both included, over the turn of the year if need be."""

    def keeps(image: Image) -> bool:
        month = datetime.fromtimestamp(image.properties["system:time_start"] / 1000.0, timezone.utc).month
        return first <= month <= last if first <= last else month >= first or month <= last

    return keeps


def milliseconds(moment: Any) -> float:
    """A moment in milliseconds since 1970."""
    if isinstance(moment, (int, float)):
        return float(moment)
    return datetime.fromisoformat(moment).replace(tzinfo=timezone.utc).timestamp() * 1000.0
