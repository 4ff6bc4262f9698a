"""The order in which tiles are fetched, and the grids that need no interpolation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("osgeo.gdal", reason="needs GDAL's Python")

from imagetodem_qgis.pairs.geography import in_step, well_known_text
from imagetodem_qgis.pairs.order import interleaved, neighbours_together
from imagetodem_qgis.pairs.source import Tile

SIDE = 2560.0
TILE = Tile("t", "a", "train", "EPSG:32633", 500_000.0, 5_200_000.0, 10.0, 256)


def tiles(columns: int, rows: int, crs: str = "EPSG:32633") -> list[Tile]:
    return [
        Tile(f"{crs}_{row}_{column}", "a", "", crs, column * SIDE, -row * SIDE, 10.0, 256)
        for row in range(rows)
        for column in range(columns)
    ]


@given(st.integers(0, 2**20 - 1), st.integers(0, 2**20 - 1))
def test_a_place_on_the_curve_holds_the_bits_of_its_column_and_row(column, row):
    number = interleaved(column, row)
    bits = f"{number:040b}"
    assert (int(bits[1::2], 2), int(bits[::2], 2)) == (column, row)


@given(st.integers(1, 9), st.integers(1, 9))
def test_all_tiles_come_once(columns, rows):
    given_tiles = tiles(columns, rows) + tiles(rows, columns, "EPSG:32634")
    ordered = neighbours_together(given_tiles)
    assert sorted(tile.id for tile in ordered) == sorted(tile.id for tile in given_tiles)
    assert [tile.crs for tile in ordered] == sorted(tile.crs for tile in given_tiles)


def test_sixteen_tiles_that_follow_each_other_lie_in_a_square():
    ordered = neighbours_together(tiles(16, 16))
    for first in range(0, 256, 16):
        part = ordered[first : first + 16]
        assert max(tile.origin_x for tile in part) - min(tile.origin_x for tile in part) == 3 * SIDE
        assert max(tile.origin_y for tile in part) - min(tile.origin_y for tile in part) == 3 * SIDE


@pytest.mark.parametrize(
    ("geotransform", "steps"),
    [
        ((500_000.0, 10.0, 0.0, 5_200_000.0, 0.0, -10.0), (1, 0, 0)),
        ((499_980.0, 10.0, 0.0, 5_200_040.0, 0.0, -10.0), (1, 2, 4)),
        ((499_990.0, 5.0, 0.0, 5_200_000.0, 0.0, -5.0), (2, 2, 0)),
        ((500_040.0, 10.0, 0.0, 5_200_000.0, 0.0, -10.0), (1, -4, 0)),
        ((499_985.0, 10.0, 0.0, 5_200_000.0, 0.0, -10.0), None),
        ((500_000.0, 20.0, 0.0, 5_200_000.0, 0.0, -20.0), None),
        ((500_000.0, 10.0, 0.0, 5_200_000.0, 0.0, -5.0), None),
        ((500_000.0, 0.0, 10.0, 5_200_000.0, 10.0, 0.0), None),
        ((500_000.0, 10.0, 0.0, 5_200_000.0, 0.0, 10.0), None),
    ],
)
def test_grids_in_step_are_known(geotransform, steps):
    assert in_step(TILE, well_known_text("EPSG:32633"), geotransform) == steps
    assert in_step(TILE, well_known_text("EPSG:32632"), geotransform) is None
