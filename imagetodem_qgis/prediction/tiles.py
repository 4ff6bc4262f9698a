"""Running the network over the tiles: reading, the worker and keeping the answers go on at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.observations import AnchorObservation, Observations, OverlapObservation, numbers_of
from imagetodem_qgis.core.surface import PlacedTile, observe_overlap
from imagetodem_qgis.core.tiling import TilePlan
from imagetodem_qgis.prediction.anchors import Anchoring
from imagetodem_qgis.prediction.answers import AnswerError, Answers
from imagetodem_qgis.prediction.copies import TileCopies
from imagetodem_qgis.prediction.frame import Frame
from imagetodem_qgis.prediction.pace import Pace, Setting
from imagetodem_qgis.prediction.planes import TilePlanes
from imagetodem_qgis.prediction.rasters import Reader
from imagetodem_qgis.prediction.request import Cancelled, Listener
from imagetodem_qgis.prediction.store import TileStore
from imagetodem_qgis.runtime.client import WorkerError
from imagetodem_qgis.worker.protocol import Message

FloatArray = NDArray[np.float32]

_BATCHES_AHEAD = 2
_AREA, _OVERLAPS, _ANCHORS = "area", "overlaps", "anchors"
_FAR_APART = 16
"""Pixels between those that tell nearly every tile from one of a single colour."""


class Asked(Protocol):
    """Takes requests, and answers them in order; see :class:`imagetodem_qgis.runtime.client.WorkerClient`."""

    def send(self, header: dict[str, Any], arrays: list[NDArray[Any]] | None = None) -> None:
        """Send a request without waiting for its answer."""

    def receive(self) -> Message:
        """Wait for the next answer."""

    def ask(self, header: dict[str, Any], arrays: list[NDArray[Any]] | None = None) -> Message:
        """Send a request and wait for its answer."""


class _TileInput(NamedTuple):
    index: int
    planes: FloatArray
    valid: NDArray[np.bool_]
    is_flat: bool


class TileRun:
    """Predicts all tiles of a prediction that are not in the store yet.

    Args:
        frame: of the prediction.
        planes: makes the network's input.
        copies: that the network is shown of each tile.
        answers: makes heights of the network's answers.
        reader: of the image, in the frame's ``work`` pixels.
        store: keeps the tiles.
        anchoring: known heights, if any.

    Attributes:
        observations: what the overlaps tell of the tiles' levels.
        anchors: what known heights tell of them.
        areas: known pixels of those to predict of each tile of the plan, float64.
    """

    def __init__(
        self,
        frame: Frame,
        planes: TilePlanes,
        copies: TileCopies,
        answers: Answers,
        reader: Reader,
        store: TileStore,
        anchoring: Anchoring | None = None,
    ) -> None:
        self._frame, self._plan = frame, frame.plan
        self._planes, self._copies, self._answers = planes, copies, answers
        self._reader, self._store, self._anchoring = reader, store, anchoring
        self.observations, self.anchors = Observations(OverlapObservation), Observations(AnchorObservation)
        self.areas = np.zeros(len(frame.plan))

    def take_up(self, listener: Listener) -> None:
        """Take up what an earlier run kept in the store.

        Raises:
            Cancelled: the user cancelled.
        """
        for index, remarks in self._store.replay(listener.is_cancelled):
            self.areas[index] = remarks[_AREA]
            self.observations.add(remarks[_OVERLAPS])
            self.anchors.add(remarks[_ANCHORS])
        if listener.is_cancelled():
            raise Cancelled()

    def run(
        self, worker: Asked, pace: Pace, listener: Listener, indices: Sequence[int] | None = None
    ) -> None:
        """Send every tile that holds a known pixel to predict and is not kept yet through the worker.

        Args:
            worker: runs the network.
            pace: tells how many tiles at once.
            listener: is told of the progress.
            indices: of the tiles, in ascending order; all of the plan if not given.

        Raises:
            Cancelled: the user cancelled.
            OSError: the disk is full.
            WorkerError: the worker died or refused, or the network's answers are none.
        """
        under_way: deque[tuple[Setting, list[_TileInput]]] = deque()
        inputs = self._inputs(range(len(self._plan)) if indices is None else indices, listener)
        while True:
            setting = pace.next()
            batch = list(islice(inputs, setting.batch))
            if batch:
                shown = [copy for tile in batch for copy in self._copies.of(tile.planes)]
                asked = {"type": "predict", "lanes": setting.lanes, "threads": setting.threads}
                worker.send(asked, [np.stack(shown)])
                under_way.append((setting, batch))
            if not under_way:
                return
            if len(under_way) > _BATCHES_AHEAD or not batch:
                self._collect(worker, *under_way.popleft(), pace, listener)

    def _inputs(self, indices: Sequence[int], listener: Listener) -> Iterator[_TileInput]:
        for index in indices:
            if listener.is_cancelled():
                raise Cancelled()
            if self._store.is_done(index):
                continue
            window = self._plan.window(index)
            values, valid = self._reader.read(window)
            if not valid[self._frame.kept_of(window)].any():
                self._store.leave_out(index)
                continue
            yield _TileInput(index, self._planes.of(window, values, valid), valid, _is_flat(values, valid))

    def _collect(
        self, worker: Asked, setting: Setting, batch: list[_TileInput], pace: Pace, listener: Listener
    ) -> None:
        answered = worker.receive()
        pace.heard(setting, len(batch), answered.header["seconds"])
        try:
            answers = answered.arrays[0]
            self._answers.check(answers, len(batch))
            for tile, those in zip(batch, answers.reshape(len(batch), len(self._copies), *answers.shape[1:])):
                self._keep(tile, those)
        except AnswerError as error:
            raise WorkerError(str(error)) from error
        listener.progress(100.0 * (batch[-1].index + 1) / len(self._plan))

    def _keep(self, tile: _TileInput, answers: FloatArray) -> None:
        index, window = tile.index, self._plan.window(tile.index)
        heights, spread = self._answers.of(window, tile.planes, answers, tile.valid, tile.is_flat)
        weights = self._store.weights[: window.rows, : window.columns] * tile.valid
        placed = PlacedTile(window, heights, weights)
        observed = numbers_of(observed_overlaps(self._plan, index, placed, self._store))
        known = self._anchoring.observe(index, placed) if self._anchoring is not None else []
        anchors = numbers_of(known)
        self.areas[index] = tile.valid[self._frame.kept_of(window)].sum()
        self.observations.add(observed)
        self.anchors.add(anchors)
        remarks = {_AREA: self.areas[index], _OVERLAPS: observed, _ANCHORS: anchors}
        self._store.put(index, heights, spread, remarks)


def observed_overlaps(
    plan: TilePlan, index: int, placed: PlacedTile, store: TileStore
) -> list[OverlapObservation]:
    """What a tile's overlaps with those earlier ones tell that are in a store."""
    seen = [
        observe_overlap(index, placed, neighbour, store.get(neighbour))
        for neighbour in plan.earlier_neighbours(index)
        if neighbour in store
    ]
    return [one for one in seen if one is not None]


def _is_flat(values: NDArray[Any], valid: NDArray[np.bool_]) -> bool:
    """Whether all known pixels of a tile have one colour."""
    for step in (_FAR_APART, 1):
        known = values[::step, ::step][valid[::step, ::step]]
        if len(known) and not (known == known[0]).all():
            return False
    return True
