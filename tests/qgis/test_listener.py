"""What threads say while an algorithm runs: QGIS hears it from the algorithm's own thread alone."""

from __future__ import annotations

import threading
from typing import Any, Callable

import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from qgis.core import QgsProcessingFeedback

from imagetodem_qgis.algorithms.listener import FeedbackListener
from imagetodem_qgis.pairs.source import SourceError

pytestmark = pytest.mark.usefixtures("qgis_app")
THREADS, LINES = 4, 500


class Heard(QgsProcessingFeedback):
    """Keeps what comes, and from which thread."""

    def __init__(self) -> None:
        super().__init__(False)
        self.lines: list[str] = []
        self.threads: set[int] = set()

    def _hear(self, line: str) -> None:
        self.lines.append(line)
        self.threads.add(threading.get_ident())

    def pushInfo(self, info: str) -> None:
        self._hear(info)

    def pushWarning(self, warning: str) -> None:
        self._hear(warning)

    def pushDebugInfo(self, info: str) -> None:
        self._hear(info)

    def setProgressText(self, text: str) -> None:
        self._hear(text)


def in_threads(work: Callable[[int], Any]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    return threads


def test_all_lines_come_in_the_algorithms_own_thread() -> None:
    feedback = Heard()
    with FeedbackListener(feedback) as listener:
        tells = (listener.say, listener.warn, listener.log, listener.text)

        def work(number: int) -> None:
            for line in range(LINES):
                tells[number](f"{number} {line}")

        threads = in_threads(work)
        while any(thread.is_alive() for thread in threads):
            assert not listener.is_cancelled()
    assert feedback.threads == {threading.get_ident()}
    for number in range(THREADS):
        own = [line for line in feedback.lines if line.startswith(f"{number} ")]
        assert own == [f"{number} {line}" for line in range(LINES)]


def test_threads_at_once_do_not_break_qgis_own_feedback() -> None:
    """Its log is no place for two threads: called directly by four, it crashes this process."""
    feedback = QgsProcessingFeedback(False)
    with FeedbackListener(feedback) as listener:
        for thread in in_threads(lambda number: [listener.log(f"line {line}") for line in range(LINES)]):
            listener.progress(50.0)
            thread.join()
    assert len(feedback.textLog().splitlines()) == THREADS * LINES
    assert feedback.progress() == 50.0


def test_a_thread_that_outlives_the_run_is_not_heard() -> None:
    feedback, go = Heard(), threading.Event()
    with FeedbackListener(feedback) as listener:
        late = threading.Thread(target=lambda: (go.wait(), listener.log("late"), listener.is_cancelled()))
        late.start()
        listener.say("in time")
    go.set()
    late.join()
    assert feedback.lines == ["in time"]


def test_what_is_left_is_told_also_where_the_run_fails() -> None:
    feedback = Heard()

    def run() -> None:
        with FeedbackListener(feedback) as listener:
            for thread in in_threads(lambda number: listener.warn(f"from {number}")):
                thread.join()
            raise SourceError("it broke")

    with pytest.raises(SourceError, match="it broke"):
        run()
    assert sorted(feedback.lines) == [f"from {number}" for number in range(THREADS)]


def test_a_cancel_is_heard_in_every_thread() -> None:
    feedback = QgsProcessingFeedback(False)
    listener, seen = FeedbackListener(feedback), []
    assert not listener.is_cancelled()
    feedback.cancel()
    for thread in in_threads(lambda number: seen.append(listener.is_cancelled())):
        thread.join()
    assert [listener.is_cancelled(), *seen] == [True] * (THREADS + 1)
