"""What the disk has room for, and what is said where it has not."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def size(count: float) -> str:
    """A number of bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def check_space(folder: Path, needed: int, what: str) -> None:
    """Refuse before work starts where a disk cannot hold what is to come.

    Raises:
        OSError: the folder's disk has less than ``needed`` bytes free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"{what} needs about {size(needed)} in {folder}, where {size(free)} are free: make room, or "
            "predict a smaller EXTENT"
        )


@contextmanager
def full_disks_told(*folders: Path) -> Iterator[None]:
    """Say which disk is full, and what to do.

    Args:
        folders: that are written to.

    Raises:
        OSError: one is; any other is raised as it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        fullest = min(folders, key=lambda folder: shutil.disk_usage(folder).free)
        raise OSError(
            f"the disk of {fullest} is full: make room; the next run with the same OUTPUT and the same "
            "parameters goes on with the tiles that are done"
        ) from error
