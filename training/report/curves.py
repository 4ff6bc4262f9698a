"""Loss curves as inline SVG: one chart a loss, training and validation together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

VALIDATION = "validation_"
"""Begins the names of what was measured on held-out tiles."""

_NO_CURVES = ("epoch", "step", "seconds", "stage", "learning_rate", "batch_size")
_UNITS = {"rmse": "m", "mae": "m", "slope_rmse": "degrees", "rmse_by_sigma": "of the tile's relief"}
_WIDE, _HIGH = 360, 236
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 10, 12, 42
_LOGARITHMIC_FROM = 30.0
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""
_LEAST_RANGE = 1e-3
"""Of an axis, relative to its values: less would be read as a change where there is none."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """A loss's curves.

    Attributes:
        name: of the loss, without the part that tells validation.
        training: points (epoch, value), by epoch; empty where it is only measured on held-out tiles.
        validation: the same on held-out tiles; may be empty.
        stages: the first epoch of each stage but the first: losses of two stages are not of one kind.
    """

    name: str
    training: tuple[Point, ...]
    validation: tuple[Point, ...]
    stages: tuple[float, ...] = ()

    @property
    def title(self) -> str:
        """The loss's name in words, with its unit."""
        words = self.name.replace("_", " ")
        words = words.replace("rmse", "RMSE").replace("mae", "MAE").replace(" by sigma", "/σ")
        return f"{words}, {_UNITS.get(self.name, 'no unit')}"


def charts_of(history: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """The charts that a history holds, those with validation first.

    Args:
        history: rows with ``epoch``, training losses by name, and ``validation_<name>``; what is no finite
            number is left out.
    """
    names = [key for row in history for key in row if key not in _NO_CURVES]
    stages = tuple(
        float(row["epoch"])
        for before, row in zip(history, history[1:])
        if row.get("stage") != before.get("stage")
    )
    charts = []
    for name in dict.fromkeys(key[len(VALIDATION) :] if key.startswith(VALIDATION) else key for key in names):
        chart = Chart(name, _points(history, name), _points(history, VALIDATION + name), stages)
        if chart.training or chart.validation:
            charts.append(chart)
    return sorted(charts, key=lambda chart: not chart.validation)


def chart_svg(chart: Chart, best_epoch: int | None) -> str:
    """A chart as an ``<svg>`` element that carries its own description and takes its colours from classes.

    Args:
        chart: to draw.
        best_epoch: marked by a vertical line; ``None`` for none.
    """
    points = chart.training + chart.validation
    across = _Axis.over([x for x, _ in points], _LEFT, _WIDE - _RIGHT, whole=True)
    up = _Axis.over([y for _, y in points], _HIGH - _BOTTOM, _TOP)
    parts = [_grid(across, up), _stages(chart, across), _best(across, best_epoch)]
    parts += [
        _curve(values, kind, chart.stages, across, up)
        for kind, values in (("training", chart.training), ("validation", chart.validation))
    ]
    words = escape(_description(chart, best_epoch))
    return (
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{words}"><title>{words}</title>'
        + "".join(parts)
        + "</svg>"
    )


@dataclass(frozen=True)
class _Axis:
    """Maps values to places in the picture, evenly or by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    logarithmic: bool

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, whole: bool = False) -> _Axis:
        low, high = min(values), max(values)
        logarithmic = not whole and low > 0.0 and high / low > _LOGARITHMIC_FROM
        if logarithmic:
            first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
            return cls(10.0**first, 10.0**last, start, end, _powers(first, last), True)
        least = 2.0 if whole and high == low else max(abs(low), abs(high), 1e-6) * _LEAST_RANGE
        if high - low < least:
            low, high = (low + high - least) / 2.0, (low + high + least) / 2.0
        step = _round_step((high - low) / 5.0)
        step = max(1.0, step) if whole else step
        if not whole:
            low, high = math.floor(low / step) * step, math.ceil(high / step) * step
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        ticks = tuple(number * step for number in range(first, last + 1))
        return cls(low, high, start, end, ticks, False)

    def place(self, value: float) -> float:
        if self.logarithmic:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def label(self, tick: float) -> str:
        """A tick's number with as many digits as tell it from the next."""
        step = abs(self.ticks[1] - self.ticks[0]) if len(self.ticks) > 1 else 1.0
        if self.logarithmic or not 1e-5 < step < 1e5:
            return f"{tick:.4g}"
        return f"{tick:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def _powers(first: int, last: int) -> tuple[float, ...]:
    every = -(-(last - first) // 5)
    return tuple(10.0**power for power in range(first, last + 1, every))


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= least * (1 - 1e-9))


def _points(history: Sequence[Mapping[str, Any]], key: str) -> tuple[Point, ...]:
    pairs: list[tuple[Any, Any]] = [(row.get("epoch"), row.get(key)) for row in history]
    return tuple((float(x), float(y)) for x, y in pairs if _is_number(x) and _is_number(y))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _grid(across: _Axis, up: _Axis) -> str:
    bottom, right = _HIGH - _BOTTOM, _WIDE - _RIGHT
    parts = []
    for tick in up.ticks:
        y = up.place(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{up.label(tick)}</text>')
    for tick in across.ticks:
        x = across.place(tick)
        parts.append(f'<path class="axis" d="M{x:.1f} {bottom}v4"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{tick:.4g}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {bottom}H{right}"/>')
    parts.append(f'<text x="{(_LEFT + right) / 2:.0f}" y="{_HIGH - 6}" text-anchor="middle">epoch</text>')
    return "".join(parts)


def _best(across: _Axis, best_epoch: int | None) -> str:
    if best_epoch is None or not across.low <= best_epoch <= across.high:
        return ""
    x = across.place(best_epoch)
    anchor, beside = ("end", -4) if x > (_LEFT + _WIDE) / 2 else ("start", 4)
    return (
        f'<path class="best" d="M{x:.1f} {_TOP}V{_HIGH - _BOTTOM}"/>'
        f'<text x="{x + beside:.1f}" y="{_TOP + 10}" text-anchor="{anchor}">best: epoch {best_epoch}</text>'
    )


def _stages(chart: Chart, across: _Axis) -> str:
    places = [across.place(epoch - 0.5) for epoch in chart.stages if across.low < epoch <= across.high]
    return "".join(f'<path class="axis" d="M{x:.1f} {_TOP}V{_HIGH - _BOTTOM}"/>' for x in places)


def _curve(points: Sequence[Point], kind: str, stages: Sequence[float], across: _Axis, up: _Axis) -> str:
    ends = [*stages, math.inf]
    pieces = [
        [point for point in points if start <= point[0] < end] for start, end in zip([-math.inf, *ends], ends)
    ]
    drawn = ""
    for piece in pieces:
        places = [(across.place(x), up.place(y)) for x, y in piece]
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        if len(places) == 1:
            drawn += f'<circle class="{kind} dot" cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3"/>'
        elif places:
            drawn += f'<path class="{kind}" d="M{line}"/>'
    return drawn


def _description(chart: Chart, best_epoch: int | None) -> str:
    parts = [
        f"{kind} from {values[0][1]:.4g} to {values[-1][1]:.4g}"
        for kind, values in (("training", chart.training), ("validation", chart.validation))
        if values
    ]
    best = "" if best_epoch is None else f"; weights of epoch {best_epoch} kept"
    return f"{chart.title}: {', '.join(parts)}{best}"
