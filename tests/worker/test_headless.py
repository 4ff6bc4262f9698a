"""Predicting without QGIS: in one process, and on a cluster of two."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.prediction.unfinished import unfinished_folder
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.worker.headless.image import RasterioGrid, RasterioImage
from imagetodem_qgis.worker.headless.main import main
from imagetodem_qgis.worker.headless.virtual import virtual_raster
from imagetodem_qgis.worker.headless.writing import RasterioRasters
from tests import tiny_models
from tests.left_overs import left_by_the_dead

NODATA = -9999.0
ROOT = Path(__file__).resolve().parents[2]


def colours(rows: int, columns: int, seed: int = 1) -> np.ndarray:
    """Soft waves with a little grain, (3, rows, columns) uint8 from 1 to 250."""
    random = np.random.default_rng(seed)
    down, right = np.mgrid[:rows, :columns]
    lengths = ((9.0, 0.0), (17.0, 1.0), (31.0, 2.0))
    waves = np.stack([np.sin(down / length + phase) + np.cos(right / length) for length, phase in lengths])
    grain = random.uniform(-9, 9, (3, rows, columns))
    return np.clip(125 + 45 * waves + grain, 1, 250).astype(np.uint8)


def write(path: Path, bands: np.ndarray, pixel: float = 30.0, **options) -> Path:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=bands.shape[2],
        height=bands.shape[1],
        count=len(bands),
        dtype=bands.dtype,
        crs="EPSG:32633",
        transform=from_origin(500_000.0, 5_200_000.0, pixel, pixel),
        **options,
    ) as dataset:
        dataset.write(bands)
    return path


def heights(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        assert (dataset.count, dataset.dtypes, dataset.nodata) == (1, ("float32",), NODATA)
        values = dataset.read(1).astype(np.float64)
    return np.where(values == NODATA, np.nan, values)


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    tiny_models.write_networks(folder)
    return folder


@pytest.fixture
def model(networks, tmp_path) -> Path:
    """Each tile has a constant of its own, which the solve must find, and a spread."""
    return tiny_models.make_model(tmp_path / "model", networks / "red_and_tile_mean.onnx")


@pytest.fixture
def image(tmp_path) -> Path:
    bands = colours(500, 430)
    # A hole, and two rows of tiles without a known pixel.
    bands[:, 60:160, 200:420] = 0
    bands[:, 300:420, :] = 0
    return write(tmp_path / "image.tif", bands, nodata=0)


def predicted(image: Path, dem: Path, model: Path, *options: str) -> np.ndarray:
    assert main(["predict", str(image), str(dem), "--model", str(model), *options]) == 0
    assert not unfinished_folder(dem).exists()
    return heights(dem)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The address of a cluster of two processes."""
    distributed = pytest.importorskip("distributed", reason="needs Dask's distributed")
    folder = tmp_path_factory.mktemp("dask")
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        local_directory=str(folder),
        memory_limit=0,
    )
    yield cluster.scheduler_address
    cluster.close()


def test_two_processes_make_the_raster_of_one(image, model, tmp_path, scheduler, capsys):
    confidences = [str(tmp_path / "sigma1.tif"), str(tmp_path / "sigma2.tif")]
    one = predicted(image, tmp_path / "one.tif", model, "--confidence", confidences[0])
    two = predicted(
        image, tmp_path / "two.tif", model, "--confidence", confidences[1], "--scheduler", scheduler
    )
    assert np.isnan(one).mean() == pytest.approx((120 * 430 + 100 * 220) / one.size)
    assert np.nanstd(one) > 10.0
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-4)
    np.testing.assert_allclose(*(heights(Path(path)) for path in confidences), rtol=0, atol=1e-4)
    assert "in 3 chunks on 2 threads of the cluster" in capsys.readouterr().err


def test_two_processes_make_the_raster_of_one_at_another_resolution(networks, tmp_path, scheduler):
    coarse = tiny_models.make_model(
        tmp_path / "coarse", networks / "red.onnx", ground_sampling_distance={"minimum": 60, "maximum": 90}
    )
    image = write(tmp_path / "image.tif", colours(700, 690))
    one = predicted(image, tmp_path / "one.tif", coarse)
    two = predicted(image, tmp_path / "two.tif", coarse, "--scheduler", scheduler)
    assert one.shape == (700, 690)
    assert np.isfinite(one).all()
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-4)


