"""The Earth Engine worker: is asked for tiles on stdin, several at once, and answers on stdout.

The first request is ``open``, with how to get at Earth Engine and what to fetch; each other one is
``fetch``, with an ``id`` and a tile. Answers carry their request's ``id`` and come in any order:
``opened``, ``fetched`` (arrays: image, heights, sea), ``nothing`` (reason, message), ``failed`` (message,
fatal). The worker ends when stdin closes.
"""

from __future__ import annotations

import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import date
from typing import Any, BinaryIO

import numpy as np

from imagetodem_qgis.core.retry import BackOff
from imagetodem_qgis.worker.earthengine.expressions import Ground, Season
from imagetodem_qgis.worker.earthengine.failures import Failure, PassingFailure
from imagetodem_qgis.worker.earthengine.fetching import NothingThere, Pair, fetch_pair
from imagetodem_qgis.worker.earthengine.products import ELEVATIONS
from imagetodem_qgis.worker.earthengine.redaction import redacted
from imagetodem_qgis.worker.earthengine.session import Access, Session
from imagetodem_qgis.worker.protocol import Message, write_message
from imagetodem_qgis.worker.streams import own_answers, read_ahead


class Answers:
    """Writes answers, one at a time whatever the thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def put(self, message: Message) -> None:
        """Write an answer."""
        with self._lock:
            write_message(self._stream, message)


class Fetcher:
    """Fetches tiles of one query over one session."""

    def __init__(self, order: dict[str, Any]) -> None:
        access = {**order["access"], "back_off": BackOff(**order["access"]["back_off"])}
        season = order["season"]
        self._session = Session(Access(**access, authorities=order["authorities"]), tell=_log)
        self._season = Season(
            date.fromisoformat(season["start"]),
            date.fromisoformat(season["end"]),
            tuple(season["months"]),
            season["cloud"],
        )
        self._elevation = ELEVATIONS[order["elevation"]]
        self._is_composite = bool(order["is_composite"])

    def fetch(self, tile: dict[str, Any]) -> Pair:
        """A tile's pixels; raises as :func:`imagetodem_qgis.worker.earthengine.fetching.fetch_pair`."""
        return fetch_pair(self._session, Ground(**tile), self._season, self._elevation, self._is_composite)


def answer(fetcher: Fetcher, request: Message) -> Message:
    """The answer to a request for a tile; an error becomes an answer that says so."""
    number = request.header["id"]
    try:
        pair = fetcher.fetch(request.header["tile"])
    except NothingThere as nothing:
        return Message({"type": "nothing", "id": number, "reason": nothing.reason, "message": str(nothing)})
    # One tile's trouble, whatever it is, must not end the others.
    except Exception as error:  # noqa: BLE001
        return _failed(number, error)
    header = {"type": "fetched", "id": number, "scenes": [asdict(scene) for scene in pair.scenes]}
    return Message(header, [pair.image, pair.heights, pair.sea.astype(np.uint8)])


def serve(requests: BinaryIO, answers: Answers) -> None:
    """Answer requests until the stream of requests ends."""
    waiting = read_ahead(requests)
    opening = next(waiting).header
    try:
        fetcher = Fetcher(opening)
    # A sign-in that fails must reach the user as words, whatever it fails of.
    except Exception as error:  # noqa: BLE001
        answers.put(_failed(None, error))
        return
    answers.put(Message({"type": "opened", "id": None}))
    pool = ThreadPoolExecutor(opening["simultaneous"])
    for request in waiting:
        pool.submit(_put_answer, fetcher, request, answers)


def _put_answer(fetcher: Fetcher, request: Message, answers: Answers) -> None:
    answers.put(answer(fetcher, request))


def _failed(number: int | None, error: Exception) -> Message:
    fatal = isinstance(error, Failure) and error.fatal
    if not isinstance(error, (Failure, PassingFailure)):
        _log("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    return Message(
        {
            "type": "failed",
            "id": number,
            "message": redacted(str(error) or type(error).__name__),
            "fatal": fatal,
        }
    )


def _log(text: str) -> None:
    print(redacted(text), file=sys.stderr, flush=True)


def main() -> None:
    """Serve the parent process."""
    serve(sys.stdin.buffer, Answers(own_answers()))
