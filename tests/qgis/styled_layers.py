"""DEMs to be styled, the layers that show them, and what a map of these looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor, QImage, QPainter

from tests.rasters import NODATA, UTM_33N

MULTIPLY = QPainter.CompositionMode.CompositionMode_Multiply


def write_raster(path: Path, heights: np.ndarray, crs: str, transform: tuple, unit: str = "m") -> Path:
    rows, columns = heights.shape
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), columns, rows, 1, gdal.GDT_Float32)
    if crs:
        dataset.SetProjection(QgsCoordinateReferenceSystem(crs).toWkt())
    dataset.SetGeoTransform(transform)
    dataset.GetRasterBand(1).SetNoDataValue(NODATA)
    dataset.GetRasterBand(1).SetUnitType(unit)
    dataset.GetRasterBand(1).WriteArray(heights)
    return path


def cone(size: int = 200, slope: float = 0.4, cell: float = 30.0) -> np.ndarray:
    """A cone's heights in metres, its top in the middle of a square raster."""
    offsets = (np.arange(size) + 0.5 - size / 2) * cell
    return (3000 - slope * np.hypot(*np.meshgrid(offsets, offsets))).astype(np.float32)


def utm_dem(path: Path, heights: np.ndarray) -> Path:
    return write_raster(path, heights, UTM_33N, (500000, 30, 0, 6700000, 0, -30))


def open_layer(path: Path, style_file: bool = False) -> QgsRasterLayer:
    options = QgsRasterLayer.LayerOptions(loadDefaultStyle=style_file)
    layer = QgsRasterLayer(str(path), path.stem, "gdal", options)
    assert layer.isValid()
    return layer


def render(
    layers: list, extent: QgsRectangle, crs: QgsCoordinateReferenceSystem, size: int = 200
) -> np.ndarray:
    """The map's pixels, (rows, columns, red-green-blue)."""
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(crs)
    settings.setExtent(extent)
    settings.setOutputSize(QSize(size, size))
    settings.setBackgroundColor(QColor("white"))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    assert not job.errors()
    image = job.renderedImage().convertToFormat(QImage.Format.Format_RGBA8888)
    pixels = image.constBits().asstring(image.sizeInBytes())
    return np.frombuffer(pixels, np.uint8).reshape(size, size, 4)[..., :3].astype(float)
