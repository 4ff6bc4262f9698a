"""What a model's card tells of its doubt and of its training images:
``python -m training.calibrate --model FOLDER --data DATA``.

Fits the weights of the predicted standard deviation on the validation split, by the plugin's own course of a
prediction (tiles, solve, blending), without known heights and anchored to references made of the true ones;
tells how many of the true errors of the test split lie within one and two of it; and describes the training
images so that images unlike them can be told. The card is written anew with all of it; nothing else in it
changes.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from imagetodem_qgis.core.card import CARD_FILE, parse_card
from imagetodem_qgis.core.confidence import ANCHORED, CONFIDENCE
from imagetodem_qgis.core.likeness import INPUT_STATISTICS
from training.data.cache import PairCache
from training.data.sources import open_source
from training.evaluation.area import Area, area_of, held_out_mosaics, tiles_of
from training.evaluation.confidence import (
    ANCHORED_WEIGHTS,
    Doubts,
    anchored_doubts_of,
    coverage,
    doubts_of,
    fitted_weights,
)
from training.evaluation.likeness import input_statistics

_PAIRS = 400
"""Of each group of training pairs that are looked at."""


def calibrate(model: Path, data: Path, mosaics: int) -> dict[str, Any]:
    """The card's entries on a model's doubt and on its training images.

    Args:
        model: its folder.
        data: a folder of pairs; see :mod:`training.data.sources`.
        mosaics: held-out mosaics of each split to look at, evenly chosen.

    Raises:
        ValueError: there is too little to tell them from.
    """
    card = parse_card((model / CARD_FILE).read_text(encoding="utf-8"))
    areas = {
        split: _some(list(held_out_mosaics(data, split, card.tile_size)), mosaics)
        for split in ("validation", "test")
    }
    doubts = {split: doubts_of(model, found) for split, found in areas.items()}
    weights = fitted_weights(doubts["validation"])
    anchored = {split: anchored_doubts_of(model, found, weights) for split, found in areas.items()}
    anchored_weights = fitted_weights(anchored["validation"], ANCHORED_WEIGHTS)
    return {
        CONFIDENCE: {
            **weights,
            "within": _within(doubts, weights),
            ANCHORED: {**anchored_weights, "within": _within(anchored, anchored_weights)},
        },
        INPUT_STATISTICS: input_statistics(_training_tiles(data, card.tile_size), card.stretch),
    }


def _within(doubts: Mapping[str, list[Doubts]], weights: Mapping[str, float]) -> dict[str, Any]:
    return {split: coverage(found, weights) for split, found in doubts.items() if found}


def write_entries(model: Path, entries: dict[str, Any]) -> None:
    """Write a model's card anew with some entries added or replaced."""
    path = model / CARD_FILE
    content = {**json.loads(path.read_text(encoding="utf-8")), **entries}
    part = path.with_name(f".{CARD_FILE}.part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


def _training_tiles(data: Path, size: int) -> Iterator[Area]:
    for group in open_source(data, PairCache()).train:
        for number in _evenly(len(group.pairs), _PAIRS):
            yield from islice(tiles_of(area_of(group.pairs[number], group.name), size), 4)


def _some(areas: list[Area], count: int) -> list[Area]:
    """So many of the areas of each source, evenly chosen."""
    sources = dict.fromkeys(area.source for area in areas)
    by_source = [[area for area in areas if area.source == source] for source in sources]
    return [group[number] for group in by_source for number in _evenly(len(group), count)]


def _evenly(count: int, wanted: int) -> list[int]:
    return [number * count // min(count, wanted) for number in range(min(count, wanted))]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a model's folder; its card is changed")
    parser.add_argument(
        "--data", type=Path, required=True, help="a data set, or a folder with bluemarble/ and scenes/"
    )
    parser.add_argument("--mosaics", type=int, default=30, help="held-out mosaics of each source and split")
    options = parser.parse_args()
    entries = calibrate(options.model, options.data, options.mosaics)
    write_entries(options.model, entries)
    print(json.dumps(entries[CONFIDENCE], indent=1))


if __name__ == "__main__":
    main()
