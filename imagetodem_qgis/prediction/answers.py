"""From what the network answers to what is kept of a tile."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.card import COARSE_DEM, ModelCard
from imagetodem_qgis.core.confidence import doubt_of, tile_deviation
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.prediction.copies import TileCopies, departure
from imagetodem_qgis.prediction.frame import Frame

FloatArray = NDArray[np.float32]

_LOG_SCALE = "log_scale"


class AnswerError(ValueError):
    """An answer that no surface can be made of."""


class TileAnswer(NamedTuple):
    """A tile's heights and, if asked for, one standard deviation of them; (rows, columns) float32 in the
    network's unit."""

    heights: FloatArray
    spread: FloatArray | None


class Answers:
    """Makes heights of a network's answers.

    Args:
        frame: of the prediction.
        card: of the model.
        copies: that the network was shown of each tile.
        spread: whether the heights' standard deviation is wanted.
    """

    def __init__(self, frame: Frame, card: ModelCard, copies: TileCopies, spread: bool) -> None:
        self._frame, self._card, self._copies = frame, card, copies
        self._doubt = doubt_of(card) if spread else None

    def check(self, answers: FloatArray, tiles: int) -> None:
        """Check the shape of the answers to a number of tiles with their copies.

        Raises:
            AnswerError: it is not what the card promises.
        """
        size, planes = self._card.tile_size, self._card.outputs
        # The original project's network answers three planes that are alike: more than the card names do
        # no harm.
        expected = (tiles * len(self._copies), size, size)
        if answers.ndim != 4 or answers.shape[:3] != expected or answers.shape[3] < len(planes):
            raise AnswerError(
                f"the network of the model '{self._card.name}' answered {expected[0]} tiles with an array "
                f"of {answers.shape}, not with {size} x {size} pixels of its card's {', '.join(planes)}"
            )

    def of(
        self,
        window: Window,
        planes: FloatArray,
        answers: FloatArray,
        valid: NDArray[np.bool_],
        is_flat: bool,
    ) -> TileAnswer:
        """What the network says of a tile.

        Args:
            window: the tile's pixels.
            planes: (tile_size, tile_size, planes), what the network was shown of it.
            answers: (copies, tile_size, tile_size, planes) as the network gave them.
            valid: (rows, columns), pixels known in the image; one of those to predict at least.
            is_flat: whether the image has one colour there.

        Raises:
            AnswerError: they are no numbers.
        """
        if not np.isfinite(answers).all():
            raise AnswerError(
                f"the model '{self._card.name}' answered the tile at row {window.row}, column "
                f"{window.column} with values that are no numbers"
            )
        turned = [
            self._frame.symmetry.undo(answer)[: window.rows, : window.columns]
            for answer in self._copies.undo(list(answers))
        ]
        spread = None
        if self._doubt is not None:
            outputs = self._card.outputs
            log_scale = turned[0][..., outputs.index(_LOG_SCALE)] if _LOG_SCALE in outputs else None
            spread = tile_deviation(
                self._doubt, log_scale, departure([answer[..., 0] for answer in turned], valid)
            )
        heights = np.ascontiguousarray(turned[0][..., 0])
        is_guided = COARSE_DEM in self._card.inputs
        if is_guided:
            # What the network adds to the coarse DEM is kept, and has a zero of its own.
            coarse = self._frame.symmetry.undo(planes[..., self._card.inputs.index(COARSE_DEM)])
            heights -= coarse[: window.rows, : window.columns]
        if is_flat:
            # An image of one colour says nothing of heights; what a network makes of it is its own border.
            heights[:] = 0.0
        if self._card.target == "relief_per_pixel" and not is_guided:
            # The network's heights have no zero of their own.
            part = self._frame.kept_of(window)
            heights -= heights[part].mean(where=valid[part], dtype=np.float64)
        return TileAnswer(heights, spread)
