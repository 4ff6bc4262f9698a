"""Colour relief: its colours, its range and its legend."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("qgis.core")

from qgis.PyQt.QtGui import QColor

from imagetodem_qgis.styling.colours import ELEVATION, STANDARD_DEVIATION
from imagetodem_qgis.styling.renderers import apply_colour_relief
from tests.qgis.styled_layers import cone, open_layer, render, utm_dem, write_raster
from tests.rasters import NODATA

pytestmark = pytest.mark.usefixtures("qgis_app")


def lightness(colour: QColor) -> float:
    """CIE L* of an sRGB colour."""
    channels = np.array([colour.redF(), colour.greenF(), colour.blueF()])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


@pytest.mark.parametrize(("colours", "direction"), [(ELEVATION, 1), (STANDARD_DEVIATION, -1)])
def test_ramps_run_evenly_in_lightness(colours, direction):
    steps = direction * np.diff([lightness(QColor(colour)) for colour in colours])
    assert steps.min() > 3
    assert steps.max() < 18


def test_colours_follow_height(tmp_path):
    heights = np.repeat(np.linspace(100, 700, 7, dtype=np.float32), 20)[None, :].repeat(140, axis=0)
    layer = open_layer(utm_dem(tmp_path / "steps.tif", heights))
    apply_colour_relief(layer, ELEVATION)
    picture = render([layer], layer.extent(), layer.crs(), 140)
    drawn = [picture[70, 10 + 20 * step] for step in range(7)]
    wanted = [QColor(colour).getRgb()[:3] for colour in ELEVATION]
    np.testing.assert_allclose(drawn, wanted, atol=2)


def test_spikes_and_nodata_leave_the_colours_to_the_rest(tmp_path):
    heights = np.random.default_rng(1).uniform(500, 600, (100, 100)).astype(np.float32)
    heights[:30] = NODATA
    heights[50, :20] = 9000
    layer = open_layer(utm_dem(tmp_path / "spikes.tif", heights))
    apply_colour_relief(layer, ELEVATION)
    shader = layer.renderer().shader().rasterShaderFunction()
    low, high = np.percentile(heights[30:], (2, 98))
    assert low - 1 <= shader.minimumValue() <= low
    assert high <= shader.maximumValue() <= high + 1
    assert layer.renderer().classificationMax() < 600
    assert shader.legendSettings().suffix() == " m"


@pytest.mark.parametrize(
    ("lowest", "highest", "low", "high"),
    [
        (1234.567, 2987.6, 1260, 2960),
        (-3.0, 61.8, -1.8, 60.6),
        (0.01234, 0.05432, 0.0131, 0.0535),
        (870037, 910037, 870800, 909300),
    ],
)
def test_the_legend_prints_round_numbers(tmp_path, lowest, highest, low, high):
    heights = np.linspace(lowest, highest, 10000, dtype=np.float64).reshape(100, 100)
    layer = open_layer(utm_dem(tmp_path / "dem.tif", heights))
    apply_colour_relief(layer, ELEVATION)
    ends = layer.renderer().classificationMin(), layer.renderer().classificationMax()
    assert ends == pytest.approx((low, high), rel=1e-9)


@pytest.mark.parametrize(
    ("heights", "low", "high"),
    [
        (np.full((40, 30), 250, np.float32), 249.5, 250.5),
        (np.full((1, 1), -7, np.float32), -7.5, -6.5),
        (np.full((8, 8), NODATA, np.float32), 0.0, 1.0),
        (np.full((8, 8), np.nan, np.float32), 0.0, 1.0),
    ],
)
def test_a_raster_without_relief_has_a_range(tmp_path, heights, low, high):
    layer = open_layer(utm_dem(tmp_path / "flat.tif", heights))
    apply_colour_relief(layer, ELEVATION)
    assert (layer.renderer().classificationMin(), layer.renderer().classificationMax()) == (low, high)


def test_legend_names_the_rasters_own_unit(tmp_path):
    layer = open_layer(write_raster(tmp_path / "p.tif", cone(20), "", (0, 1, 0, 0, 0, -1), unit="pixel"))
    apply_colour_relief(layer, ELEVATION)
    assert layer.renderer().shader().rasterShaderFunction().legendSettings().suffix() == " pixel"
