"""Charts as inline SVG that take their colours from classes and carry their own description."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.metrics import ErrorFigures
from imagetodem_qgis.evaluation.report.axis import Axis, axis_over
from imagetodem_qgis.evaluation.request import Group, Histogram

FloatArray = NDArray[np.float64]

WIDE, HIGH = 520, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 14, 14, 46
_LABEL = 134
_ROW = 27
_MOST_DOTS = 2000


def histogram_chart(histogram: Histogram, figures: ErrorFigures) -> str:
    """Errors, with the normal distribution of their mean and RMSE and that of their median and NMAD."""
    edges, counts = histogram.edges, histogram.counts.astype(np.float64)
    share = 100.0 * counts / max(1, figures.count)
    centres = np.linspace(edges[0], edges[-1], 161)
    width = float(edges[1] - edges[0])
    sigma = math.sqrt(max(figures.rmse**2 - figures.bias**2, 0.0))
    fits = [
        (kind, 100.0 * width * _normal(centres, middle, spread))
        for kind, middle, spread in (
            ("normal", figures.bias, sigma),
            ("robust", figures.median, figures.nmad),
        )
        if spread > 0.05 * width
    ]
    across = axis_over(edges.tolist(), _LEFT, WIDE - _RIGHT, widen=False)
    tallest = max([float(share.max()), *(float(curve.max()) for _, curve in fits)])
    # A robust fit that is far narrower than a bin would press the bars flat.
    up = axis_over([0.0, min(tallest, 2.5 * float(share.max()) + 1e-9)], HIGH - _BOTTOM, _TOP)
    bars = "".join(
        f'<rect class="bar" x="{across.place(float(left)):.1f}" y="{up.place(value):.1f}" '
        f'width="{across.place(width) - across.place(0.0):.2f}" '
        f'height="{up.place(0.0) - up.place(value):.1f}"/>'
        for left, value in zip(edges[:-1], share)
        if value > 0.0
    )
    lines = "".join(
        _line(kind, [(across.place(x), max(up.place(y), _TOP)) for x, y in zip(centres, curve)])
        for kind, curve in fits
    )
    zero = ""
    if across.low < 0.0 < across.high:
        zero = f'<path class="zero" d="M{across.place(0.0):.1f} {_TOP}V{HIGH - _BOTTOM}"/>'
    words = (
        f"Histogram of the errors: median {figures.median:.3g} m, NMAD {figures.nmad:.3g} m, mean "
        f"{figures.bias:.3g} m, standard deviation {sigma:.3g} m"
    )
    frame = _frame(across, up, "error: DEM minus reference (m)", "share of heights (%)")
    return _svg(words, HIGH, frame + bars + zero + lines)


def classes_chart(groups: Sequence[Group], what: str) -> str:
    """A row for each class: its median error, the NMAD to both sides, and its RMSE."""
    high = _TOP + _ROW * len(groups) + _BOTTOM
    ends = [
        end
        for group in groups
        for end in (
            group.figures.median - group.figures.nmad,
            group.figures.median + group.figures.nmad,
            group.figures.rmse,
            0.0,
        )
    ]
    across = axis_over(ends, _LABEL, WIDE - _RIGHT - 6)
    bottom = high - _BOTTOM
    parts = [_columns(across, _TOP, bottom, "error (m)", high)]
    parts.append(f'<path class="zero" d="M{across.place(0.0):.1f} {_TOP}V{bottom}"/>')
    for number, group in enumerate(groups):
        y = _TOP + _ROW * (number + 0.5)
        left = across.place(group.figures.median - group.figures.nmad)
        right = across.place(group.figures.median + group.figures.nmad)
        middle, rmse = across.place(group.figures.median), across.place(group.figures.rmse)
        parts.append(
            f'<text x="{_LABEL - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(_short(group.label))}</text>'
            f'<rect class="bar" x="{left:.1f}" y="{y - 6:.1f}" width="{max(right - left, 1.0):.1f}" '
            f'height="12"/><path class="median" d="M{middle:.1f} {y - 9:.1f}v18"/>'
            f'<path class="rmse" d="M{rmse - 4:.1f} {y:.1f}l4 -5l4 5l-4 5z"/>'
        )
    listed = "; ".join(
        f"{group.label}: median {group.figures.median:.3g}, NMAD {group.figures.nmad:.3g}, RMSE "
        f"{group.figures.rmse:.3g} m"
        for group in groups
    )
    return _svg(f"Error by {what}. {listed}", high, "".join(parts))


def profile_chart(distance: FloatArray, profile: FloatArray) -> str:
    """Heights of the DEM and of its reference along the diagonal; lines break where nothing is known."""
    far = float(distance[-1])
    unit, per = ("km", 1000.0) if far >= 2000.0 else ("m", 1.0)
    across = axis_over([0.0, far / per], _LEFT, WIDE - _RIGHT, widen=False)
    up = axis_over(profile.ravel().tolist(), HIGH - _BOTTOM, _TOP)
    lines = "".join(
        _line(kind, [(across.place(x / per), up.place(y)) for x, y in zip(distance, heights)])
        for kind, heights in (("reference", profile[1]), ("dem", profile[0]))
    )
    frame = _frame(across, up, f"along the diagonal from the upper left corner ({unit})", "height (m)")
    return _svg("Heights of the DEM and of the reference along the diagonal", HIGH, frame + lines)


def points_chart(heights: FloatArray, errors: FloatArray) -> str:
    """Each control point's error over its height; of very many points, evenly chosen ones."""
    chosen = np.linspace(0, len(heights) - 1, min(len(heights), _MOST_DOTS)).round().astype(int)
    across = axis_over(heights.tolist(), _LEFT, WIDE - _RIGHT)
    up = axis_over([0.0, *errors.tolist()], HIGH - _BOTTOM, _TOP)
    dots = "".join(
        f'<circle class="dot" cx="{across.place(float(heights[number])):.1f}" '
        f'cy="{up.place(float(errors[number])):.1f}" r="2.5"/>'
        for number in chosen
    )
    zero = f'<path class="zero" d="M{_LEFT} {up.place(0.0):.1f}H{WIDE - _RIGHT}"/>'
    frame = _frame(across, up, "height of the point (m)", "error: DEM minus point (m)")
    return _svg(f"Errors of {len(heights)} control points over their heights", HIGH, frame + zero + dots)


