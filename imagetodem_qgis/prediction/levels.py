"""The tiles' levels, solved in the worker from what was seen of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.observations import Observations, solve_arrays
from imagetodem_qgis.core.surface import Levels
from imagetodem_qgis.prediction.request import Listener
from imagetodem_qgis.prediction.tiles import Asked


def solve_levels(
    worker: Asked,
    overlaps: Observations,
    anchors: Observations,
    areas: NDArray[np.float64],
    with_gains: bool,
    listener: Listener,
) -> Levels:
    """The levels of all tiles of a plan; see :func:`imagetodem_qgis.worker.solve.solve_levels`.

    Raises:
        WorkerCancelled: the user cancelled.
        WorkerError: the worker died or refused.
    """
    # In one order, whatever the order in which processes of a cluster saw them: sums depend on it.
    arrays = [*solve_arrays(overlaps.sorted_rows(), anchors.sorted_rows()), areas]
    answered = worker.ask({"type": "solve", "gains": with_gains}, arrays)
    guessed = answered.header["guessed"]
    if guessed:
        listener.warn(
            f"{guessed} tiles hang on no known height, nor do those that they overlap with: they are put as "
            "high as the others are on average, which is a guess."
        )
    return Levels(*answered.arrays)
