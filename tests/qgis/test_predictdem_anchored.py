"""Predict DEM with known heights, against surfaces known in closed form."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, osr

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.points import points_file
from tests.rasters import UTM_33N, UTM_TRANSFORM, centred, colours, read_surface, relief, write_image

PIXEL = 30.0
HIGH = 1500.0


def terrain(bands: np.ndarray) -> np.ndarray:
    """Heights whose forms the model ``red`` sees, half as high as it takes them, on a slope that it does not
    see."""
    row, column = np.mgrid[: bands.shape[0], : bands.shape[1]]
    return HIGH + 0.5 * PIXEL * centred(relief(bands)) + 4.0 * row - 2.5 * column


def write_dem(path: Path, heights: np.ndarray, transform: tuple[float, ...] = UTM_TRANSFORM) -> Path:
    return write_image(path, heights[..., None].astype(np.float32), transform=transform, nodata=-9999.0)


def coarser(path: Path, dem: Path, metres: float, crs: str = "") -> Path:
    gdal.Warp(
        str(path),
        str(dem),
        xRes=metres,
        yRes=metres,
        dstSRS=crs or None,
        resampleAlg="average",
    ).FlushCache()
    return path


def place_of(row: float, column: float) -> tuple[float, float]:
    """Map coordinates of a pixel's centre."""
    left, width, _, top, _, height = UTM_TRANSFORM
    return left + width * (column + 0.5), top + height * (row + 0.5)


def rmse(one: np.ndarray, other: np.ndarray, counted: object = ...) -> float:
    return float(np.sqrt(np.nanmean((one - other)[counted] ** 2)))


@pytest.fixture
def scene(tmp_path):
    """Colours, the heights under them, and the files of both."""
    bands = colours(230, 250)
    heights = terrain(bands)
    return bands, heights, write_image(tmp_path / "image.tif", bands), write_dem(tmp_path / "t.tif", heights)


@pytest.mark.parametrize("crs", ["", "EPSG:3857"])
def test_a_reference_makes_heights_absolute_and_the_prediction_adds_what_it_lacks(
    predict, tiny_model, tmp_path, scene, crs
):
    _, heights, image, dem = scene
    reference = coarser(tmp_path / "reference.tif", dem, 300.0, crs)
    results = predict(image, MODEL_FILE=tiny_model("red_and_tile_mean"), REFERENCE=reference)
    surface = read_surface(results["OUTPUT"])
    alone = gdal.Warp(
        "", str(reference), format="MEM", width=250, height=230, dstSRS=UTM_33N,
        outputBounds=(500_000.0, 5_200_000.0 - 230 * PIXEL, 500_000.0 + 250 * PIXEL, 5_200_000.0),
        resampleAlg="cubic",
    ).ReadAsArray()  # fmt: skip
    inner = (slice(15, -15), slice(15, -15))
    assert rmse(surface.heights, heights, inner) < 0.35 * rmse(alone, heights, inner)
    assert np.abs(np.mean((surface.heights - heights)[inner])) < 1.0
    # The model takes the forms for twice as high as they are; the reference tells.
    share = float(results["said"].split("of whose relief ")[1].split(" %")[0])
    assert share == pytest.approx(50.0, abs=12.0)
    assert (surface.unit, surface.metadata["IMAGETODEM_ANCHORS"]) == ("m", "reference reference.tif")
    assert gdal.Open(results["OUTPUT"]).GetRasterBand(1).GetDescription() == "height"
    assert results["MINIMUM"] == surface.heights.min()
    assert "around 0" not in results["said"]


def test_holes_of_the_reference_are_bridged_by_the_prediction(predict, tmp_path, scene):
    bands, heights, image, dem = scene
    reference = coarser(tmp_path / "reference.tif", dem, 300.0)
    file = gdal.Open(str(reference), gdal.GA_Update)
    values = file.ReadAsArray()
    values[6:14, 8:15] = -9999.0
    file.GetRasterBand(1).WriteArray(values)
    file = None
    surface = read_surface(predict(image, REFERENCE=reference)["OUTPUT"]).heights
    hole = (slice(60, 140), slice(80, 150))
    assert np.isfinite(surface).all()
    assert rmse(surface, heights, hole) < 0.6 * heights[hole].std()
    forms = centred(0.5 * PIXEL * relief(bands)[hole])
    assert np.corrcoef(centred(surface[hole]).ravel(), forms.ravel())[0, 1] > 0.8
    # No step at the hole's edge that the terrain does not have.
    steps = np.abs(np.diff(surface - heights, axis=1))
    assert steps[:, 75:155].max() < 3.0 * np.percentile(np.abs(np.diff(heights, axis=1)), 99)


