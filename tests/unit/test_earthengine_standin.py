"""The stand-in for Earth Engine, held against GDAL and closed forms: what tests others must be right
itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("osgeo", reason="needs GDAL's Python bindings")

from osgeo import gdal, osr

from tests.services.earthengine import faults
from tests.services.earthengine.collections import Collection, in_dates, in_months, intersects
from tests.services.earthengine.evaluator import Evaluator, ExpressionError
from tests.services.earthengine.faults import Fault, Faults
from tests.services.earthengine.grids import Grid, centres_in, meet
from tests.services.earthengine.images import Band, Image, averaged, constant_band, interpolated, stored_band

NUMBERS = np.random.default_rng(7).integers(0, 3000, (60, 70)).astype(np.float64)
OWN = Grid("EPSG:32633", 500_000.0, 5_000_000.0, 10.0, -10.0, 70, 60)


def stored(numbers: np.ndarray = NUMBERS, grid: Grid = OWN) -> Band:
    def value(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        column, row = grid.positions(x, y)
        return numbers[row.astype(int), column.astype(int)]

    return stored_band(grid, value, "float32")


def warped(asked: Grid, how: str, numbers: np.ndarray = NUMBERS) -> np.ndarray:
    """The same by GDAL."""
    source = gdal.GetDriverByName("MEM").Create("", OWN.columns, OWN.rows, 1, gdal.GDT_Float64)
    source.SetGeoTransform((OWN.left, OWN.step_x, 0.0, OWN.top, 0.0, OWN.step_y))

    srs = osr.SpatialReference()
    srs.SetFromUserInput(OWN.crs)
    source.SetProjection(srs.ExportToWkt())
    source.GetRasterBand(1).WriteArray(numbers)
    made = gdal.Warp(
        "",
        source,
        format="MEM",
        dstSRS=asked.crs,
        outputBounds=(
            asked.left,
            asked.top + asked.rows * asked.step_y,
            asked.left + asked.columns * asked.step_x,
            asked.top,
        ),
        width=asked.columns,
        height=asked.rows,
        resampleAlg=how,
        errorThreshold=0.0,
    )
    return made.ReadAsArray()


@pytest.mark.parametrize(
    "crs_and_corner", [("EPSG:32633", 500_103.0, 4_999_908.0), ("EPSG:4326", 15.0015, 45.1525)]
)
def test_nearest_and_bilinear_are_those_of_gdal(crs_and_corner: tuple[str, float, float]) -> None:
    crs, left, top = crs_and_corner
    step = 10.0 if crs != "EPSG:4326" else 0.00008
    asked = Grid(crs, left, top, step, -step, 25, 20)
    np.testing.assert_array_equal(stored().known(asked)[0], warped(asked, "near"))
    values, mask = interpolated(stored()).known(asked)
    np.testing.assert_allclose(values, warped(asked, "bilinear"), rtol=1e-5)
    assert (mask == 1.0).all()


@pytest.mark.parametrize(("step", "left"), [(30.0, 500_060.0), (25.0, 500_063.0), (14.0, 500_101.0)])
def test_averages_weigh_by_area(step: float, left: float) -> None:
    asked = Grid(OWN.crs, left, 4_999_950.0, step, -step, 12, 10)
    values, mask = averaged(stored(), 64, False).known(asked)
    exact = np.empty((10, 12))
    # Squares of a metre, at whose edges those of all pixels lie.
    fine = np.repeat(np.repeat(NUMBERS, 10, axis=0), 10, axis=1)
    for row in range(10):
        for column in range(12):
            x0, y0 = left + column * step - OWN.left, OWN.top - asked.top + row * step
            first_row, last_row, first, last = (round(edge) for edge in (y0, y0 + step, x0, x0 + step))
            exact[row, column] = fine[first_row:last_row, first:last].mean()
    np.testing.assert_allclose(values, exact, rtol=1e-9)
    np.testing.assert_allclose(mask, 1.0)


def test_averages_leave_masked_pixels_out_and_count_them_in_the_mask() -> None:
    numbers = np.where(np.indices(NUMBERS.shape)[1] % 3 == 0, np.nan, NUMBERS)
    asked = Grid(OWN.crs, OWN.left, OWN.top, 30.0, -30.0, 4, 4)
    values, mask = averaged(stored(numbers), 64, False).known(asked)
    blocks = numbers[:12, :12].reshape(4, 3, 4, 3)
    np.testing.assert_allclose(values, np.nanmean(blocks, axis=(1, 3)))
    np.testing.assert_allclose(mask, 2.0 / 3.0)


def test_too_many_pixels_for_an_average_are_an_error_unless_the_best_effort_will_do() -> None:
    asked = Grid(OWN.crs, OWN.left, OWN.top, 100.0, -100.0, 4, 4)
    with pytest.raises(ValueError, match="Too many input pixels"):
        averaged(stored(), 64, False).known(asked)
    averaged(stored(), 64, True).known(asked)


def test_an_image_ends_at_its_border() -> None:
    asked = Grid(OWN.crs, OWN.left - 20.0, OWN.top + 20.0, 10.0, -10.0, 4, 4)
    _, mask = stored().known(asked)
    np.testing.assert_array_equal(mask, np.pad(np.ones((2, 2)), ((2, 0), (2, 0))))
    _, mask = interpolated(stored()).known(OWN.window(-1, -1, 3, 3))
    np.testing.assert_array_equal(mask, np.pad(np.ones((2, 2)), ((1, 0), (1, 0))))


def test_medians_and_mosaics_know_what_some_image_knows() -> None:
    stack = [np.array([[value]]) for value in (1.0, np.nan, 7.0, 3.0)]
    images = tuple(
        Image({"b": stored_band(OWN, lambda x, y, v=v: np.full(x.shape, v[0, 0]), "float32")}) for v in stack
    )
    pixel = OWN.window(5, 5, 1, 1)
    assert Collection(images).median().bands["b"].known(pixel)[0] == 3.0
    assert Collection(images[2:]).median().bands["b"].known(pixel)[0] == 5.0
    assert Collection(images[:3]).mosaic().bands["b"].known(pixel)[0] == 7.0
    assert Collection(images[:2]).mosaic().bands["b"].known(pixel)[0] == 1.0
    values, mask = Collection(images[1:2]).median().bands["b"].known(pixel)
    assert (values, mask) == (0.0, 0.0)


def test_filters() -> None:
    def at(time: int) -> Image:
        return Image({}, {"system:time_start": time}, OWN.outline())

    june = 1_622_505_600_000  # 2021-06-01
    inside = in_dates("2021-06-01", "2021-07-01", "system:time_start")
    assert [inside(at(june + shift)) for shift in (-1, 0, 30 * 86_400_000 - 1, 30 * 86_400_000)] == [
        False,
        True,
        True,
        False,
    ]
    assert in_months(6, 8)(at(june))
    assert not in_months(6, 8)(at(june - 1))
    assert in_months(11, 5)(at(june - 1))
    neighbour = OWN.window(60, 0, 20, 20)
    assert intersects(neighbour.outline())(at(june))
    assert not intersects(OWN.window(80, 0, 20, 20).outline())(at(june))


def test_outlines_meet_across_the_antimeridian() -> None:
    of_zone_1 = Grid("EPSG:32601", 358_000.0, 7_210_000.0, 30.0, -30.0, 40, 40)
    of_zone_60 = Grid("EPSG:32660", 640_800.0, 7_210_000.0, 30.0, -30.0, 40, 40)
    assert meet(of_zone_1.outline(), of_zone_60.outline())
    far = Grid("EPSG:32601", 458_000.0, 7_210_000.0, 30.0, -30.0, 40, 40)
    assert not meet(far.outline(), of_zone_60.outline())
    longitude, _ = centres_in(of_zone_1, "EPSG:4326")
    degrees = Grid("EPSG:4326", 179.0, 66.0, 1 / 3600, -1 / 3600, 7200, 7200)
    assert np.ptp(degrees.positions(longitude, longitude)[0]) < 200


@pytest.fixture
def evaluator(tmp_path: Path) -> Evaluator:
    arguments = [{"argumentName": "id"}, {"argumentName": "version", "optional": True}]
    listed = [
        {"name": "algorithms/ImageCollection.load", "arguments": arguments},
        {"name": "algorithms/Collection.size", "arguments": [{"argumentName": "collection"}]},
        {
            "name": "algorithms/List.map",
            "arguments": [{"argumentName": "list"}, {"argumentName": "baseAlgorithm"}],
        },
        {"name": "algorithms/Image.slope", "arguments": []},
    ]
    file = tmp_path / "algorithms.json"
    file.write_text(json.dumps({"algorithms": listed}), encoding="utf-8")
    return Evaluator(file, {"A": [Image({"b": constant_band(1)})] * 3})


def call(name: str, /, **arguments: Any) -> dict[str, Any]:
    return {"functionInvocationValue": {"functionName": name, "arguments": arguments}}


def test_expressions_call_functions_of_functions(evaluator: Evaluator) -> None:
    size = call("Collection.size", collection=call("ImageCollection.load", id={"argumentReference": "x"}))
    function = {"functionDefinitionValue": {"argumentNames": ["x"], "body": "1"}}
    mapped = call(
        "List.map", list={"arrayValue": {"values": [{"valueReference": "2"}] * 2}}, baseAlgorithm=function
    )
    values = {"0": {"dictionaryValue": {"values": {"sizes": mapped}}}, "1": size, "2": {"constantValue": "A"}}
    assert evaluator.value({"result": "0", "values": values}) == {"sizes": [3, 3]}


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (call("Image.nothing"), "Unknown function 'Image.nothing'"),
        (call("Image.slope"), "is not evaluated"),
        (call("ImageCollection.load"), "Parameter 'id' is required"),
        (
            call("ImageCollection.load", id={"constantValue": "A"}, name={"constantValue": "A"}),
            "Unrecognized.*name",
        ),
        (call("ImageCollection.load", id={"constantValue": "B"}), "'B' not found"),
        ({"bytesValue": "AA"}, "of the kind bytesValue"),
    ],
)
def test_what_earth_engine_would_refuse_is_refused(
    evaluator: Evaluator, node: dict[str, Any], words: str
) -> None:
    with pytest.raises(ExpressionError, match=words):
        evaluator.value({"result": "0", "values": {"0": node}})


def test_faults_come_when_they_are_due() -> None:
    to_come = Faults()
    to_come.add(Fault(faults.HTML, at=faults.VALUE, times=2, after=1))
    to_come.add(Fault(faults.SLOW, at=faults.ANY, times=-1))
    kinds = [
        to_come.of(at).kind for at in (faults.VALUE, faults.PIXELS, faults.VALUE, faults.VALUE, faults.VALUE)
    ]
    assert kinds == [faults.SLOW, faults.SLOW, faults.HTML, faults.HTML, faults.SLOW]
    to_come.clear()
    assert to_come.of(faults.VALUE) is None
