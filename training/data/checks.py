"""Seeing before the training that data can be learned from: what is wrong is said with the file's name and a
way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds

from training.data.dataset import DATASET_FILE, DataSet, Entry, read_pair
from training.data.pair import Pair
from training.data.sources import Source
from training.request import DataError

_MOST_SAID = 12
"""Faults that are told one by one."""
_SMALLEST_SIDE = 64
_GSD_TOLERANCE = 1.25
_BORDER = 0.05
"""Share of a side by which neighbours' boxes in degrees may overlap."""


@dataclass(frozen=True)
class Checked:
    """What is not wrong enough to refuse.

    Attributes:
        warnings: a sentence each.
        gsd: least and largest ground sampling distance of the training pairs in metres.
    """

    warnings: tuple[str, ...]
    gsd: tuple[float, float]


def check_sources(sources: Sequence[Source], gsd_range: tuple[float, float] | None = None) -> Checked:
    """Check the pairs of all sources, each file of a data set among them.

    Args:
        sources: where the pairs come from.
        gsd_range: least and largest ground sampling distance in metres that the model to go on with was
            trained at, where there is one.

    Raises:
        DataError: a pair cannot be learned from, a split that is needed has no pair, or an area lies in two
            splits; the message names all that was found.
    """
    faults: list[str] = []
    distances: list[float] = []
    for source in sources:
        if source.dataset is not None:
            faults += areas_in_two_splits(source.dataset)
            faults += overlaps_between_splits(source.dataset)
            for entry in source.dataset.entries:
                found, gsd = check_pair(entry)
                faults += found
                if gsd is not None and entry.split == "train":
                    distances.append(gsd)
        else:
            distances += [pair.gsd for group in source.train for pair in _few(group.pairs)]
    folders = ", ".join(str(source.folder) for source in sources)
    if not any(source.train for source in sources):
        faults.append(_empty("train", folders))
    if not any(len(source.validation) for source in sources):
        faults.append(_empty("validation", folders))
    if faults:
        more = len(faults) - _MOST_SAID
        told = faults[:_MOST_SAID] + ([f"and {more} more"] if more > 0 else [])
        raise DataError("The data cannot be trained on:\n" + "\n".join(f"- {fault}" for fault in told))
    gsd_of_all = (min(distances), max(distances))
    return Checked(tuple(_resolution_warnings(gsd_of_all, gsd_range)), gsd_of_all)


def check_pair(entry: Entry) -> tuple[list[str], float | None]:
    """What is wrong with a pair, a sentence each, and its ground sampling distance in metres."""
    for path in (entry.image, entry.dem):
        if not path.exists():
            return [f"{path} is missing: fetch it again, or take {entry.id} out of {DATASET_FILE}"], None
    not_finite = _not_finite(entry.image)
    if not_finite:
        return [
            f"{entry.image} has {not_finite} pixels that are NaN or infinite without being nodata: declare "
            "NaN as its nodata value, or fill them"
        ], None
    try:
        pair = read_pair(entry)
    except DataError as error:
        return [str(error)], None
    known = np.isfinite(pair.dem)
    if not known.any():
        return [
            f"{entry.dem} knows no height, all is nodata: leave {entry.id} out of {DATASET_FILE}"
        ], pair.gsd
    if not pair.valid.any():
        return [
            f"{entry.image} is nodata wherever {entry.dem.name} knows a height: leave {entry.id} out of "
            f"{DATASET_FILE}"
        ], pair.gsd
    if np.ptp(pair.image[pair.valid].astype(np.float64)) == 0.0:
        return [f"{entry.image} is of one colour: leave {entry.id} out of {DATASET_FILE}"], pair.gsd
    if min(pair.dem.shape) < _SMALLEST_SIDE:
        return [
            f"{entry.image} has {pair.dem.shape[1]} x {pair.dem.shape[0]} pixels: pairs need "
            f"{_SMALLEST_SIDE} x {_SMALLEST_SIDE} at least, better 256 x 256"
        ], pair.gsd
    return [], pair.gsd


