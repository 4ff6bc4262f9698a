"""The tiles' levels, solved in the worker from what was seen of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.surface import AnchorObservation, Levels, OverlapObservation, observation_arrays
from imagetodem_qgis.prediction.tiles import Asked


def solve_levels(
    worker: Asked,
    overlaps: Sequence[OverlapObservation],
    anchors: Sequence[AnchorObservation],
    areas: NDArray[np.float64],
    with_gains: bool,
) -> Levels:
    """The levels of all tiles of a plan; see :func:`imagetodem_qgis.worker.solve.solve_levels`.

    Raises:
        WorkerCancelled: the user cancelled.
        WorkerError: the worker died or refused.
    """
    # In one order, whatever the order in which processes of a cluster saw them: sums depend on it.
    overlaps = sorted(overlaps, key=lambda one: (one.first, one.second))
    arrays = [*observation_arrays(overlaps, anchors), areas]
    return Levels(*worker.ask({"type": "solve", "gains": with_gains}, arrays).arrays)
