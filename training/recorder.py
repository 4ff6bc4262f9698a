"""What a run leaves for people: pictures of held-out tiles and TensorBoard logs while it goes on, the report
at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagetodem_qgis.core.card import COARSE_DEM, DEM_TO_IMAGE
from training.recipe import Recipe
from training.report import TilePictures, write_report
from training.request import Listener
from training.validation import FloatArray, HeldOut

PICTURES = "pictures"
LOGS = "tensorboard"
_TILES = 6
_TEXTS = ("stage",)


class Recorder:
    """Pictures and logs of a run.

    Args:
        folder: of the run.
        recipe: of the run.
        listener: who is told what cannot be recorded.
    """

    def __init__(self, folder: Path, recipe: Recipe, listener: Listener) -> None:
        self._recipe = recipe
        self.pictures = TilePictures(folder / PICTURES, recipe.direction)
        self._log: Any = None
        try:
            from training.report.tensorboard_log import TensorBoardLog

            self._log = TensorBoardLog(folder / LOGS)
        except ImportError as error:
            listener.note(str(error))

    def add(self, row: Mapping[str, Any], held_out: HeldOut, answers: FloatArray) -> None:
        """Record a look at the held-out tiles.

        Args:
            row: the epoch's, as in a result's history.
            held_out: the tiles.
            answers: to them, (n, size, size, planes).
        """
        epoch = int(row["epoch"])
        if self._log is not None:
            values = {key: float(value) for key, value in row.items() if key not in _TEXTS}
            self._log.scalars(epoch, values)
        if epoch > 1 and epoch % self._recipe.picture_epochs:
            return
        picture = self.draw(epoch, held_out, answers)
        if self._log is not None:
            self._log.picture(epoch, "held-out tiles", picture)

    def draw(self, epoch: int, held_out: HeldOut, answers: FloatArray) -> Path:
        """Draw some of the held-out tiles; returns the picture's path."""
        chosen = _spread(held_out, _TILES)
        known = held_out.target[chosen][..., -1] > 0
        relief = held_out.relief[chosen]
        if self._recipe.direction == DEM_TO_IMAGE:
            truth = held_out.target[chosen][..., :3]
            return self.pictures.add(epoch, relief, answers[chosen][..., :3], truth, known)
        in_pixels = (held_out.metres / held_out.gsd)[chosen, None, None]
        predicted = answers[chosen][..., 0] * in_pixels
        if COARSE_DEM in self._recipe.inputs:
            # The network adds to the coarse DEM what it lacks.
            predicted = relief + (answers[chosen][..., 0] - held_out.target[chosen][..., 0]) * in_pixels
        return self.pictures.add(epoch, np.clip(held_out.images[chosen], -1, 1), predicted, relief, known)

    def report(
        self,
        path: Path,
        facts: Mapping[str, Mapping[str, Any]],
        history: Sequence[Mapping[str, Any]],
        figures: Mapping[str, Any],
        best_epoch: int,
        notes: Sequence[str],
    ) -> None:
        """Write the page about the run; see :func:`training.report.write_report`."""
        write_report(path, facts, history, self.pictures, dict(figures), best_epoch, notes)

    def close(self) -> None:
        """Close the logs."""
        if self._log is not None:
            self._log.close()


def _spread(held_out: HeldOut, count: int) -> list[int]:
    """Numbers of tiles spread over all of them, those with the most relief of their neighbourhood."""
    relief = held_out.relief.std(axis=(1, 2))
    parts = np.array_split(np.arange(len(relief)), min(count, len(relief)))
    return [int(part[np.argmax(relief[part])]) for part in parts]
