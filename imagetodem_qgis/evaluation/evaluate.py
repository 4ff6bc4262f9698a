"""Evaluating a DEM: from a request to all its figures."""

from __future__ import annotations

import math
import statistics as means
from dataclasses import asdict
from pathlib import Path

from imagetodem_qgis.core.metrics import Accuracy, ErrorFigures
from imagetodem_qgis.evaluation.classes import elevation_classes
from imagetodem_qgis.evaluation.coregistration import coregister, in_map_units
from imagetodem_qgis.evaluation.gather import Gathered, gather
from imagetodem_qgis.evaluation.ground import common_grid, steps_of
from imagetodem_qgis.evaluation.notes import notes_on
from imagetodem_qgis.evaluation.pictures import draw, write_difference
from imagetodem_qgis.evaluation.planes import Planes
from imagetodem_qgis.evaluation.points import alignments, compare_points
from imagetodem_qgis.evaluation.request import Evaluation, Move, RasterComparison, Request
from imagetodem_qgis.evaluation.statistics import Statistics
from imagetodem_qgis.prediction.progress import Share
from imagetodem_qgis.prediction.request import Listener
from imagetodem_qgis.raster.cache import small_block_cache
from imagetodem_qgis.raster.elevation import Elevation, resampling_towards

_GATHERED, _COUNTED, _POINTS = 0.4, 0.9, 0.95
"""Shares of the work that are done after each step."""


def evaluate(request: Request, listener: Listener) -> Evaluation:
    """Compare a DEM with what is known, and write the raster of differences.

    Raises:
        RasterError: pixels cannot be read, or nothing can be compared.
        WorkerError: co-registration failed.
        WorkerCancelled: the user cancelled.
        Cancelled: likewise.
        OSError: the disk is full.
    """
    raster = points = None
    with small_block_cache():
        if request.reference is not None:
            raster = _compare_rasters(request, request.reference, listener)
        if request.points is not None:
            fits = dict(raster.fits) if raster is not None else None
            last = Share(listener, _COUNTED if raster is not None else 0.0, _POINTS)
            points = compare_points(request.dem, request.points, request.align, fits, last)
    evaluation = Evaluation(request, raster, points)
    notes = tuple(notes_on(evaluation))
    for note in notes:
        listener.warn(note)
    return Evaluation(request, raster, points, notes)


def _compare_rasters(request: Request, reference: Elevation, listener: Listener) -> RasterComparison:
    move = None
    if request.interpreter is not None:
        move = _move(request, reference, request.interpreter, listener)
    grid = common_grid(request.dem, reference)
    steps = steps_of(grid)
    units = request.dem.unit, reference.unit
    wide = request.dem.is_wide or reference.is_wide
    zoned = bool(request.zones or request.mask)
    with Planes(request.scratch, grid.rows, grid.columns, units, wide, zoned) as planes:
        gathered = gather(request, reference, grid, planes, Share(listener, 0.0, _GATHERED))
        moments = gathered.moments
        fits = alignments(moments)
        data_range = moments.largest - moments.least
        elevations = elevation_classes(moments.least, moments.largest)
        zones = request.zones.names if request.zones else ()
        statistics = Statistics(planes, steps, fits, request.align, elevations, zones, data_range)
        statistics.gather(Share(listener, _GATHERED, _COUNTED))
        fit = fits[request.align]
        pictures = draw(planes, steps, fit, listener)
        if request.difference is not None:
            items = {
                "IMAGETODEM_ALIGN": f"{request.align}: DEM × {fit.scale:.9g} + {fit.shift:.9g} m",
                "IMAGETODEM_DEM": request.dem.path,
                "IMAGETODEM_REFERENCE": reference.path,
            }
            rest = Share(listener, _COUNTED, 1.0)
            write_difference(planes, grid, fit, request.difference, items, rest)
        return RasterComparison(
            grid=grid,
            resampling=(resampling_towards(request.dem.grid, grid), resampling_towards(reference.grid, grid)),
            fits=fits,
            accuracies=_accuracies(statistics, gathered),
            scaled_by_tile=math.sqrt(gathered.squares_left / moments.count),
            scaled_by_tile_ratio=means.median(gathered.ratios or [math.nan]),
            tiles=len(gathered.ratios),
            sigma=moments.sigma_reference,
            plane_rmse=gathered.plane.rmse(),
            similarity=statistics.similarity,
            similarity_range=data_range,
            aspect_error=statistics.aspect_error,
            groups=statistics.groups(),
            quantiles=statistics.quantiles(),
            histogram=statistics.histogram,
            pictures=pictures,
            move=move,
        )


def _move(request: Request, reference: Elevation, interpreter: Path, listener: Listener) -> Move:
    """Find the move and put the DEM there."""
    grid = common_grid(request.dem, reference)
    listener.say("Co-registering the DEM with its reference (Nuth & Kääb 2011, by xDEM).")
    move = coregister(request, reference, grid, interpreter, listener)
    request.dem.move(*in_map_units(move, grid, request.dem.grid.crs))
    listener.say(
        f"The DEM is moved by {move.columns:.2f} columns and {move.rows:.2f} rows: {move.east:.2f} m east, "
        f"{move.north:.2f} m north."
    )
    return move


def _accuracies(statistics: Statistics, gathered: Gathered) -> dict[str, Accuracy]:
    moments, slopes = gathered.moments, statistics.slope_rmse
    figures: dict[str, ErrorFigures] = statistics.figures()
    sigma = float("nan") if moments.reference_is_flat else moments.sigma_reference
    return {
        name: Accuracy(
            **asdict(row),
            slope_rmse=slopes[name],
            correlation=moments.correlation,
            rmse_by_sigma=row.rmse / sigma,
        )
        for name, row in figures.items()
    }