def test_a_guided_model_is_shown_the_reference_and_its_detail_is_added(predict, tiny_model, tmp_path, scene):
    """It answers its coarse plane, and so adds nothing: what comes out is the reference itself."""
    _, heights, image, dem = scene
    reference = coarser(tmp_path / "reference.tif", dem, 300.0)
    guided = tiny_model("fourth_plane", inputs=["red", "green", "blue", "coarse_dem"])
    surface = read_surface(predict(image, MODEL_FILE=guided, REFERENCE=reference)["OUTPUT"]).heights
    means = surface.reshape(23, 10, 25, 10).mean(axis=(1, 3))
    expected = gdal.Open(str(reference)).ReadAsArray()
    np.testing.assert_allclose(means[2:-2, 2:-2], expected[2:-2, 2:-2], atol=0.02 * heights.std())


@pytest.mark.parametrize("octant", [0, 3, 5])
def test_the_coarse_plane_is_turned_with_the_image(predict, tiny_model, tmp_path, scene, octant):
    _, _, image, dem = scene
    reference = coarser(tmp_path / "reference.tif", dem, 300.0)
    guided = tiny_model("fourth_plane", inputs=["red", "green", "blue", "coarse_dem"], sun_azimuth=112.5)
    azimuth = 45.0 * octant + 22.5
    turned, plain = (
        read_surface(
            predict(image, MODEL_FILE=guided, REFERENCE=reference, SUN_AZIMUTH=sun, OUTPUT=tmp_path / name)[
                "OUTPUT"
            ]
        ).heights
        for sun, name in ((azimuth, "turned.tif"), (112.5, "plain.tif"))
    )
    np.testing.assert_allclose(turned, plain, atol=0.05)


def test_a_reference_selects_the_guided_model_that_is_installed(
    predict, tiny_model, tmp_path, scene, monkeypatch
):
    from imagetodem_qgis.runtime import models

    own = tmp_path / "own"
    guided = tiny_model("fourth_plane", inputs=["red", "green", "blue", "coarse_dem"], name="the guided one")
    shutil.copytree(Path(guided).parent, own / "guided")
    shutil.copytree(Path(tiny_model("red")).parent, own / "plain")
    monkeypatch.setattr(models, "user_models_folder", lambda: own)
    monkeypatch.setattr(models, "shipped_models_folder", lambda: tmp_path / "none")
    _, _, image, dem = scene
    reference = coarser(tmp_path / "reference.tif", dem, 300.0)
    for parameters, expected in (
        ({"REFERENCE": reference}, "the guided one"),
        ({}, "tiny"),
        ({"REFERENCE": reference, "MODEL": "plain"}, "tiny"),
    ):
        results = predict(image, **{"MODEL": "automatic", **parameters})
        assert read_surface(results["OUTPUT"]).metadata["IMAGETODEM_MODEL"] == expected


