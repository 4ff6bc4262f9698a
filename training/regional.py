"""What fine-tuning on a region brings:
``python -m training.regional --scenes FOLDER --model MODEL --output RUN``.

A scene's west is cut into pairs, as a user's are; the model goes on with them as any user's would, and is
compared with what it was on the scene's east. The last epoch's weights are kept: the tiles that judge are not
to choose as well. Tiles side by side are few, and where they happen to lie moves their median; tiles in small
steps are told as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import rasterio
from rasterio.windows import Window

from training.data.dataset import write_description
from training.data.scene_list import SCENES, Scene
from training.data.scenes import metres_per_pixel, read_scene
from training.request import Listener, Request
from training.train import Console, train

SCENE = "zion_l8"
"""The default has not been trained on any of it."""
LEARNED, JUDGED = "_west", "_east"
_SIDE = 256
_STEP = 64
"""Pixels from one tile to the next where they are to be many."""
_MINUTES = 10.0
"""Of training at most: what a slow processor does not do in them is left undone."""
COLUMNS = (
    "tiles",
    "rmse_by_sigma_shift_scale",
    "rmse_by_sigma_mosaic",
    "rmse_shift_m",
    "slope_rmse_deg",
    "correlation",
)
"""Keys of the figures that are told."""


def part_of(name: str) -> Scene:
    """The part of the scene with this name."""
    return next(scene for scene in SCENES if scene.file == SCENE and scene.part == name)


def write_pairs(scenes: Path, folder: Path) -> int:
    """Cut the pairs as a data set folder; returns how many there are to learn from.

    Args:
        scenes: holds ``<name>_rgb.tif`` and ``<name>_dem.tif``.
        folder: to be written; see :mod:`training.data.dataset`.
    """
    for part in ("images", "dems"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    pairs: list[dict[str, Any]] = []
    with (
        rasterio.open(scenes / f"{SCENE}_rgb.tif") as image,
        rasterio.open(scenes / f"{SCENE}_dem.tif") as dem,
    ):
        for scene, split, window in _windows(image.width, image.height):
            name = f"{scene.name}_{window.row_off:05d}_{window.col_off:05d}"
            for source, part in ((image, "images"), (dem, "dems")):
                _cut(source, window, folder / part / f"{name}.tif")
            pairs.append({"id": name, "split": split, "area": scene.name})
        content = {
            "version": 1,
            "sources": [SCENE],
            "gsd": round(metres_per_pixel(image), 4),
            "sun_azimuth": part_of(LEARNED).sun_azimuth,
            "pairs": pairs,
        }
    write_description(folder, content)
    return sum(pair["split"] == "train" for pair in pairs)


def _windows(width: int, height: int) -> Iterator[tuple[Scene, str, Window]]:
    for part, split in ((LEARNED, "train"), (JUDGED, "validation")):
        scene = part_of(part)
        first, last = (round(share * width) for share in scene.columns)
        for row in range(0, height - _SIDE + 1, _SIDE):
            for column in range(first, last - _SIDE + 1, _SIDE):
                yield scene, split, Window(column, row, _SIDE, _SIDE)


def _cut(source: rasterio.DatasetReader, window: Window, path: Path) -> None:
    profile = {
        **source.profile,
        "width": _SIDE,
        "height": _SIDE,
        "transform": source.window_transform(window),
        "driver": "GTiff",
        "tiled": False,
        "compress": "deflate",
    }
    profile.pop("blockxsize", None)
    profile.pop("blockysize", None)
    with rasterio.open(path, "w", **profile) as target:
        target.write(source.read(window=window))


def compare(before: Path, after: Path, scenes: Path) -> dict[str, Any]:
    """The figures of both models on the part of the scene that neither learned from, beside the baselines;
    see :func:`training.evaluate.figures_of`."""
    from training.evaluate import figures_of
    from training.evaluation.area import area_of, tiles_of
    from training.evaluation.predictor import Predictor
    from training.report.figures import BEFORE, MODEL

    models = {MODEL: Predictor(after), BEFORE: Predictor(before)}
    scene = part_of(JUDGED)
    area, size = area_of(read_scene(scenes, scene), scene.name), models[MODEL].card.tile_size
    many = replace(area, source=f"{scene.name}, in steps of {_STEP} pixels")
    return figures_of(models, tiles_of(area, size), [area]) | figures_of(models, tiles_of(many, size, _STEP))


def run(
    scenes: Path, model: Path, output: Path, budget: float | None, seed: int, listener: Listener
) -> dict[str, Any]:
    """Cut the pairs, train on, compare.

    Args:
        scenes: folder of the scenes.
        model: folder of the model to go on with.
        output: of the pairs and of the run.
        budget: seconds of training; ``None``: the recipe's own epochs.
        seed: of the training.
        listener: who is told.
    """
    count = write_pairs(scenes, output / "pairs")
    listener.note(f"{count} pairs of {part_of(LEARNED).name} to learn from.")
    request = Request(
        (output / "pairs",),
        output / "run",
        start_from=model,
        budget_seconds=budget,
        seed=seed,
        keep_last=True,
        name="fine-tuned",
    )
    return compare(model, train(request, listener).model, scenes)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.regional", description=__doc__)
    parser.add_argument("--scenes", type=Path, required=True, help="folder of the scenes")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model to go on with")
    parser.add_argument("--output", type=Path, required=True, help="folder of the pairs and the run")
    parser.add_argument(
        "--budget",
        type=float,
        default=_MINUTES * 60.0,
        help="seconds of training, unless the recipe's epochs end earlier (default: %(default)g)",
    )
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    options = parser.parse_args()
    figures = run(options.scenes, options.model, options.output, options.budget, options.seed, Console())
    from training.evaluate import markdown

    print(markdown(figures, COLUMNS))


if __name__ == "__main__":
    main()
