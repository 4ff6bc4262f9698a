"""Running the network over the tiles: reading, the worker and keeping the answers go on at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.card import LOG_GSD, ModelCard
from imagetodem_qgis.core.stretch import Stretch
from imagetodem_qgis.core.surface import OverlapObservation, PlacedTile, observe_overlap
from imagetodem_qgis.core.tiling import pad_to_tile
from imagetodem_qgis.prediction.frame import Frame
from imagetodem_qgis.prediction.request import Cancelled, Listener
from imagetodem_qgis.prediction.store import TileStore
from imagetodem_qgis.raster.image import BandReader
from imagetodem_qgis.runtime.client import WorkerClient, WorkerError

FloatArray = NDArray[np.float32]

_REFERENCE_GSD = 100.0
_BATCHES_AHEAD = 2
_LAPLACE_DEVIATION = np.float32(np.sqrt(2.0))
"""Standard deviation of a Laplace distribution of scale 1."""


class _TileInput(NamedTuple):
    index: int
    planes: FloatArray
    valid: NDArray[np.bool_]
    flat: bool


class TileRun:
    """Predicts all tiles of a frame.

    Attributes:
        observations: what the overlaps tell of the tiles' offsets.
        areas: known pixels of each tile of the plan, float64.
    """

    def __init__(
        self,
        frame: Frame,
        card: ModelCard,
        reader: BandReader,
        stretch: Stretch,
        store: TileStore,
        spread: bool,
    ) -> None:
        self._frame, self._card, self._reader = frame, card, reader
        self._stretch, self._store, self._spread = stretch, store, spread
        self.observations: list[OverlapObservation] = []
        self.areas = np.zeros(len(frame.plan))

    def run(self, worker: WorkerClient, batch_size: int, listener: Listener) -> None:
        """Send every tile that holds a known pixel through the worker.

        Raises:
            Cancelled: the user cancelled.
            WorkerError: the worker died or refused, or the network's answers are none.
        """
        under_way: deque[list[_TileInput]] = deque()
        for batch in _in_batches(self._inputs(listener), batch_size):
            worker.send({"type": "predict"}, [np.stack([tile.planes for tile in batch])])
            under_way.append(batch)
            if len(under_way) > _BATCHES_AHEAD:
                self._collect(worker, under_way.popleft(), listener)
        while under_way:
            self._collect(worker, under_way.popleft(), listener)

    def _inputs(self, listener: Listener) -> Iterator[_TileInput]:
        for index in range(len(self._frame.plan)):
            if listener.is_cancelled():
                raise Cancelled()
            values, valid = self._reader.read(self._frame.plan.window(index))
            if valid.any():
                known = values[valid]
                flat = bool((known == known[0]).all())
                yield _TileInput(index, self._planes(values, valid), valid, flat)

    def _planes(self, values: NDArray[np.generic], valid: NDArray[np.bool_]) -> FloatArray:
        """The network's input of one tile, turned towards its light."""
        stretched = self._stretch.apply(values)
        if not valid.all():
            # The middle of the range is what training fills unknown pixels with.
            stretched[~valid] = 0.0
        turned = self._frame.symmetry.apply(pad_to_tile(stretched, self._card.tile_size))
        planes = np.empty(turned.shape[:2] + (len(self._card.inputs),), np.float32)
        planes[..., :3] = turned
        if LOG_GSD in self._card.inputs:
            planes[..., self._card.inputs.index(LOG_GSD)] = np.log(self._frame.gsd / _REFERENCE_GSD)
        return planes

    def _collect(self, worker: WorkerClient, batch: list[_TileInput], listener: Listener) -> None:
        answers = worker.receive().arrays[0]
        size, planes = self._card.tile_size, self._card.outputs
        # The original project's network answers three planes that are alike: more than the card names do
        # no harm.
        if answers.shape[:3] != (len(batch), size, size) or answers.shape[3] < len(planes):
            raise WorkerError(
                f"the network of the model '{self._card.name}' answered {len(batch)} tiles with an array "
                f"of {answers.shape}, not with {size} x {size} pixels of its card's {', '.join(planes)}"
            )
        for tile, answer in zip(batch, answers):
            self._keep(tile, answer)
        listener.progress(100.0 * (batch[-1].index + 1) / len(self._frame.plan))

    def _keep(self, tile: _TileInput, answer: FloatArray) -> None:
        window = self._frame.plan.window(tile.index)
        answer = self._frame.symmetry.undo(answer)[: window.rows, : window.columns]
        heights = np.ascontiguousarray(answer[..., 0])
        if not np.isfinite(answer).all():
            raise WorkerError(
                f"the model '{self._card.name}' answered tile {tile.index} with values that are no numbers"
            )
        if tile.flat:
            # An image of one colour says nothing of heights; what a network makes of it is its own border.
            heights[:] = 0.0
        if self._card.target == "relief_per_pixel":
            # The network's heights have no zero of their own.
            heights -= heights.mean(where=tile.valid, dtype=np.float64)
        self._store.put(tile.index, heights, self._deviation(answer))
        self.areas[tile.index] = tile.valid.sum()
        placed = PlacedTile(
            window, heights, self._store.weights[: window.rows, : window.columns] * tile.valid
        )
        for neighbour in self._frame.plan.earlier_neighbours(tile.index):
            if neighbour in self._store:
                observed = observe_overlap(tile.index, placed, neighbour, self._store.get(neighbour))
                if observed is not None:
                    self.observations.append(observed)

    def _deviation(self, answer: FloatArray) -> FloatArray | None:
        if not self._spread:
            return None
        log_scale = answer[..., self._card.outputs.index("log_scale")]
        return np.exp(log_scale) * _LAPLACE_DEVIATION * np.float32(self._card.spread_factor)


def _in_batches(items: Iterator[_TileInput], size: int) -> Iterator[list[_TileInput]]:
    batch: list[_TileInput] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
