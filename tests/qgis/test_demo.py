"""The demo's figures and picture, on surfaces whose figures are known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

gdal = pytest.importorskip("osgeo.gdal")
figures = pytest.importorskip("scripts.demo_figures")
picture = pytest.importorskip("scripts.demo_picture")

ROWS, COLUMNS, STEP = 40, 50, 0.003


def write(path: Path, bands: NDArray[np.generic], finer: int = 1) -> Path:
    """Write (bands, rows, columns) as a GeoTIFF near 40° north, with pixels a whole number of times finer."""
    bands = bands.repeat(finer, axis=1).repeat(finer, axis=2)
    kind = gdal.GDT_Byte if bands.dtype == np.uint8 else gdal.GDT_Float32
    dataset = gdal.GetDriverByName("GTiff").Create(
        str(path), bands.shape[2], bands.shape[1], len(bands), kind
    )
    dataset.SetGeoTransform((-105.9, STEP / finer, 0, 40.5, 0, -STEP / finer))
    dataset.SetProjection("EPSG:4326")
    for index, band in enumerate(bands, start=1):
        dataset.GetRasterBand(index).WriteArray(band)
    dataset.FlushCache()
    return path


@pytest.fixture
def terrain() -> NDArray[np.float32]:
    """Hills of some hundred metres on a slope."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    return (2500 + 200 * np.sin(rows / 5) * np.cos(columns / 7) + 3 * columns).astype(np.float32)


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """Colours that have nothing to do with the hills."""
    return np.random.default_rng(1).integers(0, 255, (3, ROWS, COLUMNS), dtype=np.uint8)


def test_a_surface_at_half_the_relief_has_the_figures_of_one(
    tmp_path: Path, terrain: NDArray[np.float32], image: NDArray[np.uint8]
) -> None:
    prediction = write(tmp_path / "dem.tif", (0.5 * terrain - 700)[None], finer=2)
    truth = write(tmp_path / "truth.tif", terrain[None])
    rows = dict(figures.compare(prediction, write(tmp_path / "image.tif", image, finer=3), truth))
    sigma = float(terrain.std(dtype=np.float64))
    raw, fitted = rows["predicted + shift"], rows["predicted × 2 + shift"]
    assert raw.rmse == pytest.approx(sigma / 2, rel=1e-3)
    assert raw.rmse_by_sigma == pytest.approx(0.5, rel=1e-3)
    assert raw.bias == pytest.approx(0, abs=1e-6)
    assert fitted.rmse == pytest.approx(0, abs=0.01)
    assert fitted.correlation == pytest.approx(1, abs=1e-6)
    assert rows["flat mean"].rmse == pytest.approx(sigma, rel=1e-6)
    assert list(rows.values())[4].rmse_by_sigma == pytest.approx(1, abs=0.01)
    assert 0 < rows["best plane"].rmse < sigma
    text = figures.table(list(rows.items()))
    assert len(text.splitlines()) == 6
    assert f"{sigma:.1f}" in text.splitlines()[3]


def test_pixels_unknown_in_one_are_left_out_of_all(
    tmp_path: Path, terrain: NDArray[np.float32], image: NDArray[np.uint8]
) -> None:
    truth = write(tmp_path / "truth.tif", terrain[None])
    holed = terrain.copy()
    holed[:10] = -9999
    prediction = write(tmp_path / "dem.tif", holed[None])
    dataset = gdal.Open(str(prediction), gdal.GA_Update)
    dataset.GetRasterBand(1).SetNoDataValue(-9999)
    dataset = None
    rows = figures.compare(prediction, write(tmp_path / "image.tif", image), truth)
    assert {row.count for _, row in rows} == {(ROWS - 10) * COLUMNS}
    assert rows[0][1].rmse == pytest.approx(0, abs=1e-3)


def test_the_picture_shows_hills_lit_from_the_north_west(
    tmp_path: Path, terrain: NDArray[np.float32], image: NDArray[np.uint8], qgis_app: object
) -> None:
    from qgis.PyQt.QtGui import QImage

    path = tmp_path / "pictures" / "demo.png"
    dem, truth = write(tmp_path / "dem.tif", terrain[None]), write(tmp_path / "truth.tif", terrain[None])
    picture.draw(dem, write(tmp_path / "image.tif", image), truth, path, "A heading")
    sheet = QImage(str(path))
    assert sheet.width() > 3 * 400
    assert sheet.height() > 2 * 300
    seen = {sheet.pixel(x, y) for x in range(0, sheet.width(), 5) for y in range(0, sheet.height(), 5)}
    assert len(seen) > 1000
    cone = 500 - np.hypot(*np.mgrid[-20:21, -20:21]) * 75
    shade = picture.hillshade(cone, 1)[..., 0].astype(int)
    assert shade[10, 10] > shade[10, 30] > shade[30, 30]
    assert shade[10, 30] == pytest.approx(shade[30, 10], abs=1)


@pytest.mark.parametrize(("slope", "factor"), [(0.5, 1), (0.1, 5), (0.012, 50), (0.0, 50)])
def test_low_relief_is_exaggerated_by_a_round_factor(slope: float, factor: int) -> None:
    plane = np.tile(np.arange(30) * 75.0 * slope, (20, 1))
    assert picture.exaggeration_for(plane) == factor
