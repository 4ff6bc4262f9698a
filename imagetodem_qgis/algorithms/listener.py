"""QGIS's feedback as the listener of a prediction or a training."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Callable

from qgis.core import QgsProcessingFeedback


class FeedbackListener:
    """Passes what is said on to QGIS; see the ``Listener`` of :mod:`imagetodem_qgis.prediction.request` and
    of :mod:`imagetodem_qgis.runtime.training`.

    Any thread may call it, but QGIS hears all of it from the one that made it: two threads in a feedback at
    once crash QGIS, and so does a thread that outlives the run and its feedback. What others say waits until
    that one says something, asks whether to go on, or leaves the listener's block.
    """

    def __init__(self, feedback: QgsProcessingFeedback) -> None:
        self._feedback = feedback
        self._thread = threading.get_ident()
        self._waiting: SimpleQueue[tuple[Callable[[Any], None], Any]] = SimpleQueue()

    def __enter__(self) -> FeedbackListener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hand_over()

    def progress(self, percent: float) -> None:
        """How much is done, 0 to 100."""
        self._tell(self._feedback.setProgress, percent)

    def text(self, text: str) -> None:
        """What is being done now."""
        self._tell(self._feedback.setProgressText, text)

    def say(self, text: str) -> None:
        """Something a user wants to read."""
        self._tell(self._feedback.pushInfo, text)

    def warn(self, text: str) -> None:
        """Something a user should not miss."""
        self._tell(self._feedback.pushWarning, text)

    def log(self, text: str) -> None:
        """Something for those who look for the cause of a failure."""
        self._tell(self._feedback.pushDebugInfo, text)

    def is_cancelled(self) -> bool:
        """Whether the user wants to stop."""
        self._hand_over()
        return bool(self._feedback.isCanceled())

    def _tell(self, tell: Callable[[Any], None], what: Any) -> None:
        self._waiting.put((tell, what))
        self._hand_over()

    def _hand_over(self) -> None:
        if threading.get_ident() != self._thread:
            return
        while True:
            try:
                tell, what = self._waiting.get_nowait()
            except Empty:
                return
            tell(what)
