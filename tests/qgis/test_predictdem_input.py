"""What Predict DEM makes of images of every kind, and the files that it writes."""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.rasters import NODATA, UTM_TRANSFORM, centred, colours, read_surface, relief, write_image
from tests.tiny_models import RELIEF

GROUND = 0.01
FOOT = 1200 / 3937


def beside(folder: Path) -> list[str]:
    """What lies in a folder but the image, to which QGIS adds statistics when it opens it."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("image.tif"))


def fitted(heights: np.ndarray, pattern: np.ndarray) -> tuple[float, float]:
    """Metres for one unit of a pattern, and the correlation."""
    known = np.isfinite(heights)
    a, b = centred(pattern[known]), centred(heights[known])
    return float(a @ b / (a @ a)), float(a @ b / math.sqrt((a @ a) * (b @ b)))


# --- nodata, masks, alpha -----------------------------------------------------------------------------------


def holed(rows: int = 90, columns: int = 140) -> tuple[np.ndarray, np.ndarray]:
    """An image and its known pixels: a hole, a border, and a known pixel alone in the hole."""
    known = np.ones((rows, columns), bool)
    known[20:80, 30:110] = False
    known[:, :3] = False
    known[50, 70] = True
    return colours(rows, columns), known


@pytest.mark.parametrize("kind", ["nodata", "float_nodata", "nan", "mask", "alpha"])
def test_what_is_unknown_in_the_image_and_nothing_else_is_nodata(predict, tmp_path, kind):
    bands, known = holed()
    given, options = bands.copy(), {}
    if kind == "nodata":
        given[~known] = 0
        options = {"nodata": 0}
    elif kind in ("float_nodata", "nan"):
        given = given.astype(np.float32)
        given[~known] = NODATA if kind == "float_nodata" else np.nan
        options = {"nodata": NODATA}
    elif kind == "mask":
        given[~known] = 255
        options = {"mask": known}
    else:
        given[~known] = 255
        given = np.dstack([given, known.astype(np.uint8) * 255])
        options = {"options": ("ALPHA=YES",)}
    surface = read_surface(predict(write_image(tmp_path / "image.tif", given, **options))["OUTPUT"])
    assert (np.isfinite(surface.heights) == known).all()
    metres, correlation = fitted(surface.heights, relief(bands, known))
    assert metres == pytest.approx(30, rel=GROUND)
    assert correlation > 0.9999


def test_a_pixel_with_zero_in_one_band_only_is_known(predict, tmp_path):
    bands = colours(60, 60)
    bands[10:20, 10:20, 0] = 0
    bands[30:40, 30:40, 2] = 0
    bands[50:, :, :] = 0
    heights = read_surface(predict(write_image(tmp_path / "image.tif", bands, nodata=0))["OUTPUT"]).heights
    known = (bands != 0).any(axis=-1)
    assert (np.isfinite(heights) == known).all()
    assert fitted(heights, relief(bands, known))[1] > 0.9999


@pytest.mark.parametrize("value", [NODATA, np.nan])
def test_a_pixel_that_lacks_one_band_is_unknown(predict, tmp_path, value):
    bands = colours(60, 60).astype(np.float32)
    bands[10:20, 10:20, 1] = value
    heights = read_surface(
        predict(write_image(tmp_path / "image.tif", bands, nodata=NODATA))["OUTPUT"]
    ).heights
    known = np.ones((60, 60), bool)
    known[10:20, 10:20] = False
    assert (np.isfinite(heights) == known).all()


def test_tiles_without_a_known_pixel_are_skipped(predict, tmp_path):
    bands = colours(64, 400)
    bands[:, 150:300] = 0
    results = predict(write_image(tmp_path / "image.tif", bands, nodata=0))
    heights = read_surface(results["OUTPUT"]).heights
    assert (np.isfinite(heights) == (bands != 0).any(axis=-1)).all()
    starts = np.round(np.arange(8) * 336 / 7).astype(int)
    assert results["TILES"] == sum(not 150 <= start <= 300 - 64 for start in starts) < 8
    # Nothing ties the two parts together: each has its own constant.
    for part in (slice(0, 150), slice(300, 400)):
        metres, correlation = fitted(heights[:, part], relief(bands, bands[..., 0] > 0)[:, part])
        assert metres == pytest.approx(30, rel=GROUND)
        assert correlation > 0.9999


def test_a_hole_in_an_image_that_is_resampled_stays_as_it_is(predict, tiny_model, tmp_path):
    """Pixels of 30 m for a model of 120 m: the hole is no whole number of the network's pixels."""
    bands, known = holed(300, 400)
    known[100:290, 120:395] = False
    known[201, 301] = True
    given = np.where(known[..., None], bands, 0).astype(np.uint8)
    model = tiny_model("red", tile_size=32, ground_sampling_distance={"minimum": 120, "maximum": 500})
    results = predict(write_image(tmp_path / "image.tif", given, nodata=0), MODEL_FILE=model)
    heights = read_surface(results["OUTPUT"]).heights
    assert heights.shape == known.shape
    missing, surplus = known & ~np.isfinite(heights), ~known & np.isfinite(heights)
    assert (missing.sum(), surplus.sum()) == (0, 0)


