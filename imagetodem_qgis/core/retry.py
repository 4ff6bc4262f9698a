"""Trying again what a server may answer later: exponential back-off with jitter, and its own Retry-After."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Callable, TypeVar

Answer = TypeVar("Answer")

RETRYABLE_STATUS = frozenset((408, 425, 429, 500, 502, 503, 504))
"""HTTP status codes after which the same request may well succeed."""

_LOOK_UP_SECONDS = 0.1


class RetryableError(RuntimeError):
    """A failure that may pass; the message says what failed.

    Attributes:
        retry_after: seconds that the server asks to wait at least, if it does.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RetryCancelled(RuntimeError):
    """The user cancelled while it was waited."""


@dataclass(frozen=True)
class BackOff:
    """How often and after which pauses something is tried again.

    Attributes:
        attempts: in all, the first included.
        first: seconds of the first pause.
        factor: by which each further pause is longer.
        longest: seconds of a pause at most, a server's own wish included.
    """

    attempts: int = 6
    first: float = 1.0
    factor: float = 2.0
    longest: float = 60.0

    def pause(self, failures: int, retry_after: float | None, jitter: float) -> float:
        """Seconds to wait after as many failures.

        Args:
            failures: so far, 1 or more.
            retry_after: seconds that the server asks for, if it does.
            jitter: 0 to 1, drawn by chance, so that many clients do not come back at once.
        """
        own = min(self.longest, self.first * self.factor ** (failures - 1))
        # Never less than half: a server that is out of breath must not be asked again at once.
        drawn = own * (0.5 + 0.5 * jitter)
        return drawn if retry_after is None else min(self.longest, max(drawn, retry_after))


def retrying(
    call: Callable[[], Answer],
    is_cancelled: Callable[[], bool] = lambda: False,
    back_off: BackOff = BackOff(),  # noqa: B008 - it is frozen
    wait: Callable[[float], None] = time.sleep,
    tell: Callable[[str], None] = lambda text: None,
) -> Answer:
    """What a call answers, tried again while it raises :class:`RetryableError`.

    Args:
        call: to be made.
        is_cancelled: asked before each attempt and at least ten times a second while waiting.
        back_off: the pauses.
        wait: sleeps as many seconds.
        tell: is told of each failure that is tried again.

    Raises:
        RetryCancelled: the user cancelled.
        RetryableError: the last attempt failed too.
    """
    failures = 0
    while True:
        if is_cancelled():
            raise RetryCancelled("cancelled")
        try:
            return call()
        except RetryableError as error:
            failures += 1
            if failures >= back_off.attempts:
                raise
            # Chance spreads the clients; it guards nothing.
            pause = back_off.pause(failures, error.retry_after, random.random())  # noqa: S311
            tell(f"{error}: attempt {failures + 1} of {back_off.attempts} in {pause:.1f} s")
        _wait(pause, is_cancelled, wait)


def seconds_of_retry_after(header: str, now: float | None = None) -> float | None:
    """Seconds to wait by a ``Retry-After`` header: a number of seconds or a date (RFC 9110, 10.2.3).

    Args:
        header: its value, empty where there is none.
        now: seconds since 1970; the clock's where it is ``None``.

    Returns:
        0 or more; ``None`` where the header says nothing that can be understood.
    """
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return max(0.0, moment - (time.time() if now is None else now))


def _wait(seconds: float, is_cancelled: Callable[[], bool], wait: Callable[[float], None]) -> None:
    left = seconds
    while left > 0.0:
        if is_cancelled():
            raise RetryCancelled("cancelled")
        step = min(left, _LOOK_UP_SECONDS)
        wait(step)
        left -= step
