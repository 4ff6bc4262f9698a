"""Reading the original project's data sets: an ``.npz`` file of images, ``arr_0``, and heights, ``arr_1``.

Panagiotou et al. 2020 (§2.2) cut each parent of 512 × 512 pixels into four tiles, one after the other, and
scaled the heights of the whole data set to 0-255 without keeping its least and largest. A ``dataset.json``
beside the file may tell what the file does not: ``height_range`` (the two, in metres), ``resolution`` (metres
a pixel), ``sun_azimuth`` (degrees), ``sources`` and ``licences``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.light import NORTHERN_MORNING_AZIMUTH
from training.data.pair import Pair, towards_the_sun
from training.request import DataError

TILES_OF_A_PARENT = 4
AW3D30_RESOLUTION = 30.0
_HELD_OUT = 0.15
"""Share of the parents to validate with, and of those to test with."""
_LARGEST_COUNT = 255.0


@dataclass(frozen=True)
class Arrays:
    """The pairs of a file.

    Attributes:
        splits: pairs by ``train``, ``validation`` and ``test``.
        description: for a model's card.
    """

    splits: Mapping[str, list[Pair]]
    description: Mapping[str, Any]


def array_file(folder: Path) -> Path | None:
    """The only ``.npz`` file of a folder that is not laid out as a data set; ``None`` where there is none.

    Raises:
        DataError: there are several.
    """
    if (folder / "images").is_dir():
        return None
    found = sorted(folder.glob("*.npz"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder} holds several .npz files ({names}): leave one of them there")
    return found[0] if found else None


def read_arrays(path: Path) -> Arrays:
    """Read a file's pairs, and share them out by whole parents.

    Without ``height_range`` a count of 1 stands for a metre: the recipe ``paper``, whose heights are
    relative, learns the same, others learn relief in units of their own.

    Raises:
        DataError: it is no such file, or holds no pair to learn from.
    """
    images, heights = _arrays(path)
    about = _about(path.with_name("dataset.json"))
    least, largest = about.get("height_range", (0.0, _LARGEST_COUNT))
    gsd, azimuth = (
        about.get("resolution", AW3D30_RESOLUTION),
        about.get("sun_azimuth", NORTHERN_MORNING_AZIMUTH),
    )
    splits: dict[str, list[Pair]] = {"train": [], "validation": [], "test": []}
    parents = -(-len(images) // TILES_OF_A_PARENT)
    for number, (image, counts) in enumerate(zip(images, heights)):
        split = split_of_parent(number // TILES_OF_A_PARENT, parents)
        # Tiles of nothing but sea are of one height.
        if split is None or np.ptp(counts) == 0.0 or np.ptp(image) == 0.0:
            continue
        dem = (least + counts.astype(np.float32) / _LARGEST_COUNT * (largest - least)).astype(np.float32)
        pair = Pair(f"{path.stem} {number}", image, dem, np.ones(dem.shape, bool), float(gsd), split)
        splits[split].append(towards_the_sun(pair, float(azimuth)))
    if not any(splits.values()):
        raise DataError(f"{path} holds no pair with relief")
    relative = "metres" if "height_range" in about else "relative, 0 to 255 over the whole data set"
    described = {key: about[key] for key in ("sources", "licences", "licence") if key in about}
    pairs = len(splits["train"])
    return Arrays(splits, {"sources": [path.name], "heights": relative, "pairs": pairs, **described})


def split_of_parent(parent: int, parents: int) -> str | None:
    """The split of a parent: the first are for training, the last for testing; ``None`` for those between two
    splits, whose ground may touch both."""
    held_out = max(1, round(_HELD_OUT * parents)) if parents > 1 else 0
    tested = held_out if parents >= 8 else 0
    from_the_end = parents - 1 - parent
    if from_the_end < tested:
        return "test"
    between = 1 if tested else 0
    if from_the_end < tested + between:
        return None
    if from_the_end < tested + between + held_out:
        return "validation"
    return None if between and from_the_end == tested + between + held_out else "train"


def _arrays(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ("arr_0", "arr_1") if name not in file.files]
            if missing:
                raise DataError(f"{path} lacks {' and '.join(missing)}: images in arr_0, heights in arr_1")
            images, heights = _compact(file["arr_0"]), _compact(file["arr_1"])
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if heights.ndim == 4 and heights.shape[3] in (1, 3):
        heights = heights[..., 0]
    if images.ndim != 4 or images.shape[3] != 3 or heights.shape != images.shape[:3]:
        raise DataError(
            f"{path}: arr_0 has the shape {images.shape} and arr_1 {heights.shape}, not "
            "(tiles, rows, columns, 3) and (tiles, rows, columns)"
        )
    if not len(images):
        raise DataError(f"{path} holds no tile")
    return images, heights


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    """An array in a quarter of its memory where it is of floats that are counts of 0 to 255."""
    if array.dtype.kind not in "iuf":
        raise ValueError(f"an array of {array.dtype} is none of numbers")
    if not np.isfinite(array).all():
        raise ValueError("a value is NaN or infinite")
    counts = np.clip(array, 0, 255).astype(np.uint8)
    return counts if np.array_equal(counts, array) else array.astype(np.float32)


def _about(path: Path) -> dict[str, Any]:
    """What ``dataset.json`` tells, each value looked at."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold a JSON object")
    for key, count in (("resolution", 1), ("sun_azimuth", 1), ("height_range", 2)):
        values = content.get(key)
        if values is None:
            content.pop(key, None)
            continue
        numbers = values if count == 2 else [values]
        good = isinstance(numbers, list) and len(numbers) == count
        if not good or not all(isinstance(n, (int, float)) and np.isfinite(n) for n in numbers):
            raise DataError(f"{path}: '{key}' is {values!r}, not {count} number{'s' * (count > 1)}")
    if content.get("resolution", 1.0) <= 0.0:
        raise DataError(f"{path}: 'resolution' is {content['resolution']} m")
    if "height_range" in content and content["height_range"][0] >= content["height_range"][1]:
        raise DataError(f"{path}: 'height_range' must be the least and the largest height in metres")
    return content