# --- data types and bands -----------------------------------------------------------------------------------


def test_linearly_related_values_of_any_type_give_the_same_answer(predict, tmp_path):
    bands = colours(100, 100)
    versions = {
        "uint8": bands,
        "uint16": (bands.astype(np.uint16) * 37 + 1000).astype(np.uint16),
        "int16": (bands.astype(np.int16) * 100 - 9000).astype(np.int16),
        "reflectance": (bands.astype(np.float32) * 0.003 + 0.02),
        "float64": bands.astype(np.float64) * -1e-5 * -1,
    }
    answers = {
        name: read_surface(
            predict(write_image(tmp_path / f"{name}.tif", version), OUTPUT=tmp_path / f"{name}_dem.tif")[
                "OUTPUT"
            ]
        ).heights
        for name, version in versions.items()
    }
    extent = np.ptp(answers["uint8"])
    assert extent > 15 * 30
    for heights in answers.values():
        assert np.abs(heights - answers["uint8"]).max() < 1e-4 * extent


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0)])
def test_the_colour_interpretation_says_which_band_is_red(predict, tmp_path, order):
    bands = colours(50, 50)
    names = (gdal.GCI_RedBand, gdal.GCI_GreenBand, gdal.GCI_BlueBand)
    image = write_image(
        tmp_path / "image.tif", bands[..., list(order)], colours=tuple(names[band] for band in order)
    )
    surface = read_surface(predict(image)["OUTPUT"])
    assert fitted(surface.heights, relief(bands))[1] > 0.9999
    assert surface.metadata["IMAGETODEM_BANDS"] == ",".join(str(order.index(band) + 1) for band in range(3))


@pytest.mark.parametrize("given", [[4, 2, 1], "4;2;1"])
def test_bands_can_be_given_in_any_order(predict, tmp_path, given):
    bands = np.dstack([colours(50, 50), colours(50, 50, seed=9)])
    surface = read_surface(predict(write_image(tmp_path / "image.tif", bands), BANDS=given)["OUTPUT"])
    assert fitted(surface.heights, relief(bands[..., [3]]))[1] > 0.9999
    assert surface.metadata["IMAGETODEM_BANDS"] == "4,2,1"


def test_without_colours_the_first_three_bands_are_taken(predict, tmp_path):
    bands = np.dstack([colours(40, 40), colours(40, 40, seed=9)])
    image = write_image(tmp_path / "image.tif", bands, options=("PHOTOMETRIC=MINISBLACK", "ALPHA=NO"))
    surface = read_surface(predict(image)["OUTPUT"])
    assert surface.metadata["IMAGETODEM_BANDS"] == "1,2,3"
    assert np.isfinite(surface.heights).all()
    assert fitted(surface.heights, relief(bands))[1] > 0.9999


