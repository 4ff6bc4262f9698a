"""Figures of more errors than memory holds, by group, gathered in several passes over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core import quantiles
from imagetodem_qgis.core.metrics import NORMAL_CONSISTENT, ErrorFigures
from imagetodem_qgis.core.quantiles import Quantiles

PASSES = 2 * quantiles.PASSES
"""How often all errors must be given: the first half finds the medians, the second the deviations from
them."""

DISPLAYED = (0.005, 0.05, 0.25, 0.75, 0.95, 0.995)
"""Shares of the errors below the quantiles that a report shows beside the median."""


class ErrorTally:
    """Errors of pixels that belong to groups.

    Give all errors by :meth:`add` and call :meth:`end_pass`, :data:`PASSES` times; then ask :meth:`figures`.
    Medians and percentiles are those of the errors rounded to float32, without further approximation.

    Args:
        groups: how many.
        displayed: whether the quantiles of :data:`DISPLAYED` are wanted too.
    """

    def __init__(self, groups: int = 1, displayed: bool = False) -> None:
        self._pass = 0
        self._sums = np.zeros((3, groups))
        self._errors = Quantiles(groups, (0.5, *DISPLAYED) if displayed else (0.5,))
        self._sizes = Quantiles(groups, (0.9,))
        self._deviations = Quantiles(groups, (0.5,))

    def add(self, errors: NDArray[np.float64], groups: NDArray[np.integer] | None = None) -> None:
        """Take in errors.

        Args:
            errors: (n,) float64.
            groups: (n,), the index of each error's group; all belong to the first if not given.
        """
        rounded = errors.astype(np.float32)
        if self._pass >= quantiles.PASSES:
            medians = self.medians()
            middle = medians[0] if groups is None else medians[groups]
            self._deviations.add(np.abs(rounded - middle).astype(np.float32), groups)
            return
        sizes = np.abs(rounded)
        self._errors.add(rounded, groups)
        self._sizes.add(sizes, groups)
        if self._pass == 0:
            for number, values in enumerate((errors, np.abs(errors), errors * errors)):
                if groups is None:
                    self._sums[number, 0] += values.sum()
                else:
                    self._sums[number] += np.bincount(groups, values, self._sums.shape[1])

    def end_pass(self) -> None:
        """All errors were given once more."""
        self._pass += 1
        if self._pass <= quantiles.PASSES:
            self._errors.end_pass()
            self._sizes.end_pass()
        else:
            self._deviations.end_pass()

    def medians(self) -> NDArray[np.float64]:
        """The groups' medians, after the first half of the passes."""
        return self._errors.values()[:, 0]

    def displayed(self) -> tuple[float, ...]:
        """The first group's quantiles of :data:`DISPLAYED`, after the first half of the passes."""
        return tuple(float(value) for value in self._errors.values()[0, 1:])

    def figures(self) -> list[ErrorFigures]:
        """The figures of each group."""
        counts = self._errors.counts
        with np.errstate(invalid="ignore", divide="ignore"):
            means = self._sums / counts
        medians, le90 = self.medians(), self._sizes.values()[:, 0]
        nmad = NORMAL_CONSISTENT * self._deviations.values()[:, 0]
        return [
            ErrorFigures(
                count=int(counts[group]),
                bias=float(means[0, group]),
                median=float(medians[group]),
                mae=float(means[1, group]),
                rmse=float(np.sqrt(means[2, group])),
                nmad=float(nmad[group]),
                le90=float(le90[group]),
            )
            for group in range(len(counts))
        ]
