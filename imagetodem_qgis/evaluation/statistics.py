"""The further passes: errors by class, slopes, aspects and structural similarity of what was gathered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.alignment import ShiftAndScale
from imagetodem_qgis.core.error_tally import PASSES, ErrorTally
from imagetodem_qgis.core.metrics import ErrorFigures, aspect_difference, gradient
from imagetodem_qgis.core.quantiles import PASSES as MEDIAN_PASSES
from imagetodem_qgis.core.similarity import WINDOW, structural_similarity
from imagetodem_qgis.evaluation.classes import (
    ELEVATION,
    SLOPE,
    ZONE,
    ElevationClasses,
    slope_class,
    slope_labels,
)
from imagetodem_qgis.evaluation.planes import Planes
from imagetodem_qgis.evaluation.request import Group, Histogram
from imagetodem_qgis.prediction.request import Cancelled, Listener

FloatArray = NDArray[np.float64]
Groups = NDArray[np.integer]

NO_ZONE = "outside all zones"

_HALO = WINDOW // 2
_BINS = 80


@dataclass
class _Mean:
    """A mean that is gathered part by part, NaN values left out."""

    total: float = 0.0
    count: int = 0

    def add(self, values: FloatArray) -> None:
        known = values[np.isfinite(values)]
        self.total += float(known.sum())
        self.count += known.size

    @property
    def value(self) -> float:
        return self.total / self.count if self.count else float("nan")


class Statistics:
    """Passes over both surfaces until all figures are there.

    Args:
        planes: the surfaces; their classes of slope are written.
        steps: metres of a column's and of a row's step in each row, (rows, 2).
        fits: alignments by name.
        chosen: name of the one whose errors are told by class.
        elevations: classes of height.
        zones: names of the zones.
        data_range: metres that structural similarity takes for the range of the data.

    Attributes:
        similarity: mean structural similarity of the chosen alignment.
        aspect_error: mean angle in degrees between the directions that both face.
        slope_rmse: degrees, by alignment.
        histogram: of the chosen alignment's errors.
    """

    def __init__(
        self,
        planes: Planes,
        steps: FloatArray,
        fits: Mapping[str, ShiftAndScale],
        chosen: str,
        elevations: ElevationClasses,
        zones: tuple[str, ...],
        data_range: float,
    ) -> None:
        self._planes, self._steps, self._fits, self._chosen = planes, steps, fits, chosen
        self._elevations, self._range = elevations, data_range
        self._labels = {SLOPE: slope_labels(), ELEVATION: elevations.labels()}
        if zones:
            self._labels[ZONE] = [NO_ZONE, *zones]
        self._whole = {name: ErrorTally(displayed=name == chosen) for name in fits}
        self._classes = {kind: ErrorTally(len(labels) + 1) for kind, labels in self._labels.items()}
        self._slope_squares = {name: _Mean() for name in fits}
        self._aspects, self._similarities = _Mean(), _Mean()
        self._counts = np.zeros(_BINS + 2, np.int64)
        self._edges: FloatArray = np.zeros(_BINS + 1)

    def gather(self, listener: Listener) -> None:
        """Make all passes.

        Raises:
            Cancelled: the user cancelled.
        """
        done = 0
        for number in range(PASSES):
            for start, stop in self._planes.strips():
                if listener.is_cancelled():
                    raise Cancelled("cancelled")
                if number == 0:
                    self._look_around(start, stop)
                self._count(number, start, stop)
                done += stop - start
                listener.progress(100.0 * done / (PASSES * self._planes.rows))
            for tally in (*self._whole.values(), *self._classes.values()):
                tally.end_pass()
            if number + 1 == MEDIAN_PASSES:
                self._edges = self._bins()

    @property
    def similarity(self) -> float:
        """See the class."""
        return self._similarities.value

    @property
    def aspect_error(self) -> float:
        """See the class."""
        return self._aspects.value

    @property
    def slope_rmse(self) -> dict[str, float]:
        """See the class."""
        return {name: float(np.sqrt(squares.value)) for name, squares in self._slope_squares.items()}

    @property
    def histogram(self) -> Histogram:
        """See the class."""
        counts = self._counts
        return Histogram(self._edges, counts[1:-1], int(counts[0]), int(counts[-1]))

    def figures(self) -> dict[str, ErrorFigures]:
        """Figures of the errors after each alignment."""
        return {name: tally.figures()[0] for name, tally in self._whole.items()}

    def quantiles(self) -> tuple[float, ...]:
        """Quantiles of the chosen alignment's errors, those of
        :data:`imagetodem_qgis.core.error_tally.DISPLAYED`."""
        return self._whole[self._chosen].displayed()

    def groups(self) -> tuple[Group, ...]:
        """Figures of the classes that have pixels."""
        found = []
        for kind, labels in self._labels.items():
            figures = self._classes[kind].figures()
            found += [Group(kind, label, row) for label, row in zip(labels, figures) if row.count]
        return tuple(found)

    def _look_around(self, start: int, stop: int) -> None:
        """What rests on a pixel's neighbours: slope, aspect, and structural similarity."""
        dem, reference = self._planes.heights(start, stop, _HALO)
        inner = slice(_HALO, -_HALO)
        compared = self._planes.compared(start, dem[inner], reference[inner])
        sizes = self._step_sizes(start, stop)
        rises = [tuple(part[inner] for part in gradient(heights, sizes)) for heights in (dem, reference)]
        steepness = [np.hypot(*rise) for rise in rises]
        reference_slope = np.degrees(np.arctan(steepness[1]))
        self._planes.slope_class.write(start, slope_class(reference_slope))
        for name, fit in self._fits.items():
            slopes = np.degrees(np.arctan(abs(fit.scale) * steepness[0]))
            self._slope_squares[name].add((slopes - reference_slope)[compared] ** 2)
        fit = self._fits[self._chosen]
        aligned = (rises[0][0] * fit.scale, rises[0][1] * fit.scale)
        self._aspects.add(aspect_difference(aligned, (rises[1][0], rises[1][1]))[compared])
        if self._range > 0.0:
            # A window's value belongs to its middle, and windows reach into what the mask leaves out.
            similar = structural_similarity(fit.apply(dem), reference, self._range)
            self._similarities.add(similar[compared[:, _HALO:-_HALO]] if similar.size else similar)

    def _count(self, number: int, start: int, stop: int) -> None:
        dem, reference = self._planes.heights(start, stop)
        compared = self._planes.compared(start, dem, reference)
        surface, truth = dem[compared], reference[compared]
        for name, fit in self._fits.items():
            errors = fit.apply(surface) - truth
            self._whole[name].add(errors)
            if name != self._chosen:
                continue
            for kind, tally in self._classes.items():
                tally.add(errors, self._groups_of(kind, start, stop, truth, compared))
            if number == MEDIAN_PASSES:
                places = np.searchsorted(self._edges, errors, side="right")
                self._counts += np.bincount(places, minlength=_BINS + 2)

    def _groups_of(
        self, kind: str, start: int, stop: int, truth: FloatArray, compared: NDArray[np.bool_]
    ) -> Groups:
        if kind == SLOPE:
            classes: Groups = self._planes.slope_class.read(start, stop)[compared]
            return classes
        if kind == ELEVATION:
            return self._elevations.of(truth)
        return self._planes.zones(start, stop)[compared]

    def _step_sizes(self, start: int, stop: int) -> tuple[FloatArray, FloatArray]:
        """Steps of some rows and of those around them; beyond the grid nothing is known anyhow."""
        rows = np.clip(np.arange(start - _HALO, stop + _HALO), 0, self._planes.rows - 1)
        return self._steps[rows, 0], self._steps[rows, 1]

    def _bins(self) -> FloatArray:
        low, *_, high = self._whole[self._chosen].displayed()
        reach = max(high - low, 1e-6 * max(1.0, abs(low)), 1e-6)
        edges: FloatArray = np.linspace(low - 0.05 * reach, high + 0.05 * reach, _BINS + 1)
        return edges
