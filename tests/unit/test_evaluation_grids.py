"""Comparisons of DEMs that do not lie on one grid, or not in one unit."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

gdal = pytest.importorskip("osgeo.gdal", reason="needs QGIS's Python")

from osgeo import ogr, osr  # noqa: E402

from imagetodem_qgis.core.height_values import FOOT, SURVEY_FOOT  # noqa: E402
from imagetodem_qgis.core.tiling import Window  # noqa: E402
from imagetodem_qgis.evaluation import coregistration  # noqa: E402
from imagetodem_qgis.evaluation.ground import common_grid, steps_of  # noqa: E402
from imagetodem_qgis.evaluation.request import ControlPoints  # noqa: E402
from imagetodem_qgis.prediction.request import Cancelled  # noqa: E402
from imagetodem_qgis.raster.elevation import Elevation  # noqa: E402
from imagetodem_qgis.raster.errors import RasterError  # noqa: E402
from imagetodem_qgis.raster.grid import Grid  # noqa: E402
from imagetodem_qgis.raster.polygons import BurntPolygons, Polygons  # noqa: E402
from tests.comparisons import Heard, compare, hills, write_dem  # noqa: E402
from tests.rasters import UTM_33N, UTM_TRANSFORM  # noqa: E402

EAST, NORTH = UTM_TRANSFORM[0], UTM_TRANSFORM[3]


def wkt(crs: str) -> str:
    reference = osr.SpatialReference()
    reference.SetFromUserInput(crs)
    return reference.ExportToWkt()


def moved(columns: float, rows: float, step: float = 30.0) -> tuple[float, ...]:
    return (EAST + 30.0 * columns, step, 0.0, NORTH - 30.0 * rows, 0.0, -step)


def square(left: float, top: float, right: float, bottom: float) -> bytes:
    """A rectangle in pixels of the standard grid."""
    corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    points = ", ".join(f"{EAST + 30 * column} {NORTH - 30 * row}" for column, row in corners)
    return bytes(ogr.CreateGeometryFromWkt(f"POLYGON (({points}))").ExportToIsoWkb())


def plane(rows: int, columns: int, transform: tuple[float, ...]) -> np.ndarray:
    """Heights of one tilted plane at the centres of a grid's pixels."""
    x = transform[0] + transform[1] * (np.arange(columns) + 0.5)
    y = transform[3] + transform[5] * (np.arange(rows) + 0.5)
    return (500.0 + 0.2 * (x - EAST)[None] + 0.05 * (y - NORTH)[:, None]).astype(np.float64)


@pytest.mark.parametrize(
    ("transform", "size", "grid_size", "resampling"),
    [
        (moved(10, 5), (60, 50), (60, 50), ("near", "near")),
        (moved(10.5, 5.25), (60, 50), None, ("near", "cubic")),
        (moved(4, 4, 10.0), (150, 150), (50, 50), ("near", "average")),
        (moved(-3, -2, 90.0), (20, 20), None, ("average", "near")),
    ],
    ids=["shifted by whole pixels", "by parts of one", "finer reference", "coarser reference"],
)
def test_a_plane_is_the_same_plane_on_any_grid(tmp_path, transform, size, grid_size, resampling):
    dem = write_dem(tmp_path / "d.tif", plane(90, 70, UTM_TRANSFORM))
    reference = write_dem(tmp_path / "r.tif", plane(*size, transform), transform=transform)
    result = compare(dem, reference).raster
    assert result.resampling == resampling
    if grid_size is not None:
        assert (result.grid.rows, result.grid.columns) == grid_size
    assert result.grid.geotransform[1] == max(30.0, transform[1])
    figures = result.accuracies["none"]
    # Where pixels reach beyond a raster's border, GDAL's kernels see less than the whole of them.
    assert figures.median == pytest.approx(0.0, abs=1e-3)
    assert figures.nmad < 1e-3
    assert figures.count > 100
    assert figures.correlation > 0.999


