"""Means, variances and the covariance of two surfaces, gathered part by part, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.alignment import ShiftAndScale

FloatArray = NDArray[np.float64]


@dataclass
class Moments:
    """Central moments of pairs of numbers, merged without loss of digits (Chan, Golub & LeVeque 1983, eq.
    2.1).

    Attributes:
        count: pairs.
        mean_surface: of the first numbers.
        mean_reference: of the second.
        squares_surface: sum of the first numbers' squared departures from their mean.
        squares_reference: likewise of the second.
        products: sum of the products of both departures.
        least: the least second number.
        largest: the largest.
    """

    count: int = 0
    mean_surface: float = 0.0
    mean_reference: float = 0.0
    squares_surface: float = 0.0
    squares_reference: float = 0.0
    products: float = 0.0
    least: float = float("inf")
    largest: float = float("-inf")

    def add(self, surface: FloatArray, reference: FloatArray) -> None:
        """Take in known pairs, both (n,) float64."""
        if not surface.size:
            return
        first, second = float(surface.mean()), float(reference.mean())
        one, other = surface - first, reference - second
        part = Moments(
            surface.size, first, second, float(one @ one), float(other @ other), float(one @ other)
        )
        part.least, part.largest = float(reference.min()), float(reference.max())
        self.merge(part)

    def merge(self, part: Moments) -> None:
        """Take in the pairs of others."""
        whole = self.count + part.count
        if not whole:
            return
        ahead, aside = part.mean_surface - self.mean_surface, part.mean_reference - self.mean_reference
        weight = self.count * part.count / whole
        self.squares_surface += part.squares_surface + ahead * ahead * weight
        self.squares_reference += part.squares_reference + aside * aside * weight
        self.products += part.products + ahead * aside * weight
        self.mean_surface += ahead * part.count / whole
        self.mean_reference += aside * part.count / whole
        self.count = whole
        self.least, self.largest = min(self.least, part.least), max(self.largest, part.largest)

    @property
    def sigma_surface(self) -> float:
        """Standard deviation of the first numbers."""
        return float(np.sqrt(self.squares_surface / self.count)) if self.count else float("nan")

    @property
    def sigma_reference(self) -> float:
        """Standard deviation of the second numbers: the error of the reference's own mean taken for it."""
        return float(np.sqrt(self.squares_reference / self.count)) if self.count else float("nan")

    @property
    def correlation(self) -> float:
        """Pearson's, NaN where one of the two is flat."""
        if self._is_flat(self.sigma_surface, self.mean_surface) or self.reference_is_flat:
            return float("nan")
        return self.products / float(np.sqrt(self.squares_surface * self.squares_reference))

    @property
    def reference_is_flat(self) -> bool:
        """Whether the second numbers differ by no more than rounding."""
        return self._is_flat(self.sigma_reference, self.mean_reference)

    def shift(self) -> ShiftAndScale:
        """See :func:`imagetodem_qgis.core.alignment.fit_shift`."""
        return ShiftAndScale(self.mean_reference - self.mean_surface)

    def shift_and_scale(self) -> ShiftAndScale:
        """See :func:`imagetodem_qgis.core.alignment.fit_shift_and_scale`."""
        if self._is_flat(self.sigma_surface, self.mean_surface):
            return ShiftAndScale(self.mean_reference, 0.0)
        scale = self.products / self.squares_surface
        return ShiftAndScale(self.mean_reference - scale * self.mean_surface, scale)

    def squares_left(self) -> float:
        """Sum of the squared errors that the best shift and scale leaves."""
        if self._is_flat(self.sigma_surface, self.mean_surface):
            return self.squares_reference
        return max(0.0, self.squares_reference - self.products**2 / self.squares_surface)

    @staticmethod
    def _is_flat(sigma: float, mean: float) -> bool:
        # Below the rounding of float32 data, a spread is noise.
        return not sigma > 1e-7 * max(1.0, abs(mean))


@dataclass
class PlaneFit:
    """The plane nearest to a surface, by its normal equations.

    Args:
        rows: of the whole surface.
        columns: of the whole surface.
    """

    rows: int
    columns: int
    _normal: FloatArray = field(default_factory=lambda: np.zeros((3, 3)))
    _right: FloatArray = field(default_factory=lambda: np.zeros(3))
    _squares: float = 0.0
    _origin: float | None = None

    def add(self, row: FloatArray, column: FloatArray, heights: FloatArray) -> None:
        """Take in known heights, all three (n,) float64."""
        if not heights.size:
            return
        if self._origin is None:
            # Heights from the first one on: what is squared stays as small as the relief.
            self._origin = float(heights.mean())
        terms = np.stack(
            [np.ones_like(heights), 2.0 * row / self.rows - 1.0, 2.0 * column / self.columns - 1.0]
        )
        above = heights - self._origin
        self._normal += terms @ terms.T
        self._right += terms @ above
        self._squares += float(above @ above)

    def rmse(self) -> float:
        """Root mean square distance of the heights from the plane; NaN without heights."""
        count = self._normal[0, 0]
        if not count:
            return float("nan")
        plane = np.linalg.lstsq(self._normal, self._right, rcond=None)[0]
        return float(np.sqrt(max(0.0, self._squares - plane @ self._right) / count))