# --- place on the ground ------------------------------------------------------------------------------------


def metres_of_degrees(latitude: float) -> tuple[float, float]:
    """Length of a degree of longitude and of latitude on the WGS 84 ellipsoid."""
    radius, flattening = 6_378_137.0, 1 / 298.257223563
    squared = flattening * (2 - flattening)
    sine = math.sin(math.radians(latitude))
    across = radius * math.cos(math.radians(latitude)) / math.sqrt(1 - squared * sine**2)
    along = radius * (1 - squared) / (1 - squared * sine**2) ** 1.5
    return math.radians(across), math.radians(along)


@pytest.mark.parametrize(
    ("crs", "transform", "metres"),
    [
        ("EPSG:32633", UTM_TRANSFORM, 30.0),
        ("EPSG:32633", (500_000, 30, 0, 5_200_000, 0, 30), 30.0),
        ("EPSG:32633", (500_000, 0, 30, 5_200_000, 30, 0), 30.0),
        ("EPSG:32633", (500_000, 24, 18, 5_200_000, 18, -24), 30.0),
        ("EPSG:3857", (1_500_000, 60, 0, 8_399_737.9, 0, -60), 30.0),
        ("EPSG:2263", (1_000_000, 100, 0, 200_000, 0, -100), 100 * FOOT),
        ("EPSG:4326", (10, 0.0003, 0, 0, 0, -0.0003), 0.0003 * metres_of_degrees(0)[0]),
    ],
    ids=["utm", "south-up", "rows go east", "rotated", "mercator at 60 north", "feet", "equator"],
)
def test_relief_is_in_metres_on_the_ground(predict, tmp_path, crs, transform, metres):
    bands = colours(60, 70)
    image = write_image(tmp_path / "image.tif", bands, crs=crs, transform=transform)
    surface = read_surface(predict(image)["OUTPUT"])
    found, correlation = fitted(surface.heights, relief(bands))
    assert correlation > 0.99999
    assert found == pytest.approx(metres, rel=GROUND)
    assert surface.unit == "m"
    assert surface.transform == pytest.approx(transform, rel=1e-12)
    assert surface.crs == gdal.Open(str(image)).GetProjection() != ""


@pytest.mark.parametrize("latitude", [60.0, -45.0])
def test_oblong_pixels_of_degrees_are_read_as_square_ones(predict, tmp_path, latitude):
    rows, columns, step = 120, 150, 0.001
    wave = np.sin(np.arange(columns) / 10.0)[None] + np.cos(np.arange(rows) / 12.0)[:, None]
    bands = np.repeat((120 + 50 * wave)[..., None], 3, axis=2).astype(np.float32)
    image = write_image(
        tmp_path / "image.tif", bands, crs="EPSG:4326", transform=(10, step, 0, latitude, 0, -step)
    )
    surface = read_surface(predict(image)["OUTPUT"])
    assert surface.heights.shape == (rows, columns)
    assert np.isfinite(surface.heights).all()
    across, along = (step * degree for degree in metres_of_degrees(latitude))
    metres, correlation = fitted(surface.heights, relief(bands))
    assert correlation > 0.995
    assert metres == pytest.approx(math.sqrt(across * along), rel=0.03)


@pytest.mark.parametrize("transform", [UTM_TRANSFORM, None])
def test_without_a_crs_heights_are_in_pixels(predict, tmp_path, transform):
    bands = colours(40, 50)
    results = predict(write_image(tmp_path / "image.tif", bands, crs="", transform=transform))
    surface = read_surface(results["OUTPUT"])
    metres, correlation = fitted(surface.heights, relief(bands))
    assert metres == pytest.approx(1, rel=1e-4)
    assert correlation > 0.99999
    assert surface.unit == "pixel"
    assert surface.crs == ""
    assert "no coordinate reference system" in results["said"]
    if transform is not None:
        assert surface.transform == transform


