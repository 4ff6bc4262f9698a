"""Images that are worked out when they are asked for, on whatever grid.

A band answers with values and a mask for a grid. Where it is asked for another grid than its own, it takes
the nearest pixel, unless it was told to interpolate or to average."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.services.earthengine.grids import Floats, Grid, centres_in, transformed

Pixels = tuple[Floats, Floats]
"""Values, and the mask from 0 to 1, each (rows, columns)."""

NO_PROJECTION = Grid("EPSG:4326", -180.0, 90.0, 1.0, -1.0, 360, 180)
"""What a mosaic or a composite has: a degree a pixel."""


@dataclass(frozen=True)
class Band:
    """A band: its own grid, how its pixels are worked out for any grid, and the type of a number."""

    grid: Grid
    pixels: Callable[[Grid], Pixels]
    dtype: str = "float64"

    def known(self, grid: Grid) -> Pixels:
        """Values on a grid, 0 where they are masked, and the mask."""
        values, mask = self.pixels(grid)
        return np.where(mask > 0.0, values, 0.0), mask


@dataclass(frozen=True)
class Image:
    """Bands by name, properties, and the outline in degrees, without which the image is everywhere."""

    bands: dict[str, Band]
    properties: dict[str, Any] = field(default_factory=dict)
    footprint: Any = None

    def first(self) -> Band:
        """The first band."""
        return next(iter(self.bands.values()))

    def mapped(self, change: Callable[[Band], Band]) -> Image:
        """The image with each band changed."""
        return replace(self, bands={name: change(band) for name, band in self.bands.items()})


def stored_band(grid: Grid, value: Callable[[Floats, Floats], Floats], dtype: str) -> Band:
    """A band of a raster whose numbers are a function of the x and y of its pixels' centres; NaN is
    masked."""

    def pixels(asked: Grid) -> Pixels:
        # A place on the very border of two pixels must not fall into the one or the other by chance.
        column, row = (np.floor(part + 1e-7) for part in grid.positions(*centres_in(asked, grid.crs)))
        inside = (column >= 0) & (column < grid.columns) & (row >= 0) & (row < grid.rows)
        if not inside.any():
            return np.zeros(inside.shape), np.zeros(inside.shape)
        left, top = int(column[inside].min()), int(row[inside].min())
        part = grid.window(left, top, int(column[inside].max()) - left + 1, int(row[inside].max()) - top + 1)
        stored = value(*part.centres())
        values = np.full(inside.shape, np.nan)
        values[inside] = stored[row[inside].astype(int) - top, column[inside].astype(int) - left]
        known = np.isfinite(values)
        return np.where(known, values, 0.0), known.astype(np.float64)

    return Band(grid, pixels, dtype)


def constant_band(value: float) -> Band:
    """The same number everywhere."""
    dtype = "int64" if isinstance(value, int) else "float64"
    shape = lambda grid: (grid.rows, grid.columns)  # noqa: E731
    return Band(NO_PROJECTION, lambda grid: (np.full(shape(grid), float(value)), np.ones(shape(grid))), dtype)


def masked_band(grid: Grid) -> Band:
    """A band that is masked everywhere."""
    nothing = lambda asked: (np.zeros((asked.rows, asked.columns)),) * 2  # noqa: E731
    return Band(grid, nothing)


def combined(
    bands: Sequence[Band], work: Callable[..., Pixels], grid: Grid | None = None, dtype: str | None = None
) -> Band:
    """A band worked out pixel by pixel from others; ``work`` is given their pixels."""
    return Band(
        grid or bands[0].grid,
        lambda asked: work(*(band.pixels(asked) for band in bands)),
        dtype or bands[0].dtype,
    )


def interpolated(band: Band) -> Band:
    """The band, bilinear between the centres of its own pixels; known where all four of them are."""

    def pixels(asked: Grid) -> Pixels:
        column, row = band.grid.positions(*centres_in(asked, band.grid.crs))
        # Centres lie at halves; a hair keeps a place on a centre there whatever the rounding.
        column, row = np.round(column - 0.5, 7), np.round(row - 0.5, 7)
        left, top = math.floor(np.nanmin(column)), math.floor(np.nanmin(row))
        around = band.grid.window(
            left, top, math.floor(np.nanmax(column)) - left + 2, math.floor(np.nanmax(row)) - top + 2
        )
        values, mask = band.known(around)
        first_column, first_row = np.floor(column).astype(int) - left, np.floor(row).astype(int) - top
        share_x, share_y = column - np.floor(column), row - np.floor(row)
        total, known = np.zeros(column.shape), np.ones(column.shape)
        for down, weight_y in ((0, 1.0 - share_y), (1, share_y)):
            for right, weight_x in ((0, 1.0 - share_x), (1, share_x)):
                weight = weight_x * weight_y
                place = (first_row + down, first_column + right)
                total += weight * values[place]
                known = np.where(weight > 0.0, np.minimum(known, mask[place]), known)
        return total, known

    return Band(band.grid, pixels, "float64" if band.dtype.startswith("int") else band.dtype)


def averaged(band: Band, largest: int, is_lenient: bool) -> Band:
    """The band, its own pixels averaged over each pixel of a coarser grid.

    Args:
        band: to be averaged.
        largest: pixels that may fall into one.
        is_lenient: whether more are no error.

    Raises:
        ValueError: more of them fall into one.
    """

    def pixels(asked: Grid) -> Pixels:
        ratio = _ratio(asked, band.grid)
        if ratio <= 1.0 + 1e-6:
            return band.pixels(asked)
        if ratio**2 > largest and not is_lenient:
            raise ValueError(f"Too many input pixels per output pixel: {ratio**2:.0f}.")
        if asked.crs == band.grid.crs:
            return _means_of_areas(band, asked)
        parts = 4 * math.ceil(ratio - 1e-6)
        finer = replace(
            asked,
            step_x=asked.step_x / parts,
            step_y=asked.step_y / parts,
            columns=asked.columns * parts,
            rows=asked.rows * parts,
        )
        values, mask = band.known(finer)
        return _quotient(_means(values * mask, parts), _means(mask, parts))

    return Band(band.grid, pixels, band.dtype)


def _ratio(asked: Grid, own: Grid) -> float:
    """How many of a grid's own pixels lie along a side of one that is asked for, in its middle."""
    x = asked.left + asked.step_x * (asked.columns // 2 + np.array([0.0, 1.0, 0.0]))
    y = asked.top + asked.step_y * (asked.rows // 2 + np.array([0.0, 0.0, 1.0]))
    column, row = own.positions(*transformed(asked.crs, own.crs, x, y))
    sides = [math.hypot(column[i] - column[0], row[i] - row[0]) for i in (1, 2)]
    return math.sqrt(sides[0] * sides[1])


def _means_of_areas(band: Band, asked: Grid) -> Pixels:
    """Each of the band's own pixels by the area that it has in common with a pixel that is asked for."""
    x = asked.left + asked.step_x * np.arange(asked.columns + 1)
    y = asked.top + asked.step_y * np.arange(asked.rows + 1)
    columns, rows = (
        band.grid.positions(x, np.full(x.shape, asked.top))[0],
        band.grid.positions(x[:1] + 0 * y, y)[1],
    )
    left, top = math.floor(columns[0]), math.floor(rows[0])
    wide, high = math.ceil(columns[-1]) - left, math.ceil(rows[-1]) - top
    values, mask = band.known(band.grid.window(left, top, wide, high))
    across, down = _shares(columns - left, wide), _shares(rows - top, high)
    return _quotient(down @ (values * mask) @ across.T, down @ mask @ across.T)


def _shares(edges: Floats, count: int) -> Floats:
    """Share of each interval between edges that lies in each pixel of a row, (intervals, pixels)."""
    pixels = np.arange(count)
    ends = np.minimum(edges[1:, None], pixels + 1.0) - np.maximum(edges[:-1, None], pixels)
    return np.maximum(ends, 0.0) / np.diff(edges)[:, None]


def _quotient(total: Floats, weight: Floats) -> Pixels:
    known = weight > 1e-9
    return np.divide(total, weight, out=np.zeros_like(total), where=known), np.where(known, weight, 0.0)


def _means(values: NDArray[Any], parts: int) -> Floats:
    rows, columns = values.shape
    return values.reshape(rows // parts, parts, columns // parts, parts).mean(axis=(1, 3))
