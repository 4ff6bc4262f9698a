"""The Blue Marble pairs: 256 × 256 tiles at about 300-600 m, world-wide."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from imagetodem_qgis.core.light import symmetry_towards
from training.data.pair import SUN_AZIMUTH, Pair, towards_the_sun

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
        self._places = [(tile.row, tile.column) for tile in tiles]
        self._at = {(tile.row, tile.column): towards_the_sun(tile.pair, _BAKED_SUN_AZIMUTH) for tile in tiles}
        turned = symmetry_towards(_BAKED_SUN_AZIMUTH, SUN_AZIMUTH)
        # Where each of the four comes to lie when the square is turned as its tiles are.
        self._order = turned.apply(np.array([[0, 1], [2, 3]]))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> Pair:  # type: ignore[override]
        """The square whose north-west tile has this number, turned to the training azimuth."""
        row, column = self._places[number]
        places = [(row + down, column + right) for down in (0, 1) for right in (0, 1)]
        alone = self._at[row, column]
        if not all(place in self._at for place in places):
            return alone
        pairs = [[self._at[places[at]] for at in line] for line in self._order]
        image = np.concatenate([np.concatenate([pair.image for pair in line], axis=1) for line in pairs])
        dem = np.concatenate([np.concatenate([pair.dem for pair in line], axis=1) for line in pairs])
        gsd = float(np.mean([self._at[place].gsd for place in places]))
        return Pair(alone.name, image, dem, np.ones(dem.shape, bool), gsd, alone.split)