def test_a_much_finer_image_is_read_at_the_models_sampling_distance(predict, tiny_model, tmp_path):
    rows, columns = 300, 400
    wave = np.sin(np.arange(columns) / 30.0)[None] + np.cos(np.arange(rows) / 40.0)[:, None]
    bands = np.repeat((120 + 50 * wave)[..., None], 3, axis=2).astype(np.float32)
    transform = (500_000, 0.5, 0, 5_200_000, 0, -0.5)
    image = write_image(tmp_path / "image.tif", bands, transform=transform)
    model = tiny_model("red", ground_sampling_distance={"minimum": 4, "maximum": 10})
    results = predict(image, MODEL_FILE=model)
    surface = read_surface(results["OUTPUT"])
    assert surface.heights.shape == (rows, columns)
    assert surface.transform == transform
    metres, correlation = fitted(surface.heights, relief(bands))
    assert metres == pytest.approx(4, rel=0.03)
    assert correlation > 0.995
    assert float(surface.metadata["IMAGETODEM_GROUND_SAMPLING_DISTANCE"].split()[0]) == pytest.approx(
        4, rel=0.02
    )
    assert results["TILES"] == 1
    # One of the model's pixels is eight of the image's: no block may show.
    down, right = np.abs(np.diff(surface.heights, axis=0)), np.abs(np.diff(surface.heights, axis=1))
    assert max(down.max(), right.max()) < 2.5 * RELIEF * 4 * 2 / 60 / 2


# --- extent -------------------------------------------------------------------------------------------------


def extent_of(top: int, left: int, rows: int, columns: int) -> tuple[float, float, float, float]:
    """West, east, south and north of a window of the UTM grid."""
    west, north = 500_000 + 30 * left, 5_200_000 - 30 * top
    return west, west + 30 * columns, north - 30 * rows, north


def written(extent: tuple[float, float, float, float], crs: str = "EPSG:32633") -> str:
    return ",".join(repr(value) for value in extent) + f" [{crs}]"


def test_an_extent_crops_the_grid_but_not_the_stretch(predict, tmp_path):
    bands = colours(200, 200)
    # The crop's own contrast is another: a stretch of its own would show.
    bands[60:110, 40:120, 0] = 100 + bands[60:110, 40:120, 0] // 8
    image = write_image(tmp_path / "image.tif", bands)
    surface = read_surface(predict(image, EXTENT=written(extent_of(60, 40, 50, 80)))["OUTPUT"])
    assert surface.heights.shape == (50, 80)
    assert surface.transform == (501_200, 30, 0, 5_198_200, 0, -30)
    metres, correlation = fitted(surface.heights, relief(bands)[60:110, 40:120])
    assert correlation > 0.99999
    assert metres == pytest.approx(30, rel=GROUND)


def test_pixels_cut_by_the_extent_are_included(predict, tmp_path):
    west, east, south, north = extent_of(60, 40, 50, 80)
    image = write_image(tmp_path / "image.tif", colours(200, 200))
    surface = read_surface(
        predict(image, EXTENT=written((west - 1, east + 1, south - 1, north + 1)))["OUTPUT"]
    )
    assert surface.heights.shape == (52, 82)
    assert surface.transform == (501_170, 30, 0, 5_198_230, 0, -30)


def test_an_extent_partly_outside_is_cut_at_the_image(predict, tmp_path):
    image = write_image(tmp_path / "image.tif", colours(100, 100))
    surface = read_surface(predict(image, EXTENT=written(extent_of(-50, 70, 80, 1000)))["OUTPUT"])
    assert surface.heights.shape == (30, 30)
    assert surface.transform == (502_100, 30, 0, 5_200_000, 0, -30)


