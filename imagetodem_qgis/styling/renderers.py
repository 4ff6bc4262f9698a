"""Colour relief and hillshade for a raster layer of heights."""

from __future__ import annotations

from math import ceil, floor, log10

import numpy as np
from osgeo import gdal
from qgis.core import (
    Qgis,
    QgsColorRampLegendNodeSettings,
    QgsColorRampShader,
    QgsHillshadeRenderer,
    QgsRasterDataProvider,
    QgsRasterLayer,
    QgsRasterMinMaxOrigin,
    QgsRasterShader,
    QgsSingleBandPseudoColorRenderer,
)
from qgis.PyQt.QtGui import QPainter

from imagetodem_qgis.styling.colours import DIFFERENCE, ramp
from imagetodem_qgis.styling.light import SUN_ALTITUDE, light_for

CUT = (2.0, 98.0)
"""Percentiles of the heights that take the ramp's ends: a few spikes must not eat the colours of the rest."""

HILLSHADE_GAMMA = 1.6
"""Lifts the half-tone of level ground, which would otherwise darken every colour by a third."""

_SAMPLE = 1024
_METRES = ("", "m", "metre", "metres", "meter", "meters")


def apply_colour_relief(layer: QgsRasterLayer, colours: tuple[str, ...]) -> None:
    """Colour a layer's first band from the low to the high end of its values, with a legend in its unit; the
    colours of differences reach as far below zero as above it."""
    low, high, unit = _range_and_unit(layer.source())
    about_zero = colours == DIFFERENCE
    if about_zero:
        low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
    function = QgsColorRampShader(low, high, ramp(colours))
    function.classifyColorRamp(len(colours), 1)
    legend = QgsColorRampLegendNodeSettings()
    legend.setSuffix(f" {unit}")
    function.setLegendSettings(legend)
    shader = QgsRasterShader(low, high)
    shader.setRasterShaderFunction(function)
    renderer = QgsSingleBandPseudoColorRenderer(layer.dataProvider(), 1, shader)
    renderer.setClassificationMin(low)
    renderer.setClassificationMax(high)
    origin = QgsRasterMinMaxOrigin()
    if not about_zero:
        origin.setLimits(QgsRasterMinMaxOrigin.Limits.CumulativeCut)
    renderer.setMinMaxOrigin(origin)
    layer.setRenderer(renderer)
    _resample_heights(layer)


def apply_hillshade(layer: QgsRasterLayer) -> None:
    """Shade a layer's first band, so that it multiplies what is drawn below it."""
    light = light_for(layer.crs(), layer.extent())
    renderer = QgsHillshadeRenderer(layer.dataProvider(), 1, light.azimuth, SUN_ALTITUDE)
    renderer.setMultiDirectional(False)
    renderer.setZFactor(light.z_factor)
    layer.setRenderer(renderer)
    layer.brightnessFilter().setGamma(HILLSHADE_GAMMA)
    layer.setBlendMode(QPainter.CompositionMode.CompositionMode_Multiply)
    _resample_heights(layer)


def _resample_heights(layer: QgsRasterLayer) -> None:
    """Zoomed in, draw a smooth surface: shading the steps between enlarged pixels would draw a grid."""
    layer.setResamplingStage(Qgis.RasterResamplingStage.Provider)
    provider = layer.dataProvider()
    provider.setZoomedInResamplingMethod(QgsRasterDataProvider.ResamplingMethod.Cubic)
    provider.setZoomedOutResamplingMethod(QgsRasterDataProvider.ResamplingMethod.Bilinear)
    provider.enableProviderResampling(True)


def _range_and_unit(source: str) -> tuple[float, float, str]:
    """The values that take the ramp's ends, low below high, and the unit of the first band.

    Read here rather than by QGIS's statistics, which would leave an ``.aux.xml`` beside the raster.
    """
    dataset = gdal.Open(source)
    band = dataset.GetRasterBand(1)
    columns, rows = min(band.XSize, _SAMPLE), min(band.YSize, _SAMPLE)
    values = band.ReadAsArray(buf_xsize=columns, buf_ysize=rows)
    valid = band.GetMaskBand().ReadAsArray(buf_xsize=columns, buf_ysize=rows) != 0
    values = values[valid & np.isfinite(values)]
    unit = band.GetUnitType()
    unit = "m" if unit in _METRES else unit
    if values.size == 0:
        return 0.0, 1.0, unit
    low, high = (float(value) for value in np.percentile(values, CUT))
    if high <= low:
        # A shader needs a range: level ground takes the ramp's middle colour.
        return low - 0.5, low + 0.5, unit
    # The legend prints both ends: round ones, a hundredth of the range or so further out.
    digits = 2 - floor(log10(high - low))
    return floor(low * 10.0**digits) / 10.0**digits, ceil(high * 10.0**digits) / 10.0**digits, unit
