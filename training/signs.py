"""Which way up a model's heights come out, and how far that rests on what the ground is made of:
``python -m training.signs --model FOLDER --data DATA --split test``.

RMSE/σ after a shift and scale does not tell a surface from its mirror image in height; correlation does. It
is told tile by tile: of the images as they are, and of images whose ground is made lighter or darker. Of
heights that are lighter than their valleys a model that trusts in dark wood above light fields takes ridges
for valleys, one that reads the shading answers alike. Of lighter ground on the slopes turned away from the
sun, as where wood keeps to the sunny and rock to the shady side, one that trusts in shading alone does.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imagetodem_qgis.core.card import IMAGE_TO_DEM
from training.data.appearance import with_albedo
from training.data.pair import SUN_AZIMUTH
from training.evaluation.accuracy import is_level
from training.evaluation.area import Area, held_out_tiles
from training.evaluation.predictor import Predictor

CHANGES = (-0.6, -0.3, 0.0, 0.3, 0.6)
"""Natural logarithms of the factors by which ground a standard deviation or more above the mean, of height or
of exposure, becomes lighter, and ground as far below it darker; 0: the image as it is."""
_EVENED_OUT = 8.0
"""Deviation in pixels of the Gaussian that evens slopes out: woods do not follow each gully."""

Correlations = dict[str, dict[str, tuple[float, ...]]]
Plane = NDArray[np.float32]


def heights(tile: Area) -> Plane:
    """(rows, columns) from -1 to 1: how high the ground lies."""
    return _between(np.nan_to_num(tile.dem), tile)


def shady_slopes(tile: Area) -> Plane:
    """(rows, columns) from -1 to 1: how far the ground is turned away from the training sun."""
    mean = tile.dem.mean(where=tile.valid)
    down, right = np.gradient(ndimage.gaussian_filter(np.where(tile.valid, tile.dem, mean), _EVENED_OUT))
    towards = np.radians(SUN_AZIMUTH)
    # Ground that rises towards the sun is turned away from it.
    return _between(right * np.sin(towards) - down * np.cos(towards), tile)


LIGHTER: Mapping[str, Callable[[Area], Plane]] = {"heights": heights, "shady slopes": shady_slopes}
"""What is made lighter than the rest."""


def _between(plane: NDArray[np.floating], tile: Area) -> Plane:
    spread = plane.std(where=tile.valid)
    return np.asarray(np.tanh((plane - plane.mean(where=tile.valid)) / spread), np.float32)


def correlations(
    model: Predictor,
    tiles: Iterable[Area],
    lighter: Callable[[Area], Plane] = heights,
    changes: Sequence[float] = CHANGES,
) -> Correlations:
    """How a model's heights and the true ones correlate.

    Args:
        model: from an image to the DEM.
        tiles: of held-out ground; those without relief are left out.
        lighter: one of :data:`LIGHTER`.
        changes: see :data:`CHANGES`.

    Returns:
        By source and by the tile's name, one figure for each change.
    """
    found: Correlations = {}
    for tile in tiles:
        if not is_level(tile):
            plane = lighter(tile)
            row = tuple(_correlation(model, tile, plane, change) for change in changes)
            found.setdefault(tile.source, {})[tile.name] = row
    return found


def _correlation(model: Predictor, tile: Area, plane: Plane, change: float) -> float:
    bands = model.stretched(tile)
    if change != 0.0:
        changed = with_albedo(np.moveaxis(bands, -1, 0), plane, tile.valid, change)
        bands = np.moveaxis(changed, 0, -1) * tile.valid[..., None]
    answered = model.answer(tile, bands=bands).surface[tile.valid]
    if answered.std() == 0.0:
        return 0.0
    return float(np.corrcoef(answered, tile.dem[tile.valid])[0, 1])


def markdown(
    found: Mapping[str, Mapping[str, Sequence[float]]],
    lighter: str = "heights",
    changes: Sequence[float] = CHANGES,
) -> str:
    """A table of medians and of how many tiles lie the right way up, by source and for all together."""
    heads = ["held-out", "tiles", *(f"{lighter} × {np.exp(change):.2f}" for change in changes)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    every = {"all": [row for rows in found.values() for row in rows.values()]}
    for source, rows in {**{name: list(of.values()) for name, of in found.items()}, **every}.items():
        columns = np.array(rows).T
        cells = [f"r {np.median(c):.2f}, {int((c > 0).sum())} upright" for c in columns]
        lines.append(f"| {source} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.signs", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a model's folder")
    parser.add_argument("--data", type=Path, required=True, help="a folder of pairs")
    parser.add_argument("--split", default="validation", choices=("validation", "test"))
    parser.add_argument("--sources", nargs="*", default=[], help="those wanted (default: all)")
    parser.add_argument("--json", type=Path, help="also write each tile's figures here")
    options = parser.parse_args()
    model = Predictor(options.model)
    if model.card.task != IMAGE_TO_DEM:
        parser.error(f"--model: {model.card.name} does not answer with heights for an image alone")
    tiles = held_out_tiles(options.data, options.split, model.card.tile_size)
    wanted = [tile for tile in tiles if not options.sources or tile.source in options.sources]
    found = {name: correlations(model, wanted, plane) for name, plane in LIGHTER.items()}
    if not any(found.values()):
        parser.error("--sources: there is no tile with relief of such a source")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print("\n\n".join(markdown(rows, name) for name, rows in found.items()))


if __name__ == "__main__":
    main()
