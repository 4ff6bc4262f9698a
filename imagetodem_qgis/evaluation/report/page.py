"""The report of a comparison as one page of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

import numpy as np

from imagetodem_qgis.core.metrics import ErrorFigures
from imagetodem_qgis.evaluation.classes import ELEVATION, SLOPE, ZONE
from imagetodem_qgis.evaluation.report import charts, maps
from imagetodem_qgis.evaluation.report.style import STYLE
from imagetodem_qgis.evaluation.report.words import ALIGNED, degrees, meanings, metres, plain, verdict, whole
from imagetodem_qgis.evaluation.request import Evaluation, Group, PointComparison, RasterComparison
from imagetodem_qgis.styling.colours import DIFFERENCE
from imagetodem_qgis.styling.colours import ELEVATION as ELEVATION_COLOURS

_FITS = (
    '<span class="mark brown dashed">normal: mean and standard deviation</span> '
    '<span class="mark blue">robust: median and NMAD</span>'
)
_SURFACES = '<span class="mark blue">DEM</span> <span class="mark brown">reference</span>'
_CLASSES = "<span>bar: NMAD about the median; diamond: RMSE</span>"
_ERROR_HEADS = ("Heights", "Bias", "Median", "MAE", "RMSE", "NMAD", "LE90")


def report_page(evaluation: Evaluation, recipe: Mapping[str, str]) -> str:
    """The page.

    Args:
        evaluation: what to tell.
        recipe: how the DEM and the comparison were made, by label.
    """
    request, raster, points = evaluation.request, evaluation.raster, evaluation.points
    name = Path(request.dem.path).name
    judges = [Path(request.reference.path).name] if request.reference else []
    judges += [f"{points.given} control points"] if points else []
    parts = [
        f"<h1>How good is {escape(name)}?</h1>",
        f'<p class="under">Compared with {escape(" and ".join(judges))}</p>',
        f'<div class="verdict">{_paragraphs(verdict(evaluation))}</div>',
    ]
    if evaluation.notes:
        parts.append(f'<div class="notes">{_paragraphs(evaluation.notes)}</div>')
    if raster is not None:
        parts += [_maps(raster), _alignments(raster, request.align)]
    parts.append(_figures(evaluation))
    if raster is not None:
        parts.append(_charts(raster, evaluation.figures))
    if points is not None:
        parts.append(_points(points, request.align))
    if raster is not None:
        parts += [
            _classes(raster, kind, title)
            for kind, title in (
                (ZONE, "Error by zone"),
                (SLOPE, "Error by slope of the reference"),
                (ELEVATION, "Error by elevation of the reference"),
            )
        ]
    rows = [(escape(label), escape(value)) for label, value in recipe.items()]
    parts.append(_section("How this was made", _table((), rows, numbers=False)))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>How good is {escape(name)}?</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _maps(raster: RasterComparison) -> str:
    pictures = raster.pictures
    known = pictures.reference[np.isfinite(pictures.reference)]
    low, high = (float(value) for value in np.percentile(known, (1.0, 99.0)))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    exaggeration = maps.exaggeration_for(pictures.reference, pictures.steps)
    reach = max(abs(raster.quantiles[1]), abs(raster.quantiles[4])) or 1.0
    heights_key = charts.colour_key(
        ELEVATION_COLOURS,
        (metres(low), metres((low + high) / 2.0), metres(high)),
        f"Colours from {metres(low)} to {metres(high)}, the same for both",
    )
    errors_key = charts.colour_key(
        DIFFERENCE,
        (f"{metres(-reach)}, too low", "0", f"too high, {metres(reach)}"),
        f"Colours from {metres(-reach)} to {metres(reach)}",
    )
    shades = [
        maps.hillshade(heights, pictures.steps, exaggeration)
        for heights in (pictures.dem, pictures.reference)
    ]
    times = f"heights × {exaggeration:.2g} in both"
    drawn = [
        _picture("The DEM", maps.relief(pictures.dem, (low, high)), heights_key),
        _picture("The reference", maps.relief(pictures.reference, (low, high)), heights_key),
        _picture("DEM minus reference", maps.difference(pictures.difference, reach), errors_key),
        _picture("The DEM, shaded", shades[0], note=times),
        _picture("The reference, shaded", shades[1], note=times),
    ]
    return _section("What they look like", "".join(drawn))


def _picture(title: str, pixels: maps.Pixels, key: str = "", note: str = "") -> str:
    told = f'<span class="note">{escape(note)}</span>' if note else ""
    rows, columns, _ = pixels.shape
    return (
        f"<figure><figcaption>{escape(title)}{told}</figcaption>"
        f'<img src="{maps.data_address(pixels)}" width="{columns}" height="{rows}" alt="{escape(title)}">'
        f"{key}</figure>"
    )


def _alignments(raster: RasterComparison, align: str) -> str:
    errors = ("RMSE", "RMSE / σ", "MAE", "NMAD", "LE90", "Slope RMSE", "Correlation")
    heads = ("The DEM", "Shift", "Scale", *errors)
    rows: list[tuple[str, ...]] = []
    used = []
    for name, accuracy in raster.accuracies.items():
        fit = raster.fits[name]
        rows.append(
            (
                ALIGNED[name],
                metres(fit.shift),
                plain(fit.scale),
                metres(accuracy.rmse),
                plain(accuracy.rmse_by_sigma),
                metres(accuracy.mae),
                metres(accuracy.nmad),
                metres(accuracy.le90),
                degrees(accuracy.slope_rmse),
                plain(accuracy.correlation),
            )
        )
        used.append(name == align)
    nothing = [""] * 5
    by_tile = plain(raster.scaled_by_tile_ratio)
    ratio = plain(raster.plane_rmse / raster.sigma) if raster.sigma > 0.0 else "–"
    level = plain(1.0) if raster.sigma > 0.0 else "–"
    tiles = "after a shift and scale of each tile of 256 pixels"
    rows += [
        (tiles, "", "", metres(raster.scaled_by_tile), by_tile, *nothing),
        ("instead of it: level ground at the true mean", "", "", metres(raster.sigma), level, *nothing),
        ("instead of it: the best plane", "", "", metres(raster.plane_rmse), ratio, *nothing),
    ]
    text = (
        "<p>Heights from images have no zero of their own, and their scale is a guess: alignments tell how "
        "much of the error is that. They are fitted to the reference itself, so only the first row is what a "
        "user without a reference gets. The line in bold is the one that all else on this page is about."
        f" The ratio of the tiles is the median over {raster.tiles} tiles with 5 m of relief or more.</p>"
    )
    return _section("Raw, and aligned", text + _table(heads, rows, used))


def _figures(evaluation: Evaluation) -> str:
    rows = [(row.name, row.value, row.meaning) for row in meanings(evaluation)]
    body = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{escape(value)}</td><td class="any">'
        f"{escape(meaning)}</td></tr>"
        for name, value, meaning in rows
    )
    return _section("The figures, and what they mean", f'<div class="wide"><table>{body}</table></div>')


def _charts(raster: RasterComparison, figures: ErrorFigures) -> str:
    pictures = raster.pictures
    outside = raster.histogram.below + raster.histogram.above
    beyond = f"<span>{100.0 * outside / max(1, figures.count):.1f} % lie beyond the chart</span>"
    drawn = [
        _chart("Errors", charts.histogram_chart(raster.histogram, figures), f"{_FITS} {beyond}"),
        _chart(
            "Heights along the diagonal", charts.profile_chart(pictures.distance, pictures.profile), _SURFACES
        ),
    ]
    for kind, title in ((SLOPE, "slope"), (ELEVATION, "elevation")):
        groups = _of_kind(raster, kind)
        if groups:
            drawn.append(_chart(f"Error by {title}", charts.classes_chart(groups, title), _CLASSES))
    return _section("Where the error lies", "".join(drawn))


def _chart(title: str, drawn: str, key: str) -> str:
    return f'<figure class="chart"><figcaption>{escape(title)} {key}</figcaption>{drawn}</figure>'


def _points(points: PointComparison, align: str) -> str:
    rows = [(ALIGNED[name], *_errors(figures)) for name, figures in points.figures.items()]
    used = [name == align for name in points.figures]
    table = _table(("The DEM", *_ERROR_HEADS), rows, used)
    key = "<span>each dot a point</span>"
    drawn = _chart("Errors at the points", charts.points_chart(points.heights, points.errors), key)
    return _section("At the control points", table + drawn)


def _classes(raster: RasterComparison, kind: str, title: str) -> str:
    groups = _of_kind(raster, kind)
    if not groups:
        return ""
    rows = [(group.label, *_errors(group.figures)) for group in groups]
    return _section(title, _table(("", *_ERROR_HEADS), rows))


def _of_kind(raster: RasterComparison, kind: str) -> list[Group]:
    return [group for group in raster.groups if group.kind == kind]


def _errors(figures: ErrorFigures) -> tuple[str, ...]:
    lengths = (figures.bias, figures.median, figures.mae, figures.rmse, figures.nmad, figures.le90)
    return (whole(figures.count), *map(metres, lengths))


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{body}"


def _paragraphs(sentences: Iterable[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def _table(
    heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], used: Iterable[bool] = (), numbers: bool = True
) -> str:
    style = ' class="number"' if numbers else ' class="any"'
    head = "".join(f"<th{style if number else ''}>{escape(text)}</th>" for number, text in enumerate(heads))
    emphasised = list(used)
    body = ""
    for number, row in enumerate(rows):
        cells = "".join(
            f"<td{style if place else ''}>{escape(text) if numbers else text}</td>"
            for place, text in enumerate(row)
        )
        mark = ' class="used"' if number < len(emphasised) and emphasised[number] else ""
        body += f"<tr{mark}>{cells}</tr>"
    top = f"<tr>{head}</tr>" if heads else ""
    kind = ' class="numbers"' if numbers else ""
    return f'<div class="wide"><table{kind}>{top}{body}</table></div>'
