"""Parameters to plain values, and refusals that name the parameter at fault."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterDefinition,
)

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.image import Image, RasterError

Parameters = dict[str, Any]

_HAIR = 1e-6
"""Pixels by which an extent may miss a pixel's border and still count as on it."""


class Refusal(ValueError):
    """A parameter that cannot be used; the message begins with its name."""

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(f"{parameter}: {reason}")


def advanced(parameter: QgsProcessingParameterDefinition) -> QgsProcessingParameterDefinition:
    """The parameter, shown among the advanced ones."""
    parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.FlagAdvanced)
    return parameter


def opened_image(
    algorithm: QgsProcessingAlgorithm,
    parameters: Parameters,
    name: str,
    bands_name: str,
    context: QgsProcessingContext,
) -> Image:
    """The image that a raster parameter names, with the bands that a band parameter names.

    Raises:
        Refusal: it cannot be read as a colour image.
    """
    layer = algorithm.parameterAsRasterLayer(parameters, name, context)
    if layer is not None and layer.isValid() and layer.providerType() != "gdal":
        raise Refusal(
            name, f"{layer.name()} comes from '{layer.providerType()}': export it to a GeoTIFF first"
        )
    source = layer.source() if layer is not None else str(parameters.get(name))
    bands = algorithm.parameterAsInts(parameters, bands_name, context) if parameters.get(bands_name) else ()
    if bands and len(bands) != 3:
        raise Refusal(bands_name, f"give three bands (red, green, blue), not {len(bands)}")
    try:
        image = Image(source)
        if bands:
            image = _with_bands(source, bands, bands_name)
        image.probe()
    except RasterError as error:
        raise Refusal(name, str(error)) from error
    return image


def window_of_extent(
    algorithm: QgsProcessingAlgorithm,
    parameters: Parameters,
    name: str,
    context: QgsProcessingContext,
    grid: Grid,
) -> Window:
    """The pixels of a grid that an extent parameter covers, those cut by its border included; all if it is
    empty.

    Raises:
        Refusal: the extent lies outside the raster.
    """
    if not parameters.get(name):
        return grid.window()
    crs = QgsCoordinateReferenceSystem.fromWkt(grid.crs) if grid.crs else QgsCoordinateReferenceSystem()
    extent = algorithm.parameterAsExtent(parameters, name, context, crs)
    if extent.isNull():
        return grid.window()
    corners = [
        grid.to_pixels(x, y)
        for x in (extent.xMinimum(), extent.xMaximum())
        for y in (extent.yMinimum(), extent.yMaximum())
    ]
    columns, rows = [c for c, _ in corners], [r for _, r in corners]
    left, top = math.floor(min(columns) + _HAIR), math.floor(min(rows) + _HAIR)
    right, bottom = math.ceil(max(columns) - _HAIR), math.ceil(max(rows) - _HAIR)
    window = Window(top, left, max(0, bottom - top), max(0, right - left)).intersection(grid.window())
    if window.is_empty():
        raise Refusal(
            name, "the extent lies outside the image (INPUT): draw it over the image, or leave it empty"
        )
    return window


def check_destination(
    algorithm: QgsProcessingAlgorithm,
    parameters: Parameters,
    name: str,
    context: QgsProcessingContext,
    suffixes: tuple[str, ...] = (".tif", ".tiff"),
) -> None:
    """Refuse an output file that could not be written in the end.

    Raises:
        Refusal: the name does not end in one of the suffixes, the folder is missing or cannot be written to,
            or the file is one that is read or an output declared earlier.
    """
    path = destination(parameters, name, context)
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        kind = "a GeoTIFF" if ".tif" in suffixes else "a page of HTML"
        raise Refusal(name, f"{path} does not end in {suffixes[0]}: the output is {kind}")
    if not path.parent.is_dir():
        raise Refusal(name, f"the folder {path.parent} does not exist: make it, or choose another")
    if path.is_dir():
        raise Refusal(name, f"{path} is a folder: give a file")
    for read in (one.name() for one in algorithm.parameterDefinitions() if one.type() == "raster"):
        layer = algorithm.parameterAsRasterLayer(parameters, read, context)
        if layer is not None and path.exists() and _same_file(layer.source(), path):
            what = "the image itself" if read == "INPUT" else f"the file of {read}"
            raise Refusal(name, f"{path} is {what}: choose another file")
    for other in algorithm.destinationParameterDefinitions():
        if other.name() == name:
            break
        if destination(parameters, other.name(), context) == path:
            raise Refusal(name, f"{path} is the file of {other.name()} already: choose another")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists():
            with open(path, "r+b"):
                pass
    except OSError as error:
        raise Refusal(
            name, f"{path} cannot be written ({error.strerror}): choose another, or close it"
        ) from error


def destination(parameters: Parameters, name: str, context: QgsProcessingContext) -> Path | None:
    """The file or folder that an output parameter names; None where it is left empty or to QGIS."""
    value = parameters.get(name)
    if isinstance(value, QgsProcessingOutputLayerDefinition):
        value = value.sink.valueAsString(context.expressionContext())[0]
    if not isinstance(value, str) or not value or value == QgsProcessing.TEMPORARY_OUTPUT:
        return None
    return Path(value)


def _with_bands(source: str, bands: Any, bands_name: str) -> Image:
    try:
        return Image(source, bands)
    except RasterError as error:
        raise Refusal(bands_name, str(error)) from error


def _same_file(source: str, path: Path) -> bool:
    return os.path.exists(source) and os.path.samefile(source, path)