def test_a_geographic_dem_is_compared_with_a_projected_one(tmp_path):
    truth = hills(120, 110, 5)
    reference = write_dem(tmp_path / "r.tif", truth)
    gdal.Warp(str(tmp_path / "d.tif"), reference, dstSRS="EPSG:4326", resampleAlg="cubic", dstNodata=-9999.0)
    for dem, other in (("d.tif", "r.tif"), ("r.tif", "d.tif")):
        result = compare(str(tmp_path / dem), str(tmp_path / other)).raster
        figures = result.accuracies["none"]
        assert figures.count > 9000
        assert abs(figures.median) < 0.2
        assert figures.nmad < 1.5
        assert figures.correlation > 0.999
        assert figures.slope_rmse < 2.0


def test_steps_of_a_geographic_grid_are_metres_row_by_row():
    """Against GeographicLib's lengths of a degree on WGS 84: 111,319.49 m of longitude at the equator, 55,800
    m at 60 degrees; 110,574 m of latitude at the equator, 111,412 m at 60 degrees."""
    grid = Grid(4, 6001, (10.0, 0.01, 0.0, 60.005, 0.0, -0.01), wkt("EPSG:4326"))
    steps = steps_of(grid)
    assert steps[0] == pytest.approx([558.00, 1114.12], rel=1e-4)
    assert steps[6000] == pytest.approx([1113.195, 1105.74], rel=1e-4)
    assert (np.diff(steps[:, 0]) > 0).all()


def test_steps_of_mercator_are_true_and_those_of_utm_the_maps_own():
    mercator = Grid(100, 100, (1_000_000.0, 30.0, 0.0, 8_400_000.0, 0.0, -30.0), wkt("EPSG:3857"))
    # At 60 degrees north Mercator's unit is half a metre.
    assert steps_of(mercator)[50] == pytest.approx([15.0, 15.0], rel=0.02)
    assert steps_of(Grid(9, 7, UTM_TRANSFORM, wkt(UTM_33N))).tolist() == [[30.0, 30.0]] * 7
    feet = Grid(9, 7, (1_000_000.0, 100.0, 0.0, 200_000.0, 0.0, -100.0), wkt("EPSG:2263"))
    assert steps_of(feet)[0] == pytest.approx([100 * SURVEY_FOOT] * 2)
    assert steps_of(Grid(9, 7, UTM_TRANSFORM, ""))[0].tolist() == [30.0, 30.0]


def test_turned_and_south_up_rasters_are_compared_on_a_grid_whose_rows_go_south(tmp_path):
    truth = plane(90, 70, UTM_TRANSFORM)
    reference = write_dem(tmp_path / "r.tif", truth)
    south_up = (EAST, 30.0, 0.0, NORTH - 30.0 * 90, 0.0, 30.0)
    dem = write_dem(tmp_path / "d.tif", truth[::-1].copy(), transform=south_up)
    assert compare(dem, reference).figures.rmse == pytest.approx(0.0, abs=1e-3)
    turn = math.radians(30.0)
    turned = (EAST + 900.0, 30 * math.cos(turn), 30 * math.sin(turn), NORTH - 900.0, 30 * math.sin(turn),
              -30 * math.cos(turn))  # fmt: skip
    grid = Grid(30, 30, turned, wkt(UTM_33N))
    column, row = np.meshgrid(np.arange(30) + 0.5, np.arange(30) + 0.5)
    x, y = grid.to_map(column, row)
    heights = 500.0 + 0.2 * (x - EAST) + 0.05 * (y - NORTH)
    result = compare(write_dem(tmp_path / "t.tif", heights, transform=turned), reference)
    assert result.figures.count > 700
    assert abs(result.figures.median) < 0.01
    assert result.raster.grid.geotransform[2] == 0.0


@pytest.mark.parametrize(("unit", "metres"), [("ft", FOOT), ("US survey foot", SURVEY_FOOT), ("metre", 1.0)])
def test_a_declared_unit_is_brought_to_metres(tmp_path, unit, metres):
    truth = hills(40, 30).astype(np.float64)
    reference = write_dem(tmp_path / "r.tif", truth, unit="m")
    dem = write_dem(tmp_path / "d.tif", truth / metres + 10.0 / metres, unit=unit)
    result = compare(dem, reference)
    assert result.figures.bias == pytest.approx(10.0, abs=1e-6)
    assert result.figures.nmad == pytest.approx(0.0, abs=1e-6)


