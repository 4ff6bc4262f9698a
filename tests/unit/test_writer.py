from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

gdal = pytest.importorskip("osgeo.gdal", reason="needs GDAL")
from osgeo import osr  # noqa: E402

from imagetodem_qgis.core.tiling import Window, blocks  # noqa: E402
from imagetodem_qgis.raster.grid import Grid  # noqa: E402
from imagetodem_qgis.raster.image import RasterError  # noqa: E402
from imagetodem_qgis.raster.whole_file import NODATA  # noqa: E402
from imagetodem_qgis.raster.writer import SurfaceWriter  # noqa: E402
from tests.left_overs import left_by_the_dead  # noqa: E402


def grid_of(rows: int, columns: int) -> Grid:
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32632)
    return Grid(columns, rows, (500000.0, 30.0, 0.0, 5200000.0, 0.0, -30.0), reference.ExportToWkt())


def heights_of(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).normal(1000.0, 300.0, (rows, columns)).astype(np.float32)


def write(path: Path, heights: np.ndarray, **options: object) -> None:
    rows, columns = heights.shape
    with SurfaceWriter(path, grid_of(rows, columns), **options) as writer:
        writer.write(Window(0, 0, rows, columns), heights)


def write_until_interrupted(path: Path) -> None:
    with SurfaceWriter(path, grid_of(600, 600)) as writer:
        writer.write(Window(0, 0, 300, 600), heights_of(300, 600))
        raise KeyboardInterrupt


def overview_count(path: Path) -> int:
    dataset = gdal.Open(str(path))  # a band alone does not keep its dataset open
    return dataset.GetRasterBand(1).GetOverviewCount()


def test_what_is_written_is_read_again_with_its_grid_and_metadata(tmp_path):
    path = tmp_path / "dem.tif"
    heights = heights_of(700, 900)
    heights[100:120, 50:60] = np.nan
    heights[0, 0] = np.inf
    grid = grid_of(700, 900)
    with SurfaceWriter(path, grid, "m", "relief around 0", {"IMAGETODEM_MODEL": "hills"}) as writer:
        for window in blocks(700, 900, 512):
            writer.write(window, heights[window.within(grid.window())])
    dataset = gdal.Open(str(path))
    band = dataset.GetRasterBand(1)
    expected = np.where(np.isfinite(heights), heights, np.float32(NODATA))
    np.testing.assert_array_equal(band.ReadAsArray(), expected)
    assert band.DataType == gdal.GDT_Float32
    assert band.GetNoDataValue() == NODATA
    assert (band.ReadAsArray() == NODATA).sum() == 201
    assert band.GetUnitType() == "m"
    assert band.GetDescription() == "relief around 0"
    assert band.GetBlockSize() == [512, 512]
    assert dataset.GetMetadataItem("IMAGETODEM_MODEL") == "hills"
    assert dataset.GetMetadataItem("COMPRESSION", "IMAGE_STRUCTURE") == "DEFLATE"
    assert dataset.GetGeoTransform() == grid.geotransform
    assert osr.SpatialReference(dataset.GetProjection()).IsSame(osr.SpatialReference(grid.crs))


def test_overviews_average_the_known_heights(tmp_path):
    heights = heights_of(1100, 2300)
    heights[:2, :2] = np.nan
    heights[2, 2] = np.nan
    write(tmp_path / "dem.tif", heights)
    dataset = gdal.Open(str(tmp_path / "dem.tif"))
    band = dataset.GetRasterBand(1)
    sizes = [(band.GetOverview(n).YSize, band.GetOverview(n).XSize) for n in range(band.GetOverviewCount())]
    assert sizes == [(550, 1150), (275, 575), (138, 288)]
    half = band.GetOverview(0).ReadAsArray()
    expected = np.nanmean(heights[2:].reshape(549, 2, 1150, 2), axis=(1, 3))
    np.testing.assert_allclose(half[1:], expected, rtol=1e-5)
    assert half[0, 0] == NODATA


@pytest.mark.parametrize(("side", "count"), [(1, 0), (512, 0), (513, 1), (1025, 1), (1026, 2)])
def test_overviews_are_made_until_they_are_small(tmp_path, side, count):
    write(tmp_path / "dem.tif", np.zeros((side, 3), np.float32))
    write(tmp_path / "plain.tif", np.zeros((side, 3), np.float32), overviews=False)
    assert overview_count(tmp_path / "dem.tif") == count
    assert overview_count(tmp_path / "plain.tif") == 0


