"""Real elevation models to render over: any folder of GeoTIFFs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.warp import transform, transform_bounds
from rasterio.windows import Window
from scipy import ndimage

from training.request import DataError

Box = tuple[float, float, float, float]
"""West, south, east and north in degrees."""

_METRES_PER_DEGREE = 111_320.0
_LARGEST_SIDE = 3072
"""Rows and columns of a terrain; a larger DEM becomes several."""
_LARGEST_TOTAL = 120_000_000
"""Heights kept in memory, about 0.7 GB with their masks."""
_CLIFF = 250.0
_PEAK = 3.0
"""A height is an error where it is further from the median of 5 × 5 than a cliff of so many metres and a peak
of so many metres per metre of spacing."""
_SMALLEST_LAKE = 40
"""Heights whose surroundings of 5 × 5 are all equal."""


@dataclass(frozen=True)
class Terrain:
    """A piece of an elevation model on its own grid, north up.

    Attributes:
        name: the file's name without its ending, and the piece's number where there are several.
        heights: (rows, columns) float32, metres, filled from the nearest known height where unknown.
        known: (rows, columns) bool.
        level: (rows, columns) bool: exactly level ground, as DEMs have it on lakes and the sea.
        spacing: metres from a row and from a column to the next.
        centre: longitude and latitude in degrees, NaN without a CRS.
        licence: of the heights, as an ``index.csv`` beside the files says it, else empty.
    """

    name: str
    heights: NDArray[np.float32]
    known: NDArray[np.bool_]
    level: NDArray[np.bool_]
    spacing: tuple[float, float]
    centre: tuple[float, float]
    licence: str

    @property
    def gsd(self) -> float:
        """Ground sampling distance in metres: the coarser of the two spacings."""
        return max(self.spacing)


def read_terrains(folder: Path, apart: Sequence[Box] = ()) -> list[Terrain]:
    """Read all GeoTIFFs of a folder, in the order of their names.

    DEMs that are too large for memory together give evenly spread pieces. Pieces with hardly any height are
    left out.

    Args:
        folder: of the DEMs.
        apart: areas kept for evaluation, where all heights count as unknown.

    Raises:
        DataError: the folder holds no DEM, or a file cannot be read.
    """
    try:
        terrains = _read_all(folder, apart)
    except (OSError, RasterioError) as error:
        raise DataError(f"the DEMs in {folder} cannot be read: {error}") from error
    if not terrains:
        raise DataError(f"{folder} holds no DEM to render over: give a folder of GeoTIFFs in metres")
    return terrains


def _read_all(folder: Path, apart: Sequence[Box]) -> list[Terrain]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in (".tif", ".tiff"))
    pieces = [(file, window, number) for file in files for number, window in enumerate(_windows(file))]
    total = sum(window.width * window.height for _, window, _ in pieces)
    every = max(1, -(-total // _LARGEST_TOTAL))
    licences = _licences(folder)
    terrains = [
        _read(file, window, number, licences.get(file.name, ""), apart)
        for file, window, number in pieces[::every]
    ]
    return [terrain for terrain in terrains if terrain.known.mean() > 0.2]


def _windows(file: Path) -> list[Window]:
    with rasterio.open(file) as source:
        rows, columns = source.shape
    down, across = (
        np.linspace(0, side, -(-side // _LARGEST_SIDE) + 1).astype(int) for side in (rows, columns)
    )
    return [
        Window(left, top, right - left, bottom - top)
        for top, bottom in zip(down[:-1], down[1:])
        for left, right in zip(across[:-1], across[1:])
    ]


def _licences(folder: Path) -> dict[str, str]:
    index = folder / "index.csv"
    if not index.exists():
        return {}
    with open(index, newline="", encoding="utf-8") as table:
        return {row["file"]: row.get("licence", "") for row in csv.DictReader(table) if "file" in row}


def _read(file: Path, window: Window, number: int, licence: str, apart: Sequence[Box]) -> Terrain:
    with rasterio.open(file) as source:
        heights = source.read(1, window=window).astype(np.float32)
        declared = source.read_masks(1, window=window) > 0
        spacing, centre = _spacing(source, window)
        declared &= ~_within(source, window, apart)
        whole = (window.height, window.width) == source.shape
    known, level = known_and_level(heights, declared, max(spacing))
    if not known.all() and known.any():
        nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
        heights = heights[tuple(nearest)]
    name = file.stem if whole else f"{file.stem}_{number}"
    return Terrain(name, heights, known, level, spacing, centre, licence)


def _within(source: rasterio.DatasetReader, window: Window, boxes: Sequence[Box]) -> NDArray[np.bool_]:
    """Which heights of a window lie in one of some areas."""
    inside = np.zeros((window.height, window.width), bool)
    for box in boxes if source.crs else ():
        west, south, east, north = transform_bounds("EPSG:4326", source.crs, *box)
        corners = [~source.transform * corner for corner in ((west, north), (east, south))]
        (left, top), (right, bottom) = corners
        rows = slice(max(0, int(top - window.row_off)), max(0, int(np.ceil(bottom - window.row_off))))
        columns = slice(max(0, int(left - window.col_off)), max(0, int(np.ceil(right - window.col_off))))
        inside[rows, columns] = True
    return inside


def known_and_level(
    heights: NDArray[np.float32], declared: NDArray[np.bool_], spacing: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which heights are to be trusted, and which lie on lakes or the sea.

    A height is trusted that is declared, on Earth, and not far from the median around it: voids in files that
    do not declare them survive as pits of thousands of metres, resampled ones as spikes.

    Args:
        heights: metres.
        declared: which ones the file says are heights, same shape.
        spacing: metres between neighbours.
    """
    known = np.asarray(declared & np.isfinite(heights) & (heights > -500.0) & (heights < 9000.0))
    if not known.any():
        return known, known
    # The median of a void's surroundings must not be made of voids.
    filled = np.where(known, heights, np.median(heights[known])).astype(np.float32)
    low = ndimage.minimum_filter(filled, 5)
    high = ndimage.maximum_filter(filled, 5)
    limit = _CLIFF + _PEAK * spacing
    suspects = known & (high - low > limit)
    if suspects.any():
        padded = np.pad(filled, 2, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
        around = np.median(windows[suspects].reshape(-1, 25), axis=1)
        known[suspects] = np.abs(filled[suspects] - around) <= limit
    return known, _lakes(known & (low == high)) & known


def _lakes(same: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Level places that are large enough: plains in whole metres have small ones by chance.

    Args:
        same: where all heights of the surroundings of 5 × 5 are equal.
    """
    parts, count = ndimage.label(same)
    if count == 0:
        return same
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    lakes = (sizes >= _SMALLEST_LAKE)[parts]
    return np.asarray(ndimage.binary_dilation(lakes, np.ones((3, 3)), iterations=2))


def _spacing(
    source: rasterio.DatasetReader, window: Window
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Metres between rows and between columns at a window's centre, and its longitude and latitude."""
    column, row = window.col_off + window.width / 2, window.row_off + window.height / 2
    places = [source.transform * place for place in ((column, row), (column + 1, row), (column, row + 1))]
    if source.crs is None:
        (x, y), (right_x, right_y), (down_x, down_y) = places
        spacing = float(np.hypot(down_x - x, down_y - y)), float(np.hypot(right_x - x, right_y - y))
        return spacing, (float("nan"), float("nan"))
    longitudes, latitudes = (np.array(c) for c in transform(source.crs, "EPSG:4326", *zip(*places)))
    east = (longitudes - longitudes[0]) * _METRES_PER_DEGREE * np.cos(np.radians(latitudes[0]))
    north = (latitudes - latitudes[0]) * _METRES_PER_DEGREE
    distances = np.hypot(east, north)
    return (float(distances[2]), float(distances[1])), (float(longitudes[0]), float(latitudes[0]))
