"""One file means the same heights to every reader of DEMs."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import pytest

gdal = pytest.importorskip("osgeo.gdal")
osr = pytest.importorskip("osgeo.osr")

from imagetodem_qgis.core.height_values import metres_of  # noqa: E402
from imagetodem_qgis.core.tiling import Window  # noqa: E402
from imagetodem_qgis.raster.dem import Dem  # noqa: E402
from imagetodem_qgis.raster.elevation import Elevation  # noqa: E402
from imagetodem_qgis.raster.errors import RasterError  # noqa: E402
from imagetodem_qgis.raster.height_band import height_band  # noqa: E402
from imagetodem_qgis.raster.heights import Heights  # noqa: E402
from imagetodem_qgis.raster.reference import Reference  # noqa: E402
from imagetodem_qgis.scene.terrain import SceneDem  # noqa: E402

SIDE = 24
WHOLE = Window(0, 0, SIDE, SIDE)
FOOT = 0.3048


def write(path: Path, stored: np.ndarray, kind: int, bands: int = 1, **about: object) -> str:
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), SIDE, SIDE, bands, kind)
    dataset.SetGeoTransform((500000.0, 30.0, 0.0, 5000000.0, 0.0, -30.0))
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32633)
    dataset.SetProjection(reference.ExportToWkt())
    band = dataset.GetRasterBand(1)
    for name, value in about.items():
        getattr(band, name)(value)
    band.WriteArray(stored)
    return str(path)


def of_dem(path: str, scratch: Path) -> np.ndarray:
    dem = Dem(path)
    return dem.reader(dem.grid.window(), SIDE, SIDE).read(WHOLE)


def of_heights(path: str, scratch: Path) -> np.ndarray:
    return Heights(path).read(WHOLE, SIDE, SIDE)


def of_elevation(path: str, scratch: Path) -> np.ndarray:
    elevation = Elevation(path)
    return elevation.on(elevation.grid).read(WHOLE) * elevation.unit


def of_reference(path: str, scratch: Path) -> np.ndarray:
    return Reference(path).on(Elevation(path).grid, scratch).read(WHOLE)


def of_scene(path: str, scratch: Path) -> np.ndarray:
    terrain = SceneDem(path).read(10**6, lambda share: None, lambda: False)
    return terrain.heights * terrain.metres()


READERS = [of_dem, of_heights, of_elevation, of_reference, of_scene]
Reader = Callable[[str, Path], np.ndarray]


@pytest.mark.parametrize("read", READERS)
def test_scale_offset_and_unit_count(read: Reader, tmp_path: Path) -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    stored = (100 * rows + columns).astype(np.int16)
    path = write(
        tmp_path / "dem.tif",
        stored,
        gdal.GDT_Int16,
        SetScale=0.1,
        SetOffset=500.0,
        SetUnitType="US survey foot",
    )
    expected = (stored * 0.1 + 500.0) * 1200.0 / 3937.0
    inner = (slice(4, -4),) * 2
    np.testing.assert_allclose(read(path, tmp_path)[inner], expected[inner], rtol=1e-5)


@pytest.mark.parametrize("read", [of_dem, of_heights, of_elevation, of_reference])
@pytest.mark.parametrize(
    ("kind", "dtype", "fill"), [("GDT_Float32", np.float32, -9999.0), ("GDT_Int16", np.int16, -32768)]
)
def test_voids_that_are_not_declared_are_none(
    read: Reader, kind: str, dtype: type, fill: float, tmp_path: Path
) -> None:
    stored = np.full((SIDE, SIDE), 250, dtype)
    stored[8:12, 8:12] = fill
    path = write(tmp_path / "dem.tif", stored, getattr(gdal, kind))
    found = read(path, tmp_path)
    assert np.isnan(found[9:11, 9:11]).all()
    np.testing.assert_allclose(found[:4, :4], 250.0)


def test_the_deepest_trench_is_a_height(tmp_path: Path) -> None:
    stored = np.full((SIDE, SIDE), -10_920, np.int16)
    np.testing.assert_array_equal(
        of_dem(write(tmp_path / "dem.tif", stored, gdal.GDT_Int16), tmp_path), -10_920.0
    )


@pytest.mark.parametrize("opened", [Dem, Heights, Elevation, Reference, SceneDem])
def test_colours_and_complex_numbers_are_no_heights(opened: Callable[[str], object], tmp_path: Path) -> None:
    stored = np.zeros((SIDE, SIDE))
    image = write(
        tmp_path / "image.tif", stored, gdal.GDT_Byte, bands=3, SetColorInterpretation=gdal.GCI_RedBand
    )
    with pytest.raises(RasterError, match="an image in colours, not a DEM"):
        opened(image)
    numbers = write(tmp_path / "complex.tif", stored, gdal.GDT_CFloat32)
    with pytest.raises(RasterError, match="complex numbers"):
        opened(numbers)


@pytest.mark.parametrize(
    ("unit", "metres"),
    [("m", 1.0), (" Metres ", 1.0), ("ft", FOOT), ("foot_us", 1200 / 3937), ("fathom", None), ("", None)],
)
def test_units(unit: str, metres: float | None) -> None:
    assert metres_of(unit) == metres


def test_numbers_with_more_digits_than_float32_keep_them(tmp_path: Path) -> None:
    stored = np.full((SIDE, SIDE), 123_456_789, np.int32)
    path = write(tmp_path / "dem.tif", stored, gdal.GDT_Int32, SetScale=1e-5)
    band = height_band(gdal.Open(path), path)
    np.testing.assert_allclose(band.in_unit(band.band.ReadAsArray()), 1234.56789, rtol=1e-12)
