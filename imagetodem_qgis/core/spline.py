"""A smooth surface through scattered values: the thin-plate spline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MOST_PLACES = 1500
"""Places that are solved for together; more are averaged first."""

_CHUNK = 2048


class ThinPlate:
    """The surface of least bending energy through values at places (Duchon 1977; Wahba 1990, section 2.4).

    ``f(p) = a + b·p + Σ w_i φ(|p - p_i|)`` with ``φ(r) = r² ln r``, ``Σ w_i = 0`` and ``Σ w_i p_i = 0``.
    Fewer than three places, or places on one line, get a surface that is level across the line.

    Args:
        places: (n, 2), n >= 1.
        values: (n,).
    """

    def __init__(self, places: FloatArray, values: FloatArray) -> None:
        places, values, self._group = _averaged(np.asarray(places, float), np.asarray(values, float))
        self._centre = places.mean(axis=0)
        self._size = float(np.abs(places - self._centre).max()) or 1.0
        self._places = (places - self._centre) / self._size
        self._plane = self._basis(self._places)
        count, terms = self._plane.shape
        matrix = np.zeros((count + terms, count + terms))
        matrix[:count, :count] = _kernel(self._places, self._places)
        matrix[:count, count:] = self._plane
        matrix[count:, :count] = self._plane.T
        decided = np.linalg.matrix_rank(self._plane) == terms
        self._inverse = np.linalg.inv(matrix) if decided else np.linalg.pinv(matrix, hermitian=True)
        self._solution = self._inverse @ np.concatenate([values, np.zeros(terms)])

    def __call__(self, places: FloatArray) -> FloatArray:
        """Values of the surface at places (n, 2)."""
        result = np.empty(len(places))
        count = len(self._places)
        for start in range(0, len(places), _CHUNK):
            scaled = (places[start : start + _CHUNK] - self._centre) / self._size
            bent = _kernel(scaled, self._places) @ self._solution[:count]
            result[start : start + _CHUNK] = bent + self._basis(scaled) @ self._solution[count:]
        return result

    def left_out(self) -> FloatArray:
        """Each value less what the surface made without it has there, (n,): ``w_i / A⁻¹_ii`` (Rippa 1999).
        Values that were averaged first get what holds for their mean."""
        diagonal = np.diag(self._inverse)[: len(self._places)]
        weights = self._solution[: len(self._places)]
        usable = np.abs(diagonal) > 1e-9 * max(1e-300, float(np.abs(diagonal).max()))
        if len(self._places) == 1:
            return np.zeros(len(self._group))
        return np.where(usable, weights / np.where(usable, diagonal, 1.0), 0.0)[self._group]

    @staticmethod
    def _basis(places: FloatArray) -> FloatArray:
        return np.concatenate([np.ones((len(places), 1)), places], axis=1)


def _kernel(first: FloatArray, second: FloatArray) -> FloatArray:
    squares = ((first[:, None, :] - second[None, :, :]) ** 2).sum(axis=-1)
    return np.asarray(0.5 * squares * np.log(np.maximum(squares, 1e-300)))


def _averaged(places: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """At most :data:`MOST_PLACES` places: the means over squares where there are more; of equal places, one.
    Then their values, and which of them each place went into."""
    least, size = places.min(axis=0), np.ptp(places, axis=0).max() or 1.0
    # Two places that cannot be told apart make the equations singular.
    side = 1e9 if len(places) <= MOST_PLACES else np.sqrt(MOST_PLACES) - 1.0
    square = np.floor((places - least) / size * side)
    _, group = np.unique(square, axis=0, return_inverse=True)
    group = np.ravel(group)
    count = np.bincount(group)
    means = [np.bincount(group, column) / count for column in (places[:, 0], places[:, 1], values)]
    return np.stack(means[:2], axis=1), means[2], group