def test_a_cluster_goes_on_where_an_earlier_run_stopped(image, model, tmp_path, scheduler, monkeypatch):
    from imagetodem_qgis.worker.headless import cluster

    whole = predicted(image, tmp_path / "whole.tif", model, "--scheduler", scheduler)
    with monkeypatch.context() as patched:
        patched.setattr(cluster, "solve_levels", lambda *_: (_ for _ in ()).throw(OSError("cut off")))
        order = ["predict", str(image), str(tmp_path / "dem.tif"), "--model", str(model)]
        assert main([*order, "--scheduler", scheduler]) == 1
    journals = sorted(unfinished_folder(tmp_path / "dem.tif").rglob("tiles.journal"))
    assert len(journals) == 3
    before = [journal.read_bytes() for journal in journals]
    monkeypatch.setattr(cluster, "recipe", _checking(cluster.recipe, journals, before))
    np.testing.assert_array_equal(
        predicted(image, tmp_path / "dem.tif", model, "--scheduler", scheduler), whole
    )


def _checking(recipe, journals: list[Path], before: list[bytes]):
    def check(*arguments):
        # No tile was predicted again.
        assert [journal.read_bytes() for journal in journals] == before
        return recipe(*arguments)

    return check


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere.tif", "dem.tif"], "nowhere.tif cannot be opened"),
        (["{image}", "dem.tif", "--bands", "1", "2", "4"], "red, green and blue cannot be 1, 2, 4"),
        (["{image}", "dem.tif", "--model", "no-such-model"], "no model 'no-such-model' is installed"),
        (["{image}", "dem.tif", "--window", "0", "0", "501", "10"], "lies outside the image"),
    ],
)
def test_what_cannot_be_used_is_told(image, tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["predict", *(part.format(image=image) for part in arguments)]) == 1
    assert told in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_a_virtual_raster_averages_and_keeps_the_masks(tmp_path):
    bands = colours(40, 60)
    bands[:, :10, :] = 0
    path = write(tmp_path / "image.tif", bands, nodata=0)
    with rasterio.open(path) as source:
        resampled = virtual_raster(source, (3, 1, 2), Window(10, 20, 30, 40), 15, 20, "average")
        values, masks = resampled.read((1, 2, 3)), resampled.read((4, 5, 6))
    cut = bands[[2, 0, 1], 10:40, 20:60].astype(float)
    expected = cut.reshape(3, 15, 2, 20, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(values, expected, atol=0.51)
    assert (masks == 255).all()


def test_a_new_file_takes_nothing_over_from_the_old_one_or_the_dead(tmp_path):
    path = write(tmp_path / "dem.tif", np.full((1, 20, 20), 5.0, np.float32))
    (tmp_path / "dem.tif.aux.xml").write_text("<PAMDataset/>")
    (tmp_path / "dem.tif.ovr").write_bytes(b"overviews of the old file")
    left_by_the_dead(path)
    grid = RasterioGrid(30, 40, (500_000.0, 30.0, 0.0, 5_200_000.0, 0.0, -30.0), "")
    with RasterioRasters().writer(path, grid) as writer:
        writer.write(grid.window(), np.full((40, 30), 7.0, np.float32))
        beside = sorted(item.name for item in tmp_path.iterdir())
        partial = f".dem.{os.getpid()}.partial.tif"
        assert beside == [partial, "dem.tif", "dem.tif.aux.xml", "dem.tif.ovr"]
    assert [item.name for item in tmp_path.iterdir()] == ["dem.tif"]
    np.testing.assert_array_equal(heights(path), np.full((40, 30), 7.0))


def test_the_sun_is_read_from_any_domain_of_the_metadata(tmp_path):
    path = write(tmp_path / "image.tif", colours(8, 8))
    assert RasterioImage(str(path)).sun_azimuth() is None
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="IMD", SUN_AZIMUTH="315.5")
    assert RasterioImage(str(path)).sun_azimuth() == 315.5


def test_a_palette_is_refused(tmp_path):
    path = write(tmp_path / "image.tif", colours(8, 8), photometric="rgb")
    RasterioImage(str(path))
    one = write(tmp_path / "one.tif", colours(8, 8)[:1])
    with pytest.raises(RasterError, match="has 1 bands"):
        RasterioImage(str(one))


def test_an_environment_that_lacks_something_says_what_to_do(monkeypatch, capsys):
    from imagetodem_qgis import headless

    monkeypatch.setitem(sys.modules, "imagetodem_qgis.worker.headless.main", None)
    assert headless.run() == 1
    assert "PROFILE=train" in capsys.readouterr().err


def test_it_is_a_module_to_be_run():
    command = [sys.executable, "-m", "imagetodem_qgis.headless", "predict", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--scheduler" in done.stdout
