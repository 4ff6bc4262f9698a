"""What tests of training share: a listener, and requests with the tiny recipe and data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import tests.tiny_generator  # noqa: F401  (puts the recipe's network among the architectures)
from tests.tiny_dataset import write_recipe
from training.train import Progress, Request


class Recording:
    """A listener that remembers, and that stops after a number of questions."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.told: list[Progress] = []
        self.asked = 0
        self._stop_after = stop_after

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, progress: Progress) -> None:
        self.told.append(progress)

    def cancelled(self) -> bool:
        self.asked += 1
        return self.asked == self._stop_after


def requests_in(new_folder: Callable[[], Path], data: Path) -> Callable[..., Request]:
    """What makes a request with a recipe of its own changes and an empty run folder."""

    def make(fields: dict[str, Any] | None = None, **changes: Any) -> Request:
        folder = new_folder()
        recipe = write_recipe(folder / "tiny.json", **changes)
        plain = Request((data,), folder / "run", recipe, device="cpu", precision="float32")
        return replace(plain, **(fields or {}))

    return make
