"""What a comparison is asked for, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.alignment import ShiftAndScale
from imagetodem_qgis.core.metrics import Accuracy, ErrorFigures
from imagetodem_qgis.raster.elevation import Elevation
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.polygons import Polygons

NONE, SHIFT, SHIFT_AND_SCALE = "none", "shift", "shift and scale"
ALIGNMENTS = (NONE, SHIFT, SHIFT_AND_SCALE)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ControlPoints:
    """Points of known height.

    Attributes:
        places: (n, 2) map coordinates in the DEM's CRS.
        heights: (n,) metres.
    """

    places: FloatArray
    heights: FloatArray


@dataclass(frozen=True)
class Request:
    """A comparison to make.

    Attributes:
        dem: to judge.
        reference: to judge it by, if there is one.
        points: likewise; at least one of the two is there.
        align: one of :data:`ALIGNMENTS`.
        interpreter: of the machine-learning environment, if the DEM is to be co-registered.
        mask: polygons outside which nothing is compared, if any.
        zones: polygons whose errors are told one by one, if any.
        difference: of the raster of differences, if wanted.
        scratch: an existing folder for temporary files.
    """

    dem: Elevation
    reference: Elevation | None
    points: ControlPoints | None
    align: str
    interpreter: Path | None
    mask: Polygons | None
    zones: Polygons | None
    difference: Path | None
    scratch: Path


@dataclass(frozen=True)
class Group:
    """Errors of a class of ground.

    Attributes:
        kind: ``slope``, ``elevation`` or ``zone``.
        label: of the class.
        figures: of its errors.
    """

    kind: str
    label: str
    figures: ErrorFigures


@dataclass(frozen=True)
class Move:
    """Where co-registration put the DEM.

    Attributes:
        columns: pixels of the compared grid to the right.
        rows: pixels down.
        east: metres along the map's x axis.
        north: metres along its y axis.
    """

    columns: float
    rows: float
    east: float
    north: float


@dataclass(frozen=True)
class Histogram:
    """Errors counted in bins of equal width.

    Attributes:
        edges: (bins + 1,) metres.
        counts: (bins,).
        below: errors under the first edge.
        above: errors over the last.
    """

    edges: FloatArray
    counts: NDArray[np.int64]
    below: int
    above: int


@dataclass(frozen=True)
class Pictures:
    """Both surfaces in few pixels, and along the diagonal.

    Attributes:
        dem: (rows, columns) aligned metres, NaN where unknown.
        reference: the same shape.
        difference: the same shape; the means of the errors.
        steps: metres of these pixels' columns and rows.
        distance: (n,) metres along the diagonal from the upper left corner.
        profile: (2, n) metres of the aligned DEM and of the reference there.
    """

    dem: FloatArray
    reference: FloatArray
    difference: FloatArray
    steps: tuple[float, float]
    distance: FloatArray
    profile: FloatArray


@dataclass(frozen=True)
class RasterComparison:
    """A DEM against a reference DEM.

    Attributes:
        grid: on which they were compared.
        resampling: GDAL's names of how each was brought there: the DEM, the reference.
        fits: shift and scale of each of :data:`ALIGNMENTS`.
        accuracies: the figures after each of them.
        scaled_by_tile: RMSE in metres after the best shift and scale of each tile of 256 × 256 pixels.
        scaled_by_tile_ratio: median over these tiles of that RMSE by the tile's standard deviation; NaN where
            all are level.
        tiles: how many of them have enough relief for that ratio.
        sigma: standard deviation of the reference: the RMSE of its mean taken for a DEM.
        plane_rmse: of the plane nearest to the reference taken for a DEM.
        similarity: mean structural similarity; NaN where no window is wholly known.
        similarity_range: metres that it takes for the range of the data.
        aspect_error: mean angle in degrees between the directions that both face, where both slope by 2
            degrees or more.
        groups: errors by class, after the chosen alignment.
        quantiles: of these errors, at :data:`imagetodem_qgis.core.error_tally.DISPLAYED`.
        histogram: of these errors.
        pictures: after the chosen alignment.
        move: of the co-registration, if there was one.
    """

    grid: Grid
    resampling: tuple[str, str]
    fits: Mapping[str, ShiftAndScale]
    accuracies: Mapping[str, Accuracy]
    scaled_by_tile: float
    scaled_by_tile_ratio: float
    tiles: int
    sigma: float
    plane_rmse: float
    similarity: float
    similarity_range: float
    aspect_error: float
    groups: tuple[Group, ...]
    quantiles: tuple[float, ...]
    histogram: Histogram
    pictures: Pictures
    move: Move | None


@dataclass(frozen=True)
class PointComparison:
    """A DEM against control points.

    Attributes:
        given: points that were given.
        fits: shift and scale of each of :data:`ALIGNMENTS`: the reference's, else the points' own.
        figures: of the errors after each of them.
        correlation: Pearson's of DEM and points.
        sigma: standard deviation of the points' heights.
        heights: (n,) metres of the points on known pixels.
        errors: (n,) metres of these after the chosen alignment.
    """

    given: int
    fits: Mapping[str, ShiftAndScale]
    figures: Mapping[str, ErrorFigures]
    correlation: float
    sigma: float
    heights: FloatArray
    errors: FloatArray


@dataclass(frozen=True)
class Evaluation:
    """What a comparison came to.

    Attributes:
        request: what was asked for.
        raster: against the reference DEM, if there is one.
        points: against the control points, if there are any.
        notes: what a reader must know beside the figures.
    """

    request: Request
    raster: RasterComparison | None
    points: PointComparison | None
    notes: tuple[str, ...] = field(default=())

    @property
    def figures_of(self) -> Mapping[str, ErrorFigures]:
        """The figures after each of :data:`ALIGNMENTS`: those of the raster where there is one."""
        if self.raster is not None:
            return self.raster.accuracies
        return self.points.figures if self.points is not None else {}

    @property
    def figures(self) -> ErrorFigures:
        """The figures after the chosen alignment."""
        return self.figures_of[self.request.align]

    @property
    def fit(self) -> ShiftAndScale:
        """The chosen alignment."""
        judged = self.raster or self.points
        return judged.fits[self.request.align] if judged is not None else ShiftAndScale(0.0)

    @property
    def correlation(self) -> float:
        """Pearson's, of the DEM's heights and the true ones."""
        if self.raster is not None:
            return self.raster.accuracies[self.request.align].correlation
        return self.points.correlation if self.points is not None else float("nan")

    @property
    def sigma(self) -> float:
        """Standard deviation of the true heights, in metres."""
        judged = self.raster or self.points
        return judged.sigma if judged is not None else float("nan")
