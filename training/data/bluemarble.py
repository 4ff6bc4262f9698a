"""The Blue Marble pairs: 256 × 256 tiles at about 300-600 m, world-wide."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from training.data.pair import Pair, towards_the_sun

_METRES_PER_COUNT = 16.0
_BAKED_SUN_AZIMUTH = 315.0
"""The relief shading baked into the imagery comes from the north-west."""


def read_bluemarble(folder: Path, split: str) -> Iterator[Pair]:
    """Read the tiles of one split, each turned so that its light comes from the training azimuth.

    Args:
        folder: holds ``index.csv``, ``rgb/<id>.jpg`` and ``dem/<id>.png`` (uint16, 16 m a count).
        split: ``train``, ``validation`` or ``test``.
    """
    with open(folder / "index.csv", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == split]
    for row in rows:
        image = np.asarray(Image.open(folder / "rgb" / f"{row['id']}.jpg").convert("RGB"))
        dem = (
            np.asarray(Image.open(folder / "dem" / f"{row['id']}.png")).astype(np.float32) * _METRES_PER_COUNT
        )
        pair = Pair(row["id"], image, dem, np.ones(dem.shape, bool), float(row["gsd_m"]), split)
        yield towards_the_sun(pair, _BAKED_SUN_AZIMUTH)
