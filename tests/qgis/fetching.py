"""What the tests of Fetch pairs share: one known ground in both stand-ins, and runs over a few tiles."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Callable

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.pairs.dataset import Job, Made, make_dataset
from imagetodem_qgis.pairs.examine import Limits
from imagetodem_qgis.pairs.geography import WGS_84, transformation
from imagetodem_qgis.pairs.plan import Plan
from imagetodem_qgis.pairs.source import (
    GLO30,
    LEAST_CLOUDY,
    Estimate,
    FetchedPair,
    PairSource,
    Query,
    Tile,
)
from tests.pair_sources import Told
from tests.services.earthengine.grids import Grid
from tests.services.earthengine.server import EarthEngineServer
from tests.services.stac_world import Lattice
from tests.services.stac_world import World as StacWorld

UTM = "EPSG:32633"
LEFT, TOP = 499_980.0, 5_200_020.0
PIXELS = 800
DAY = "2021-06-15"
EXTENT = "501200,506800,5193700,5199200 [EPSG:32633]"
"""Holds the centres of three times three tiles of 64 pixels of 30 m."""
QUERY = Query(date(2021, 6, 1), date(2021, 6, 30), (6,), 50.0, LEAST_CLOUDY, GLO30)

Floats = NDArray[np.float64]


def counts(band: int) -> Callable[[Floats, Floats], Floats]:
    """Reflectance times 10,000 of a band, red first, at places of the scene's UTM zone: whole numbers."""

    def at(x: Floats, y: Floats) -> Floats:
        east, north = x - LEFT, y - TOP
        return np.rint(
            3000 + 800 * np.sin(east / 150 + band) * np.cos(north / 190) + 500 * np.sin(north / 330 - band)
        )

    return at


def metres(longitude: Floats, latitude: Floats) -> Floats:
    """Heights of 500 to 900 m."""
    return 700.0 + 100.0 * np.sin(longitude * 300.0) + 100.0 * np.cos(latitude * 400.0 + longitude * 90.0)


def places(path: Path) -> tuple[gdal.Dataset, np.ndarray, np.ndarray]:
    """A raster, and the x and y of its pixels' centres."""
    dataset = gdal.Open(str(path))
    left, step, _, top, _, down = dataset.GetGeoTransform()
    x = left + (np.arange(dataset.RasterXSize) + 0.5) * step
    y = top + (np.arange(dataset.RasterYSize) + 0.5) * down
    return dataset, *np.meshgrid(x, y)


def assert_is_the_ground(folder: Path, names: list[str]) -> None:
    """At 10 m the image's pixels are the scene's own, and the DEM's heights within a curve's bend."""
    to_degrees = transformation("EPSG:32633", WGS_84)
    for name in names:
        dataset, x, y = places(folder / "images" / f"{name}.tif")
        expected = np.stack([counts(band)(x, y) for band in range(3)]) / 10_000.0
        np.testing.assert_allclose(dataset.ReadAsArray(), expected, rtol=0, atol=2e-7)
        dataset, x, y = places(folder / "dems" / f"{name}.tif")
        degrees = np.array(to_degrees.TransformPoints(np.stack([x.ravel(), y.ravel()], 1).tolist()))
        truth = metres(degrees[:, 0], degrees[:, 1]).reshape(x.shape)
        assert np.abs(dataset.ReadAsArray() - truth).max() < 3.0


def fill_earth_engine(server: EarthEngineServer) -> None:
    """The ground for Earth Engine, in place of what was there."""
    server.forget()
    grid = Grid(UTM, LEFT, TOP, 10, -10, PIXELS, PIXELS)
    server.world.add_scene("scene_a", grid, tuple(counts(band) for band in range(3)), f"{DAY}T10:00:00")
    for collection in ("JAXA/ALOS/AW3D30/V4_1", "COPERNICUS/DEM/GLO30"):
        server.world.add_heights(14.9, 47.1, 1000, 1000, metres, collection=collection)


def fill_stac(world: StacWorld) -> None:
    """The ground for STAC."""
    lattice = Lattice(UTM, LEFT, TOP, 10.0, PIXELS, PIXELS)
    numbers = np.stack([counts(band)(*lattice.centres()) + 1000 for band in range(3)]).astype(np.uint16)
    world.add_scene("scene_a", lattice, numbers, f"{DAY}T10:00:00Z", sun=(150.0, 55.0))
    for collection in ("cop-dem-glo-30", "alos-dem"):
        world.add_heights(collection, 14.95, 46.85, metres, side=0.2)


def few_tiles() -> Plan:
    """Four tiles in the scene, one of them to validate with."""
    side = 1920.0
    tiles = [
        Tile(f"t{number}", f"area {number}", "train" if number else "validation", UTM,
             (261 + number % 2) * side, (2707 - number // 2) * side, 30.0, 64)
        for number in range(4)
    ]  # fmt: skip
    return Plan(tuple(tiles), 0, ())


class Recording:
    """A source that keeps which tiles it was asked for; tiles one after the other."""

    simultaneous = 1

    def __init__(self, source: PairSource) -> None:
        self._source = source
        self.asked: list[str] = []

    def describe(self) -> Mapping[str, Any]:
        return self._source.describe()

    def estimate(self, tiles: Sequence[Tile]) -> Estimate:
        return self._source.estimate(tiles)

    def fetch(self, tile: Tile, is_cancelled: Callable[[], bool]) -> FetchedPair:
        self.asked.append(tile.id)
        return self._source.fetch(tile, is_cancelled)

    def close(self) -> None:
        """The source lives on."""
        self.asked.append("closed")


def fetch_few(folder: Path, source: Recording) -> Made:
    """Fill a folder with the few tiles."""
    job = Job(folder, few_tiles(), 30.0, 64, Limits(0.1, 0.9), {"SOURCE": "stand-in"})
    return make_dataset(job, source, Told())


def rasters(folder: Path) -> dict[str, str]:
    """Checksums of a folder's rasters by name."""
    found = sorted(path for part in ("images", "dems") for path in (folder / part).glob("*.tif"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}
