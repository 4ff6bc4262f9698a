"""What Predict DEM makes of an image's pixels: the unknown ones, every data type, any order of bands."""

from __future__ import annotations

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.rasters import (
    GROUND_TOLERANCE,
    NODATA,
    colours,
    fitted,
    read_surface,
    relief,
    write_image,
)


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
    assert metres == pytest.approx(30, rel=GROUND_TOLERANCE)
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
        assert metres == pytest.approx(30, rel=GROUND_TOLERANCE)
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
