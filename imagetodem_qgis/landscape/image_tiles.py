"""Running the network from the DEM to the image over the tiles."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.card import ELEVATION, LOG_GSD, PALETTE, RELIEF, SEA, ModelCard
from imagetodem_qgis.core.colour import ColourOverlap, observe_colours
from imagetodem_qgis.core.sea import is_sea
from imagetodem_qgis.core.tiling import pad_to_tile
from imagetodem_qgis.landscape.colour_store import ColourStore
from imagetodem_qgis.landscape.margin import MirroredReader
from imagetodem_qgis.landscape.request import ImageFrame
from imagetodem_qgis.prediction.request import Cancelled, Listener
from imagetodem_qgis.runtime.client import WorkerClient, WorkerError

FloatArray = NDArray[np.float32]

_REFERENCE_GSD = 100.0
_METRES_PER_KILOMETRE = 1000.0
_BATCHES_AHEAD = 2
_BRIGHTEST = 1.5
"""A network may answer a little beyond its range of -1 to 1; what lies further is no colour."""


class _TileInput(NamedTuple):
    index: int
    planes: FloatArray
    shown: NDArray[np.bool_]
    is_level: bool


class ImageTiles:
    """Predicts all tiles of a frame.

    Args:
        frame: of the image.
        card: of the model.
        reader: of the DEM, in the plan's pixels.
        store: keeps the tiles.

    Attributes:
        overlaps: what they tell of the tiles' colours.
        has_known: whether any of the tiles read so far holds a known height.
        is_level: which tiles of the plan are level ground, bool.
    """

    def __init__(
        self, frame: ImageFrame, card: ModelCard, reader: MirroredReader, store: ColourStore
    ) -> None:
        self._frame, self._card, self._reader, self._store = frame, card, reader, store
        self.overlaps: list[ColourOverlap] = []
        self.has_known = False
        self.is_level = np.zeros(len(frame.plan), bool)

    def run(self, worker: WorkerClient, batch_size: int, listener: Listener) -> None:
        """Send every tile that holds a known height through the worker, or land, where the model's card tells
        the colour of the sea.

        Raises:
            Cancelled: the user cancelled.
            OSError: the disk is full.
            WorkerError: the worker died or refused, or the network's answers are none.
        """
        under_way: deque[list[_TileInput]] = deque()
        inputs = self._inputs(listener)
        while True:
            batch = list(islice(inputs, batch_size))
            if batch:
                worker.send({"type": "predict"}, [np.stack([tile.planes for tile in batch])])
                under_way.append(batch)
            if not under_way:
                return
            if len(under_way) > _BATCHES_AHEAD or not batch:
                self._collect(worker, under_way.popleft(), listener)

    def _inputs(self, listener: Listener) -> Iterator[_TileInput]:
        for index in range(len(self._frame.plan)):
            if listener.is_cancelled():
                raise Cancelled()
            heights = self._reader.read(self._frame.plan.window(index))
            known = np.isfinite(heights)
            self.has_known |= bool(known.any())
            shown = known & ~is_sea(heights) if self._card.sea_colour is not None else known
            if shown.any():
                is_level = bool(np.ptp(heights[known]) == 0.0)
                yield _TileInput(index, self._planes(heights, known), shown, is_level)

    def _planes(self, heights: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
        """The network's input of one tile, turned towards its light."""
        mean = float(heights.mean(where=known, dtype=np.float64))
        relief = np.where(known, heights - np.float32(mean), np.float32(0.0))
        turned = self._frame.symmetry.apply(pad_to_tile(relief, self._card.tile_size))
        constant = {LOG_GSD: np.log(self._frame.gsd / _REFERENCE_GSD)}
        if self._frame.palette is not None:
            constant.update(zip(PALETTE, self._frame.palette))
        planes = np.empty((*turned.shape, len(self._card.inputs)), np.float32)
        for number, name in enumerate(self._card.inputs):
            if name == RELIEF:
                planes[..., number] = turned / np.float32(self._frame.gsd)
            elif name == SEA:
                planes[..., number] = is_sea(turned + np.float32(mean))
            elif name == ELEVATION:
                planes[..., number] = (turned + np.float32(mean)) / np.float32(_METRES_PER_KILOMETRE)
            else:
                planes[..., number] = constant[name]
        return planes

    def _collect(self, worker: WorkerClient, batch: list[_TileInput], listener: Listener) -> None:
        answers = worker.receive().arrays[0]
        size, name = self._card.tile_size, self._card.name
        if answers.shape != (len(batch), size, size, 3):
            raise WorkerError(
                f"the network of the model '{name}' answered {len(batch)} tiles with an array of "
                f"{answers.shape}, not with {size} x {size} pixels of red, green and blue"
            )
        for tile, answer in zip(batch, answers):
            if not np.isfinite(answer).all():
                raise WorkerError(
                    f"the model '{name}' answered tile {tile.index} with values that are no numbers"
                )
            self._keep(tile, np.clip(answer, -_BRIGHTEST, _BRIGHTEST))
        listener.progress(100.0 * (batch[-1].index + 1) / len(self._frame.plan))

    def _keep(self, tile: _TileInput, answer: FloatArray) -> None:
        index, plan = tile.index, self._frame.plan
        self.is_level[index] = tile.is_level
        window = plan.window(index)
        if tile.is_level:
            # The sea has one colour; what a network draws upon it is its own border.
            answer = np.broadcast_to(np.median(answer, axis=(0, 1)), answer.shape)
        colours = self._frame.symmetry.undo(answer)[: window.rows, : window.columns]
        self._store.put(index, np.ascontiguousarray(colours), tile.shown)
        placed = self._store.get(index)
        for neighbour in plan.earlier_neighbours(index):
            if neighbour in self._store:
                observed = observe_colours(index, placed, neighbour, self._store.get(neighbour))
                if observed is not None:
                    self.overlaps.append(observed)