def test_undeclared_feet_are_suspected_and_can_be_named(tmp_path):
    truth = hills(60, 50).astype(np.float64)
    reference = write_dem(tmp_path / "r.tif", truth)
    dem = write_dem(tmp_path / "d.tif", truth / FOOT)
    heard = Heard()
    suspected = compare(dem, reference, listener=heard)
    assert any("d.tif seems to be in feet" in warning for warning in heard.warnings)
    assert any("DEM_UNIT" in note for note in suspected.notes)
    named = compare(dem, reference, units=(FOOT, None))
    assert named.figures.rmse == pytest.approx(0.0, abs=1e-6)
    assert named.notes == ()


def test_the_unit_of_a_vertical_crs_counts(tmp_path):
    truth = hills(20, 20).astype(np.float64)
    dem = write_dem(tmp_path / "d.tif", truth, crs="EPSG:32633+6360")
    opened = Elevation(dem)
    assert opened.unit == pytest.approx(SURVEY_FOOT)
    assert opened.declares_unit


@pytest.mark.parametrize("marker", [-32768.0, -3.4e38, -9999.0, np.inf])
def test_undeclared_voids_are_no_heights(tmp_path, marker):
    truth = hills(40, 30)
    holes = truth.copy()
    holes[5:9, 3:8] = marker
    dem = write_dem(tmp_path / "d.tif", holes, nodata=None)
    figures = compare(dem, write_dem(tmp_path / "r.tif", truth)).figures
    assert figures.count == 40 * 30 - 20
    assert figures.rmse == pytest.approx(0.0, abs=1e-6)


def test_whole_numbers_scale_and_offset_are_heights(tmp_path):
    steps = np.round(hills(30, 30)).astype(np.int16)
    steps[4, 4] = -32768
    path = write_dem(tmp_path / "d.tif", steps, nodata=-32768)
    file = gdal.Open(path, gdal.GA_Update)
    file.GetRasterBand(1).SetScale(0.5)
    file.GetRasterBand(1).SetOffset(100.0)
    file = None
    reference = write_dem(tmp_path / "r.tif", steps.astype(np.float64) * 0.5 + 95.0)
    figures = compare(path, reference).figures
    assert (figures.count, figures.bias, figures.nmad) == (899, 5.0, 0.0)


def test_only_pixels_inside_the_mask_are_compared(tmp_path):
    truth = hills(60, 50)
    surface = truth + np.float32(7.0)
    surface[:, 25:] += 1000.0
    dem, reference = write_dem(tmp_path / "d.tif", surface), write_dem(tmp_path / "r.tif", truth)
    mask = Polygons(("a", "b"), ((0, square(0, 0, 25, 60)), (1, square(5, 5, 20, 20))), wkt(UTM_33N))
    result = compare(dem, reference, mask=mask)
    assert result.figures.count == 25 * 60
    assert result.figures.rmse == pytest.approx(7.0, rel=1e-5)
    assert np.isnan(result.raster.pictures.difference[:, 25:]).all()
    elsewhere = Polygons(("a",), ((0, square(300, 300, 310, 310)),), wkt(UTM_33N))
    with pytest.raises(RasterError, match="MASK: no pixel"):
        compare(dem, reference, mask=elsewhere)


def test_zones_are_told_one_by_one_and_may_come_in_another_crs(tmp_path):
    truth = hills(60, 50)
    surface = truth.copy()
    surface[:, :20] += 3.0
    surface[:, 30:] -= 5.0
    shapes = []
    transformation = osr.CoordinateTransformation(*(_traditional(crs) for crs in (UTM_33N, "EPSG:4326")))
    for number, sides in ((0, (0, 0, 20, 60)), (1, (30, 0, 50, 30)), (1, (30, 30, 50, 60))):
        shape = ogr.CreateGeometryFromWkb(square(*sides))
        shape.Transform(transformation)
        shapes.append((number, bytes(shape.ExportToIsoWkb())))
    zones = Polygons(("west", "east"), tuple(shapes), wkt("EPSG:4326"))
    dem, reference = write_dem(tmp_path / "d.tif", surface), write_dem(tmp_path / "r.tif", truth)
    groups = compare(dem, reference, zones=zones).raster.groups
    found = {group.label: group.figures for group in groups if group.kind == "zone"}
    assert {label: figures.count for label, figures in found.items()} == {
        "outside all zones": 600,
        "west": 1200,
        "east": 1200,
    }
    assert found["west"].bias == pytest.approx(3.0, abs=1e-4)
    assert found["east"].median == pytest.approx(-5.0, abs=1e-4)
    assert found["outside all zones"].rmse == 0.0


