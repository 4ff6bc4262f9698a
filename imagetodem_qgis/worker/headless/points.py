"""Control points from a file, without QGIS."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform

FloatArray = NDArray[np.float64]

_TABLES = (".csv", ".txt", ".tsv")
_HEIGHT = "height"


def read_points(path: Path, height_field: str, points_crs: str, crs: str) -> FloatArray:
    """Points of known height.

    Args:
        path: of a table with a line of names and the columns ``x``, ``y`` and the height, or of any file of
            points that GDAL reads.
        height_field: name of the heights' column or field; ``height`` in a table and the points' own Z in
            another file if empty.
        points_crs: of a table; that of the answer if empty.
        crs: well-known text of the answer's reference system.

    Returns:
        (n, 3): map coordinates in ``crs`` and heights in metres; what is no number is left out.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no such points.
    """
    if path.suffix.lower() in _TABLES:
        places, own = _of_table(path, height_field or _HEIGHT), points_crs
    else:
        places, own = _of_layer(path, height_field)
    places = places[np.isfinite(places).all(axis=1)]
    if own:
        try:
            x, y = transform(CRS.from_user_input(own), CRS.from_wkt(crs), places[:, 0], places[:, 1])
        except (CRSError, RasterioError) as error:
            raise ValueError(
                f"the points of {path} cannot be brought to the image's reference system: {error}"
            ) from error
        places = np.stack([x, y, places[:, 2]], axis=1)
        places = places[np.isfinite(places).all(axis=1)]
    if not len(places):
        raise ValueError(f"{path} holds no point with a height (--points)")
    return places


def _of_table(path: Path, height_field: str) -> FloatArray:
    with open(path, newline="", encoding="utf-8-sig") as lines:
        start = lines.read(4096)
        lines.seek(0)
        separator = max(",;\t", key=start.partition("\n")[0].count)
        rows = csv.DictReader(lines, delimiter=separator)
        names = {name.strip().lower(): name for name in rows.fieldnames or []}
        wanted = ("x", "y", height_field.lower())
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ValueError(f"{path} has no column '{missing[0]}', only {', '.join(names)}")
        return np.array([[_number(row[names[name]]) for name in wanted] for row in rows], np.float64).reshape(
            -1, 3
        )


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _of_layer(path: Path, height_field: str) -> tuple[FloatArray, str]:
    try:
        import pyogrio
        import shapely
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{path} cannot be read without {error.name}, which this environment lacks: give a table (.csv)"
        ) from error
    try:
        meta, _, geometries, fields = pyogrio.raw.read(
            path, columns=[height_field] if height_field else [], read_geometry=True
        )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise OSError(f"{path} cannot be read: {error}") from error
    if height_field and height_field not in meta["fields"]:
        raise ValueError(f"the points of {path} have no field '{height_field}' (--height-field)")
    places, numbers = shapely.get_coordinates(shapely.from_wkb(geometries), include_z=True, return_index=True)
    if height_field:
        places[:, 2] = np.asarray(fields[0], np.float64)[numbers]
    elif not np.isfinite(places[:, 2]).any():
        raise ValueError(
            f"name the field that holds the height (--height-field): the points of {path} have none"
        )
    return places, meta["crs"] or ""
