"""A data set folder of rendered pairs: ``images/<id>.tif``, ``dems/<id>.tif`` and ``dataset.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

from training.data.dataset import DATASET_FILE, write_description
from training.rendering.render import Rendering, render
from training.rendering.terrain import Terrain
from training.request import DataError

_VERSION = 1
_NODATA = -9999.0
_SAVE_EVERY = 200
_HEIGHT_STEP = 1.0 / 64.0
"""Metres; rounded to it, heights take half of the room."""


def rendering_number(number: int, terrains: Sequence[Terrain], size: int, seed: int) -> Rendering:
    """The pair of a number: it depends on the seed, the number and the terrains alone.

    A terrain is drawn with a chance in proportion to the root of its known area in pixels.
    """
    random = np.random.default_rng((seed, number))
    shares = np.sqrt([float(terrain.known.sum()) for terrain in terrains])
    terrain = terrains[int(random.choice(len(terrains), p=shares / shares.sum()))]
    return render(terrain, size, random)


def write_dataset(
    terrains: Sequence[Terrain], folder: Path, count: int, size: int, seed: int, validation: float = 0.0
) -> Iterator[int]:
    """Write rendered pairs, going on where an interrupted run stopped.

    Args:
        terrains: to render over.
        folder: of the data set.
        count: number of pairs.
        size: rows and columns of each.
        seed: of all chance.
        validation: share of the terrains whose pairs are for validation.

    Yields:
        How many pairs are done, after each.

    Raises:
        DataError: the folder holds a data set made otherwise.
    """
    for part in ("images", "dems"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    recipe = {"seed": seed, "tile_size": size, "terrains": [terrain.name for terrain in terrains]}
    known = _earlier_pairs(folder, {**recipe, "validation": validation})
    held_out = _held_out(terrains, validation, seed)
    by_name = {terrain.name: terrain for terrain in terrains}
    pairs: list[dict[str, Any]] = []
    for number in range(count):
        name = f"rendered_{number:06d}"
        if name in known and all((folder / part / f"{name}.tif").exists() for part in ("images", "dems")):
            pairs.append(known[name])
        else:
            rendering = rendering_number(number, terrains, size, seed)
            area = rendering.pair.name
            split = "validation" if area in held_out else "train"
            pairs.append(_write_pair(folder, name, number, rendering, by_name[area], split))
        if number % _SAVE_EVERY == _SAVE_EVERY - 1 or number == count - 1:
            _write_index(folder, {**recipe, "validation": validation}, terrains, pairs)
        yield number + 1


def _held_out(terrains: Sequence[Terrain], share: float, seed: int) -> set[str]:
    order = np.random.default_rng(seed).permutation(len(terrains))
    return {terrains[number].name for number in order[: round(share * len(terrains))]}


def _earlier_pairs(folder: Path, recipe: dict[str, Any]) -> dict[str, dict[str, Any]]:
    index = folder / DATASET_FILE
    if not index.exists():
        return {}
    earlier = json.loads(index.read_text(encoding="utf-8"))
    if earlier.get("rendering") != recipe:
        raise DataError(f"{folder} holds a data set made otherwise; choose an empty folder")
    return {pair["id"]: pair for pair in earlier["pairs"]}


def _write_pair(
    folder: Path, name: str, number: int, rendering: Rendering, terrain: Terrain, split: str
) -> dict[str, Any]:
    pair = rendering.pair
    side = pair.gsd * len(pair.dem)
    # Side by side in metres, so that several open in QGIS without lying on each other.
    left, top = (number % 64) * 30_000.0, -(number // 64) * 30_000.0
    grid = {"transform": from_origin(left, top, pair.gsd, pair.gsd)}
    heights = np.where(pair.valid, np.rint(pair.dem / _HEIGHT_STEP) * _HEIGHT_STEP, _NODATA)
    _write(folder / "images" / f"{name}.tif", np.moveaxis(pair.image, -1, 0), photometric="rgb", **grid)
    _write(
        folder / "dems" / f"{name}.tif", heights[None].astype(np.float32), nodata=_NODATA, predictor=3, **grid
    )
    return {
        "id": name,
        "split": split,
        "area": terrain.name,
        "gsd": round(pair.gsd, 4),
        "sun_azimuth": round(rendering.sun.azimuth, 2),
        "sun_zenith": round(rendering.sun.zenith, 2),
        "landscape": rendering.biome,
        "terrain_centre": [round(place, 1) for place in rendering.centre],
        "footprint": [left, top - side, left + side, top],
    }


def _write(path: Path, bands: NDArray[Any], **options: Any) -> None:
    # The name keeps its ending, which tells the format.
    part = path.with_name(f"part_{path.name}")
    count, rows, columns = bands.shape
    profile = {"driver": "GTiff", "width": columns, "height": rows, "count": count, "dtype": bands.dtype.name}
    with rasterio.open(part, "w", compress="deflate", zlevel=1, **profile, **options) as target:
        target.write(bands)
    os.replace(part, path)


def _write_index(
    folder: Path, recipe: dict[str, Any], terrains: Sequence[Terrain], pairs: list[dict[str, Any]]
) -> None:
    used = {pair["area"] for pair in pairs}
    sources = [
        {
            "name": terrain.name,
            "licence": terrain.licence,
            "centre": None if np.isnan(terrain.centre[0]) else [round(place, 4) for place in terrain.centre],
        }
        for terrain in terrains
        if terrain.name in used
    ]
    index = {
        "version": _VERSION,
        "title": "Images rendered over elevation models",
        "resolution": round(float(np.median([pair["gsd"] for pair in pairs])), 4),
        "tile_size": recipe["tile_size"],
        "stretch": None,
        "rendered": True,
        "sources": sources,
        "rendering": recipe,
        "pairs": pairs,
    }
    write_description(folder, index)
