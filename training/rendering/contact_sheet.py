"""A picture of rendered pairs: ``python -m training.rendering.contact_sheet --dems FOLDER --output FILE``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.pair import SUN_AZIMUTH, Pair
from training.rendering.dataset import rendering_number
from training.rendering.landform import read_landform
from training.rendering.light import Sun, incidence
from training.rendering.terrain import Terrain, read_terrains

_SIDE = 176
_GAP = 4


def contact_sheet(
    terrains: Sequence[Terrain], rows: int, columns: int, seed: int, apart: int = _GAP
) -> NDArray[np.uint8]:
    """Rendered images in a grid, each with a hillshade of its DEM on its right.

    Args:
        terrains: to render over.
        rows: of pairs.
        columns: of pairs.
        seed: the pairs are those that a data set of this seed begins with.
        apart: pixels between two pictures.

    Returns:
        (height, width, 3) uint8.
    """
    # A pair's two pictures touch.
    down, across = _SIDE + apart, 2 * _SIDE + apart
    sheet = np.full((rows * down + apart, columns * across + apart, 3), 255, np.uint8)
    for number in range(rows * columns):
        pair = rendering_number(number, terrains, _SIDE, seed).pair
        row, column = divmod(number, columns)
        top, left = apart + row * down, apart + column * across
        sheet[top : top + _SIDE, left : left + _SIDE] = pair.image
        sheet[top : top + _SIDE, left + _SIDE : left + 2 * _SIDE] = hillshade(pair)[..., None]
    return sheet


def hillshade(pair: Pair) -> NDArray[np.uint8]:
    """The DEM under a sun at the training azimuth, 45 degrees high; black where unknown."""
    heights = np.where(pair.valid, pair.dem, np.nanmean(pair.dem)).astype(np.float32)
    light = incidence(read_landform(heights, pair.gsd), Sun(SUN_AZIMUTH, 45.0))
    return np.asarray(np.where(pair.valid, np.clip(light, 0.0, 1.0) * 255.0, 0.0), np.uint8)


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(prog="python -m training.rendering.contact_sheet", description=__doc__)
    parser.add_argument("--dems", type=Path, required=True, help="folder of DEM GeoTIFFs")
    parser.add_argument("--output", type=Path, required=True, help="JPEG or PNG file")
    parser.add_argument("--rows", type=int, default=6, help="default: %(default)s")
    parser.add_argument("--columns", type=int, default=4, help="pairs in a row (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    options = parser.parse_args()
    sheet = contact_sheet(read_terrains(options.dems), options.rows, options.columns, options.seed)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(options.output, quality=72, optimize=True)


if __name__ == "__main__":
    main()
