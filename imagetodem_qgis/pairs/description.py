"""``dataset.json``: what a data set says about itself and its pairs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagetodem_qgis.pairs.journal import Kept
from imagetodem_qgis.pairs.source import REASONS, Tile
from imagetodem_qgis.runtime.datasets import DATASET_FILE

VERSION = 1


@dataclass(frozen=True)
class LeftOutCount:
    """The tiles of a plan that are no pairs.

    Attributes:
        by_reason: left out for what they hold.
        buffer: left out between the splits.
        missing: that could not be had so far.
    """

    by_reason: Mapping[str, int]
    buffer: int
    missing: int


def write_description(
    folder: Path, about: Mapping[str, Any], pairs: Sequence[tuple[Tile, Kept]], left_out: LeftOutCount
) -> None:
    """Write ``dataset.json``, which appears when it is whole.

    Args:
        folder: of the data set.
        about: its sources, licences and the like.
        pairs: that are on the disk.
        left_out: what is not.

    Raises:
        OSError: it cannot be written.
    """
    counts = {reason: left_out.by_reason.get(reason, 0) for reason in REASONS}
    content = {
        "version": VERSION,
        **about,
        "complete": left_out.missing == 0,
        "missing": left_out.missing,
        "left_out": {**counts, "buffer": left_out.buffer},
        "pairs": [_pair(tile, known) for tile, known in pairs],
    }
    path = folder / DATASET_FILE
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(partial, path)


def _pair(tile: Tile, known: Kept) -> dict[str, Any]:
    provenance = known.provenance
    return {
        "id": tile.id,
        "split": tile.split,
        "area": tile.area,
        "gsd": tile.resolution,
        "scenes": provenance.scenes,
        "dates": provenance.dates,
        "sun_azimuth": provenance.sun_azimuth,
        "sun_zenith": provenance.sun_zenith,
    }
