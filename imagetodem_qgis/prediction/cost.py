"""What a run will take, said before it starts: time and disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imagetodem_qgis.prediction.disk import check_space, size
from imagetodem_qgis.prediction.frame import Frame
from imagetodem_qgis.prediction.pace import USUAL_BATCH
from imagetodem_qgis.prediction.request import Listener, Request
from imagetodem_qgis.prediction.store import record_size

_BYTES = 4
_OVERVIEWS = 4.0 / 3.0
"""Of a raster with its overviews, as a multiple of the raster itself."""
_BESIDE_THE_ENGINE = 1.15
"""Of the whole run's time, as a multiple of the engine's."""


def opening(request: Request) -> dict[str, Any]:
    """The request that has the worker load the model, and try how long a tile takes."""
    card = request.model.card
    # TensorFlow prepares itself for each size of a batch; it is tried with the one that is used.
    tiles = 1 if request.engine == "onnxruntime" else request.batch_size or USUAL_BATCH
    return {
        "type": "open",
        "engine": request.engine,
        "device": request.device,
        "model": request.model.engines[request.engine],
        "trial": [tiles, card.tile_size, card.tile_size, len(card.inputs)],
    }


def check_disk(request: Request, frame: Frame, folder: Path) -> None:
    """Refuse a run for which a disk is too small.

    Raises:
        OSError: it says which, and what is needed.
    """
    rasters = 1 if request.confidence is None else 2
    work = frame.work.rows * frame.work.columns * _BYTES * rasters if frame.is_resampled else 0
    check_space(request.scratch, work, "The prediction's temporary file")
    kept = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    needed = max(0, disk_of_tiles(request, frame) - kept) + disk_of_rasters(request, frame)
    check_space(folder, needed, "The DEM (OUTPUT), with its tiles until it is whole,")


def disk_of_tiles(request: Request, frame: Frame) -> int:
    """Bytes that the tiles take until the output is whole."""
    return len(frame.plan) * record_size(frame.plan, request.confidence is not None)


def disk_of_rasters(request: Request, frame: Frame) -> int:
    """Bytes that the outputs take at most."""
    rasters = 1 if request.confidence is None else 2
    return round(frame.grid.rows * frame.grid.columns * _BYTES * rasters * _OVERVIEWS)


def say_cost(
    request: Request, frame: Frame, opened: dict[str, Any], tiles: int, folder: Path, listener: Listener
) -> None:
    """Say how long a run will take and how much disk it needs.

    Args:
        request: of the run.
        frame: likewise.
        opened: the worker's answer to :func:`opening`.
        tiles: that the engine is given.
        folder: of the tiles.
        listener: told.
    """
    seconds = tiles * opened["seconds"] * _BESIDE_THE_ENGINE
    card = request.model.card
    listener.say(
        f"{len(frame.plan)} tiles of {card.tile_size} pixels with {opened['engine']} on {opened['device']}: "
        f"about {duration(seconds)}, up to {size(disk_of_tiles(request, frame))} of disk in {folder} until "
        f"the DEM is whole, and up to {size(disk_of_rasters(request, frame))} for the output."
    )


def duration(seconds: float) -> str:
    """A length of time in words."""
    if seconds < 60.0:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600.0:
        return f"{round(seconds / 60.0)} min"
    return f"{int(seconds // 3600)} h {round(seconds % 3600 / 60.0):02d} min"
