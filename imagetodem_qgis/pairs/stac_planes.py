"""What was read of the files around a tile, put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imagetodem_qgis.pairs.source import FloatArray
from imagetodem_qgis.pairs.stac_cog import Patch, is_geographic

_ALIGNED = 1e-3
"""Pixels by which two files of one grid may be out of step."""


@dataclass(frozen=True)
class Planes:
    """Pixels around a tile, on a grid of their own.

    Attributes:
        values: (planes, rows, columns) float32, NaN where there is none.
        geotransform: of GDAL.
        crs: well-known text.
        ratio: how many of them a pixel of the tile is wide or high, whichever is fewer.
    """

    values: FloatArray
    geotransform: tuple[float, float, float, float, float, float]
    crs: str
    ratio: float


def stacked(patches: Sequence[Patch]) -> Planes:
    """Patches of one grid as planes, with their numbers as they are in the files."""
    values = np.stack([patch.values.astype(np.float32) for patch in patches])
    first = patches[0]
    return Planes(values, first.geotransform, first.crs, first.ratio)


def merged(all_planes: Sequence[Planes]) -> list[Planes]:
    """Neighbouring files of one grid put together, so that interpolation reaches across their border. Where
    two overlap the earlier one counts."""
    groups: list[list[Planes]] = []
    for planes in all_planes:
        group = next((group for group in groups if _one_grid(group[0], planes)), None)
        if group is None:
            groups.append([planes])
        else:
            group.append(planes)
    return [_merged(group) for group in groups]


def filled(first: FloatArray | None, second: FloatArray) -> FloatArray:
    """The first array, and where it knows nothing the second."""
    return second if first is None else np.where(np.isnan(first), second, first)


def _one_grid(first: Planes, second: Planes) -> bool:
    if first.crs != second.crs:
        return False
    steps = zip(first.geotransform, second.geotransform)
    if any(abs(a - b) > 1e-9 * abs(a) for index, (a, b) in enumerate(steps) if index not in (0, 3)):
        return False
    column, row = _place(first, second)
    return abs(column - round(column)) < _ALIGNED and abs(row - round(row)) < _ALIGNED


def _place(first: Planes, second: Planes) -> tuple[float, float]:
    """Column and row of the second's upper left corner in the first's pixels."""
    x = second.geotransform[0] - first.geotransform[0]
    y = second.geotransform[3] - first.geotransform[3]
    if is_geographic(first.crs):
        # Neighbours across the antimeridian.
        x = (x + 180.0) % 360.0 - 180.0
    return x / first.geotransform[1], y / first.geotransform[5]


def _merged(group: Sequence[Planes]) -> Planes:
    if len(group) == 1:
        return group[0]
    first = group[0]
    places = [tuple(round(number) for number in _place(first, planes)) for planes in group]
    left, top = min(column for column, _ in places), min(row for _, row in places)
    right = max(column + planes.values.shape[2] for (column, _), planes in zip(places, group))
    bottom = max(row + planes.values.shape[1] for (_, row), planes in zip(places, group))
    values = np.full((first.values.shape[0], bottom - top, right - left), np.nan, np.float32)
    for (column, row), planes in zip(places, group):
        _, rows, columns = planes.values.shape
        part = values[:, row - top : row - top + rows, column - left : column - left + columns]
        part[...] = filled(part, planes.values)
    x, a, b, y, d, e = first.geotransform
    place = (x + a * left, a, b, y + e * top, d, e)
    return Planes(values, place, first.crs, min(planes.ratio for planes in group))
