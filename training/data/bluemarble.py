"""The Blue Marble pairs: 256 × 256 tiles at about 300-600 m, world-wide."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from training.data.pair import Pair, towards_the_sun

_METRES_PER_COUNT = 16.0
_BAKED_SUN_AZIMUTH = 315.0
"""The relief shading baked into the imagery comes from the north-west."""


@dataclass(frozen=True)
class Tile:
    """A tile and its place in the Web Mercator scheme (column to the east, row to the south) at zoom 8."""

    column: int
    row: int
    pair: Pair


def read_tiles(folder: Path, split: str) -> Iterator[Tile]:
    """Read the tiles of one split as they lie, north up.

    Args:
        folder: holds ``index.csv``, ``rgb/<id>.jpg`` and ``dem/<id>.png`` (uint16, 16 m a count).
        split: ``train``, ``validation`` or ``test``.
    """
    with open(folder / "index.csv", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == split]
    for row in rows:
        image = np.asarray(Image.open(folder / "rgb" / f"{row['id']}.jpg").convert("RGB"))
        counts = np.asarray(Image.open(folder / "dem" / f"{row['id']}.png"))
        dem = counts.astype(np.float32) * _METRES_PER_COUNT
        _, column, line = row["id"].split("_")
        pair = Pair(row["id"], image, dem, np.ones(dem.shape, bool), float(row["gsd_m"]), split)
        yield Tile(int(column), int(line), pair)


def read_bluemarble(folder: Path, split: str) -> Iterator[Pair]:
    """Read the tiles of one split, each turned so that its light comes from the training azimuth.

    Args:
        folder: as for :func:`read_tiles`.
        split: ``train``, ``validation`` or ``test``.
    """
    for tile in read_tiles(folder, split):
        yield towards_the_sun(tile.pair, _BAKED_SUN_AZIMUTH)


class Mosaics(Sequence[Pair]):
    """Squares of 2 × 2 tiles, made when asked for, so that a window may lie across the tiles' borders.

    A tile whose neighbours to the east and south are not all of the same split stands alone.

    Args:
        tiles: of one split.
    """

    def __init__(self, tiles: Sequence[Tile]) -> None:
        self._tiles = list(tiles)
        self._at = {(tile.row, tile.column): tile for tile in self._tiles}

    def __len__(self) -> int:
        return len(self._tiles)

    def __getitem__(self, number: int) -> Pair:  # type: ignore[override]
        """The square whose north-west tile has this number, turned to the training azimuth."""
        tile = self._tiles[number]
        places = [[(tile.row + down, tile.column + right) for right in (0, 1)] for down in (0, 1)]
        if not all(place in self._at for line in places for place in line):
            return towards_the_sun(tile.pair, _BAKED_SUN_AZIMUTH)
        pairs = [[self._at[place].pair for place in line] for line in places]
        image = np.concatenate([np.concatenate([pair.image for pair in line], axis=1) for line in pairs])
        dem = np.block([[pair.dem for pair in line] for line in pairs])
        gsd = float(np.mean([pair.gsd for line in pairs for pair in line]))
        mosaic = Pair(tile.pair.name, image, dem, np.ones(dem.shape, bool), gsd, tile.pair.split)
        return towards_the_sun(mosaic, _BAKED_SUN_AZIMUTH)
