"""What a reader of the figures must know beside them."""

from __future__ import annotations

from collections.abc import Iterator

from imagetodem_qgis.core.height_values import FOOT
from imagetodem_qgis.evaluation.request import NONE, Evaluation, RasterComparison
from imagetodem_qgis.raster.elevation import Elevation

_FEET_WITHIN = 0.03
_CLEAR = 0.9
"""Correlation from which a scale tells of the unit."""
_BIASED = 0.8
"""Share of the RMSE from which its bias says more than its scatter."""
_FEW = 30


def notes_on(evaluation: Evaluation) -> Iterator[str]:
    """Sentences, the most important first."""
    raster, points, request = evaluation.raster, evaluation.points, evaluation.request
    if raster is not None and request.reference is not None:
        yield from _on_units(raster, request.dem, request.reference)
        if not raster.grid.crs:
            yield (
                "Neither DEM has a coordinate reference system: map units are taken for metres, and slopes "
                "rest on that."
            )
    figures = evaluation.figures
    if request.align == NONE and abs(figures.bias) > _BIASED * figures.rmse and figures.rmse > 0.0:
        yield (
            f"Nearly all of the error is a constant {figures.bias:+.4g} m: the two have different zeros or "
            "vertical datums. ALIGN = shift leaves the constant out."
        )
    if evaluation.correlation <= 0.0:
        yield "The DEM does not rise where the ground does: do not use its heights here."
    if figures.count < _FEW:
        yield f"Only {figures.count} heights were compared: medians and percentiles say little."
    if points is not None and len(points.errors) < points.given:
        left_out = points.given - len(points.errors)
        yield f"{left_out} of {points.given} control points lie on no known pixel and were left out."


def _on_units(raster: RasterComparison, dem: Elevation, reference: Elevation) -> Iterator[str]:
    accuracy = next(iter(raster.accuracies.values()))
    scale = raster.fits["shift and scale"].scale
    if not accuracy.correlation > _CLEAR:
        return
    for factor, one, other in ((FOOT, dem, reference), (1.0 / FOOT, reference, dem)):
        if abs(scale / factor - 1.0) < _FEET_WITHIN:
            yield (
                f"{one.path} seems to be in feet and {other.path} in metres: their heights differ by a "
                f"factor of {1.0 / FOOT:.3f}. Say so with DEM_UNIT or REFERENCE_UNIT."
            )
