"""The plan of a data set: its tiles, their areas and splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Callable

from imagetodem_qgis.pairs.areas import Area
from imagetodem_qgis.pairs.grids import tiles_of_areas, tiles_of_grid
from imagetodem_qgis.pairs.source import Tile
from imagetodem_qgis.pairs.splits import TEST, TRAIN, VALIDATION, Shares, Splitting, split_by_area
from imagetodem_qgis.raster.grid import Grid

LARGEST_BLOCK = 4
"""Side in tiles of the squares into which large areas are cut, where there is room for as large ones."""
_LEAST_AREAS = 3
"""As many as there are splits."""


@dataclass(frozen=True)
class Plan:
    """What is to be fetched.

    Attributes:
        tiles: with their splits.
        dropped: tiles that were left out for the buffer between the splits.
        warnings: a sentence each.
    """

    tiles: tuple[Tile, ...]
    dropped: int
    warnings: tuple[str, ...]

    @property
    def areas(self) -> int:
        """How many areas the tiles belong to."""
        return len({tile.area for tile in self.tiles})

    @property
    def fingerprint(self) -> str:
        """The tiles and their splits, in a few characters."""
        known = json.dumps([astuple(tile) for tile in self.tiles])
        return f"{len(self.tiles)} in {self.areas} areas ({hashlib.sha256(known.encode()).hexdigest()[:12]})"


def plan_areas(areas: Sequence[Area], resolution: float, size: int, shares: Shares) -> Plan:
    """Plan pairs of some areas.

    From three areas on, each is one parent area; fewer are cut into squares of tiles.

    Args:
        areas: one at least.
        resolution: side of a pixel in metres.
        size: side of a tile in pixels.
        shares: of the splits.

    Raises:
        AreaError: there are too many tiles.
    """

    def cut(block: int) -> list[Tile]:
        return tiles_of_areas(areas, resolution, size, block)

    blocks = [0] if len(areas) >= _LEAST_AREAS else list(_blocks())
    return _planned(cut, blocks, shares)


def plan_grid(grid: Grid, size: int, shares: Shares) -> Plan:
    """Plan pairs that cover a grid.

    Args:
        grid: north up, with square pixels, at least a tile wide and high.
        size: side of a tile in pixels.
        shares: of the splits.
    """
    return _planned(lambda block: tiles_of_grid(grid, size, block), list(_blocks()), shares)


def _blocks() -> Iterator[int]:
    block = LARGEST_BLOCK
    while block:
        yield block
        block //= 2


def _planned(cut: Callable[[int], list[Tile]], blocks: Sequence[int], shares: Shares) -> Plan:
    """The plan with the largest areas that leave each split some tiles; with fewer splits if none does."""
    tries = [shares]
    if shares.test > 0.0 and shares.validation > 0.0:
        tries.append(replace(shares, test=0.0))
    for wanted in tries:
        for block in blocks:
            splitting = split_by_area(cut(block), wanted)
            if splitting is not None:
                return Plan(splitting.tiles, splitting.dropped, tuple(_warnings(splitting, shares)))
    tiles = tuple(replace(tile, split=TRAIN) for tile in cut(blocks[-1]))
    advice = (
        f"{len(tiles)} tile{'s' * (len(tiles) != 1)} cannot be shared out with a buffer between the splits: "
        "all are for training, and a training needs pairs to validate with. Give a larger area, or smaller "
        "tiles (TILE_SIZE), or a smaller BUFFER."
    )
    return Plan(tiles, 0, (advice,))


def _warnings(splitting: Splitting, shares: Shares) -> Iterator[str]:
    if shares.test > 0.0 and not splitting.count(TEST):
        yield "The areas are too few for a split to test with: pairs are for training and validation alone."
    if splitting.dropped > len(splitting.tiles):
        yield (
            f"The buffer between the splits costs {splitting.dropped} tiles and leaves "
            f"{splitting.count(TRAIN)} to train on and {splitting.count(VALIDATION)} to validate with: a "
            "larger area, or several, would lose fewer."
        )
