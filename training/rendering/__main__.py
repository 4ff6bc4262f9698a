"""Render a data set: ``python -m training.rendering --dems FOLDER --output FOLDER``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from training.rendering.dataset import write_dataset
from training.rendering.terrain import Box, read_terrains
from training.request import DataError


def _box(text: str) -> Box:
    west, south, east, north = (float(part) for part in text.split(","))
    return west, south, east, north


def main() -> None:
    """Read the command line and render."""
    parser = argparse.ArgumentParser(prog="python -m training.rendering", description=__doc__)
    parser.add_argument("--dems", type=Path, required=True, help="folder of DEM GeoTIFFs to render over")
    parser.add_argument("--output", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--count", type=int, default=1000, help="number of pairs (default: %(default)s)")
    parser.add_argument("--size", type=int, default=384, help="rows and columns (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default: %(default)s)")
    parser.add_argument(
        "--validation", type=float, default=0.0, help="share of the DEMs kept for validation (default: none)"
    )
    parser.add_argument(
        "--apart",
        type=_box,
        action="append",
        default=[],
        metavar="WEST,SOUTH,EAST,NORTH",
        help="degrees; an area kept for evaluation, over which nothing is rendered; may be repeated",
    )
    options = parser.parse_args()
    try:
        _render(options)
    except DataError as error:
        parser.error(str(error))


def _render(options: argparse.Namespace) -> None:
    terrains = read_terrains(options.dems, options.apart)
    print(f"{len(terrains)} DEMs", flush=True)
    start = time.monotonic()
    size, seed = options.size, options.seed
    for done in write_dataset(terrains, options.output, options.count, size, seed, options.validation):
        if done % 100 == 0 or done == options.count:
            seconds = time.monotonic() - start
            left = seconds / done * (options.count - done)
            print(f"{done} pairs, {1000 * seconds / done:.0f} ms each, {left / 60:.0f} min left", flush=True)


if __name__ == "__main__":
    main()
