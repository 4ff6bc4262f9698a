"""The worker: reads requests from stdin, answers on stdout, logs to stderr, ends when stdin closes."""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from typing import Any, BinaryIO, Callable

import numpy as np

from imagetodem_qgis.worker.engines import Engine, EngineError, open_engine
from imagetodem_qgis.worker.lanes import Lanes
from imagetodem_qgis.worker.protocol import Message, write_message
from imagetodem_qgis.worker.streams import own_answers, read_ahead

Finish = Callable[[], Message]
"""Waits for an answer."""


class Worker:
    """Answers requests; holds the one engine that ``open`` loads and ``predict`` uses."""

    def __init__(self) -> None:
        self._lanes: Lanes | None = None
        self._opening: dict[str, Any] = {}
        self._setting = (0, 0)
        self._begin: dict[str, Callable[[Message], Finish]] = {
            "open": lambda request: _done(self._open(request)),
            "predict": self._predict,
            "solve": lambda request: _done(_solved(request)),
            "coregister": lambda request: _done(_coregistered(request)),
        }

    def begin(self, request: Message) -> Finish:
        """Begin with a request; what waits for its answer. An error inside becomes an answer that says so.

        Answers must be waited for in the order of their requests.
        """
        try:
            finish = self._begin[request.header["type"]](request)
        # Whatever goes wrong in an engine must reach the user as words, and the worker must live on.
        except Exception as error:  # noqa: BLE001
            return _done(_told(error))

        def finished() -> Message:
            try:
                return finish()
            except Exception as error:  # noqa: BLE001
                return _told(error)

        return finished

    def _open(self, request: Message) -> Message:
        self._opening = request.header
        engine, lanes = self._load(request.header.get("lanes") or 0, request.header.get("threads") or 0)
        answer = {"type": "opened", "engine": engine.name, "device": engine.device, "lanes": engine.lanes}
        if "trial" in request.header:
            tiles, *shape = request.header["trial"]
            batch = np.zeros((max(tiles, lanes.count), *shape), np.float32)
            # The first run of an engine is slower than those that follow.
            lanes.begin(batch)()
            answer["seconds"] = lanes.begin(batch)()[1] / len(batch)
        return Message(answer)

    def _load(self, lanes: int, threads: int) -> tuple[Engine, Lanes]:
        if self._lanes is not None:
            self._lanes.close()
            self._lanes = None
        opening = self._opening
        engine = open_engine(opening["engine"], opening["model"], opening["device"], threads or None)
        self._setting = (lanes, threads)
        self._lanes = Lanes(engine, lanes or engine.lanes)
        return engine, self._lanes

    def _predict(self, request: Message) -> Finish:
        if self._lanes is None:
            raise RuntimeError("predict was asked before open")
        setting = tuple(request.header.get(key, own) for key, own in zip(("lanes", "threads"), self._setting))
        if setting != self._setting:
            self._load(*setting)
        wait = self._lanes.begin(request.arrays[0])

        def finish() -> Message:
            answers, seconds = wait()
            return Message({"type": "predicted", "seconds": seconds}, [answers])

        return finish


def _solved(request: Message) -> Message:
    from imagetodem_qgis.worker.solve import guessed_tiles, solve_levels

    pairs, _, anchored, _, areas = request.arrays
    levels = solve_levels(*request.arrays, request.header["gains"])
    return Message({"type": "solved", "guessed": guessed_tiles(pairs, anchored, areas)}, list(levels))


def _coregistered(request: Message) -> Message:
    from imagetodem_qgis.worker.coregistration import coregistered

    across, down = request.header["pixel_size"]
    east, north = coregistered(request.arrays[0], request.arrays[1], (across, down))
    return Message({"type": "coregistered", "east": east, "north": north})


def _done(answer: Message) -> Finish:
    return lambda: answer


def _told(error: Exception) -> Message:
    if not isinstance(error, EngineError):
        traceback.print_exception(type(error), error, error.__traceback__, file=sys.stderr)
    return Message({"type": "error", "error": type(error).__name__, "message": str(error)})


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests in order until the stream of requests ends.

    Answers are sent in a thread: the engine does not wait until one is taken.
    """
    worker = Worker()
    begun: queue.Queue[Finish] = queue.Queue()

    def send() -> None:
        try:
            while True:
                write_message(answers, begun.get()())
        except OSError:
            # QGIS is gone, and with it all who wait for an answer.
            os._exit(0)

    threading.Thread(target=send, daemon=True).start()
    for request in read_ahead(requests):
        begun.put(worker.begin(request))


def main() -> None:
    """Serve the parent process."""
    serve(sys.stdin.buffer, own_answers())
