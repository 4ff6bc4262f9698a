"""What a stand-in STAC server serves: GeoTIFFs made from arrays, and items about them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, gdal_array, osr

IMAGES = {True: "sentinel-2-c1-l2a", False: "sentinel-2-l2a"}
"""Collection of Sentinel-2 L2A at Earth Search (``True``) and at Planetary Computer."""
_BANDS = {True: ("red", "green", "blue", "scl"), False: ("B04", "B03", "B02", "SCL")}
_BLOCK = 256

Places = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Lattice:
    """The pixels of a file: CRS, upper left corner, width of a pixel, columns and rows, and a pixel's height
    where it is not as high as wide."""

    crs: str
    left: float
    top: float
    pixel: float
    columns: int
    rows: int
    height: float = 0.0

    @property
    def down(self) -> float:
        """Height of a pixel."""
        return self.height or self.pixel

    def centres(self) -> Places:
        """The x and y of the pixels' centres, each (rows, columns)."""
        x = self.left + (np.arange(self.columns) + 0.5) * self.pixel
        y = self.top - (np.arange(self.rows) + 0.5) * self.down
        return tuple(np.meshgrid(x, y))  # type: ignore[return-value]

    def degrees(self) -> Places:
        """Longitude and latitude of the pixels' centres; longitudes do not jump at the antimeridian."""
        return to_crs(self.crs, "EPSG:4326", *self.centres())

    def box(self) -> list[float]:
        """GeoJSON's bbox in degrees."""
        x = self.left + np.linspace(0.0, 1.0, 9) * self.columns * self.pixel
        y = self.top - np.linspace(0.0, 1.0, 9) * self.rows * self.down
        longitude, latitude = to_crs(self.crs, "EPSG:4326", *np.meshgrid(x, y))
        west, east = longitude.min(), longitude.max()
        return [
            (west + 180.0) % 360.0 - 180.0,
            latitude.min(),
            (east + 180.0) % 360.0 - 180.0,
            latitude.max(),
        ]