def test_an_extent_in_another_crs_is_brought_to_the_images(predict, tmp_path):
    from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsProject, QgsRectangle

    bands = colours(200, 200)
    image = write_image(tmp_path / "image.tif", bands)
    west, east, south, north = extent_of(60, 40, 50, 80)
    transform = QgsCoordinateTransform(
        QgsCoordinateReferenceSystem("EPSG:32633"),
        QgsCoordinateReferenceSystem("EPSG:4326"),
        QgsProject.instance(),
    )
    box = transform.transformBoundingBox(QgsRectangle(west, south, east, north))
    geographic = (box.xMinimum(), box.xMaximum(), box.yMinimum(), box.yMaximum())
    surface = read_surface(predict(image, EXTENT=written(geographic, "EPSG:4326"))["OUTPUT"])
    left, top = round((surface.transform[0] - 500_000) / 30), round((5_200_000 - surface.transform[3]) / 30)
    rows, columns = surface.heights.shape
    # Meridians are not quite upright in UTM: the box is a little larger than the window.
    assert 36 <= left <= 40
    assert 56 <= top <= 60
    assert 50 <= rows <= 58
    assert 80 <= columns <= 88
    assert fitted(surface.heights, relief(bands)[top : top + rows, left : left + columns])[1] > 0.99999


def test_an_extent_on_a_south_up_image_takes_the_right_rows(predict, tmp_path):
    bands = colours(120, 120)
    image = write_image(tmp_path / "image.tif", bands, transform=(500_000, 30, 0, 5_200_000, 0, 30))
    extent = (500_300, 501_200, 5_200_600, 5_202_100)
    surface = read_surface(predict(image, EXTENT=written(extent))["OUTPUT"])
    assert surface.transform == (500_300, 30, 0, 5_200_600, 0, 30)
    assert fitted(surface.heights, relief(bands)[20:70, 10:40])[1] > 0.99999


def test_an_extent_of_an_image_that_is_resampled(predict, tiny_model, tmp_path):
    rows, columns = 200, 240
    wave = np.sin(np.arange(columns) / 30.0)[None] + np.cos(np.arange(rows) / 40.0)[:, None]
    bands = np.repeat((120 + 50 * wave)[..., None], 3, axis=2).astype(np.float32)
    image = write_image(tmp_path / "image.tif", bands)
    model = tiny_model("red", ground_sampling_distance={"minimum": 120, "maximum": 500})
    surface = read_surface(
        predict(image, MODEL_FILE=model, EXTENT=written(extent_of(60, 40, 90, 121)))["OUTPUT"]
    )
    assert surface.heights.shape == (90, 121)
    assert surface.transform == (501_200, 30, 0, 5_198_200, 0, -30)
    metres, correlation = fitted(surface.heights, relief(bands)[60:150, 40:161])
    assert metres == pytest.approx(120, rel=0.03)
    assert correlation > 0.995


# --- the file -----------------------------------------------------------------------------------------------


def test_the_file_is_what_a_gis_expects(predict, tmp_path):
    bands = colours(600, 520)
    results = predict(write_image(tmp_path / "image.tif", bands), SUN_AZIMUTH=135)
    dataset = gdal.Open(results["OUTPUT"])
    band = dataset.GetRasterBand(1)
    assert (dataset.RasterXSize, dataset.RasterYSize, dataset.RasterCount) == (520, 600, 1)
    assert dataset.GetDriver().ShortName == "GTiff"
    assert dataset.GetMetadata("IMAGE_STRUCTURE")["COMPRESSION"] == "DEFLATE"
    assert band.GetBlockSize()[0] == band.GetBlockSize()[1] >= 256
    assert band.GetNoDataValue() == NODATA
    assert band.GetUnitType() == "m"
    assert band.GetOverviewCount() >= 1
    overview, whole = band.GetOverview(0).ReadAsArray(), band.ReadAsArray()
    assert overview.shape == (300, 260)
    np.testing.assert_allclose(overview, whole.reshape(300, 2, 260, 2).mean(axis=(1, 3)), atol=0.01)
    metadata = {key: value for key, value in dataset.GetMetadata().items() if key.startswith("IMAGETODEM_")}
    red = np.percentile(bands[..., 0].astype(float), (2, 98))
    assert metadata["IMAGETODEM_MODEL"] == "tiny"
    assert metadata["IMAGETODEM_MODEL_VERSION"] == "1.2.3"
    assert metadata["IMAGETODEM_TARGET"] == "relief_per_pixel"
    assert metadata["IMAGETODEM_ENGINE"].startswith("onnxruntime on ")
    assert metadata["IMAGETODEM_STRETCH"].startswith(f"{red[0]:.6g} to {red[1]:.6g}; ")
    assert metadata["IMAGETODEM_TILES"] == f"{results['TILES']} of 64 pixels, overlap 16"
    assert metadata["IMAGETODEM_SUN_AZIMUTH"] == "135 degrees (as given)"
    assert metadata["IMAGETODEM_ANCHORS"].startswith("none")
    assert beside(tmp_path) == ["dem.qml", "dem.tif"]