def test_a_resampled_image_is_anchored_too(predict, tiny_model, tmp_path, scene):
    """The model knows 60 m at least: the image is read at that, and the answer brought back."""
    _, heights, image, dem = scene
    reference = coarser(tmp_path / "reference.tif", dem, 300.0)
    model = tiny_model("red", ground_sampling_distance={"minimum": 60, "maximum": 100})
    surface = read_surface(predict(image, MODEL_FILE=model, REFERENCE=reference)["OUTPUT"]).heights
    assert surface.shape == heights.shape
    assert abs(np.mean(surface - heights)) < 2.0
    assert np.corrcoef(surface.ravel(), heights.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("with_z", [False, True])
def test_control_points_make_heights_absolute(predict, tmp_path, with_z):
    bands = colours(150, 170)
    image = write_image(tmp_path / "image.tif", bands)
    truth = HIGH + PIXEL * centred(relief(bands))
    random = np.random.default_rng(0)
    to_degrees = osr.CoordinateTransformation(_crs(32633), _crs(4326))
    places = []
    for _ in range(25):
        row, column = int(random.integers(5, 145)), int(random.integers(5, 165))
        x, y = to_degrees.TransformPoint(*place_of(row, column))[:2]
        places.append((x, y, float(truth[row, column])))
    # One is wrong, and one lies elsewhere.
    places[3] = (*places[3][:2], places[3][2] + 900.0)
    places.append((0.0, 0.0, 5.0))
    points = points_file(tmp_path / "points.gpkg", places, 4326, with_z)
    parameters = {} if with_z else {"HEIGHT_FIELD": "height"}
    results = predict(image, CONTROL_POINTS=points, **parameters)
    surface = read_surface(results["OUTPUT"])
    # The grid's scale on the ground is right to a percent, and so are the forms' heights.
    assert rmse(surface.heights, truth) < 0.03 * truth.std()
    assert "25 control points" in results["said"]
    assert surface.metadata["IMAGETODEM_ANCHORS"] == "26 control points of points"


def _crs(epsg: int) -> osr.SpatialReference:
    crs = osr.SpatialReference()
    crs.ImportFromEPSG(epsg)
    crs.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return crs


@pytest.fixture
def refused(qgis_app, tmp_path, tiny_model, scene):
    """The reason for which ``checkParameterValues`` refuses parameters."""
    from qgis.core import QgsApplication, QgsProcessingContext

    def check(**parameters: object) -> str:
        given = {
            "INPUT": scene[2],
            "OUTPUT": tmp_path / "dem.tif",
            "MODEL_FILE": tiny_model("red"),
            **parameters,
        }
        given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
        algorithm = QgsApplication.processingRegistry().createAlgorithmById("imagetodem:predictdem")
        accepted, reason = algorithm.checkParameterValues(given, QgsProcessingContext())
        assert not accepted
        return str(reason)

    return check


def test_known_heights_that_cannot_be_used_are_refused_before_any_work(refused, tiny_model, tmp_path, scene):
    _, heights, _, dem = scene
    points = points_file(tmp_path / "p.gpkg", [(*place_of(20, 20), 5.0)], 32633)
    far = points_file(tmp_path / "far.gpkg", [(0.0, 0.0, 5.0)], 32633)
    elsewhere = write_dem(tmp_path / "far.tif", heights, (900_000.0, 30.0, 0.0, 5_200_000.0, 0.0, -30.0))
    unplaced = write_image(tmp_path / "none.tif", heights[..., None].astype(np.float32), crs="")
    relative = tiny_model("red", target="relative")
    plain_image = write_image(tmp_path / "plain.tif", colours(40, 40), crs="")
    guided = tiny_model("fourth_plane", inputs=["red", "green", "blue", "coarse_dem"])
    cases = [
        ({"REFERENCE": elsewhere}, "REFERENCE", "overlap"),
        ({"REFERENCE": unplaced}, "REFERENCE", "no coordinate reference system"),
        ({"REFERENCE": dem, "INPUT": plain_image}, "REFERENCE", "no coordinate reference system"),
        ({"REFERENCE": dem, "MODEL_FILE": relative}, "REFERENCE", "Anchor DEM"),
        (
            {"REFERENCE": dem, "CONTROL_POINTS": points, "HEIGHT_FIELD": "height"},
            "CONTROL_POINTS",
            "not both",
        ),
        ({"CONTROL_POINTS": points}, "HEIGHT_FIELD", "name the field"),
        ({"CONTROL_POINTS": points, "HEIGHT_FIELD": "depth"}, "HEIGHT_FIELD", "depth"),
        ({"CONTROL_POINTS": far, "HEIGHT_FIELD": "height"}, "CONTROL_POINTS", "none of the points"),
        ({"MODEL_FILE": guided}, "MODEL_FILE", "REFERENCE"),
        (
            {"MODEL_FILE": guided, "CONTROL_POINTS": points, "HEIGHT_FIELD": "height"},
            "MODEL_FILE",
            "REFERENCE",
        ),
    ]
    for parameters, name, word in cases:
        reason = refused(**parameters)
        assert name in reason, parameters
        assert word in reason, parameters
