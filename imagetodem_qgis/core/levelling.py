"""Bringing a surface to known heights by a few numbers, robustly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.tiling import Window

FloatArray = NDArray[np.float64]

SHIFT, PLANE, SHIFT_AND_SCALE = "shift", "plane", "shift and scale"

LEAST_PLACES = {SHIFT: 1, PLANE: 3, SHIFT_AND_SCALE: 2}
"""How many known heights a fit takes at least."""

_ROUNDS = 20
_HUBER = 1.5
_NORMAL_CONSISTENT = 1.4826


@dataclass(frozen=True)
class Levelling:
    """``scale · z + shift + per_column · column + per_row · row``.

    Attributes:
        shift: in the heights' unit.
        scale: of the heights.
        per_column: tilt along rows, in the heights' unit a pixel.
        per_row: tilt along columns.
    """

    shift: float
    scale: float = 1.0
    per_column: float = 0.0
    per_row: float = 0.0

    def at(self, heights: FloatArray, columns: FloatArray, rows: FloatArray) -> FloatArray:
        """Levelled heights of places, (n,) each."""
        return self.scale * heights + self.shift + self.per_column * columns + self.per_row * rows

    def apply(self, window: Window, heights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Levelled heights of a window, (rows, columns) float32."""
        columns = np.arange(window.column, window.column + window.columns, dtype=np.float64)
        rows = np.arange(window.row, window.row + window.rows, dtype=np.float64)[:, None]
        tilt = self.shift + self.per_column * columns + self.per_row * rows
        return np.asarray(self.scale * heights + tilt, np.float32)


def level(
    method: str,
    heights: FloatArray,
    known: FloatArray,
    columns: FloatArray,
    rows: FloatArray,
    weights: FloatArray | None = None,
) -> Levelling:
    """The levelling that brings heights nearest to known ones, by iteratively reweighted least squares with
    Huber's function (Huber 1981): a few wrong ones do not decide.

    Args:
        method: ``shift``, ``plane`` or ``shift and scale``.
        heights: (n,), of the surface.
        known: (n,), what they ought to be.
        columns: (n,), where they lie, in pixels.
        rows: (n,), likewise.
        weights: (n,), 1 if not given.

    Raises:
        ValueError: there are too few places, or they lie so that the fit is not decided; the message says
            which.
    """
    if len(heights) < LEAST_PLACES[method]:
        raise ValueError(f"'{method}' takes {LEAST_PLACES[method]} known heights or more, not {len(heights)}")
    centre = columns.mean(), rows.mean(), heights.mean()
    terms = [np.ones(len(heights))]
    target = known - heights
    if method == PLANE:
        terms += [columns - centre[0], rows - centre[1]]
    if method == SHIFT_AND_SCALE:
        terms.append(heights - centre[2])
        target = known
    design = np.stack(terms, axis=1)
    size = np.linalg.norm(design, axis=0)
    if (size == 0.0).any() or np.linalg.matrix_rank(design / size, tol=1e-6) < design.shape[1]:
        lies = "on one line" if method == PLANE else "at one height"
        raise ValueError(f"'{method}' is not decided by places that all lie {lies}: choose another METHOD")
    found = _robust(design, target, np.ones(len(heights)) if weights is None else weights)
    if method == PLANE:
        shift = found[0] - found[1] * centre[0] - found[2] * centre[1]
        return Levelling(float(shift), 1.0, float(found[1]), float(found[2]))
    if method == SHIFT_AND_SCALE:
        return Levelling(float(found[0] - found[1] * centre[2]), float(found[1]))
    return Levelling(float(found[0]))


def _robust(design: FloatArray, target: FloatArray, weights: FloatArray) -> FloatArray:
    trust = np.ones(len(target))
    found: FloatArray = np.zeros(design.shape[1])
    for _ in range(_ROUNDS):
        root = np.sqrt(weights * trust)[:, None]
        before = found
        found = np.asarray(np.linalg.lstsq(root * design, root[:, 0] * target, rcond=None)[0], np.float64)
        residual = np.abs(target - design @ found)
        spread = _NORMAL_CONSISTENT * float(np.median(residual))
        if spread <= 0.0 or np.allclose(found, before, rtol=1e-9, atol=1e-9):
            break
        trust = np.minimum(1.0, _HUBER * spread / np.maximum(residual, 1e-300))
    return found