def _traditional(crs: str) -> osr.SpatialReference:
    reference = osr.SpatialReference()
    reference.SetFromUserInput(crs)
    reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return reference


def test_a_pixel_belongs_to_the_last_polygon_over_its_centre():
    polygons = Polygons(("a", "b"), ((0, square(0, 0, 4, 4)), (1, square(2, 2, 6, 3))), wkt(UTM_33N))
    burnt = BurntPolygons(polygons, Grid(8, 6, UTM_TRANSFORM, wkt(UTM_33N)))
    expected = np.zeros((6, 8), int)
    expected[:4, :4] = 1
    expected[2, 2:6] = 2
    assert burnt.read(Window(0, 0, 6, 8)).tolist() == expected.tolist()
    assert burnt.read(Window(1, 3, 2, 4)).tolist() == expected[1:3, 3:7].tolist()


def test_points_are_compared_at_their_places_and_check_the_alignment(tmp_path):
    truth = plane(90, 70, UTM_TRANSFORM)
    surface = 0.5 * truth + 20.0
    dem, reference = write_dem(tmp_path / "d.tif", surface), write_dem(tmp_path / "r.tif", truth)
    random = np.random.default_rng(1)
    places = np.stack([EAST + random.uniform(20, 2000, 40), NORTH - random.uniform(20, 2600, 40)], axis=1)
    heights = 500.0 + 0.2 * (places[:, 0] - EAST) + 0.05 * (places[:, 1] - NORTH)
    places[0] = [EAST - 500.0, NORTH]
    points = ControlPoints(places, heights + 2.0)
    alone = compare(dem, None, "shift and scale", points=points)
    assert alone.raster is None
    assert (alone.figures.count, alone.points.given) == (39, 40)
    assert alone.fit.scale == pytest.approx(2.0, rel=1e-6)
    assert alone.figures.rmse == pytest.approx(0.0, abs=1e-4)
    assert any("1 of 40 control points" in note for note in alone.notes)
    raw = alone.figures_of["none"]
    expected = 0.5 * heights[1:] + 20.0 - (heights[1:] + 2.0)
    assert raw.bias == pytest.approx(expected.mean(), abs=1e-4)
    assert raw.rmse == pytest.approx(math.sqrt((expected**2).mean()), abs=1e-4)
    # The reference's alignment leaves the two metres by which the points lie higher.
    both = compare(dem, reference, "shift and scale", points=points)
    assert both.figures.rmse == pytest.approx(0.0, abs=1e-4)
    assert both.points.figures["shift and scale"].bias == pytest.approx(-2.0, abs=1e-4)
    far = ControlPoints(np.array([[0.0, 0.0]]), np.array([1.0]))
    with pytest.raises(RasterError, match="CONTROL_POINTS: none of the 1"):
        compare(dem, None, points=far)


def test_dems_of_different_places_or_without_common_pixels_are_refused(tmp_path):
    truth = hills(40, 30)
    dem = write_dem(tmp_path / "d.tif", truth)
    elsewhere = write_dem(tmp_path / "e.tif", truth, transform=moved(500, 0))
    with pytest.raises(RasterError, match="do not overlap"):
        compare(dem, elsewhere)
    left, right = truth.copy(), truth.copy()
    left[:, 15:] = np.nan
    right[:, :15] = np.nan
    with pytest.raises(RasterError, match="no pixel is known in both"):
        compare(write_dem(tmp_path / "l.tif", left), write_dem(tmp_path / "r.tif", right))
    nowhere = write_dem(tmp_path / "n.tif", truth, crs="")
    with pytest.raises(RasterError, match=r"n\.tif has no coordinate reference system"):
        compare(dem, nowhere)
    assert compare(nowhere, nowhere).figures.rmse == 0.0


def test_what_is_no_dem_is_refused(tmp_path):
    for unit in ("pixel", "furlong"):
        with pytest.raises(RasterError, match=unit):
            Elevation(write_dem(tmp_path / f"{unit}.tif", hills(9, 9), unit=unit))
    with pytest.raises(RasterError, match="not georeferenced"):
        Elevation(write_dem(tmp_path / "u.tif", hills(9, 9), transform=None, crs=""))
    with pytest.raises(RasterError, match="complex"):
        Elevation(write_dem(tmp_path / "c.tif", hills(9, 9).astype(np.complex64), nodata=None))
    with pytest.raises(RasterError, match="does not exist"):
        Elevation(str(tmp_path / "missing.tif"))


