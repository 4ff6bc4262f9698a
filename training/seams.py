"""Whether tiles' borders show on held-out ground: ``python -m training.seams --model FOLDER --data DATA``.

By the plugin's own course of a prediction, for several overlaps of the tiles: the mean absolute second
difference across their borders as a multiple of that elsewhere, by source. Each mosaic counts in units of its
own mean elsewhere: rough ground with many borders would pass for seams.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from imagetodem_qgis.core.tiling import Window
from training.evaluation.area import Area, held_out_mosaics
from training.evaluation.confidence import open_worker
from training.evaluation.course import follow
from training.evaluation.seams import Bends, bends

_OVERLAPS = (5, 10, 15, 20, 25)


def seams(model: Path, areas: Iterable[Area], overlaps: Sequence[int]) -> dict[str, dict[int, Bends]]:
    """Second differences by source (and for ``all``), then by overlap in percent.

    Args:
        model: folder of a model from an image to the DEM.
        areas: larger than its tiles.
        overlaps: of the tiles, in percent of their side.
    """
    card, worker = open_worker(model)
    found: dict[str, dict[int, Bends]] = {}
    for area in areas:
        for overlap in overlaps:
            part = fitting(area, card.tile_size, round(card.tile_size * overlap / 100.0))
            course = follow(part, card, worker, overlap / 100.0, with_deviation=False)
            seen = bends(course.heights, course.frame.plan).in_its_own_unit()
            for name in (area.source, "all"):
                row = found.setdefault(name, {})
                row[overlap] = row.get(overlap, Bends()) + seen
    return found


def fitting(area: Area, size: int, overlap: int) -> Area:
    """The largest part of an area over which tiles lie with the overlap asked for: elsewhere they are spread
    evenly and overlap by more."""

    def side(pixels: int) -> int:
        return min(pixels, size + max(0, pixels - size) // (size - overlap) * (size - overlap))

    rows, columns = (side(pixels) for pixels in area.dem.shape)
    return area.part(Window(0, 0, rows, columns))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a model")
    parser.add_argument(
        "--data", type=Path, required=True, help="a data set, or a folder with bluemarble/ and scenes/"
    )
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--overlaps", type=int, nargs="+", default=_OVERLAPS, help="in percent")
    parser.add_argument("--every", type=int, default=1, help="of the mosaics, one in so many")
    options = parser.parse_args()
    card, _ = open_worker(options.model)
    areas = list(held_out_mosaics(options.data, options.split, card.tile_size))[:: options.every]
    found = seams(options.model, areas, options.overlaps)
    print(f"| held-out | {' | '.join(f'overlap {overlap} %' for overlap in options.overlaps)} |")
    print("|---" * (1 + len(options.overlaps)) + "|")
    for name, row in found.items():
        print(f"| {name} | {' | '.join(f'{row[overlap].ratio():.3f}' for overlap in options.overlaps)} |")


if __name__ == "__main__":
    main()
