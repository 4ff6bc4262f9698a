"""Several questions at once to the Earth Engine worker."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any, Callable

from imagetodem_qgis.pairs.earthengine_network import trusted_authorities, worker_proxy
from imagetodem_qgis.pairs.source import FetchCancelled, SourceError
from imagetodem_qgis.runtime.client import WorkerCancelled, WorkerClient, WorkerError
from imagetodem_qgis.worker.protocol import Message

_MODULE = "imagetodem_qgis.worker.earthengine.main"
_LOOK_UP_SECONDS = 0.1


class Connection:
    """A running worker, asked by several threads; its sign-in goes on while they wait for their first answer.

    Args:
        interpreter: of the machine-learning environment.
        opening: the worker's first request.
        log: is given each line of the worker's log.

    Raises:
        SourceError: the worker cannot be started.
    """

    def __init__(self, interpreter: Path, opening: dict[str, Any], log: Callable[[str], None]) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, queue.Queue[Message | SourceError]] = {}
        self._next = 0
        self._end: SourceError | None = None
        self._closed = threading.Event()
        try:
            self._client = WorkerClient(
                interpreter, self._closed.is_set, log, module=_MODULE, variables=worker_proxy()
            )
        except WorkerError as error:
            raise SourceError(str(error), fatal=True) from error
        self._client.send({"type": "open", "authorities": trusted_authorities(), **opening})
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def ask(self, request: dict[str, Any], is_cancelled: Callable[[], bool]) -> Message:
        """The answer to a request.

        Raises:
            FetchCancelled: the user cancelled, or the connection was closed; the worker goes on until it is
                closed.
            SourceError: the sign-in failed, or the worker died.
        """
        answers: queue.Queue[Message | SourceError] = queue.Queue()
        with self._lock:
            if self._end is not None:
                raise self._end
            number = self._next
            self._next += 1
            self._waiting[number] = answers
        self._client.send({**request, "id": number})
        try:
            while True:
                if is_cancelled() or self._closed.is_set():
                    raise FetchCancelled("cancelled")
                try:
                    answer = answers.get(timeout=_LOOK_UP_SECONDS)
                    break
                except queue.Empty:
                    continue
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if isinstance(answer, SourceError):
            raise answer
        return answer

    def close(self) -> None:
        """End the worker, within a second."""
        self._closed.set()
        self._client.close()
        self._listener.join(1.0)

    def _listen(self) -> None:
        try:
            while True:
                self._hand_over(self._client.receive())
        except WorkerCancelled:
            return
        except (WorkerError, SourceError) as error:
            # A worker that is being closed says nothing more that matters.
            if not self._closed.is_set():
                self._give_up(
                    error if isinstance(error, SourceError) else SourceError(str(error), fatal=True)
                )

    def _hand_over(self, answer: Message) -> None:
        number = answer.header["id"]
        if number is None:
            if answer.header["type"] == "failed":
                raise SourceError(answer.header["message"], fatal=True)
            return
        with self._lock:
            waiting = self._waiting.get(number)
        # Who asked may have been cancelled.
        if waiting is not None:
            waiting.put(answer)

    def _give_up(self, error: SourceError) -> None:
        with self._lock:
            self._end = error
            waiting = list(self._waiting.values())
        for answers in waiting:
            answers.put(error)
