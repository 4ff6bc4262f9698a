"""Processes that a test starts or looks for, and waiting for what they do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120.0
"""To wait at most for something on a machine that has much else to do."""

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to find processes")


def children(parent: int) -> list[int]:
    """Process ids of a process's children, less those that have ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(ppid) == parent and state != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_for(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait until a condition holds; its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    return pytest.fail("nothing came of waiting")


def start_qgis(profile: Path, algorithm: str, parameters: dict[str, Any]) -> subprocess.Popen[str]:
    """Run an algorithm in a QGIS of its own.

    Args:
        profile: an existing folder for its settings.
        algorithm: id.
        parameters: of the algorithm.
    """
    return subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "tests" / "qgis_run.py"),
            str(profile),
            algorithm,
            json.dumps(parameters),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
