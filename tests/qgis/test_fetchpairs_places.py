"""Whole runs where grids are awkward: every tile lies where it says, in its own zone."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")
from osgeo import gdal

from imagetodem_qgis.pairs.geography import WGS_84, transformation, utm_crs, utm_zone
from imagetodem_qgis.pairs.source import Tile
from tests.services.earthengine.grids import Grid
from tests.services.earthengine.server import EarthEngineServer
from tests.services.stac_ground import DAY, Ground, centres, shift

# Longitude and latitude of the middle, half the width and height in degrees, the zones that it reaches.
PLACES = {
    "two zones": (12.0, 47.0, 0.025, 0.012, {"EPSG:32632", "EPSG:32633"}),
    "antimeridian": (180.0, 66.5, 0.045, 0.012, {"EPSG:32660", "EPSG:32601"}),
    "equator": (33.0, 0.0, 0.015, 0.02, {"EPSG:32636", "EPSG:32736"}),
    "75 degrees north": (15.5, 74.97, 0.05, 0.012, {"EPSG:32633"}),
    "75 degrees south": (163.0, -74.97, 0.05, 0.012, {"EPSG:32758"}),
    "southern hemisphere": (-70.5, -33.2, 0.015, 0.012, {"EPSG:32719"}),
}


class Scene:
    """Counts of a granule: the ground's reflectance, seen from the granule's own zone."""

    def __init__(self, ground: Ground, crs: str) -> None:
        self._ground, self._to_degrees = ground, (crs, WGS_84)
        self._last: tuple[bytes, np.ndarray] = (b"", np.empty(0))
        self._lock = threading.Lock()

    def band(self, number: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Of x and y."""
        return lambda x, y: 10_000.0 * self._reflectance(x, y)[number]

    def _reflectance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        key = x.tobytes() + y.tobytes()
        with self._lock:
            if self._last[0] != key:
                points = np.stack([x.ravel(), y.ravel()], axis=1).tolist()
                places = np.array(transformation(*self._to_degrees).TransformPoints(points))
                made = self._ground.reflectance(places[:, 0], places[:, 1]).reshape(3, *x.shape)
                self._last = (key, made)
            return self._last[1]


def fill(server: EarthEngineServer, ground: Ground, zones: set[str]) -> None:
    """A granule of each zone, and heights, around the place."""
    server.forget()
    for number, crs in enumerate(sorted(zones)):
        x, y, _ = transformation(WGS_84, crs).TransformPoint(ground.longitude, ground.latitude)
        left, top = 10.0 * np.round(x / 10.0) - 12_000.0, 10.0 * np.round(y / 10.0) + 12_000.0
        scene = Scene(ground, crs)
        bands = tuple(scene.band(band) for band in range(3))
        grid = Grid(crs, left, top, 10, -10, 2400, 2400)
        server.world.add_scene(f"scene_{number}", grid, bands, f"{DAY}T10:00:00", datatake="one pass")
    west = np.floor(ground.longitude * 10.0) / 10.0 - 0.3
    server.world.add_heights(west, ground.latitude + 0.2, 2500, 1500, ground.height)


@pytest.mark.parametrize("name", PLACES)
def test_tiles_lie_where_they_say(name: str, earth_engine: EarthEngineServer, tmp_path: Path) -> None:
    import processing
    from qgis.core import QgsProcessingFeedback

    longitude, latitude, wide, high, zones = PLACES[name]
    ground = Ground(longitude, latitude)
    fill(earth_engine, ground, zones)
    box = (longitude - wide, longitude + wide, latitude - high, latitude + high)
    parameters = {
        "SOURCE": "Earth Engine",
        "SERVER": earth_engine.address,
        "KEY_FILE": str(earth_engine.write_key(tmp_path / "key.json")),
        "EXTENT": f"{','.join(map(str, box))} [EPSG:4326]",
        "START": "2021-06-01",
        "END": "2021-06-30",
        "RESOLUTION": 20.0,
        "TILE_SIZE": 64,
        "VALIDATION": 0.0,
        "TEST": 0.0,
        "OUTPUT": str(tmp_path / "data"),
    }
    made = processing.run("imagetodem:fetchpairs", parameters, feedback=QgsProcessingFeedback(False))
    about = json.loads((tmp_path / "data" / "dataset.json").read_text(encoding="utf-8"))
    assert made["PAIRS"] >= 3
    assert set(about["left_out"].values()) == {0}
    found = set()
    for pair in about["pairs"]:
        image = gdal.Open(str(tmp_path / "data" / "images" / f"{pair['id']}.tif"))
        dem = gdal.Open(str(tmp_path / "data" / "dems" / f"{pair['id']}.tif"))
        assert image.GetGeoTransform() == dem.GetGeoTransform()
        crs = f"EPSG:{image.GetSpatialRef().GetAuthorityCode(None)}"
        left, step, _, top, _, _ = image.GetGeoTransform()
        tile = Tile(pair["id"], "", "", crs, left, top, step, 64)
        places = centres(tile)
        assert utm_crs(utm_zone(float(places[0][32, 32])), float(places[1][32, 32]) < 0.0) == crs
        assert np.hypot(*shift(image.ReadAsArray()[0], ground.reflectance(*places)[0])) < 0.1
        assert np.hypot(*shift(dem.ReadAsArray(), ground.height(*places))) < 0.1
        found.add(crs)
    assert found == zones