def test_a_file_that_is_replaced_leaves_no_trace(predict, tmp_path):
    image = write_image(tmp_path / "image.tif", colours(60, 60))
    results = predict(image)
    dataset = gdal.Open(results["OUTPUT"])
    dataset.GetRasterBand(1).ComputeStatistics(False)
    dataset = None
    (tmp_path / "dem.tif.ovr").write_bytes(b"of the old file")
    assert (tmp_path / "dem.tif.aux.xml").exists()
    other = write_image(tmp_path / "image.tif", colours(60, 60, seed=5))
    surface = read_surface(predict(other)["OUTPUT"])
    assert fitted(surface.heights, relief(colours(60, 60, seed=5)))[1] > 0.9999
    assert beside(tmp_path) == ["dem.qml", "dem.tif"]


def test_paths_with_blanks_and_accents(predict, tmp_path):
    folder = tmp_path / "Höhe über alles [1]"
    folder.mkdir()
    results = predict(write_image(folder / "Bild 1.tif", colours(40, 40)), OUTPUT=folder / "Gelände 2.tif")
    assert Path(results["OUTPUT"]) == folder / "Gelände 2.tif"
    assert read_surface(results["OUTPUT"]).heights.shape == (40, 40)
    assert (folder / "Gelände 2.qml").is_file()
    assert list(folder.glob(".*")) == []


def test_a_temporary_output_is_a_file_too(predict, tmp_path):
    image = write_image(tmp_path / "image.tif", colours(40, 40))
    results = predict(image, OUTPUT="TEMPORARY_OUTPUT", CONFIDENCE=None)
    assert read_surface(results["OUTPUT"]).heights.shape == (40, 40)
    assert results.get("CONFIDENCE") is None


def test_the_network_gives_the_same_bytes_twice(predict, tmp_path):
    image = write_image(tmp_path / "image.tif", colours(150, 150))
    files = [Path(predict(image, OUTPUT=tmp_path / f"{name}.tif")["OUTPUT"]) for name in ("one", "two")]
    one, two = (gdal.Open(str(file)).ReadAsArray().tobytes() for file in files)
    assert one == two


# --- models -------------------------------------------------------------------------------------------------


def test_a_model_is_taken_in_every_form(predict, tiny_model, tmp_path):
    bands = colours(40, 40)
    image = write_image(tmp_path / "image.tif", bands)
    folder = tiny_model("red").parent
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    with zipfile.ZipFile(tmp_path / "folder.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"my model/{file.name}")
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    shutil.copy(folder / "generator.onnx", renamed / "mine.onnx")
    content = json.loads((folder / "model.json").read_text())
    content["files"] = {"mine.onnx": content["files"]["generator.onnx"]}
    (renamed / "mine.json").write_text(json.dumps(content))
    forms = [
        folder / "model.json",
        folder / "generator.onnx",
        tmp_path / "flat.zip",
        tmp_path / "folder.zip",
        renamed / "mine.onnx",
        folder,
    ]
    for form in forms:
        heights = read_surface(predict(image, MODEL_FILE=form)["OUTPUT"]).heights
        assert fitted(heights, relief(bands))[1] > 0.99999, form
