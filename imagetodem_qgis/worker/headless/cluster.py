"""A prediction on a Dask cluster: the same plan as in one process, tiles → solve → blocks.

The files must lie under the same paths for all processes; tiles are kept beside the output.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from distributed import Client, Future, as_completed

from imagetodem_qgis.core.observations import AnchorObservation, Observations, OverlapObservation
from imagetodem_qgis.core.stretch import Stretch
from imagetodem_qgis.core.surface import GAINS, Levels
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.prediction.blending import Blends, SurfaceBlock
from imagetodem_qgis.prediction.cost import check_disk
from imagetodem_qgis.prediction.frame import Frame
from imagetodem_qgis.prediction.levels import solve_levels
from imagetodem_qgis.prediction.progress import Share
from imagetodem_qgis.prediction.record import recipe
from imagetodem_qgis.prediction.request import Listener, Request, Result, going_on
from imagetodem_qgis.prediction.run import stretch_of
from imagetodem_qgis.prediction.unfinished import Unfinished
from imagetodem_qgis.prediction.writing import SurfaceFiles
from imagetodem_qgis.worker.headless.chunks import (
    Chunk,
    blend_windows,
    chunks_of,
    observe_border,
    predict_chunk,
)
from imagetodem_qgis.worker.headless.in_process import InProcessWorker
from imagetodem_qgis.worker.headless.order import Order
from imagetodem_qgis.worker.headless.writing import RasterioRasters

ROWS_OF_TILES = 4
"""In a chunk: enough that few overlaps lie between chunks, few enough that a cluster shares the work."""

_SHARE_OF_TILES = 0.85
_BLOCKS_TOGETHER = 2
_AHEAD = 2
"""Tasks under way for each of the cluster's threads while blocks are written: those that are done wait in
memory."""


def predict_on_cluster(
    order: Order,
    request: Request,
    frame: Frame,
    kept: Unfinished,
    client: Client,
    threads: int,
    listener: Listener,
) -> Result:
    """Predict on a cluster and write the files in this process.

    Args:
        order: of the prediction, for the cluster's processes.
        request: the same, for this process.
        frame: of the prediction.
        kept: where tiles are kept.
        client: of the cluster.
        threads: of the engine in each of the cluster's threads; 0 for its own choice.
        listener: is told what happens.

    Raises:
        OSError: the disk is too small.
        RasterError: the image or the known heights cannot be read, or the output cannot be written.
        WorkerError: a process cannot load the model.
    """
    check_disk(request, frame, kept.folder)
    stretch = stretch_of(request.image, request, listener)
    chunks = chunks_of(frame.plan, kept.folder, ROWS_OF_TILES)
    slots = sum(client.nthreads().values())
    listener.say(f"{len(frame.plan)} tiles in {len(chunks)} chunks on {slots} threads of the cluster.")
    share = Share(listener, 0.0, _SHARE_OF_TILES)
    done = [client.submit(predict_chunk, order, stretch, threads, chunk, pure=False) for chunk in chunks]
    borders = [
        client.submit(observe_border, order, stretch, threads, *pair, *results, pure=False)
        for pair, results in zip(zip(chunks, chunks[1:]), zip(done, done[1:]))
    ]
    for number, future in enumerate(as_completed([*done, *borders])):
        future.result()
        share.progress(100.0 * (number + 1) / (len(done) + len(borders)))
    results = client.gather(done)
    areas = np.concatenate([result.areas for result in results])
    observations, anchors = Observations(OverlapObservation), Observations(AnchorObservation)
    for result in results:
        observations.join(result.observations)
        anchors.join(result.anchors)
    for border in client.gather(borders):
        observations.join(border)
    with_gains = bool(request.model.card.content.get(GAINS, False))
    levels = solve_levels(InProcessWorker(), observations, anchors, areas, with_gains, listener)
    blends: Blends = _ClusterBlends(client, order, stretch, threads, chunks, levels, slots * _AHEAD)
    if request.known is not None:
        known = request.known.over(request, frame, request.scratch, going_on(listener))
        blends = known.anchored(blends, listener)
    tiles = sum(result.tiles for result in results)
    engine = {"engine": request.engine, "device": f"{slots} threads of a cluster"}
    metadata = recipe(request, frame, stretch, engine, tiles)
    files = SurfaceFiles(request, frame, RasterioRasters(), blends, metadata)
    return Result(tiles, *files.write(Share(listener, _SHARE_OF_TILES, 1.0)), frame.unit)


class _ClusterBlends:
    """See :class:`imagetodem_qgis.prediction.blending.Blends`."""

    def __init__(
        self,
        client: Client,
        order: Order,
        stretch: Stretch,
        threads: int,
        chunks: Sequence[Chunk],
        levels: Levels,
        ahead: int,
    ) -> None:
        self._client, self._ahead = client, ahead
        levels_there = client.scatter(levels, broadcast=True)
        self._given = (order, stretch, threads, chunks, levels_there)

    def over(self, windows: Sequence[Window]) -> Iterator[tuple[Window, SurfaceBlock]]:
        """See :class:`imagetodem_qgis.prediction.blending.Blends`."""
        waiting: deque[tuple[Sequence[Window], Future]] = deque()
        parts = [
            windows[first : first + _BLOCKS_TOGETHER] for first in range(0, len(windows), _BLOCKS_TOGETHER)
        ]
        for part in parts:
            waiting.append((part, self._client.submit(blend_windows, *self._given, part, pure=False)))
            if len(waiting) > self._ahead:
                yield from _received(*waiting.popleft())
        while waiting:
            yield from _received(*waiting.popleft())


def _received(windows: Sequence[Window], future: Future) -> Iterator[tuple[Window, SurfaceBlock]]:
    yield from zip(windows, future.result())


def connect(address: str) -> Client:
    """A client of a running cluster.

    Args:
        address: of its scheduler, such as ``tcp://host:8786``, or a scheduler file.

    Raises:
        OSError: it does not answer.
    """
    if Path(address).is_file():
        return Client(scheduler_file=address)
    return Client(address)
