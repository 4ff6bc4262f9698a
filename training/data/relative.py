"""The published target: heights relative to the whole data set's least and largest."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from training.data.pair import Pair
from training.data.sampling import Sample
from training.data.tasks import Task
from training.request import DataError


def height_range(pairs: Iterable[Pair]) -> tuple[float, float]:
    """The least and the largest known height in metres.

    Raises:
        DataError: no height is known, or all are alike.
    """
    least, largest = np.inf, -np.inf
    for pair in pairs:
        if pair.valid.any():
            heights = pair.dem[pair.valid]
            least, largest = min(least, float(heights.min())), max(largest, float(heights.max()))
    if not largest > least:
        raise DataError("the DEMs know one height only: there is no relief to learn")
    return least, largest


def relative_task(task: Task, heights: tuple[float, float]) -> Task:
    """The task with heights from -1, the data set's least, to 1, its largest (Panagiotou et al. 2020, §2.2,
    whose 0 to 255 become -1 to 1 in the network).

    Args:
        task: from image to DEM, its target in units of a pixel around the tile's mean.
        heights: least and largest in metres.
    """
    least, largest = heights

    def relative(
        sample: Sample, random: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        planes, target = task(sample, random)
        metres = target[..., :1] * sample.gsd + sample.mean_height
        scaled = (2.0 * (metres - least) / (largest - least) - 1.0) * target[..., 1:]
        return planes, np.concatenate([scaled, target[..., 1:]], axis=-1).astype(np.float32)

    return relative
