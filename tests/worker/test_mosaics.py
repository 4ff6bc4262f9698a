from __future__ import annotations

import numpy as np

from training.data.bluemarble import Mosaics, Tile, read_bluemarble, read_tiles
from training.data.pair import Pair


def tile(column: int, row: int) -> Tile:
    """A tile of 4 × 4 pixels whose heights tell where they lie: 100 a row, 1 a column of the whole grid."""
    down, across = np.mgrid[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
    dem = (100 * down + across).astype(np.float32)
    image = np.stack([down, across, down + across], -1).astype(np.uint8)
    return Tile(column, row, Pair(f"{column}_{row}", image, dem, np.ones((4, 4), bool), 300.0 + row, "train"))


def test_four_neighbours_become_one_continuous_square():
    mosaics = Mosaics([tile(5, 7), tile(6, 7), tile(5, 8), tile(6, 8)])
    square = mosaics[0]
    down, across = np.mgrid[28:36, 20:28]
    # Its light is baked in from the north-west, so it is turned by half a turn.
    np.testing.assert_array_equal(square.dem, (100 * down + across)[::-1, ::-1])
    np.testing.assert_array_equal(square.image[..., 0], down[::-1, ::-1])
    np.testing.assert_array_equal(square.image[..., 1], across[::-1, ::-1])
    assert square.gsd == 307.5
    assert square.valid.all()


def test_a_tile_that_lacks_a_neighbour_stands_alone():
    mosaics = Mosaics([tile(5, 7), tile(6, 7), tile(5, 8)])
    assert len(mosaics) == 3
    for number, (column, row) in enumerate([(5, 7), (6, 7), (5, 8)]):
        np.testing.assert_array_equal(mosaics[number].dem, tile(column, row).pair.dem[::-1, ::-1])


def test_real_neighbours_fit_together(shared_data):
    tiles = list(read_tiles(shared_data / "bluemarble", "train"))
    mosaics = Mosaics(tiles)
    alone = {pair.name: pair for pair in read_bluemarble(shared_data / "bluemarble", "train")}
    joints, inside, squares = [], [], 0
    for number in range(0, len(mosaics), 25):
        square = mosaics[number]
        if square.dem.shape != (512, 512):
            np.testing.assert_array_equal(square.dem, alone[square.name].dem)
            continue
        squares += 1
        np.testing.assert_array_equal(square.dem[256:, 256:], alone[square.name].dem)
        rough = np.abs(np.diff(square.dem, axis=1)).mean(axis=0)
        joints.append(rough[255])
        inside.append(rough[200:311].mean())
    assert squares > 30
    # Crossing the joint is no rougher than any step elsewhere.
    assert np.mean(joints) < 1.15 * np.mean(inside)
