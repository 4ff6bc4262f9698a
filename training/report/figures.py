"""The figures of held-out accuracy: their names, their order, and what they come to in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Figures = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By source of the tiles, then by answer (``model`` or a baseline), the figures by their keys."""

MODEL = "model"
BEFORE = "before fine-tuning"
LUMINANCE = "luminance"
RELATIVE_ERROR = "rmse_by_sigma_shift_scale"

_COMPARED_WITH = {BEFORE: BEFORE, LUMINANCE: "the image's brightness fitted to the heights"}


@dataclass(frozen=True)
class Column:
    """A figure's key, its heading with the unit, and the digits after the point."""

    key: str
    heading: str
    digits: int


COLUMNS = (
    Column("tiles", "tiles", 0),
    Column("mosaics", "mosaics", 0),
    Column("rmse_raw_m", "RMSE raw (m)", 1),
    Column("bias_raw_m", "bias raw (m)", 1),
    Column("rmse_shift_m", "RMSE, tile's shift (m)", 1),
    Column("rmse_shift_scale_m", "RMSE, tile's shift + scale (m)", 1),
    Column(RELATIVE_ERROR, "RMSE/σ, tile's shift + scale", 3),
    Column("rmse_mosaic_m", "RMSE, mosaic's shift + scale (m)", 1),
    Column("rmse_by_sigma_mosaic", "RMSE/σ, mosaic's shift + scale", 3),
    Column("mae_shift_m", "MAE (m)", 1),
    Column("nmad_shift_m", "NMAD (m)", 1),
    Column("le90_shift_m", "LE90 (m)", 1),
    Column("slope_rmse_deg", "slope RMSE (°)", 2),
    Column("slope_rmse_scaled_deg", "slope RMSE, shift + scale (°)", 2),
    Column("aspect_error_deg", "aspect error (°)", 0),
    Column("ssim", "SSIM", 3),
    Column("correlation", "r", 2),
    Column("rmse_by_bicubic", "RMSE / bicubic's", 3),
    Column("slope_rmse_by_bicubic", "slope RMSE / bicubic's", 3),
    Column("image_rmse", "RMSE of the colours (range 2)", 3),
    Column("image_rmse_fitted", "RMSE, bands' shift + scale", 3),
    Column("image_correlation", "r of the luminance", 2),
)


def columns_of(figures: Figures) -> list[Column]:
    """The columns that the figures hold, in order."""
    keys = {key for answers in figures.values() for row in answers.values() for key in row}
    return [column for column in COLUMNS if column.key in keys]


def cell(row: Mapping[str, float], column: Column) -> str:
    """A figure as text, empty where there is none."""
    value = row.get(column.key)
    return "" if value is None else f"{value:.{column.digits}f}"


def in_words(figures: Figures) -> list[str]:
    """A sentence or two for each source: how far the model is off, and against what."""
    return [_sentence(source, answers) for source, answers in figures.items() if MODEL in answers]


def _sentence(source: str, answers: Mapping[str, Mapping[str, float]]) -> str:
    row = answers[MODEL]
    place = f"{source}, {row['tiles']:.0f} tiles: the model's"
    if "rmse_by_bicubic" in row:
        return (
            f"{place} heights are off by {_against(row['rmse_by_bicubic'])} the coarse DEM's bicubic "
            f"interpolation, its slopes by {_against(row['slope_rmse_by_bicubic'])} that one's."
        )
    if "image_rmse" in row:
        return (
            f"{place} colours are off by {row['image_rmse'] / 2.0:.0%} of their range; its luminance follows "
            f"the true image's with a correlation of {row['image_correlation']:.2f}."
        )
    if RELATIVE_ERROR not in row:
        return f"{source}: too level for a comparison."
    error = row[RELATIVE_ERROR]
    words = f"{place} heights are off by {error:.2f} of a tile's relief"
    for name, called in _COMPARED_WITH.items():
        if name in answers:
            other = answers[name][RELATIVE_ERROR]
            words += f", {_against(error / other)} {called} ({other:.2f})"
    if row.get("correlation", 1.0) <= 0.0:
        words += ". Its heights do not rise where the ground does: do not use it there"
    return f"{words}."


def _against(ratio: float) -> str:
    change = 100.0 * (1.0 - ratio)
    return f"{abs(change):.0f} % {'less' if change >= 0.0 else 'more'} than"
