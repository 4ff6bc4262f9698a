"""A first look at a data set before a training is started; the training itself looks at every pixel."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

DATASET_FILE = "dataset.json"
FOOTPRINTS_FILE = "footprints.gpkg"
_ARRAYS = "*.npz"
"""The original project's data sets, which say nothing of splits: the training shares them out."""
_INDEX_OF_TILES = ("bluemarble", "index.csv")


class DatasetError(ValueError):
    """A folder that cannot be trained on; the message says why and what to do."""


def check_dataset(folder: Path) -> None:
    """Check that a folder is a data set with pairs to train on and pairs to validate with.

    Raises:
        DatasetError: it is not; the message names the file at fault.
    """
    if not folder.is_dir():
        raise DatasetError(f"the folder {folder} does not exist")
    if any(folder.glob(_ARRAYS)) and not (folder / "images").is_dir():
        return
    file = folder / DATASET_FILE
    if not file.is_file():
        if folder.joinpath(*_INDEX_OF_TILES).is_file():
            return
        raise DatasetError(
            f"the folder {folder} is no data set: it lacks {DATASET_FILE}. Make one with fetchpairs or "
            "pairsfromrasters"
        )
    try:
        pairs = json.loads(file.read_text(encoding="utf-8")).get("pairs")
        names = [str(pair["id"]) for pair in pairs or ()]
        splits = Counter(pair.get("split") for pair in pairs or ())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{file} cannot be used ({type(error).__name__}: {error}): it must hold a JSON object with "
            "'pairs' that have an 'id' each"
        ) from error
    # What this file does not say of its pairs, their footprints may.
    if not (folder / FOOTPRINTS_FILE).is_file():
        for split in ("train", "validation"):
            if not splits[split]:
                raise DatasetError(f"{file} has no pair of the split '{split}': give some areas to it")
    for name in names:
        for path in (folder / "images" / f"{name}.tif", folder / "dems" / f"{name}.tif"):
            if not path.is_file():
                raise DatasetError(f"{path} is missing, though {DATASET_FILE} lists the pair {name}")


def check_terrains(folder: Path) -> None:
    """Check that a folder holds DEMs to render images over.

    Raises:
        DatasetError: it does not.
    """
    if not folder.is_dir():
        raise DatasetError(f"the folder {folder} does not exist")
    if not any(path.suffix.lower() in (".tif", ".tiff") for path in folder.iterdir()):
        raise DatasetError(f"the folder {folder} holds no DEM: put GeoTIFFs of elevation there")
