"""A small data set folder in the layout that training reads, and a recipe that learns it in seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

GSD = 30.0
SPLITS = ("train", "train", "train", "train", "validation", "validation", "test")

RECIPE: dict[str, Any] = {
    "name": "tiny",
    "description": "Three short epochs of the smallest generator.",
    "direction": "image_to_dem",
    "inputs": ["red", "green", "blue", "log_ground_sampling_distance"],
    "architecture": {"name": "tiny_unet", "tile_size": 32},
    "stages": [
        {
            "network": "tiny_unet",
            "tile_size": 32,
            "batch_size": 4,
            "epochs": 3,
            "steps_per_epoch": 4,
            "learning_rate": 1e-2,
        }
    ],
    "losses": {"relief": 1.0},
    "optimiser": {"name": "adamw", "weight_decay": 0.02, "clipnorm": 1.0},
    "average": 0.9,
    "checkpoint_seconds": 0.0,
    "picture_epochs": 1,
}


def hills(side: int, seed: int, gsd: float = GSD) -> tuple[np.ndarray, np.ndarray]:
    """Hills in metres, and their image under a south-eastern sun, (side, side) float32 and uint8."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:side, :side] / 20.0
    dem = sum(
        300.0 / wave * np.sin(wave * down * a + wave * across * b + c)
        for wave, (a, b, c) in zip((1, 2, 3), random.uniform(0.3, 2.0, (3, 3)))
    )
    slope_down, slope_across = np.gradient(dem, gsd)
    light = 128 + 0.05 * dem - 40 * (slope_down + slope_across) + random.normal(0, 3, (side, side))
    return (dem + 1000.0).astype(np.float32), np.clip(light, 0, 255).astype(np.uint8)


def write_raster(path: Path, bands: np.ndarray, left: float = 500_000.0, **profile: Any) -> None:
    """Write (bands, rows, columns) as a GeoTIFF of 30 m pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        "driver": "GTiff",
        "count": bands.shape[0],
        "height": bands.shape[1],
        "width": bands.shape[2],
        "dtype": bands.dtype,
        "crs": "EPSG:32632",
        "transform": from_origin(left, 5_200_000.0, GSD, GSD),
        **profile,
    }
    with rasterio.open(path, "w", **settings) as file:
        file.write(bands)


def write_dataset(
    folder: Path, splits: Sequence[str] = SPLITS, side: int = 96, content: Mapping[str, Any] | None = None
) -> Path:
    """Write a data set of one pair an area, ``p0``, ``p1``, ...; returns its folder."""
    pairs = []
    for number, split in enumerate(splits):
        dem, image = hills(side, number)
        left = 500_000.0 + number * 50_000.0
        write_raster(folder / "images" / f"p{number}.tif", np.stack([image] * 3), left)
        write_raster(folder / "dems" / f"p{number}.tif", dem[None], left)
        pairs.append({"id": f"p{number}", "split": split, "area": f"a{number}", "sun_azimuth": 135.0})
    described = {"sources": ["hills"], "licence": "CC0", "pairs": pairs, **(content or {})}
    (folder / "dataset.json").write_text(json.dumps(described))
    return folder


def write_recipe(path: Path, **changes: Any) -> Path:
    """Write the tiny recipe with other values for some keys; ``stage`` changes those of its stage."""
    content = json.loads(json.dumps(RECIPE))
    content["stages"][0].update(changes.pop("stage", {}))
    content.update(changes)
    path.write_text(json.dumps(content))
    return path
