"""The order in which tiles are fetched."""

from __future__ import annotations

from collections.abc import Sequence

from imagetodem_qgis.pairs.source import Tile

_BITS = 20
"""Of a column or row: more tiles than go around the earth."""


def neighbours_together(tiles: Sequence[Tile]) -> list[Tile]:
    """Tiles along a Z-shaped curve (Morton 1966), one CRS after the other.

    Those that lie in the same blocks of the same files follow each other while these are still in memory. Row
    by row each block would be read again for every row of tiles.
    """
    corners: dict[str, tuple[float, float]] = {}
    for tile in tiles:
        left, top = corners.get(tile.crs, (tile.origin_x, tile.origin_y))
        corners[tile.crs] = min(left, tile.origin_x), max(top, tile.origin_y)

    def place(tile: Tile) -> tuple[str, int]:
        (left, top), side = corners[tile.crs], tile.resolution * tile.size
        column, row = (tile.origin_x - left) // side, (top - tile.origin_y) // side
        return tile.crs, interleaved(int(column), int(row))

    return sorted(tiles, key=place)


def interleaved(column: int, row: int) -> int:
    """A place's number on the curve: the bits of its column and row in turn."""
    return sum(((column >> bit & 1) | (row >> bit & 1) << 1) << 2 * bit for bit in range(_BITS))
