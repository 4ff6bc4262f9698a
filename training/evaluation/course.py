"""Held-out ground through the plugin's own course of a prediction: tiles, solve, blending."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.card import COARSE_DEM, ModelCard
from imagetodem_qgis.core.confidence import CONFIDENCE
from imagetodem_qgis.core.grid import Ground, PixelGrid, Vector
from imagetodem_qgis.core.observations import AnchorObservation
from imagetodem_qgis.core.surface import GAINS, PlacedTile
from imagetodem_qgis.core.tiling import Window, blending_weights
from imagetodem_qgis.prediction.anchors import Anchoring, KnownHeights
from imagetodem_qgis.prediction.answers import Answers
from imagetodem_qgis.prediction.blending import Blending, Blends
from imagetodem_qgis.prediction.copies import TileCopies
from imagetodem_qgis.prediction.frame import Frame, frame_of
from imagetodem_qgis.prediction.levels import solve_levels
from imagetodem_qgis.prediction.pace import Pace
from imagetodem_qgis.prediction.planes import TilePlanes
from imagetodem_qgis.prediction.request import Listener, Request
from imagetodem_qgis.prediction.run import stretch_of
from imagetodem_qgis.prediction.store import TileStore
from imagetodem_qgis.prediction.tiles import Asked, TileRun
from imagetodem_qgis.runtime.models import Model
from imagetodem_qgis.worker.headless.telling import Silent
from imagetodem_qgis.worker.protocol import Message
from training.evaluation.area import Area

FloatArray = NDArray[np.float32]

BATCH = 4
_TEMPERATE = 45.0


@dataclass(frozen=True)
class _AreaGrid(PixelGrid):
    """Square pixels of a known size somewhere on the ground.

    Attributes:
        gsd: metres a pixel.
    """

    gsd: float = 1.0

    def to_longitude_latitude(self, places: Sequence[Vector]) -> list[Vector] | None:
        """See :class:`imagetodem_qgis.core.grid.PixelGrid`: nowhere."""
        del places
        return None

    def ground(self) -> Ground:
        """See :class:`imagetodem_qgis.core.grid.PixelGrid`."""
        return Ground((self.gsd, 0.0), (0.0, -self.gsd), _TEMPERATE)


class AreaImage:
    """An area's image; see :class:`imagetodem_qgis.prediction.rasters.ColourImage`.

    Args:
        area: whose light falls as the model expects it.
        sun_azimuth: that the model expects, degrees.
    """

    def __init__(self, area: Area, sun_azimuth: float | None) -> None:
        self.path, self.bands = area.name, (1, 2, 3)
        rows, columns = area.dem.shape
        transform = (0.0, area.gsd, 0.0, 0.0, 0.0, -area.gsd)
        self.grid = _AreaGrid(columns, rows, transform, "", area.gsd)
        self._area, self._sun_azimuth = area, sun_azimuth

    def sample(self, go_on: Callable[[], None]) -> NDArray[Any]:
        """See :class:`imagetodem_qgis.prediction.rasters.ColourImage`."""
        del go_on
        return self._area.samples

    def reader(self, window: Window, rows: int, columns: int) -> AreaImage:
        """See :class:`imagetodem_qgis.prediction.rasters.ColourImage`.

        Raises:
            ValueError: other pixels than the area's own are wanted.
        """
        if (rows, columns) != (window.rows, window.columns):
            raise ValueError(f"{self._area.name}: its pixels of {self._area.gsd} m are not the model's")
        return self

    def sun_azimuth(self) -> float | None:
        """See :class:`imagetodem_qgis.prediction.rasters.ColourImage`."""
        return self._sun_azimuth

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """See :class:`imagetodem_qgis.prediction.rasters.Reader`."""
        part = self._area.part(window)
        return part.image, part.valid

    def read_valid(self, window: Window) -> NDArray[np.bool_]:
        """See :class:`imagetodem_qgis.prediction.rasters.Reader`."""
        return self._area.part(window).valid


class CoarseDem:
    """A coarse DEM for a guided model; see :class:`imagetodem_qgis.prediction.anchors.Anchoring`.

    Args:
        heights: (rows, columns) float32 metres over the whole area.
        cell: side of its cells in pixels.
    """

    def __init__(self, heights: FloatArray, cell: float) -> None:
        self._heights = heights
        self.cell = cell

    def coarse(self, window: Window) -> FloatArray:
        """See :class:`imagetodem_qgis.prediction.anchors.Anchoring`."""
        whole = Window(0, 0, *self._heights.shape)
        return self._heights[window.within(whole)].copy()

    def observe(self, index: int, tile: PlacedTile) -> list[AnchorObservation]:
        """See :class:`imagetodem_qgis.prediction.anchors.Anchoring`: what a guided model adds needs no
        level."""
        del index, tile
        return []

    def anchored(self, blends: Blends, listener: Listener) -> Blends:
        """See :class:`imagetodem_qgis.prediction.anchors.Anchoring`: the surface is what is added."""
        del listener
        return blends


@dataclass(frozen=True)
class Course:
    """A surface over an area.

    Attributes:
        heights: (rows, columns) float32 metres: relief around 0, above the coarse DEM, or anchored.
        deviation: (rows, columns) float32 metres, if asked for.
        frame: of the prediction.
    """

    heights: FloatArray
    deviation: FloatArray | None
    frame: Frame


class Remembering:
    """Asks a worker once, and gives the same answers when the same is asked again in the same order.

    Args:
        worker: that holds the open model.
    """

    def __init__(self, worker: Asked) -> None:
        self._worker = worker
        self._answers: list[Message] = []
        self._sent = self._received = 0

    def begin_again(self) -> None:
        """The next question is the first again."""
        self._sent = self._received = 0

    def send(self, header: dict[str, Any], arrays: list[NDArray[Any]] | None = None) -> None:
        """See :class:`imagetodem_qgis.prediction.tiles.Asked`."""
        self._sent += 1
        if self._sent > len(self._answers):
            self._answers.append(self._worker.ask(header, arrays))

    def receive(self) -> Message:
        """See :class:`imagetodem_qgis.prediction.tiles.Asked`."""
        self._received += 1
        answer = self._answers[self._received - 1]
        # Who receives an answer may work in its arrays.
        return Message(answer.header, [array.copy() for array in answer.arrays])

    def ask(self, header: dict[str, Any], arrays: list[NDArray[Any]] | None = None) -> Message:
        """See :class:`imagetodem_qgis.prediction.tiles.Asked`."""
        self.send(header, arrays)
        return self.receive()


def with_doubt(card: ModelCard, weights: Mapping[str, object]) -> ModelCard:
    """A card with other weights of :class:`imagetodem_qgis.core.confidence.Doubt`, and of ``AnchoredDoubt``
    under their key."""
    return replace(card, content={**card.content, CONFIDENCE: dict(weights)})


def follow(
    area: Area,
    card: ModelCard,
    worker: Asked,
    overlap: float,
    coarse: CoarseDem | None = None,
    with_deviation: bool = True,
    known: KnownHeights | None = None,
) -> Course:
    """The surface that the plugin makes of an area.

    Args:
        area: no coarser and no finer than the model knows.
        card: of the model.
        worker: that holds the open model.
        overlap: of tiles, as a share of their side.
        coarse: for a guided model.
        with_deviation: whether standard deviations are wanted.
        known: heights to anchor the surface to, which guide a guided model as well.

    Raises:
        ValueError: the model cannot be asked for this area.
    """
    if known is None and (coarse is not None) != (COARSE_DEM in card.inputs):
        raise ValueError(f"the model {card.name} is asked with its coarse DEM, and only then")
    image, listener = AreaImage(area, card.sun_azimuth), Silent()
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        model = Model(card, {})
        request = Request(
            image, image.grid.window(), model, Path(), "onnxruntime", "cpu", overlap, BATCH, None,
            scratch / "dem.tif", scratch / "confidence.tif" if with_deviation else None, scratch, known,
        )  # fmt: skip
        frame = frame_of(request, listener)
        anchoring: Anchoring | None = (
            known.over(request, frame, scratch, lambda: None) if known is not None else coarse
        )
        reader = image.reader(frame.shown, frame.work.rows, frame.work.columns)
        copies = TileCopies(card, with_deviation)
        planes = TilePlanes(frame, card, stretch_of(image, request, listener), anchoring)
        weights = blending_weights(card.tile_size, frame.plan.overlap)
        with TileStore(frame.plan, weights, scratch, with_deviation) as store:
            answers = Answers(frame, card, copies, with_deviation)
            run = TileRun(frame, planes, copies, answers, reader, store, anchoring)
            run.run(worker, Pace(len(frame.plan), BATCH, False), listener)
            with_gains = bool(card.content.get(GAINS, False))
            levels = solve_levels(worker, run.observations, run.anchors, run.areas, with_gains, listener)
            blending: Blends = Blending(frame, card, store, levels, with_deviation)
            if anchoring is not None:
                blending = anchoring.anchored(blending, listener)
            ((_, block),) = blending.over([frame.work.window()])
    heights = np.where(area.valid, block.heights, np.nan).astype(np.float32)
    return Course(heights, block.spread, frame)
