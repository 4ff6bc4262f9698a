"""The worker: reads requests from stdin, answers on stdout, logs to stderr, ends when stdin closes."""

from __future__ import annotations

import sys
import time
import traceback
from typing import Any, BinaryIO, Callable

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.worker.engines import Engine, EngineError, open_engine
from imagetodem_qgis.worker.protocol import Message, write_message
from imagetodem_qgis.worker.streams import own_answers, read_ahead


class Worker:
    """Answers requests; holds the one engine that ``open`` loads and ``predict`` uses."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._opening: dict[str, Any] = {}
        self._threads = 0
        self._answers: dict[str, Callable[[Message], Message]] = {
            "open": self._open,
            "predict": self._predict,
            "solve": self._solve,
            "coregister": self._coregister,
        }

    def answer(self, request: Message) -> Message:
        """The answer to a request; an error inside becomes an answer that says so."""
        try:
            return self._answers[request.header["type"]](request)
        except EngineError as error:
            return Message({"type": "error", "error": "EngineError", "message": str(error)})
        # Whatever else goes wrong in an engine must reach the user as words, and the worker must live on.
        except Exception as error:  # noqa: BLE001
            traceback.print_exc(file=sys.stderr)
            return Message({"type": "error", "error": type(error).__name__, "message": str(error)})

    def _open(self, request: Message) -> Message:
        self._opening = request.header
        self._threads = request.header.get("threads") or 0
        self._engine = self._load()
        answer = {"type": "opened", "engine": self._engine.name, "device": self._engine.device}
        if "trial" in request.header:
            tiles = np.zeros(request.header["trial"], np.float32)
            # The first run of an engine is slower than those that follow.
            self._engine.predict(tiles)
            answer["seconds"] = _timed(self._engine, tiles)[1] / len(tiles)
        return Message(answer)

    def _load(self) -> Engine:
        opening = self._opening
        return open_engine(opening["engine"], opening["model"], opening["device"], self._threads or None)

    def _predict(self, request: Message) -> Message:
        if self._engine is None:
            raise RuntimeError("predict was asked before open")
        threads = request.header.get("threads", self._threads)
        if threads != self._threads:
            self._threads = threads
            self._engine = self._load()
        answers, seconds = _timed(self._engine, request.arrays[0])
        return Message({"type": "predicted", "seconds": seconds}, [answers])

    def _solve(self, request: Message) -> Message:
        from imagetodem_qgis.worker.solve import solve_levels

        return Message({"type": "solved"}, list(solve_levels(*request.arrays, request.header["gains"])))

    def _coregister(self, request: Message) -> Message:
        from imagetodem_qgis.worker.coregistration import coregistered

        across, down = request.header["pixel_size"]
        east, north = coregistered(request.arrays[0], request.arrays[1], (across, down))
        return Message({"type": "coregistered", "east": east, "north": north})


def _timed(engine: Engine, tiles: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """An engine's answers, and the seconds that they took."""
    start = time.perf_counter()
    answers = engine.predict(tiles)
    return answers, time.perf_counter() - start


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests one by one until the stream of requests ends."""
    worker = Worker()
    for request in read_ahead(requests):
        write_message(answers, worker.answer(request))


def main() -> None:
    """Serve the parent process."""
    serve(sys.stdin.buffer, own_answers())