def _not_finite(path: Path) -> int:
    """Pixels with a value that is no number although the file says that they have one."""
    try:
        with rasterio.open(path) as source:
            if not np.issubdtype(np.dtype(source.dtypes[0]), np.floating):
                return 0
            values = source.read()
            return int((~np.isfinite(values).all(axis=0) & (source.dataset_mask() > 0)).sum())
    except RasterioError:
        # What cannot be read is told when the pair is.
        return 0


def areas_in_two_splits(dataset: DataSet) -> list[str]:
    """Areas whose pairs are not all in one split."""
    splits: dict[str, dict[str, Entry]] = {}
    for entry in dataset.entries:
        if entry.area is not None:
            splits.setdefault(entry.area, {}).setdefault(entry.split, entry)
    return [
        f"{dataset.folder / DATASET_FILE}: the area {area} is in the splits {' and '.join(sorted(found))} "
        f"(for example {', '.join(entry.id for entry in found.values())}): what is held out would be known; "
        "give all pairs of an area one split"
        for area, found in splits.items()
        if len(found) > 1
    ]


def overlaps_between_splits(dataset: DataSet) -> list[str]:
    """Pairs of training that show ground of a held-out pair, whatever their areas are called."""
    boxes = [(entry, box) for entry in dataset.entries if (box := _box(entry.image)) is not None]
    trained = [(entry, box) for entry, box in boxes if entry.split == "train"]
    held_out = [(entry, box) for entry, box in boxes if entry.split != "train"]
    if not trained or not held_out:
        return []
    theirs = np.array([box for _, box in trained])
    found = []
    for entry, box in held_out:
        overlapping = np.flatnonzero(_overlap(theirs, box))
        if overlapping.size:
            other = trained[int(overlapping[0])][0]
            found.append(
                f"{entry.image} ({entry.split}) shows ground that {other.image.name} (train) shows too: what "
                "is held out would be known; put both into one split, or leave one out"
            )
    return found


def _overlap(boxes: NDArray[np.float64], box: tuple[float, ...]) -> NDArray[np.bool_]:
    left, bottom, right, top = box
    # Neighbours share a border that grid convergence, at most some 2 degrees in UTM, tilts.
    across, up = _BORDER * (right - left), _BORDER * (top - bottom)
    return np.asarray(
        (boxes[:, 0] < right - across)
        & (boxes[:, 2] > left + across)
        & (boxes[:, 1] < top - up)
        & (boxes[:, 3] > bottom + up)
    )


def _box(path: Path) -> tuple[float, ...] | None:
    """West, south, east, north in degrees; ``None`` where the file is not georeferenced."""
    try:
        with rasterio.open(path) as source:
            if not source.crs:
                return None
            box: tuple[float, ...] = transform_bounds(source.crs, "EPSG:4326", *source.bounds)
            return box
    except RasterioError:
        return None


def _few(pairs: Sequence[Pair]) -> Iterable[Pair]:
    """Some pairs of a sequence, its first and last among them."""
    return (pairs[int(n)] for n in np.unique(np.linspace(0, len(pairs) - 1, 50).round()))


def _empty(split: str, folders: str) -> str:
    use = "to learn from" if split == "train" else "to choose the best epoch by"
    return (
        f"the split '{split}' has no pair {use} ({folders}): give whole areas 'split': '{split}' in "
        f"{DATASET_FILE}, at least one"
    )


def _resolution_warnings(found: tuple[float, float], known: tuple[float, float] | None) -> Iterable[str]:
    if known is None:
        return
    if found[0] < known[0] / _GSD_TOLERANCE or found[1] > known[1] * _GSD_TOLERANCE:
        yield (
            f"The pairs have {found[0]:.3g} to {found[1]:.3g} m a pixel, the model to go on with was trained "
            f"at {known[0]:.3g} to {known[1]:.3g} m: it has more to learn anew. If the images exist at "
            "such a resolution, make the pairs with it (RESOLUTION)."
        )
