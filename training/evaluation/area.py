"""Held-out ground: tiles to compare one by one, and mosaics to compare as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from imagetodem_qgis.core.tiling import Window
from training.data.bluemarble import Mosaics, read_bluemarble, read_tiles
from training.data.cache import PairCache
from training.data.dataset import DATASET_FILE
from training.data.pair import Pair, towards_the_sun
from training.data.scene_list import SCENES
from training.data.scenes import read_scene
from training.data.sources import open_source

_LEAST_KNOWN = 0.5
"""Share of a tile's pixels that must be known."""
_PUBLISHED = "panagiotou_testset"
_PUBLISHED_GSD = 30.0
_PUBLISHED_SUN = 140.0
"""Degrees: a summer morning in Greece."""


@dataclass(frozen=True)
class Area:
    """A piece of held-out ground, its light brought to the training azimuth.

    Attributes:
        source: what its figures are put together with: a scene, or a whole collection of tiles.
        name: its own.
        image: (rows, columns, 3), any real dtype.
        dem: (rows, columns) float32, NaN where unknown; metres, unless ``in_metres`` says otherwise.
        valid: (rows, columns) bool, image and DEM both usable.
        gsd: metres a pixel.
        samples: (n, 3) valid pixels of the whole image that it is a part of, for the stretch.
        in_metres: whether the unit of the heights is known.
    """

    source: str
    name: str
    image: NDArray[np.generic]
    dem: NDArray[np.float32]
    valid: NDArray[np.bool_]
    gsd: float
    samples: NDArray[np.generic]
    in_metres: bool = True

    def part(self, window: Window) -> Area:
        """The pixels of a window."""
        rows = slice(window.row, window.row + window.rows)
        columns = slice(window.column, window.column + window.columns)
        return replace(
            self,
            name=f"{self.name}/{window.row}_{window.column}",
            image=self.image[rows, columns],
            dem=self.dem[rows, columns],
            valid=self.valid[rows, columns],
        )


def area_of(pair: Pair, source: str) -> Area:
    """A whole pair."""
    dem = np.where(pair.valid, pair.dem, np.nan).astype(np.float32)
    samples = pair.image[pair.valid].reshape(-1, 3) if pair.around is None else pair.around.pixels
    return Area(source, pair.name, pair.image, dem, pair.valid, pair.gsd, samples)


def tiles_of(area: Area, size: int, step: int | None = None) -> Iterator[Area]:
    """The tiles of size × size that are known by half; an area that is smaller along a side is not cut along
    it.

    Args:
        area: to be cut.
        size: of a tile in pixels.
        step: pixels from one tile to the next; ``None``: they lie side by side.
    """
    rows, columns = area.dem.shape
    high, wide = min(size, rows), min(size, columns)
    for row in range(0, rows - high + 1, step or high):
        for column in range(0, columns - wide + 1, step or wide):
            tile = area.part(Window(row, column, high, wide))
            if tile.valid.mean() >= _LEAST_KNOWN:
                yield tile


def held_out_tiles(data: Path, split: str, size: int) -> Iterator[Area]:
    """The tiles of a split: Blue Marble's, those of the scenes, and the published test pairs; or those of a
    data set folder.

    Args:
        data: a folder of pairs; see :mod:`training.data.sources`.
        split: ``validation`` or ``test``.
        size: of a tile in pixels.
    """
    if (data / DATASET_FILE).exists():
        for area in _areas_of_a_data_set(data, split):
            yield from tiles_of(area, size)
        return
    if (data / "bluemarble" / "index.csv").exists():
        for pair in read_bluemarble(data / "bluemarble", split):
            yield area_of(pair, "bluemarble")
    for area in _scenes(data, split):
        yield from tiles_of(area, size)
    if split == "test":
        yield from _published(data / "scenes" / _PUBLISHED)


def held_out_mosaics(data: Path, split: str, size: int) -> Iterator[Area]:
    """Ground that is larger than a tile: squares of 2 × 2 Blue Marble tiles without overlap, whole scenes.

    Args:
        data: as for :func:`held_out_tiles`.
        split: likewise.
        size: likewise.
    """
    areas = _areas_of_a_data_set(data, split) if (data / DATASET_FILE).exists() else _wide(data, split)
    for area in areas:
        if min(area.dem.shape) >= size and max(area.dem.shape) > size:
            yield area


def _areas_of_a_data_set(folder: Path, split: str) -> Iterator[Area]:
    source = open_source(folder, PairCache())
    for pair in source.validation if split == "validation" else source.test:
        yield area_of(pair, folder.name)


def _wide(data: Path, split: str) -> Iterator[Area]:
    if (data / "bluemarble" / "index.csv").exists():
        tiles = list(read_tiles(data / "bluemarble", split))
        squares = Mosaics(tiles)
        taken: set[tuple[int, int]] = set()
        for number, tile in enumerate(tiles):
            places = {(tile.row + down, tile.column + right) for down in (0, 1) for right in (0, 1)}
            square = squares[number]
            if square.dem.shape[0] > tile.pair.dem.shape[0] and not places & taken:
                taken |= places
                yield area_of(square, "bluemarble")
    yield from _scenes(data, split)


def _scenes(data: Path, split: str) -> Iterator[Area]:
    for scene in SCENES:
        if scene.split != split or not (data / "scenes" / f"{scene.file}_dem.tif").exists():
            continue
        pair = read_scene(data / "scenes", scene)
        yield area_of(pair, scene.name)
        for factor in scene.coarser:
            coarser = reduced(pair, factor)
            yield area_of(coarser, f"{scene.name} at {coarser.gsd:.0f} m")


def _published(folder: Path) -> Iterator[Area]:
    """The paper's own test pairs: heights from 0 to 255 whose unit was not kept."""
    for path in sorted(folder.glob("*_rgb.tif")):
        with rasterio.open(path) as source:
            image = np.moveaxis(source.read((1, 2, 3)), 0, -1)
        with rasterio.open(path.with_name(path.name.replace("_rgb", "_dem"))) as source:
            dem, valid = source.read(1).astype(np.float32), source.read_masks(1) > 0
        pair = Pair(path.stem[: -len("_rgb")], image, dem, valid, _PUBLISHED_GSD, "test")
        yield replace(area_of(towards_the_sun(pair, _PUBLISHED_SUN), _PUBLISHED), in_metres=False)


def reduced(pair: Pair, factor: int) -> Pair:
    """A pair at a coarser resolution: the means of squares of factor × factor pixels, known where all are."""
    rows, columns = (side // factor for side in pair.dem.shape)

    def squares(array: NDArray[np.generic]) -> NDArray[np.generic]:
        cut = array[: rows * factor, : columns * factor]
        return cut.reshape(rows, factor, columns, factor, *array.shape[2:])

    valid = np.asarray(squares(pair.valid).all(axis=(1, 3)))
    image = squares(pair.image).mean(axis=(1, 3), dtype=np.float32)
    dem = squares(np.where(pair.valid, pair.dem, 0.0)).mean(axis=(1, 3), dtype=np.float32)
    return replace(pair, image=image, dem=dem, valid=valid, gsd=pair.gsd * factor)
