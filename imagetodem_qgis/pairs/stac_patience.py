"""Waiting for calls that cannot be interrupted, such as GDAL's reading over the network."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Callable, TypeVar

from imagetodem_qgis.pairs.source import FetchCancelled, RetryableSourceError

Answer = TypeVar("Answer")

LONGEST_SECONDS = 120.0
"""Of one call; beyond it the call is left to itself and made anew."""

_LOOK_UP_SECONDS = 0.05


def patiently(
    call: Callable[[], Answer],
    is_cancelled: Callable[[], bool],
    what: str,
    give_up: Callable[[], None] = lambda: None,
) -> Answer:
    """What a call answers that cannot be interrupted itself. It runs in another thread, which is left behind
    where the user cancels or no answer comes.

    Args:
        call: to be made.
        is_cancelled: asked twenty times a second.
        what: is waited for, for the message.
        give_up: tells the call to end, if it can be told.

    Raises:
        FetchCancelled: the user cancelled.
        RetryableSourceError: there was no answer in time.
    """
    outcome: list[tuple[Answer | None, BaseException | None]] = []
    done = threading.Event()

    def run() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised again in the waiting thread
            outcome.append((None, error))
        finally:
            done.set()

    helper = getattr(_own, "helper", None) or _Helper()
    _own.helper = helper
    helper.calls.put(run)
    waited = 0.0
    while not done.wait(_LOOK_UP_SECONDS):
        waited += _LOOK_UP_SECONDS
        if is_cancelled():
            _own.helper = None
            give_up()
            raise FetchCancelled("cancelled")
        if waited > LONGEST_SECONDS:
            _own.helper = None
            give_up()
            raise RetryableSourceError(f"{what} did not come within {LONGEST_SECONDS:.0f} s")
    answer, error = outcome.pop()
    if error is None:
        return answer  # type: ignore[return-value]
    try:
        raise error
    finally:
        # Else the error would hold this frame, and this frame the error: what both hold would end no sooner
        # than Python's garbage collector comes by, in any thread.
        del error


class _Helper:
    """A thread that makes one caller's calls: QGIS and curl keep their connections by thread, so that a new
    one for each call would have to connect anew. It ends when its caller lets go of it."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=_work, args=(self.calls,), daemon=True).start()

    def __del__(self) -> None:
        self.calls.put(None)


def _work(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while True:
        call = calls.get()
        if call is None:
            return
        call()
        # What it holds need not wait for the next one.
        del call


_own = threading.local()
"""The helper of each thread that waits."""
