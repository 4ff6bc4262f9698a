"""What surrounds the pairs of a data set folder: the other pairs of their area."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from training.data.pair import Around

_FILES = 16
"""Images of an area that are looked into, evenly chosen."""
_PIXELS = 16384
"""That are read of all of them together, at most."""


class Surroundings:
    """Pixels of whole areas, each read when it is first asked for; may be used from several threads.

    Whoever asks a model shows it a scene, stretched by the percentiles of the whole scene. A small pair that
    was cut from one looks as it will be shown only if it is stretched as the scene is: with limits of its
    own, a valley and a ridge of different light would look alike.

    Args:
        files: the images of each area.
    """

    def __init__(self, files: Mapping[str, Sequence[Path]]) -> None:
        self._files = files
        self._found: dict[str, Around | None] = {}
        self._lock = threading.Lock()

    def of(self, area: str | None) -> Around | None:
        """Pixels of an area's images; ``None`` where it is not known or has a single one, which is all
        of its own surroundings.

        Raises:
            rasterio.errors.RasterioError: a file cannot be read.
        """
        files = self._files.get(area, ()) if area is not None else ()
        if area is None or len(files) < 2:
            return None
        with self._lock:
            if area not in self._found:
                chosen = np.unique(np.linspace(0, len(files) - 1, _FILES).round().astype(int))
                side = int(np.sqrt(_PIXELS / len(chosen)))
                read = np.concatenate([_pixels(files[int(number)], side) for number in chosen])
                self._found[area] = Around(read) if len(read) else None
            return self._found[area]


def _pixels(path: Path, side: int) -> NDArray[np.generic]:
    """Pixels (n, 3) of an image, at most side × side of it in even steps, the unknown ones left out."""
    with rasterio.open(path) as source:
        if source.count < 3:
            return np.empty((0, 3), source.dtypes[0])
        shape = min(side, source.height), min(side, source.width)
        bands = source.read((1, 2, 3), out_shape=(3, *shape), resampling=Resampling.nearest)
        known = source.dataset_mask(out_shape=shape, resampling=Resampling.nearest) > 0
    pixels = np.moveaxis(bands, 0, -1)[known]
    return np.asarray(pixels[np.isfinite(pixels).all(axis=-1)])
