"""One at a time, across processes: the lock goes with the process that holds it, however that one ends."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Callable

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class LockedError(Exception):
    """Another process holds the lock."""


@contextlib.contextmanager
def exclusive(file: Path, is_cancelled: Callable[[], bool], patience: float = 5.0) -> Iterator[None]:
    """Hold the lock of a file while the block runs.

    Args:
        file: made where it is missing, and left.
        is_cancelled: asked while waiting.
        patience: seconds to wait for another holder.

    Raises:
        LockedError: another process still holds it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with open(file, "a+b") as stream:
        while not _locked(stream):
            if time.monotonic() > deadline or is_cancelled():
                raise LockedError(str(file))
            time.sleep(0.1)
        try:
            yield
        finally:
            _unlock(stream)


def _locked(stream: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _unlock(stream: IO[bytes]) -> None:
    if sys.platform == "win32":
        stream.seek(0)
        msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(stream, fcntl.LOCK_UN)
