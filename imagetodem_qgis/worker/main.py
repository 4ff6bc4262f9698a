"""The worker: reads requests from stdin, answers on stdout, logs to stderr, ends when stdin closes."""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from typing import Any, BinaryIO, Callable

from imagetodem_qgis.worker.engines import Engine, EngineError, open_engine
from imagetodem_qgis.worker.protocol import Message, ProtocolError, read_message, write_message


class Worker:
    """Answers requests; holds the one engine that ``open`` loads and ``predict`` uses."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._answers: dict[str, Callable[[Message], Message]] = {
            "open": self._open,
            "predict": self._predict,
            "solve": self._solve,
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
        header = request.header
        self._engine = open_engine(header["engine"], header["model"], header["device"], header.get("threads"))
        return Message({"type": "opened", "engine": self._engine.name, "device": self._engine.device})

    def _predict(self, request: Message) -> Message:
        if self._engine is None:
            raise RuntimeError("predict was asked before open")
        return Message({"type": "predicted"}, [self._engine.predict(request.arrays[0])])

    def _solve(self, request: Message) -> Message:
        from imagetodem_qgis.worker.solve import solve_offsets

        pairs, differences, weights, areas = request.arrays
        return Message({"type": "solved"}, [solve_offsets(len(areas), pairs, differences, weights, areas)])


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests one by one until the stream of requests ends.

    Requests are read ahead in a thread: the next batch arrives while the engine works on this one.
    """
    waiting: queue.Queue[Any] = queue.Queue()

    def read() -> None:
        try:
            while True:
                waiting.put(read_message(requests))
        except EOFError:
            pass
        except (ProtocolError, OSError) as error:
            print(f"the connection to QGIS broke: {error}", file=sys.stderr, flush=True)
        # QGIS closed the connection or died: nobody waits for what may still be under way.
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    worker = Worker()
    while True:
        write_message(answers, worker.answer(waiting.get()))


def main() -> None:
    """Serve the parent process."""
    # Libraries print to stdout as they please; the protocol keeps the real one to itself.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(0, os.O_BINARY)
        msvcrt.setmode(answers.fileno(), os.O_BINARY)
    serve(sys.stdin.buffer, answers)