def colour_key(colours: Sequence[str], labels: Sequence[str], words: str) -> str:
    """A bar of colours with a label under its start, its middle and its end."""
    stops = "".join(
        f'<stop offset="{number / (len(colours) - 1):.3f}" stop-color="{colour}"/>'
        for number, colour in enumerate(colours)
    )
    name = "key" + "".join(colour[1:] for colour in colours[:2])
    texts = "".join(
        f'<text x="{x}" y="32" text-anchor="{anchor}">{escape(label)}</text>'
        for x, anchor, label in zip((1, 160, 319), ("start", "middle", "end"), labels)
    )
    return (
        f'<svg class="key" viewBox="0 0 320 38" role="img" aria-label="{escape(words)}">'
        f'<defs><linearGradient id="{name}">{stops}</linearGradient></defs>'
        f'<rect x="1" y="1" width="318" height="14" fill="url(#{name})"/>{texts}</svg>'
    )


def _frame(across: Axis, up: Axis, below: str, beside: str) -> str:
    bottom, right = HIGH - _BOTTOM, WIDE - _RIGHT
    parts = [_columns(across, _TOP, bottom, below, HIGH)]
    for tick in up.ticks:
        y = up.place(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{up.label(tick)}</text>')
    middle = (_TOP + bottom) / 2.0
    parts.append(
        f'<text transform="translate(13 {middle:.0f}) rotate(-90)" text-anchor="middle">'
        f"{escape(beside)}</text>"
    )
    return "".join(parts)


def _columns(across: Axis, top: float, bottom: float, below: str, high: float) -> str:
    parts = []
    for tick in across.ticks:
        x = across.place(tick)
        parts.append(f'<path class="grid" d="M{x:.1f} {top}V{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{across.label(tick)}</text>')
    middle = (across.start + across.end) / 2.0
    parts.append(f'<text x="{middle:.0f}" y="{high - 8}" text-anchor="middle">{escape(below)}</text>')
    return "".join(parts)


def _line(kind: str, places: Sequence[tuple[float, float]]) -> str:
    path, pen_is_down = "", False
    for x, y in places:
        if not math.isfinite(y):
            pen_is_down = False
            continue
        path += f"{'L' if pen_is_down else 'M'}{x:.1f} {y:.1f}"
        pen_is_down = True
    return f'<path class="line {kind}" d="{path}"/>' if path else ""


def _normal(places: FloatArray, middle: float, spread: float) -> FloatArray:
    density: FloatArray = np.exp(-0.5 * ((places - middle) / spread) ** 2) / (
        spread * math.sqrt(2.0 * math.pi)
    )
    return density


def _short(label: str) -> str:
    return label if len(label) <= 18 else label[:17] + "…"


def _svg(words: str, high: float, content: str) -> str:
    told = escape(words)
    return (
        f'<svg viewBox="0 0 {WIDE} {high:.0f}" role="img" aria-label="{told}"><title>{told}</title>'
        f"{content}</svg>"
    )
