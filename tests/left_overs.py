"""What a process that died leaves beside the raster that it was writing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def left_by_the_dead(path: Path) -> Path:
    """The partial file of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    left = path.with_name(f".{path.stem}.{process.pid}.partial.tif")
    left.write_bytes(b"part")
    return left
