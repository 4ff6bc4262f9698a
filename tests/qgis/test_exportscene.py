"""Export 3D scene: what a page holds, and what is refused."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from osgeo import gdal, osr
from qgis.core import QgsProcessingException, QgsProcessingFeedback

from tests.rasters import NODATA, UTM_33N, UTM_TRANSFORM, colours, write_image

Export = Callable[..., "dict[str, Any]"]


@pytest.fixture
def export(qgis_app: object, tmp_path: Path) -> Export:
    """Runs the algorithm: ``export(dem, **parameters)`` gives its results and, under ``said``, what it
    told."""
    import processing

    def run(dem: object, **parameters: Any) -> dict[str, Any]:
        feedback = parameters.pop("feedback", None) or QgsProcessingFeedback(False)
        given = {"DEM": dem, "OUTPUT": tmp_path / "scene.html", **parameters}
        given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
        results = processing.run("imagetodem:exportscene", given, feedback=feedback)
        return {**results, "said": feedback.textLog()}

    return run


def hills(rows: int = 60, columns: int = 80) -> NDArray[np.float32]:
    row, column = np.mgrid[:rows, :columns].astype(float)
    return (1500 + 300 * np.sin(row / 13) * np.cos(column / 9) + 0.123 * row * column).astype(np.float32)


def scene_of(page: object) -> tuple[dict[str, Any], dict[str, str]]:
    """What a page tells its viewer, and its packed parts."""
    text = Path(str(page)).read_text(encoding="utf-8")
    parts = dict(re.findall(r'<script type="text/plain" id="([\w-]+)">(.*?)</script>', text, re.S))
    found = re.search(r'id="scene">(.*?)</script>', text, re.S)
    assert found is not None
    return json.loads(found[1]), parts


def heights_of(page: object, number: int = 0) -> NDArray[np.float64]:
    """The heights in a page, (rows, columns), NaN where unknown; by sums over whole rows and columns."""
    scene, parts = scene_of(page)
    shape = scene["rows"], scene["columns"]
    planes = np.frombuffer(zlib.decompress(base64.b64decode(parts[f"surface-{number}-heights"])), np.uint8)
    folded = sum(plane.astype(np.int64) << (8 * i) for i, plane in enumerate(planes.reshape(4, -1)))
    distances = np.where(folded & 1, -(folded >> 1) - 1, folded >> 1).reshape(shape)
    heights = distances.cumsum(axis=0).cumsum(axis=1) * scene["step"]
    known = parts.get(f"surface-{number}-known")
    if known is not None:
        bits = np.frombuffer(zlib.decompress(base64.b64decode(known)), np.uint8)
        heights[~np.unpackbits(bits)[: heights.size].astype(bool).reshape(shape)] = np.nan
    return heights


def picture_of(page: object) -> NDArray[np.uint8]:
    """The picture in a page, (rows, columns, 3)."""
    _, parts = scene_of(page)
    kind, content = parts["picture"].split(";base64,")
    assert kind == "data:image/jpeg"
    gdal.FileFromMemBuffer("/vsimem/picture.jpg", base64.b64decode(content))
    values = gdal.Open("/vsimem/picture.jpg").ReadAsArray()
    gdal.Unlink("/vsimem/picture.jpg")
    return np.moveaxis(values, 0, -1)


# --- values -------------------------------------------------------------------------------------------------


def test_a_page_holds_the_heights_to_half_a_millimetre(export: Export, tmp_path: Path) -> None:
    heights = hills()
    heights[10:20, 30:44] = NODATA
    results = export(write_image(tmp_path / "dem.tif", heights[..., None], nodata=NODATA))
    known = heights != NODATA
    held = heights_of(results["OUTPUT"])
    assert (np.isfinite(held) == known).all()
    assert np.abs(held[known] - heights[known].astype(np.float64)).max() <= 0.00051
    scene, _ = scene_of(results["OUTPUT"])
    assert scene["cell"] == pytest.approx([30.0, 30.0], rel=3e-3)
    assert scene["transform"] == list(UTM_TRANSFORM)
    assert abs((scene["north"] + 180) % 360 - 180) < 0.1
    assert "EPSG:32633" in scene["crs"]
    assert results["MINIMUM"] == pytest.approx(heights[known].min())
    assert results["MAXIMUM"] == pytest.approx(heights[known].max())
    assert 0 < results["DRAWN_TRIANGLES"] <= 200_000
    assert results["LARGEST_ERROR"] == 0.0
    assert list(tmp_path.glob(".scene*")) == []


def test_triangles_are_as_few_as_asked_for(export: Export, tmp_path: Path) -> None:
    dem = write_image(tmp_path / "dem.tif", hills(300, 400)[..., None])
    few, many = (export(dem, TRIANGLES=count) for count in (3000, 60_000))
    assert 2000 < few["DRAWN_TRIANGLES"] <= 3000
    assert 3000 < many["DRAWN_TRIANGLES"] <= 60_000
    assert 0 <= many["LARGEST_ERROR"] < few["LARGEST_ERROR"]
    np.testing.assert_array_equal(heights_of(few["OUTPUT"]), heights_of(many["OUTPUT"]))


def test_more_heights_than_wanted_are_averaged(export: Export, tmp_path: Path) -> None:
    heights = hills(250, 330)
    heights[:7, :5] = NODATA
    dem = write_image(tmp_path / "dem.tif", heights[..., None], nodata=NODATA)
    results = export(dem, HEIGHTS=10_000)
    assert "mean of 3 × 3" in results["said"]
    values = np.pad(
        np.where(heights == NODATA, np.nan, heights.astype(float)), ((0, 2), (0, 0)), constant_values=np.nan
    )
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(RuntimeWarning)
        means = np.nanmean(values.reshape(84, 3, 110, 3), axis=(1, 3))
    np.testing.assert_allclose(heights_of(results["OUTPUT"]), means, atol=0.00051)
    scene, _ = scene_of(results["OUTPUT"])
    assert scene["cell"] == pytest.approx([90.0, 90.0], rel=3e-3)


def test_an_image_of_another_crs_and_resolution_is_laid_over(export: Export, tmp_path: Path) -> None:
    dem = write_image(tmp_path / "dem.tif", hills(64, 64)[..., None])
    there = osr.SpatialReference()
    there.ImportFromEPSG(32633)
    geographic = osr.SpatialReference()
    geographic.ImportFromEPSG(4326)
    for system in (there, geographic):
        system.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    lon, lat, _ = osr.CoordinateTransformation(there, geographic).TransformPoint(500_960.0, 5_199_040.0)
    rows = columns = 300
    picture = np.zeros((rows, columns, 3), np.uint16)
    picture[..., 0], picture[: rows // 2, :, 1], picture[:, : columns // 2, 2] = 3000, 3000, 3000
    step = 0.0002
    image = write_image(
        tmp_path / "image.tif",
        picture,
        crs="EPSG:4326",
        transform=(lon - step * columns / 2, step, 0.0, lat + step * rows / 2, 0.0, -step),
    )
    seen = picture_of(export(dem, IMAGE=image)["OUTPUT"]).astype(int)
    size = len(seen)
    north_west, south_east = seen[size // 4, size // 4], seen[3 * size // 4, 3 * size // 4]
    assert north_west[1] > 200
    assert north_west[2] > 200
    assert south_east[1] < 60
    assert south_east[2] < 60


def test_bytes_are_shown_as_they_are_and_voids_in_grey(export: Export, tmp_path: Path) -> None:
    picture = colours(60, 80)
    mask = np.ones(picture.shape[:2], bool)
    mask[40:, 50:] = False
    image = write_image(tmp_path / "image.tif", picture, mask=mask)
    dem = write_image(tmp_path / "dem.tif", hills()[..., None])
    seen = picture_of(export(dem, IMAGE=image)["OUTPUT"]).astype(int)
    assert seen.shape == picture.shape
    assert np.abs(seen[:32, :48] - picture[:32, :48]).mean() < 12
    assert seen[50, 70] == pytest.approx([138, 143, 148], abs=4)


def test_a_reference_is_brought_to_the_dems_pixels(export: Export, tmp_path: Path) -> None:
    dem = write_image(tmp_path / "dem.tif", hills()[..., None])
    left, wide, _, top, _, high = UTM_TRANSFORM
    row, column = np.mgrid[:40, :50].astype(float)
    plane = (5 * column - 3 * row + 100).astype(np.float32)
    half = (left + 10 * wide, wide * 2, 0.0, top + 6 * high, 0.0, high * 2)
    other = write_image(tmp_path / "other.tif", plane[..., None], transform=half)
    page = export(dem, REFERENCE=other)["OUTPUT"]
    held = heights_of(page, 1)
    assert np.isnan(held[:6]).all()
    assert np.isnan(held[:, :10]).all()
    rows, columns = np.mgrid[10:50, 15:75]
    expected = 5 * ((columns + 0.5 - 10) / 2 - 0.5) - 3 * ((rows + 0.5 - 6) / 2 - 0.5) + 100
    np.testing.assert_allclose(held[10:50, 15:75], expected, atol=0.002)
    np.testing.assert_allclose(heights_of(page), hills(), atol=0.00051)


@pytest.mark.parametrize(("latitude", "squeeze"), [(0.0, 1.0), (60.0, 0.5)])
def test_a_geographic_dem_has_cells_in_metres(
    export: Export, tmp_path: Path, latitude: float, squeeze: float
) -> None:
    transform = (10.0, 0.001, 0.0, latitude + 0.03, 0.0, -0.001)
    dem = write_image(tmp_path / "dem.tif", hills()[..., None], crs="EPSG:4326", transform=transform)
    scene, _ = scene_of(export(dem)["OUTPUT"])
    assert scene["cell"] == pytest.approx([111.3 * squeeze, 111.3], rel=0.01)
    assert scene["isGeographic"] is True


def test_a_raster_stored_from_the_south_is_not_mirrored(export: Export, tmp_path: Path) -> None:
    left, wide, _, top, _, high = UTM_TRANSFORM
    heights = hills()
    southern = (left, wide, 0.0, top + 60 * high, 0.0, -high)
    dem = write_image(tmp_path / "south.tif", heights[::-1][..., None], transform=southern)
    page = export(dem)["OUTPUT"]
    np.testing.assert_allclose(heights_of(page), heights, atol=0.00051)
    assert scene_of(page)[0]["transform"] == list(UTM_TRANSFORM)


def test_low_relief_is_exaggerated_until_told_otherwise(export: Export, tmp_path: Path) -> None:
    flat = write_image(tmp_path / "flat.tif", (hills() / 100)[..., None])
    assert scene_of(export(flat)["OUTPUT"])[0]["exaggeration"] == 20
    assert scene_of(export(flat, EXAGGERATION=3.0)["OUTPUT"])[0]["exaggeration"] == 3
    steep = write_image(tmp_path / "steep.tif", hills()[..., None])
    assert scene_of(export(steep)["OUTPUT"])[0]["exaggeration"] == 1


def test_without_a_crs_map_units_count_as_metres(export: Export, tmp_path: Path) -> None:
    results = export(write_image(tmp_path / "dem.tif", hills()[..., None], crs=""))
    assert "no coordinate reference system" in results["said"]
    assert scene_of(results["OUTPUT"])[0]["cell"] == [30.0, 30.0]


def test_heights_of_30000_squared_are_averaged_in_bounded_memory(export: Export, tmp_path: Path) -> None:
    path = tmp_path / "large.tif"
    options = ["TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512", "SPARSE_OK=TRUE", "COMPRESS=DEFLATE"]
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), 30_000, 30_000, 1, gdal.GDT_Int16, options)
    dataset.SetGeoTransform(UTM_TRANSFORM)
    dataset.SetProjection(UTM_33N)
    band = dataset.GetRasterBand(1)
    band.SetNoDataValue(-32768)
    band.WriteArray(np.full((512, 512), 700, np.int16), 15_360, 15_360)
    dataset.FlushCache()
    del band, dataset
    results = export(path, HEIGHTS=40_000)
    held = heights_of(results["OUTPUT"])
    assert held.shape == (200, 200)
    assert held[104, 104] == 700
    assert (np.isfinite(held).sum()) == 16


# --- refusals -----------------------------------------------------------------------------------------------


def refused(export: Export, *arguments: Any, **parameters: Any) -> str:
    with pytest.raises(QgsProcessingException) as error:
        export(*arguments, **parameters)
    return str(error.value)


def test_what_is_no_surface_is_refused(export: Export, tmp_path: Path) -> None:
    pixel = write_image(tmp_path / "pixel.tif", np.ones((1, 1, 1), np.float32))
    assert "DEM: " in refused(export, pixel)
    assert "1 × 1 pixels" in refused(export, pixel)
    image = write_image(tmp_path / "image.tif", colours(20, 30))
    assert "an image in colours" in refused(export, image)
    nothing = write_image(tmp_path / "nothing.tif", np.full((9, 9, 1), NODATA, np.float32), nodata=NODATA)
    assert "all of it is nodata" in refused(export, nothing)
    strip = write_image(tmp_path / "strip.tif", np.ones((2, 9000, 1), np.float32))
    assert "strip" in refused(export, strip)
    assert not (tmp_path / "scene.html").exists()


def test_what_lies_elsewhere_is_refused(export: Export, tmp_path: Path) -> None:
    dem = write_image(tmp_path / "dem.tif", hills()[..., None])
    away = (700_000.0, 30.0, 0.0, 5_200_000.0, 0.0, -30.0)
    image = write_image(tmp_path / "image.tif", colours(20, 30), transform=away)
    assert "IMAGE: it does not overlap the DEM" in refused(export, dem, IMAGE=image)
    other = write_image(tmp_path / "other.tif", hills()[..., None], crs="EPSG:32733", transform=UTM_TRANSFORM)
    assert "REFERENCE: it does not overlap the DEM" in refused(export, dem, REFERENCE=other)
    unplaced = write_image(tmp_path / "unplaced.tif", colours(20, 30), crs="", transform=None)
    assert "IMAGE: " in refused(export, dem, IMAGE=unplaced)


def test_an_output_that_cannot_be_written_is_refused(export: Export, tmp_path: Path) -> None:
    dem = write_image(tmp_path / "dem.tif", hills()[..., None])
    assert "OUTPUT: " in refused(export, dem, OUTPUT=tmp_path / "missing" / "scene.html")
    assert "does not end in .html" in refused(export, dem, OUTPUT=tmp_path / "scene.pdf")


def test_a_truncated_dem_is_refused_and_what_was_there_stays(export: Export, tmp_path: Path) -> None:
    dem = write_image(tmp_path / "dem.tif", hills(400, 400)[..., None])
    dem.write_bytes(dem.read_bytes()[:200_000])
    page = tmp_path / "scene.html"
    page.write_text("yesterday's")
    assert "DEM: " in refused(export, dem)
    assert page.read_text() == "yesterday's"


def test_a_cancelled_export_leaves_what_was_there(export: Export, tmp_path: Path) -> None:
    class Impatient(QgsProcessingFeedback):
        def __init__(self) -> None:
            super().__init__(False)
            self.progressChanged.connect(lambda share: self.cancel() if share > 20 else None)

    page = tmp_path / "scene.html"
    page.write_text("yesterday's")
    dem = write_image(tmp_path / "dem.tif", hills(300, 300)[..., None])
    results = export(dem, feedback=Impatient())
    assert "OUTPUT" not in results
    assert page.read_text() == "yesterday's"
    assert list(tmp_path.glob(".scene*")) == []