def test_nothing_is_under_the_name_until_all_is_written(tmp_path):
    path = tmp_path / "dem.tif"
    with SurfaceWriter(path, grid_of(8, 8)) as writer:
        writer.write(Window(0, 0, 8, 8), heights_of(8, 8))
        assert not path.exists()
    assert [item.name for item in tmp_path.iterdir()] == ["dem.tif"]


def test_an_error_leaves_no_file(tmp_path):
    path = tmp_path / "dem.tif"
    with pytest.raises(KeyboardInterrupt):
        write_until_interrupted(path)
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_file_that_was_there_and_what_belongs_to_it(tmp_path):
    path = tmp_path / "dem.tif"
    write(path, heights_of(20, 20))
    (tmp_path / "dem.tif.aux.xml").write_text("<PAMDataset/>")
    (tmp_path / "dem.tif.ovr").write_bytes(b"overviews")
    before = {item.name: item.read_bytes() for item in tmp_path.iterdir()}
    assert len(before) == 3
    with pytest.raises(KeyboardInterrupt):
        write_until_interrupted(path)
    assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == before


def test_a_new_file_takes_nothing_over_from_the_old_one(tmp_path):
    path = tmp_path / "dem.tif"
    write(path, np.full((20, 20), 5.0, np.float32))
    gdal.Info(str(path), stats=True)
    assert (tmp_path / "dem.tif.aux.xml").exists()
    (tmp_path / "dem.tif.ovr").write_bytes(b"overviews of the old file")
    write(path, np.full((30, 30), 7.0, np.float32))
    assert [item.name for item in tmp_path.iterdir()] == ["dem.tif"]
    dataset = gdal.Open(str(path))
    assert dataset.GetRasterBand(1).ComputeStatistics(False)[:2] == [7.0, 7.0]


def test_a_new_file_removes_what_the_dead_left(tmp_path):
    left_by_the_dead(tmp_path / "dem.tif")
    write(tmp_path / "dem.tif", heights_of(4, 4))
    assert [item.name for item in tmp_path.iterdir()] == ["dem.tif"]


def test_a_place_that_cannot_be_written_is_refused_by_name(tmp_path):
    path = tmp_path / "nowhere" / "dem.tif"
    with pytest.raises(RasterError, match=r"dem\.tif cannot be written"):
        SurfaceWriter(path, grid_of(4, 4))


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no limit on the size of files")
def test_overviews_can_be_cancelled_and_are_not_added_twice(tmp_path):
    path, heights = tmp_path / "dem.tif", heights_of(1500, 1400)
    asked = []

    def cancel_soon() -> bool:
        asked.append(1)
        return len(asked) > 1

    with contextlib.suppress(KeyboardInterrupt), SurfaceWriter(path, grid_of(1500, 1400)) as writer:
        writer.write(Window(0, 0, 1500, 1400), heights)
        assert not writer.add_overviews(cancel_soon)
        raise KeyboardInterrupt
    assert len(asked) < 5
    assert list(tmp_path.iterdir()) == []
    with SurfaceWriter(path, grid_of(1500, 1400)) as writer:
        writer.write(Window(0, 0, 1500, 1400), heights)
        assert writer.add_overviews(lambda: False)
    assert overview_count(path) == 2
    with SurfaceWriter(path, grid_of(1500, 1400), overviews=False) as writer:
        writer.write(Window(0, 0, 1500, 1400), heights)
        assert writer.add_overviews(lambda: True)
    assert overview_count(path) == 0


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path):
    path = tmp_path / "dem.tif"
    code = (
        "import resource, sys, signal; sys.path.insert(0, sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000))\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from imagetodem_qgis.core.tiling import Window\n"
        "from imagetodem_qgis.raster.grid import Grid\n"
        "from imagetodem_qgis.raster.writer import SurfaceWriter\n"
        "from imagetodem_qgis.raster.image import RasterError\n"
        "grid = Grid(2000, 2000, (0, 1, 0, 0, 0, -1), '')\n"
        "try:\n"
        "    with SurfaceWriter(Path(sys.argv[2]), grid) as writer:\n"
        "        writer.write(grid.window(), np.random.rand(2000, 2000).astype(np.float32))\n"
        "except RasterError as error:\n"
        "    print('refused:', error)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(root), str(path)], capture_output=True, text=True, check=False
    )
    assert f"refused: {path} cannot be written" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []
