"""The report of Evaluate DEM, opened in a browser."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from osgeo import gdal, osr

from imagetodem_qgis.core.metrics import error_figures
from imagetodem_qgis.evaluation.report import charts, maps
from imagetodem_qgis.evaluation.report.axis import axis_over
from imagetodem_qgis.evaluation.report.page import report_page
from imagetodem_qgis.evaluation.report.recipe import recipe_of
from imagetodem_qgis.evaluation.report.words import metres, plain
from imagetodem_qgis.evaluation.request import ControlPoints, Histogram
from imagetodem_qgis.raster.polygons import Polygons
from imagetodem_qgis.styling.colours import DIFFERENCE, ELEVATION
from tests.browser import Browser, find_browser
from tests.comparisons import compare, hills, write_dem
from tests.page_contrast import CONTRASTS
from tests.rasters import UTM_33N, UTM_TRANSFORM

EAST, NORTH = UTM_TRANSFORM[0], UTM_TRANSFORM[3]


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    truth = hills(160, 140, 8)
    surface = (truth + hills(160, 140, 9, base=0.0) * 0.25 - 30).astype(np.float32)
    surface[20:40, 60:90] = np.nan
    dem = write_dem(folder / "predicted <b>.tif", surface)
    file = gdal.Open(dem, gdal.GA_Update)
    file.SetMetadata({"IMAGETODEM_MODEL": "relief-light", "IMAGETODEM_ANCHORS": "none & nothing"})
    file = None
    places = np.stack(
        [np.linspace(EAST + 100, EAST + 4000, 40), np.linspace(NORTH - 100, NORTH - 4000, 40)], 1
    )
    reference = osr.SpatialReference()
    reference.SetFromUserInput(UTM_33N)
    shape = gdal.ogr.CreateGeometryFromWkt(
        f"POLYGON(({EAST} {NORTH}, {EAST + 2000} {NORTH}, {EAST + 2000} {NORTH - 4800}, {EAST} {NORTH}))"
    )
    zones = Polygons(("the <west>",), ((0, bytes(shape.ExportToIsoWkb())),), reference.ExportToWkt())
    return compare(
        dem,
        write_dem(folder / "truth.tif", truth),
        "shift",
        points=ControlPoints(places, np.linspace(700.0, 900.0, 40)),
        zones=zones,
    )


@pytest.fixture(scope="module")
def page(evaluation, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report_page(evaluation, recipe_of(evaluation)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = find_browser()
    if program is None:
        pytest.skip("needs Chromium or Chrome, of which there is none")
    with Browser(program, tmp_path_factory.mktemp("browser")) as started:
        yield started


def test_it_tells_the_figures_and_how_they_came(page, evaluation):
    text = page.read_text(encoding="utf-8")
    figures = evaluation.figures
    for value in (figures.rmse, figures.nmad, figures.le90, figures.mae, evaluation.raster.plane_rmse):
        assert metres(value) in text
    assert "relief-light" in text
    assert "none &amp; nothing" in text
    assert "predicted &lt;b&gt;.tif" in text
    assert "the &lt;west&gt;" in text
    assert "WGS 84 / UTM zone 33N (EPSG:32633)" in text
    assert "<b>" not in text
    assert "<script" not in text


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_leaves_the_page_and_all_text_can_be_read(browser, page, dark):
    browser.open(page, dark=dark)
    assert [r for r in browser.requests() if not r.startswith("data:")] == [page.as_uri()]
    assert browser.complaints() == []
    assert browser.evaluate("document.images.length") == 5
    assert browser.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).length") == 0
    assert browser.evaluate("document.querySelectorAll('svg').length") == 8
    contrasts = browser.evaluate(CONTRASTS)
    assert {"H1.", "P.", "TH.number", "TD.number", "text.", "P.under", "SPAN.mark blue"} <= set(contrasts)
    assert {kind: ratio for kind, ratio in contrasts.items() if ratio < 4.5} == {}
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")


@pytest.mark.parametrize("width", [360, 768])
def test_it_fits_a_small_screen(browser, page, width):
    browser.open(page, width=width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    widths = browser.evaluate(
        "[...document.querySelectorAll('figure')].map(f => f.getBoundingClientRect().width)"
    )
    assert min(widths) > 300


def test_it_can_be_printed_on_pages(browser, page):
    browser.open(page, dark=True)
    answer = browser.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=False)
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(answer["data"]))) <= 8
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    contrasts = browser.evaluate(CONTRASTS)
    assert {kind: ratio for kind, ratio in contrasts.items() if ratio < 4.5} == {}


def decoded(address: str) -> np.ndarray:
    """Pixels of a PNG by GDAL, (rows, columns, 4)."""
    name = "/vsimem/picture.png"
    gdal.FileFromMemBuffer(name, base64.b64decode(address.partition(",")[2]))
    pixels = np.moveaxis(gdal.Open(name).ReadAsArray(), 0, -1)
    gdal.Unlink(name)
    return pixels


def test_pictures_are_what_gdal_reads_from_their_files():
    pixels = np.random.default_rng(1).integers(0, 256, (13, 7, 4)).astype(np.uint8)
    address = maps.data_address(pixels)
    assert address.startswith("data:image/png;base64,")
    np.testing.assert_array_equal(decoded(address), pixels)
    assert zlib.crc32(base64.b64decode(address.partition(",")[2])[12:29]) > 0


def rgb(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def test_heights_and_differences_take_their_ramps_colours():
    heights = np.array([[0.0, 50.0, 100.0, np.nan, 300.0]])
    pixels = maps.relief(heights, (0.0, 100.0))
    assert pixels[0, :, 3].tolist() == [255, 255, 255, 0, 255]
    drawn = [pixels[0, place, :3].tolist() for place in (0, 1, 2, 4)]
    assert drawn == [rgb(ELEVATION[place]) for place in (0, 3, 6, 6)]
    errors = maps.difference(np.array([[-9.0, 0.0, 9.0]]), 9.0)
    assert [errors[0, place, :3].tolist() for place in (0, 1, 2)] == [rgb(DIFFERENCE[at]) for at in (0, 3, 6)]


def test_hillshade_is_gdaldems():
    heights = hills(40, 50)
    source = gdal.GetDriverByName("MEM").Create("", 50, 40, 1, gdal.GDT_Float32)
    source.SetGeoTransform(UTM_TRANSFORM)
    source.GetRasterBand(1).WriteArray(heights)
    shaded = gdal.DEMProcessing(
        "", source, "hillshade", format="MEM", azimuth=315, altitude=45, alg="ZevenbergenThorne"
    )
    expected = shaded.ReadAsArray()[1:-1, 1:-1].astype(float)
    found = maps.hillshade(heights.astype(float), (30.0, 30.0), 1.0)[1:-1, 1:-1, 0].astype(float)
    # GDAL keeps 0 for nodata and spreads the rest over 1 to 255.
    assert np.abs(found - (expected - 1.0) * 255.0 / 254.0).max() <= 1.5


def test_axes_end_at_round_numbers_and_hold_all():
    axis = axis_over([-3.0, 17.0], 0.0, 100.0)
    assert (axis.low, axis.high) == (-5.0, 20.0)
    assert axis.ticks == (-5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
    assert axis.place(-5.0) == 0.0
    assert axis.place(20.0) == 100.0
    assert axis_over([4.0, 4.0], 0.0, 1.0).low < 4.0 < axis_over([4.0, 4.0], 0.0, 1.0).high
    assert axis_over([0.0, 0.0031], 0.0, 1.0).label(0.001) == "0.001"
    assert axis_over([float("nan")], 0.0, 1.0).ticks


def test_the_fits_in_the_histogram_have_the_errors_mean_and_spread():
    errors = np.random.default_rng(2).normal(2.0, 5.0, 40_000)
    counts, edges = np.histogram(errors, 60, (-18.0, 22.0))
    drawn = charts.histogram_chart(Histogram(edges, counts, 0, 0), error_figures(errors))
    (path,) = re.findall(r'class="line normal" d="([^"]*)"', drawn)
    places = np.array([[float(part) for part in point.split()] for point in re.split("[ML]", path)[1:]])
    peak = places[places[:, 1].argmin()]
    axis = axis_over(edges.tolist(), 66.0, 520.0 - 14.0, widen=False)
    assert peak[0] == pytest.approx(axis.place(2.0), abs=3.0)
    bars = [float(value) for value in re.findall(r'class="bar" x="[^"]*" y="([^"]*)"', drawn)]
    # The tallest bar and the peak of a normal distribution drawn from it are of one height.
    assert peak[1] == pytest.approx(min(bars), abs=12.0)


def test_numbers_are_written_for_people():
    assert metres(-2214.6) == "\u22122\u202f215 m"
    assert metres(12.345) == "12.3 m"
    assert metres(1.2345) == "1.23 m"
    assert metres(-1e-9) == "0 m"
    assert metres(float("nan")) == "–"
    assert plain(-0.5) == "\u22120.500"
