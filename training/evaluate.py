"""How good a model is on held-out ground, beside what needs no network:
``python -m training.evaluate --model FOLDER --dataset DATA --split test --csv FILE --markdown FILE``.

Each tile is compared raw, after the best shift, and after the best shift and scale; mosaics of many tiles
after one shift and scale for the whole. The same is done for the truth's own mean, the plane nearest to the
truth, and the image's luminance fitted to it: three answers that a generator must beat. A guided model is
compared with bicubic interpolation of its coarse DEM, a generator of images with a fitted hillshade.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from imagetodem_qgis.core.card import DEM_TO_IMAGE, GUIDED
from training.evaluation.area import Area, held_out_mosaics, held_out_tiles, tiles_of
from training.evaluation.image import dem_to_image_figures
from training.evaluation.predictor import Predictor
from training.evaluation.relief import guided_figures, image_to_dem_figures, spread_factor
from training.report.figures import MODEL, Figures, cell, columns_of

_LEAST_SIDE = 16


def evaluate(
    model: Path, data: Path, split: str, others: Mapping[str, Path] | None = None, side: int | None = None
) -> dict[str, Any]:
    """Medians over the held-out ground of each source, for a model and for each baseline.

    Args:
        model: its folder.
        data: a folder of pairs; see :mod:`training.data.sources`.
        split: ``validation`` or ``test``.
        others: folders of further models by the names that they get, such as the one that fine-tuning began
            with.
        side: of the squares in pixels that tiles are cut into, each taken for an image of its own; ``None``:
            whole tiles, and ground that is larger than one.

    Returns:
        By source, then by answer (``model``, the others, the baselines), the figures by the keys of
        :data:`training.report.figures.COLUMNS`, with the number of tiles and, where the model predicts a
        spread, how much of its error lies within one and two predicted standard deviations.
    """
    predictors = {MODEL: Predictor(model), **{name: Predictor(path) for name, path in (others or {}).items()}}
    size = predictors[MODEL].card.tile_size
    tiles = held_out_tiles(data, split, size)
    if side is not None:
        return figures_of(predictors, _cut(tiles, side))
    return figures_of(predictors, tiles, held_out_mosaics(data, split, size))


def _cut(tiles: Iterable[Area], side: int) -> Iterator[Area]:
    for tile in tiles:
        for part in tiles_of(tile, side):
            yield replace(part, samples=part.image[part.valid])


def figures_of(
    models: Mapping[str, Predictor], tiles: Iterable[Area], mosaics: Iterable[Area] = ()
) -> dict[str, Any]:
    """The figures of :func:`evaluate` on any ground.

    Args:
        models: by name, all for one task.
        tiles: no larger than the models' tiles.
        mosaics: of any size; only for models from an image to the DEM.
    """
    task = next(iter(models.values())).card.task
    if task == GUIDED:
        return guided_figures(models, tiles)
    if task == DEM_TO_IMAGE:
        return dem_to_image_figures(models, tiles)
    return image_to_dem_figures(models, tiles, mosaics)


def calibration(model: Path, data: Path) -> float:
    """The factor that calibrates a model's spread on the validation split; see
    :func:`training.evaluation.relief.spread_factor`."""
    predictor = Predictor(model)
    return spread_factor(predictor, held_out_tiles(data, "validation", predictor.card.tile_size))


def markdown(figures: Figures, keys: Sequence[str] = ()) -> str:
    """The figures as a table.

    Args:
        figures: to tell.
        keys: of the columns that are wanted, all if none is given.
    """
    columns = [column for column in columns_of(figures) if not keys or column.key in keys]
    heads = ["held-out", "answer", *(column.heading for column in columns)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for source, answers in figures.items():
        for name, row in answers.items():
            cells = [source, name, *(cell(row, column) for column in columns)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def comma_separated(figures: Figures) -> str:
    """The figures as CSV: a line for each answer, all columns in full, empty where there is no figure."""
    keys = [column.key for column in columns_of(figures)]
    rows = [row for answers in figures.values() for row in answers.values()]
    keys += [key for key in dict.fromkeys(key for row in rows for key in row) if key not in keys]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["held_out", "answer", *keys])
    for source, answers in figures.items():
        for name, row in answers.items():
            writer.writerow([source, name, *(row.get(key, "") for key in keys)])
    return text.getvalue()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a model's folder")
    parser.add_argument(
        "--dataset",
        "--data",
        dest="dataset",
        type=Path,
        required=True,
        help="a data set, or a folder with bluemarble/ and scenes/",
    )
    parser.add_argument("--split", default="validation", choices=("validation", "test"))
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="a further model for the same task, such as one trained by the paper's recipe; may be given "
        "several times",
    )
    parser.add_argument(
        "--columns", default="", help="keys of the table's columns, separated by commas; all if not given"
    )
    parser.add_argument(
        "--side",
        type=int,
        help="cut the held-out tiles into squares of so many pixels a side, each an image of its own",
    )
    parser.add_argument("--csv", type=Path, help="also write the figures here as CSV")
    parser.add_argument("--markdown", type=Path, help="also write the table here")
    parser.add_argument("--json", type=Path, help="also write the figures here as JSON")
    options = parser.parse_args()
    if options.side is not None and options.side < _LEAST_SIDE:
        parser.error(f"--side: {options.side} pixels show nothing; give {_LEAST_SIDE} or more")
    others = {name: Path(folder) for name, _, folder in (pair.partition("=") for pair in options.beside)}
    figures = evaluate(options.model, options.dataset, options.split, others, options.side)
    table = markdown(figures, [key for key in options.columns.split(",") if key])
    written = {
        options.csv: comma_separated(figures),
        options.markdown: table + "\n",
        options.json: json.dumps(figures, indent=1),
    }
    for path, text in written.items():
        if path is not None:
            path.write_text(text, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
