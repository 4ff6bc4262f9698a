"""The worker within this process: there is no QGIS here to keep apart from it."""

from __future__ import annotations

from collections import deque
from typing import Any

from numpy.typing import NDArray

from imagetodem_qgis.runtime.client import WorkerError
from imagetodem_qgis.worker.main import Finish, Worker
from imagetodem_qgis.worker.protocol import Message


class InProcessWorker:
    """Begins with requests at once, and waits for the answers when they are asked for; see
    :class:`imagetodem_qgis.prediction.tiles.Asked`."""

    def __init__(self) -> None:
        self._worker = Worker()
        self._waiting: deque[Finish] = deque()

    def send(self, header: dict[str, Any], arrays: list[NDArray[Any]] | None = None) -> None:
        """See :class:`imagetodem_qgis.prediction.tiles.Asked`."""
        self._waiting.append(self._worker.begin(Message(header, arrays or [])))

    def receive(self) -> Message:
        """See :class:`imagetodem_qgis.prediction.tiles.Asked`.

        Raises:
            WorkerError: the engine or the solve failed.
        """
        answer = self._waiting.popleft()()
        if answer.header["type"] == "error":
            raise WorkerError(answer.header["message"])
        return answer

    def ask(self, header: dict[str, Any], arrays: list[NDArray[Any]] | None = None) -> Message:
        """See :class:`imagetodem_qgis.prediction.tiles.Asked`."""
        self.send(header, arrays)
        return self.receive()
