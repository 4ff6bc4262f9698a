"""Styles beside rasters: QGIS takes ``name.qml`` for the default style of ``name.tif``.

A style file styles one layer, so it must choose between hillshade and colour relief. Drawn side by side, the
colour relief says at a glance which way is up and, with its legend, how high; a hillshade alone shows finer
forms but no heights, can be read inside out, and its z factor is wrong as soon as the file is copied into
another reference system.
"""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsMapLayer, QgsRasterLayer

from imagetodem_qgis.styling.colours import DIFFERENCE, ELEVATION, STANDARD_DEVIATION
from imagetodem_qgis.styling.elevation import mark_as_elevation
from imagetodem_qgis.styling.renderers import apply_colour_relief


def write_style(dem_path: Path) -> Path:
    """Write the style of a DEM beside it and return the style's path. Any thread may call it.

    Raises:
        OSError: the raster cannot be opened or the style cannot be written.
    """
    return _write(dem_path, ELEVATION, is_elevation=True)


def write_confidence_style(confidence_path: Path) -> Path:
    """Write the style of a confidence raster beside it and return the style's path. Any thread may call it.

    Raises:
        OSError: the raster cannot be opened or the style cannot be written.
    """
    return _write(confidence_path, STANDARD_DEVIATION, is_elevation=False)


def write_difference_style(difference_path: Path) -> Path:
    """Write the style of a raster of differences beside it and return the style's path. Any thread may call
    it.

    Raises:
        OSError: the raster cannot be opened or the style cannot be written.
    """
    return _write(difference_path, DIFFERENCE, is_elevation=False)


def _write(raster_path: Path, colours: tuple[str, ...], is_elevation: bool) -> Path:
    statistics = raster_path.with_name(raster_path.name + ".aux.xml")
    had_statistics = statistics.exists()
    style_path = raster_path.with_suffix(".qml")
    options = QgsRasterLayer.LayerOptions(loadDefaultStyle=False)
    layer = QgsRasterLayer(str(raster_path), raster_path.stem, "gdal", options)
    if not layer.isValid():
        raise OSError(f"Cannot open {raster_path} to style it.")
    apply_colour_relief(layer, colours)
    categories = QgsMapLayer.StyleCategories(QgsMapLayer.StyleCategory.Symbology)
    if is_elevation:
        mark_as_elevation(layer)
        categories |= QgsMapLayer.StyleCategory.Elevation
    message, saved = layer.saveNamedStyle(str(style_path), categories)
    # GDAL writes what QGIS asked of it on opening when the layer goes. Whoever renames the raster or writes
    # it anew would leave those statistics behind, and they would be taken for the new raster's.
    del layer
    if not had_statistics:
        statistics.unlink(missing_ok=True)
    if not saved:
        raise OSError(f"Cannot write the style {style_path}: {message}")
    return style_path
