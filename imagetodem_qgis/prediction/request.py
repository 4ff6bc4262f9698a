"""What a prediction is asked for, and what it tells on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.prediction.anchors import KnownHeights
from imagetodem_qgis.prediction.rasters import ColourImage
from imagetodem_qgis.runtime.models import Model


class Cancelled(RuntimeError):
    """The user cancelled."""


class Listener(Protocol):
    """Is told of a run's progress, and asked whether to go on."""

    def progress(self, percent: float) -> None:
        """How much is done, 0 to 100."""

    def say(self, text: str) -> None:
        """Something a user wants to read."""

    def warn(self, text: str) -> None:
        """Something a user should not miss."""

    def log(self, text: str) -> None:
        """A line of the worker's log."""

    def is_cancelled(self) -> bool:
        """Whether the user wants to stop."""


@dataclass(frozen=True)
class Request:
    """A prediction to make.

    Attributes:
        image: to predict from.
        window: of the image's pixels to predict.
        model: to predict with.
        interpreter: of the machine-learning environment.
        engine: ``onnxruntime`` or ``tensorflow``.
        device: ``automatic``, ``cpu`` or ``gpu``.
        overlap: of neighbouring tiles, as a share of their side, 0 to below 1.
        batch_size: tiles given to the engine at once; 0 to find the quickest.
        sun_azimuth: degrees clockwise from north, if the user knows it.
        output: of the DEM.
        confidence: of the raster of standard deviations, if wanted.
        scratch: an existing folder for temporary files.
        known: heights that are known already, if any.
    """

    image: ColourImage
    window: Window
    model: Model
    interpreter: Path
    engine: str
    device: str
    overlap: float
    batch_size: int
    sun_azimuth: float | None
    output: Path
    confidence: Path | None
    scratch: Path
    known: KnownHeights | None = None


@dataclass(frozen=True)
class Result:
    """What a prediction came to.

    Attributes:
        tiles: how many the engine was given.
        minimum: least height of the DEM in its unit, NaN if all is nodata.
        maximum: largest height.
        unit: of the heights: ``m``, ``pixel`` (no CRS), or empty for a relative model.
    """

    tiles: int
    minimum: float
    maximum: float
    unit: str


def going_on(listener: Listener) -> Callable[[], None]:
    """What work that takes long calls again and again.

    Raises:
        Cancelled: (when called) the user cancelled.
    """

    def go_on() -> None:
        if listener.is_cancelled():
            raise Cancelled()

    return go_on
