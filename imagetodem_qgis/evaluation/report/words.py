"""The figures with what they mean in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from imagetodem_qgis.core.metrics import LEAST_SLOPE_WITH_ASPECT, ErrorFigures
from imagetodem_qgis.evaluation.request import (
    NONE,
    SHIFT,
    SHIFT_AND_SCALE,
    Evaluation,
    RasterComparison,
)

ALIGNED = {
    NONE: "as it is",
    SHIFT: "after one shift",
    SHIFT_AND_SCALE: "after one shift and scale",
}
"""The alignments as parts of sentences."""


@dataclass(frozen=True)
class Meaning:
    """A figure with its name, its value with the unit, and what it means."""

    name: str
    value: str
    meaning: str


def metres(value: float) -> str:
    """A length with three digits or so, ``–`` for none."""
    if not math.isfinite(value):
        return "–"
    if abs(value) < 5e-5:
        return "0 m"
    digits = 0 if abs(value) >= 100.0 else 1 if abs(value) >= 10.0 else 2 if abs(value) >= 0.1 else 4
    return f"{value:,.{digits}f} m".replace(",", "\u202f").replace("-", "\u2212")


def whole(count: int) -> str:
    """A count, its thousands set apart."""
    return f"{count:,}".replace(",", "\u202f")


def plain(value: float, digits: int = 3) -> str:
    """A number without a unit, ``–`` for none."""
    return f"{value:.{digits}f}".replace("-", "\u2212") if math.isfinite(value) else "–"


def degrees(value: float) -> str:
    """An angle, ``–`` for none."""
    return f"{value:.1f}°" if math.isfinite(value) else "–"


def verdict(evaluation: Evaluation) -> list[str]:
    """What the comparison comes to, in two or three sentences."""
    figures, align = evaluation.figures, evaluation.request.align
    judge = "the reference" if evaluation.raster is not None else "the control points"
    sentences = [
        f"Nine heights out of ten lie within {metres(figures.le90)} of {judge}; half of all errors lie "
        f"within {metres(figures.nmad / 1.4826)} of their median ({metres(figures.median)}). The DEM is "
        f"taken {ALIGNED[align]}."
    ]
    if evaluation.raster is not None:
        sentences.append(_against_baselines(evaluation.raster, figures))
        if align != NONE:
            raw = evaluation.raster.accuracies[NONE]
            sentences.append(f"As it is, its RMSE is {metres(raw.rmse)} with a bias of {metres(raw.bias)}.")
    if evaluation.raster is not None and evaluation.points is not None:
        checked = evaluation.points.figures[align]
        sentences.append(
            f"At {checked.count} control points the same alignment leaves an RMSE of {metres(checked.rmse)} "
            f"and a bias of {metres(checked.bias)}."
        )
    return sentences


def meanings(evaluation: Evaluation) -> list[Meaning]:
    """All figures of the chosen alignment."""
    figures = evaluation.figures
    rows = [
        Meaning("Heights compared", whole(figures.count), _what_was_compared(evaluation)),
        Meaning(
            "Bias (mean error)",
            metres(figures.bias),
            "How much too high the DEM is on the whole; below zero it is too low.",
        ),
        Meaning("Median error", metres(figures.median), "The same, without the say of a few large errors."),
        Meaning("MAE", metres(figures.mae), "The mean size of an error, whatever its sign."),
        Meaning("RMSE", metres(figures.rmse), "The root of the mean square: large errors count most."),
        Meaning(
            "NMAD",
            metres(figures.nmad),
            "The spread of the bulk of the errors: a standard deviation that a few large errors do not "
            "raise.",
        ),
        Meaning("LE90", metres(figures.le90), "Nine errors out of ten are smaller than this."),
    ]
    if evaluation.raster is not None:
        rows += _of_raster(evaluation.raster, evaluation.request.align)
    elif evaluation.points is not None:
        rows.append(_correlation(evaluation.points.correlation))
    return rows


def _of_raster(raster: RasterComparison, align: str) -> list[Meaning]:
    accuracy = raster.accuracies[align]
    return [
        Meaning(
            "RMSE / σ",
            plain(accuracy.rmse_by_sigma),
            "RMSE as a share of the ground's own relief (its standard deviation): 1 is no better than "
            "knowing the mean height alone.",
        ),
        Meaning(
            "Slope RMSE",
            degrees(accuracy.slope_rmse),
            "How far slopes are off: what counts for water, roads and hillshades.",
        ),
        Meaning(
            "Aspect error",
            degrees(raster.aspect_error),
            "Mean angle between the directions that the ground faces, where both surfaces slope by "
            f"{LEAST_SLOPE_WITH_ASPECT:g}° or more; 90° is chance.",
        ),
        _correlation(accuracy.correlation),
        Meaning(
            "SSIM",
            plain(raster.similarity),
            "Structural similarity of 7 × 7 pixels, 1 where alike; the range of the data is taken as "
            f"{metres(raster.similarity_range)}, the reference's own.",
        ),
    ]


def _correlation(value: float) -> Meaning:
    return Meaning(
        "Correlation",
        plain(value),
        "Whether the DEM rises where the ground does: 1 always, 0 by chance, below 0 upside down.",
    )


def _against_baselines(raster: RasterComparison, figures: ErrorFigures) -> str:
    if not raster.sigma > 0.0:
        return "The reference is level: ratios to its relief say nothing."
    level = f"level ground at the true mean height ({metres(raster.sigma)})"
    plane = f"the best plane ({metres(raster.plane_rmse)})"
    found = f"Its RMSE of {metres(figures.rmse)} is"
    if figures.rmse >= raster.sigma:
        return f"{found} no less than that of {level}: its heights are worth nothing here."
    share = f"{1.0 - figures.rmse / raster.sigma:.0%} less than that of {level}"
    if figures.rmse >= raster.plane_rmse:
        return f"{found} {share}, but no less than that of {plane}."
    return f"{found} {share}, and less than that of {plane}."


def _what_was_compared(evaluation: Evaluation) -> str:
    if evaluation.raster is None:
        return "Control points on known pixels of the DEM."
    masked = " inside the mask" if evaluation.request.mask is not None else ""
    return f"Pixels{masked} with heights in both."
