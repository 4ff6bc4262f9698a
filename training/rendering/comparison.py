"""How near rendered images are to real ones: ``python -m training.rendering.comparison --dems FOLDER --scenes
FOLDER``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.pair import SUN_AZIMUTH, Pair
from training.data.scene_list import SCENES
from training.data.scenes import read_scene
from training.rendering.dataset import rendering_number
from training.rendering.landform import read_landform
from training.rendering.light import Sun, incidence
from training.rendering.terrain import read_terrains

_SIDE = 256
_STEP = 128
_LEAST_RELIEF = 5.0
"""Metres of standard deviation; correlations with flatter ground say nothing."""

MEASURES = ("shading", "height", "greenness", "roughness", "slope, degrees")


def measures(pair: Pair) -> NDArray[np.float64]:
    """Correlation of brightness with the light on the DEM and with height, that of greenness (green less the
    mean of red and blue) with height, mean step of brightness to the next pixel over its standard deviation,
    and median slope in degrees.

    Args:
        pair: turned to the training azimuth; the light stands 45 degrees high.

    Returns:
        (5,), in the order of :data:`MEASURES`.
    """
    red, green, blue = np.moveaxis(pair.image.astype(np.float64), -1, 0)
    brightness = (red + green + blue) / 3.0
    greenness = green - (red + blue) / 2.0
    heights = np.where(pair.valid, pair.dem, np.nanmean(pair.dem)).astype(np.float32)
    landform = read_landform(heights, pair.gsd)
    light = incidence(landform, Sun(SUN_AZIMUTH, 45.0))
    known = pair.valid

    def agreement(look: NDArray[np.float64], field: NDArray[np.float32]) -> float:
        return float(np.corrcoef(look[known], field[known])[0, 1])

    roughness = np.abs(np.diff(brightness, axis=1)).mean() / brightness.std()
    slope = np.degrees(np.arctan(np.median(landform.slope)))
    with_light, with_height = agreement(brightness, light), agreement(brightness, heights)
    return np.array([with_light, with_height, agreement(greenness, heights), roughness, slope])


def tiles(pair: Pair) -> Iterator[Pair]:
    """Tiles of 256 × 256, half overlapping, that are known all but a little and not flat."""
    rows, columns = pair.dem.shape
    for top in range(0, rows - _SIDE + 1, _STEP):
        for left in range(0, columns - _SIDE + 1, _STEP):
            window = slice(top, top + _SIDE), slice(left, left + _SIDE)
            tile = replace(pair, image=pair.image[window], dem=pair.dem[window], valid=pair.valid[window])
            if tile.valid.mean() > 0.97 and np.nanstd(tile.dem) > _LEAST_RELIEF:
                yield tile


def _row(name: str, found: list[NDArray[np.float64]]) -> str:
    middle, spread = np.median(found, axis=0), np.std(found, axis=0)
    cells = [f"{m:.2f} ({s:.2f})" for m, s in zip(middle, spread)]
    return f"| {name} | {len(found)} | " + " | ".join(cells) + " |"


def main() -> None:
    """Read the command line and print a table of medians and standard deviations over tiles."""
    parser = argparse.ArgumentParser(prog="python -m training.rendering.comparison", description=__doc__)
    parser.add_argument("--dems", type=Path, required=True, help="folder of DEM GeoTIFFs")
    parser.add_argument("--scenes", type=Path, required=True, help="folder of real scenes")
    parser.add_argument("--count", type=int, default=200, help="rendered images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    options = parser.parse_args()
    print("| | tiles | " + " | ".join(MEASURES) + " |")
    print("|---" * (2 + len(MEASURES)) + "|")
    for scene in SCENES:
        # Held-out scenes are not looked at: rendering is tuned by this table.
        if scene.split == "train":
            found = [measures(tile) for tile in tiles(read_scene(options.scenes, scene))]
            if found:
                print(_row(scene.name, found))
    terrains = read_terrains(options.dems)
    pairs = (rendering_number(number, terrains, _SIDE, options.seed).pair for number in range(options.count))
    print(_row("rendered", [measures(tile) for pair in pairs for tile in tiles(pair)]))


if __name__ == "__main__":
    main()
