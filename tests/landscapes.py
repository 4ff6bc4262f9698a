"""DEMs written for a test, and images of them read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal

from tests.rasters import NODATA, write_image

PIXEL = 30.0
RELIEF = ["relief"]
HEIGHT = ["relief", "elevation"]
PALETTE = ["palette_red", "palette_green", "palette_blue"]


def terrain(rows: int, columns: int, metres: float = 800.0) -> np.ndarray:
    """Soft hills from 100 m to about 100 m + metres, (rows, columns) float32."""
    row, column = np.mgrid[:rows, :columns]
    waves = np.sin(row / 31.0 + np.sin(column / 47.0)) + np.cos(column / 23.0 - row / 71.0)
    return (100.0 + metres * (waves + 2.0) / 4.0).astype(np.float32)


def relief(heights: np.ndarray, pixel: float = PIXEL, margin: int = 4) -> np.ndarray:
    """Heights around the mean of a tile that holds them all, in pixels; it is mirrored beyond them."""
    return (heights - np.pad(heights, margin, mode="symmetric").mean()) / np.float32(pixel)


def write_dem(path: Path, heights: np.ndarray, unit: str = "", **options: Any) -> Path:
    write_image(path, heights[..., None], nodata=NODATA, **options)
    if unit:
        dataset = gdal.Open(str(path), gdal.GA_Update)
        dataset.GetRasterBand(1).SetUnitType(unit)
        dataset = None
    return path


def read_colours(path: object) -> np.ndarray:
    """(rows, columns, 3) float64, NaN where unknown."""
    dataset = gdal.Open(str(path))
    bands = [dataset.GetRasterBand(number + 1) for number in range(dataset.RasterCount)]
    assert [band.DataType for band in bands] == [gdal.GDT_Byte] * 3
    assert [band.GetNoDataValue() for band in bands] == [0.0] * 3
    assert [band.GetColorInterpretation() for band in bands] == [
        gdal.GCI_RedBand,
        gdal.GCI_GreenBand,
        gdal.GCI_BlueBand,
    ]
    values = dataset.ReadAsArray().transpose(1, 2, 0).astype(np.float64)
    unknown = (values == 0).all(axis=-1)
    assert (unknown == (values == 0).any(axis=-1)).all()
    values[unknown] = np.nan
    return values


def as_byte(colours: np.ndarray) -> np.ndarray:
    return np.clip((colours + 1.0) * 127.5, 1, 255)
