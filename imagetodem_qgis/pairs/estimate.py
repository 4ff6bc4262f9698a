"""What a run will cost, said before the first byte."""

from __future__ import annotations

import shutil
from pathlib import Path

from imagetodem_qgis.pairs.source import Estimate

_BANDS = 4
"""Red, green, blue and the height."""
_COMPRESSED = 0.8
_RESERVE = 100_000_000


def disk_bytes(tiles: int, size: int, bytes_a_value: int) -> int:
    """About how much room the files of some tiles take."""
    return round(tiles * size * size * _BANDS * bytes_a_value * _COMPRESSED)


def check_room(folder: Path, needed: int) -> None:
    """Refuse before work starts where a disk cannot hold what is to come.

    Raises:
        OSError: too little is free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + _RESERVE:
        raise OSError(
            f"the pairs need about {size_in_words(needed)} in {folder}, where {size_in_words(free)} are "
            "free: make room, choose another OUTPUT, or a smaller area"
        )


def in_words(estimate: Estimate) -> str:
    """An estimate for a user."""
    if not estimate.requests:
        return "nothing is asked of a server"
    plural = "s" * (estimate.requests != 1)
    return f"about {estimate.requests:,} request{plural} and {size_in_words(estimate.bytes)} to fetch"


def size_in_words(count: float) -> str:
    """Bytes for a user."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"


def time_in_words(seconds: float) -> str:
    """A duration for a user, rounded up."""
    if seconds < 90.0:
        return f"{max(1.0, seconds):.0f} s"
    if seconds < 5400.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h"
