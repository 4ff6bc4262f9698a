"""Environments made from tiny wheels, what the making told, and what came of it."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from pathlib import Path

from imagetodem_qgis.runtime.environment import Listener, make_environment
from imagetodem_qgis.runtime.inspection import inspect
from imagetodem_qgis.runtime.marker import State, environment_python, read_marker
from imagetodem_qgis.runtime.profiles import PROFILES

SMALL = {name: replace(profile, room=50_000_000) for name, profile in PROFILES.items()}


class Heard:
    """A listener that remembers, and cancels at a line that contains some words."""

    def __init__(self, cancel_at: str = "\0") -> None:
        self.lines: list[str] = []
        self.percents: list[float] = []
        self._cancel_at = cancel_at
        self.cancelled_at = 0.0

    @property
    def listener(self) -> Listener:
        return Listener(self._hear, self.percents.append, lambda: self.cancelled_at > 0)

    def _hear(self, line: str) -> None:
        self.lines.append(line)
        if self._cancel_at in line:
            self.cancelled_at = time.monotonic()

    def says(self, words: str) -> bool:
        return any(words in line for line in self.lines)


def make(folder: Path, wheels: Path, profile: str = "predict", heard: Heard | None = None, **options) -> Path:
    return make_environment(
        folder,
        SMALL[profile],
        wheels / "requirements.txt",
        wheels=wheels,
        listener=(heard or Heard()).listener,
        **options,
    )


def packages_folder(folder: Path) -> Path:
    return inspect(environment_python(folder)).packages_folders[0]


def imported(folder: Path, code: str) -> str:
    command = [str(environment_python(folder)), "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def is_whole(folder: Path, *profiles: str) -> bool:
    marker = read_marker(folder)
    return marker.state is State.WHOLE and sorted(marker.requirements) == sorted(profiles)