@pytest.mark.parametrize("asked", [1, 3, 9])
def test_cancelling_stops_and_leaves_nothing(tmp_path, asked):
    dem = write_dem(tmp_path / "d.tif", hills(40, 30))
    with pytest.raises(Cancelled):
        compare(dem, dem, difference=tmp_path / "difference.tif", listener=Heard(cancel_at=asked))
    assert [path.name for path in tmp_path.iterdir()] == ["d.tif"]


def test_progress_grows_to_its_end(tmp_path):
    dem, heard = write_dem(tmp_path / "d.tif", hills(40, 30)), Heard()
    compare(dem, dem, difference=tmp_path / "difference.tif", listener=heard)
    assert heard.percents == sorted(heard.percents)
    assert heard.percents[-1] == pytest.approx(100.0)


def test_memory_does_not_grow_with_the_raster(tmp_path, monkeypatch):
    """Four times the rows take no more memory: blocks of 512 rows, strips of some thousand pixels."""
    monkeypatch.setattr("imagetodem_qgis.evaluation.planes._STRIP_PIXELS", 50_000)
    monkeypatch.setattr("imagetodem_qgis.evaluation.gather._BAND_ROWS", 256)
    peaks = []
    for rows in (600, 2400):
        truth = np.tile(hills(60, 400, 2), (rows // 60, 1))
        dem = write_dem(tmp_path / f"d{rows}.tif", truth + np.float32(3.0))
        reference = write_dem(tmp_path / f"r{rows}.tif", truth)
        del truth
        tracemalloc.start()
        compare(dem, reference, "shift")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # What is left to grow are the steps of the rows and the pictures up to their full size.
    assert peaks[1] < 1.25 * peaks[0]


def test_a_full_disk_is_told_before_the_work(tmp_path, monkeypatch):
    dem = write_dem(tmp_path / "d.tif", hills(40, 30))
    usage = type("usage", (), {"free": 5000})
    monkeypatch.setattr("imagetodem_qgis.evaluation.planes.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match="make room"):
        compare(dem, dem)


def test_the_common_grid_is_the_coarser_one(tmp_path):
    fine = write_dem(tmp_path / "f.tif", hills(90, 90), transform=moved(0, 0, 10.0))
    coarse = write_dem(tmp_path / "c.tif", hills(40, 40))
    for one, other in ((fine, coarse), (coarse, fine)):
        grid = common_grid(Elevation(one), Elevation(other))
        assert (grid.rows, grid.columns, grid.geotransform) == (30, 30, UTM_TRANSFORM)


def test_a_large_raster_is_sampled_by_windows_side_by_side():
    grid = Grid(9000, 4000, UTM_TRANSFORM, wkt(UTM_33N))
    lines = coregistration._windows(grid)
    windows = [window for line in lines for window in line]
    assert len(windows) == 16
    assert sum(window.rows * window.columns for window in windows) <= coregistration._MOST_PIXELS
    assert all(window.intersection(grid.window()) == window for window in windows)
    assert (windows[0].row, windows[0].column) == (0, 0)
    last = windows[-1]
    assert (last.row + last.rows, last.column + last.columns) == (4000, 9000)
    small = Grid(300, 200, UTM_TRANSFORM, wkt(UTM_33N))
    assert coregistration._windows(small) == [[small.window()]]


def test_a_move_is_told_in_the_map_units_of_any_crs():
    degrees = Grid(100, 100, (8.95, 0.001, 0.0, 50.0, 0.0, -0.001), wkt("EPSG:4326"))
    move = coregistration.Move(0.5, -2.0, 36.0, 222.0)
    assert coregistration.in_map_units(move, degrees, degrees.crs) == pytest.approx((0.0005, 0.002))
    metres = coregistration.in_map_units(move, degrees, wkt("EPSG:32632"))
    # A thousandth of a degree at 50 degrees north is 71.7 m of longitude, 111.2 m of latitude.
    assert metres == pytest.approx((35.8, 222.5), rel=0.03)
