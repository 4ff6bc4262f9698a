"""Faults on command."""

from __future__ import annotations

import threading
from dataclasses import dataclass

ANY, DISCOVERY, TOKEN, VALUE, PIXELS = "any", "discovery", "token", "value", "pixels"

STATUS, SLOW, CUT, TRUNCATED, EXPIRED, HTML, RESET, GARBLED = (
    "status",
    "slow",
    "cut",
    "truncated",
    "expired",
    "html",
    "reset",
    "garbled",
)
"""An HTTP status; an answer that waits; a connection that is closed in the middle of the body; a body that is
shorter but whole as HTTP; tokens that are no longer taken; a web page in place of data; a connection that is
closed without an answer; bytes of no format."""


@dataclass
class Fault:
    """What a server is to do wrong.

    Attributes:
        kind: of it.
        at: the kind of request that it meets.
        times: how often; -1 for always.
        after: requests of the kind that go well before.
        status: of ``status``.
        message: of ``status``.
        retry_after: header of ``status``.
        seconds: of ``slow``.
    """

    kind: str
    at: str = PIXELS
    times: int = 1
    after: int = 0
    status: int = 500
    message: str = "Internal error."
    retry_after: str | None = None
    seconds: float = 5.0


class Faults:
    """The faults that are still to come; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Have a fault come."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Have none come."""
        with self._lock:
            self._faults.clear()

    def of(self, kind: str) -> Fault | None:
        """The fault that meets a request of a kind, which uses it up once."""
        with self._lock:
            for fault in self._faults:
                if fault.at not in (ANY, kind) or fault.times == 0:
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                if fault.times > 0:
                    fault.times -= 1
                return fault
        return None
