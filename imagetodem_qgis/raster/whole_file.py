"""A raster file that appears under its name only when it is whole, whatever library writes it."""

from __future__ import annotations

import glob
import os
import shutil
from pathlib import Path

NODATA = -9999.0

BLOCK_SIZE = 512
"""Side of the file's tiles in pixels; windows aligned to it are written without reading back."""

_SMALLEST_OVERVIEW = 256
_LITTLE = 1_000_000
"""Bytes: less than a block."""


def partial_name(path: Path) -> Path:
    """The hidden name under which this process writes what is to become ``path``."""
    return path.with_name(f".{path.stem}.{os.getpid()}.partial.tif")


def remove_left_overs(path: Path) -> None:
    """Remove what processes that died left beside ``path`` while they wrote it."""
    for left in path.parent.glob(f".{glob.escape(path.stem)}.*.partial.tif"):
        process = left.name.split(".")[-3]
        if process.isdigit() and not _is_alive(int(process)):
            left.unlink(missing_ok=True)


def overview_levels(size: int) -> list[int]:
    """Factors of the overviews of a raster whose longer side has ``size`` pixels: 2, 4, ... until they are
    small."""
    levels: list[int] = []
    while size // 2 ** len(levels) > _SMALLEST_OVERVIEW * 2:
        levels.append(2 ** (len(levels) + 1))
    return levels


def cannot_be_written(path: Path, reason: object) -> str:
    """What to say of a file that cannot be written; libraries do not tell a full disk from other faults."""
    is_full = path.parent.is_dir() and shutil.disk_usage(path.parent).free < _LITTLE
    return f"{path} cannot be written: {'the disk is full, make room; ' if is_full else ''}{reason}"


def put_in_place(partial: Path, path: Path) -> None:
    """Give a finished file its name, in place of whatever was there.

    Raises:
        OSError: it cannot have it.
    """
    os.replace(partial, path)
    # Statistics and overviews of the file that was there before would be taken for this one's.
    for suffix in (".aux.xml", ".ovr"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    if os.name == "nt":
        # Windows refuses to remove a file that a living process holds open, so a try does no harm.
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