@dataclass
class World:
    """Scenes and tiles of heights in a folder."""

    folder: Path
    _scenes: list[dict[str, Any]] = field(default_factory=list)
    _heights: list[dict[str, Any]] = field(default_factory=list)

    def add_scene(
        self,
        name: str,
        lattice: Lattice,
        numbers: NDArray[np.uint16],
        time: str = "2021-06-15T10:00:00Z",
        cloud: float = 1.0,
        classes: NDArray[np.uint8] | None = None,
        sun: tuple[float, float] = (150.0, 60.0),
        baseline: str = "05.10",
        offset: float = -0.1,
        platform: str = "sentinel-2a",
    ) -> None:
        """Add a granule.

        Args:
            name: of the item.
            lattice: of the bands.
            numbers: (3, rows, columns), red, green, blue; 0 is none.
            time: when it was taken.
            cloud: percent that the item states.
            classes: (rows / 2, columns / 2), scene classification; bare ground all over if None.
            sun: azimuth and elevation in degrees.
            baseline: of the processing.
            offset: that Earth Search's item states.
            platform: the satellite.
        """
        if classes is None:
            classes = np.full((lattice.rows // 2, lattice.columns // 2), 5, np.uint8)
        coarse = Lattice(
            lattice.crs, lattice.left, lattice.top, 2 * lattice.pixel, classes.shape[1], classes.shape[0]
        )
        for band, values in zip(_BANDS[True][:3], numbers):
            _write(self._path(f"images/{name}_{band}.tif"), lattice, values, 0)
        _write(self._path(f"images/{name}_scl.tif"), coarse, classes, 0, "NEAREST")
        self._scenes.append(
            {
                "id": name,
                "bbox": lattice.box(),
                "datetime": time,
                "cloud": cloud,
                "sun": sun,
                "baseline": baseline,
                "offset": offset,
                "platform": platform,
                "epsg": int(lattice.crs.rpartition(":")[2]),
            }
        )

    def add_heights(
        self,
        collection: str,
        west: float,
        south: float,
        height: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[Any]],
        side: float = 1.0,
        arc_seconds: float = 1.0,
        narrow: int = 1,
        half_pixel: bool = False,
        nodata: float | None = None,
    ) -> None:
        """Add a tile of a DEM.

        Args:
            collection: such as ``cop-dem-glo-30``.
            west: of its corner in degrees.
            south: likewise.
            height: of longitudes and latitudes in degrees.
            side: of the tile in degrees.
            arc_seconds: height of a pixel.
            narrow: widths of a pixel along its height's (GLO-30's are wider towards the poles).
            half_pixel: whether the corners are half a pixel to the north-west, as GLO-30's are.
            nodata: that the file declares.
        """
        down = arc_seconds / 3600.0
        across = down * narrow
        left = west - (across / 2 if half_pixel else 0.0)
        top = south + side + (down / 2 if half_pixel else 0.0)
        lattice = Lattice("EPSG:4326", left, top, across, round(side / across), round(side / down), down)
        name = f"{collection}_{south:+.2f}_{west:+.2f}"
        _write(self._path(f"{collection}/{name}.tif"), lattice, height(*lattice.centres()), nodata)
        self._heights.append({"id": name, "collection": collection, "bbox": lattice.box()})

    def items(self, earth_search: bool, files: str) -> Iterator[dict[str, Any]]:
        """All items, as a catalogue says them.

        Args:
            earth_search: in whose way.
            files: address under which the files lie.
        """
        for scene in self._scenes:
            yield _scene_item(copy.deepcopy(scene), earth_search, files)
        for tile in self._heights:
            collection, name = tile["collection"], tile["id"]
            yield {
                "type": "Feature",
                "id": name,
                "collection": collection,
                "bbox": tile["bbox"],
                "properties": {"datetime": "2021-04-22T00:00:00Z", "proj:epsg": 4326},
                "assets": {"data": {"href": f"{files}{collection}/{name}.tif"}},
            }

    def file(self, name: str) -> Path | None:
        """The file of an asset by what follows the server's folder; ``None`` where there is none."""
        folder, _, rest = name.partition("/")
        path = self.folder / ("images" if folder in IMAGES.values() else folder) / rest
        return path if path.is_file() else None

    def remove(self, name: str) -> None:
        """Take a file away that an item names."""
        path = self.file(name)
        assert path is not None, name
        path.unlink()

    def _path(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def to_crs(source: str, target: str, x: NDArray[Any], y: NDArray[Any]) -> Places:
    """Places in another CRS, x or longitude first, in arrays of the same shape. Longitudes do not jump."""
    references = []
    for name in (source, target):
        reference = osr.SpatialReference()
        reference.SetFromUserInput(name)
        reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
        references.append(reference)
    transformation = osr.CoordinateTransformation(*references)
    points = np.array(transformation.TransformPoints(np.column_stack([x.ravel(), y.ravel()]).tolist()))
    first, second = points[:, 0], points[:, 1]
    if target == "EPSG:4326":
        first = (first - first[0] + 180.0) % 360.0 - 180.0 + first[0]
    return first.reshape(x.shape), second.reshape(x.shape)


def _scene_item(scene: dict[str, Any], earth_search: bool, files: str) -> dict[str, Any]:
    azimuth, elevation = scene["sun"]
    properties: dict[str, Any] = {
        "datetime": scene["datetime"],
        "eo:cloud_cover": scene["cloud"],
        "platform": scene["platform"],
        "s2:processing_baseline": scene["baseline"],
    }
    if earth_search:
        properties |= {
            "proj:epsg": scene["epsg"],
            "view:sun_azimuth": azimuth,
            "view:sun_elevation": elevation,
        }
    else:
        properties |= {"proj:code": f"EPSG:{scene['epsg']}"}
        properties |= {"s2:mean_solar_azimuth": azimuth, "s2:mean_solar_zenith": 90.0 - elevation}
    collection = IMAGES[earth_search]
    assets = {}
    for name, stored in zip(_BANDS[earth_search], _BANDS[True]):
        asset: dict[str, Any] = {
            "href": f"{files}{collection}/{scene['id']}_{stored}.tif",
            "type": "image/tiff",
        }
        if earth_search and stored != "scl":
            asset["raster:bands"] = [{"nodata": 0, "scale": 0.0001, "offset": scene["offset"]}]
        assets[name] = asset
    return {
        "type": "Feature",
        "id": scene["id"],
        "collection": collection,
        "bbox": scene["bbox"],
        "geometry": None,
        "properties": properties,
        "assets": assets,
        "links": [],
    }


def _write(
    path: Path, lattice: Lattice, values: NDArray[Any], nodata: float | None, overviews: str = "AVERAGE"
) -> None:
    """Write a cloud-optimised GeoTIFF, compressed as the catalogues' own are."""
    rows, columns = values.shape
    kind = gdal_array.NumericTypeCodeToGDALTypeCode(values.dtype)
    memory = gdal.GetDriverByName("MEM").Create("", columns, rows, 1, kind)
    memory.SetGeoTransform((lattice.left, lattice.pixel, 0.0, lattice.top, 0.0, -lattice.down))
    reference = osr.SpatialReference()
    reference.SetFromUserInput(lattice.crs)
    memory.SetProjection(reference.ExportToWkt())
    memory.GetRasterBand(1).WriteArray(values)
    if nodata is not None:
        memory.GetRasterBand(1).SetNoDataValue(nodata)
    options = [f"BLOCKSIZE={_BLOCK}", "COMPRESS=DEFLATE", "PREDICTOR=YES", f"OVERVIEW_RESAMPLING={overviews}"]
    assert gdal.GetDriverByName("COG").CreateCopy(str(path), memory, options=options) is not None
