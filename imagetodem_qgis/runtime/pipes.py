"""The pipes to a child process, which threads read from and write to."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import IO

_LAST_LINES_SECONDS = 0.4
"""What the threads have to come to their end once the child has ended."""


def close_pipes(*pipes: tuple[IO[bytes] | None, threading.Thread | None]) -> None:
    """Close the pipes to a child that has ended, each as soon as the thread that uses it has.

    A grandchild in a group of its own may hold a pipe open. Closing that would wait for its reader, and so
    for the grandchild: it is left to them.
    """
    deadline = time.monotonic() + _LAST_LINES_SECONDS
    for stream, user in pipes:
        if user is not None:
            user.join(max(0.0, deadline - time.monotonic()))
        if stream is not None and (user is None or not user.is_alive()):
            # What was still to be written to a child that is gone is lost with it.
            with contextlib.suppress(OSError, ValueError):
                stream.close()
