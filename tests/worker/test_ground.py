from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from training.data.cache import PairCache
from training.data.ground import held_out_ground
from training.data.sources import open_source, rendered_group
from training.rendering import read_terrains

SIDE, DEGREES = 400, 0.0003
ORIGIN = {"west": (10.0, 46.0), "east": (10.2, 46.0)}


def write(path, bands, origin, crs="EPSG:4326"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", width=bands.shape[2], height=bands.shape[1], count=bands.shape[0],
        dtype=bands.dtype, crs=crs, transform=from_origin(*origin, DEGREES, DEGREES),
    ) as target:  # fmt: skip
        target.write(bands)


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "pairs"
    random = np.random.default_rng(0)
    for name, origin in ORIGIN.items():
        write(folder / "images" / f"{name}.tif", random.integers(0, 255, (3, 64, 64), np.uint8), origin)
        write(folder / "dems" / f"{name}.tif", random.random((1, 64, 64), np.float32), origin)
    pairs = [
        {"id": "west", "split": "validation", "gsd": 30.0},
        {"id": "east", "split": "train", "gsd": 30.0},
    ]
    (folder / "dataset.json").write_text(json.dumps({"pairs": pairs}))
    return folder


def test_the_ground_of_held_out_pairs_is_found(dataset):
    (box,) = held_out_ground([open_source(dataset, PairCache())])
    assert box == pytest.approx((10.0, 46.0 - 64 * DEGREES, 10.0 + 64 * DEGREES, 46.0))


def test_nothing_is_rendered_over_it(dataset, tmp_path):
    rows, columns = np.mgrid[:SIDE, :SIDE]
    heights = (1000 + 200 * np.sin(rows / 20) * np.cos(columns / 25)).astype(np.float32)
    dems = tmp_path / "dems"
    write(dems / "both.tif", heights[None], (10.0, 46.0))
    apart = held_out_ground([open_source(dataset, PairCache())])
    assert apart
    for boxes, unknown in ((apart, 64 * 64), ([], 0)):
        _, described = rendered_group(dems, 0, PairCache(), boxes)
        assert described["rendered_over"] == ["both"]
        (terrain,) = read_terrains(dems, boxes)
        assert (~terrain.known).sum() == unknown
        assert (~terrain.known[:64, :64]).sum() == unknown
