"""Hillshade: where its light comes from, and how steep slopes look in units of every kind."""

from __future__ import annotations

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("qgis.core")

from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsProject, QgsRectangle

from imagetodem_qgis.styling.colours import ELEVATION
from imagetodem_qgis.styling.light import light_for
from imagetodem_qgis.styling.renderers import apply_colour_relief, apply_hillshade
from tests.qgis.styled_layers import cone, open_layer, render, utm_dem, write_raster
from tests.rasters import UTM_33N

pytestmark = pytest.mark.usefixtures("qgis_app")


def light_at(crs: str, x: float, y: float, half: float):
    return light_for(QgsCoordinateReferenceSystem(crs), QgsRectangle(x - half, y - half, x + half, y + half))


def test_projected_metres_need_no_factor():
    light = light_at(UTM_33N, 500000, 5200000, 3000)
    assert (light.z_factor, light.azimuth) == (1.0, 315.0)


def test_no_reference_system_counts_pixels():
    light = light_at("", 50, -50, 50)
    assert (light.z_factor, light.azimuth) == (1.0, 315.0)


def test_feet_and_web_mercator_are_brought_to_metres_on_the_ground():
    assert light_at("EPSG:2263", 990000, 200000, 5000).z_factor == pytest.approx(1 / 0.3048, rel=5e-3)
    northern = light_at("EPSG:3857", 1500000, 8399737.9, 5000)
    assert northern.z_factor == pytest.approx(2.0, rel=5e-3)
    assert northern.azimuth == pytest.approx(315, abs=0.2)


def test_degrees_at_the_equator_and_at_sixty_north():
    equator = light_at("EPSG:4326", 15, 0, 0.05)
    assert equator.z_factor == pytest.approx(1 / 111000, rel=5e-3)
    assert equator.azimuth == pytest.approx(315, abs=0.3)
    northern = light_at("EPSG:4326", 15, 60, 0.05)
    per_x, per_y = 55800.0, 111412.0
    assert northern.z_factor == pytest.approx(np.hypot(np.sqrt(0.5) / per_x, np.sqrt(0.5) / per_y), rel=2e-3)
    assert northern.azimuth == pytest.approx(360 - np.degrees(np.arctan(per_y / per_x)), abs=0.2)


def test_a_body_that_is_not_the_earth_has_its_own_degrees():
    moon = QgsCoordinateReferenceSystem.fromProj("+proj=longlat +R=1737400 +no_defs")
    light = light_for(moon, QgsRectangle(-0.1, -0.1, 0.1, 0.1))
    assert light.z_factor == pytest.approx(360 / (2 * np.pi * 1737400), rel=5e-3)


def test_an_extent_that_cannot_be_measured_falls_back_on_units():
    light = light_at(UTM_33N, 1e12, 1e12, 1e6)
    assert (light.z_factor, light.azimuth) == (1.0, 315.0)


def hilly(east: np.ndarray, north: np.ndarray) -> np.ndarray:
    """Heights in metres of rolling hills with slopes up to about 25 degrees, in UTM metres."""
    waves = np.sin(east / 350) * np.cos(north / 420) + 0.6 * np.sin((east + 1.7 * north) / 610)
    return (900 + 110 * waves).astype(np.float32)


def test_the_same_terrain_looks_the_same_in_degrees_feet_and_metres(tmp_path):
    """At 60 degrees north, where a degree of longitude is half one of latitude."""
    utm = QgsCoordinateReferenceSystem(UTM_33N)
    context = QgsProject.instance().transformContext()
    middle = QgsCoordinateTransform(QgsCoordinateReferenceSystem("EPSG:4326"), utm, context).transform(
        15.0, 60.0
    )
    frame = QgsRectangle(middle.x() - 2500, middle.y() - 2500, middle.x() + 2500, middle.y() + 2500)

    def shade(name: str, crs: str, cell_x: float, cell_y: float) -> np.ndarray:
        system = (
            QgsCoordinateReferenceSystem(crs)
            if "+" not in crs
            else QgsCoordinateReferenceSystem.fromProj(crs)
        )
        box = QgsCoordinateTransform(utm, system, context).transformBoundingBox(frame.buffered(200))
        columns, rows = int(box.width() / cell_x), int(box.height() / cell_y)
        to_utm = QgsCoordinateTransform(system, utm, context)
        heights = np.empty((rows, columns), np.float32)
        for row in range(rows):
            y = box.yMaximum() - (row + 0.5) * cell_y
            points = [to_utm.transform(box.xMinimum() + (c + 0.5) * cell_x, y) for c in range(columns)]
            heights[row] = hilly(np.array([p.x() for p in points]), np.array([p.y() for p in points]))
        path = tmp_path / f"{name}.tif"
        write_raster(path, heights, UTM_33N, (box.xMinimum(), cell_x, 0, box.yMaximum(), 0, -cell_y))
        dataset = gdal.Open(str(path), gdal.GA_Update)
        dataset.SetProjection(system.toWkt())
        del dataset
        layer = open_layer(path)
        apply_hillshade(layer)
        layer.brightnessFilter().setGamma(1.0)
        return render([layer], frame, utm)[..., 0]

    metres = shade("metres", UTM_33N, 25, 25)
    degrees = shade("degrees", "EPSG:4326", 0.00045, 0.000225)
    feet = shade("feet", "+proj=utm +zone=33 +datum=WGS84 +units=us-ft", 82, 82)
    mercator = shade("mercator", "EPSG:3857", 50, 50)
    assert metres.std() > 25
    assert np.abs(degrees - metres).mean() < 5
    assert np.abs(feet - metres).mean() < 3
    assert np.abs(mercator - metres).mean() < 3


def test_slopes_to_the_north_west_are_the_brighter_ones(tmp_path):
    layers = [open_layer(utm_dem(tmp_path / "cone.tif", cone())) for _ in range(2)]
    apply_hillshade(layers[0])
    apply_colour_relief(layers[1], ELEVATION)
    picture = render(layers, layers[0].extent(), layers[0].crs()).mean(axis=2)
    north_west, south_east = picture[60, 60], picture[140, 140]
    assert north_west > south_east + 60
    relief_alone = render(layers[1:], layers[1].extent(), layers[1].crs()).mean(axis=2)
    assert relief_alone[60, 60] == pytest.approx(relief_alone[140, 140], abs=3)
