from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import from_origin

from training.noise import fractal_noise
from training.rendering import terrain as terrain_module
from training.rendering.landform import flow, read_landform
from training.rendering.relief import cut_relief
from training.rendering.resampling import enlarged, reduced, spline_matrix
from training.rendering.terrain import Terrain, known_and_level, read_terrains
from training.request import DataError


def write_dem(path: Path, heights: np.ndarray, **options: object) -> None:
    degrees = {"crs": "EPSG:4326", "transform": from_origin(10.0, 60.5, 0.001, 0.001)}
    rows, columns = heights.shape
    profile = {"driver": "GTiff", "count": 1, "dtype": heights.dtype.name, "height": rows, "width": columns}
    with rasterio.open(path, "w", **{**profile, **degrees, **options}) as target:
        target.write(heights, 1)


def rough(size: int, relief: float, seed: int = 0) -> np.ndarray:
    return (1500.0 + fractal_noise(size, 3.0, np.random.default_rng(seed)) * relief).astype(np.float32)


def made_terrain(
    heights: np.ndarray, spacing: tuple[float, float], known: np.ndarray | None = None
) -> Terrain:
    known = np.ones(heights.shape, bool) if known is None else known
    return Terrain("made", heights, known, np.zeros_like(known), spacing, (10.0, 46.0), "")


@given(
    start=st.floats(3.0, 12.0),
    step=st.floats(0.2, 2.5),
    slope=st.floats(-5.0, 5.0),
    count=st.integers(60, 80),
)
def test_a_ramp_is_resampled_to_itself(start: float, step: float, slope: float, count: int) -> None:
    matrix = spline_matrix(18, start, step, 0, count)
    assert np.allclose(matrix.sum(axis=1), 1.0, atol=1e-5)
    inside = start + step * np.arange(18) < count - 2 * max(step, 1.0) - 1
    inside &= start > 2 * max(step, 1.0) + 1
    expected = slope * (start + step * np.arange(18))
    assert np.allclose((matrix @ (slope * np.arange(count)))[inside], expected[inside], atol=0.02)


def test_whole_metres_come_out_without_a_staircase() -> None:
    # One metre in five pixels, which a spline alone would leave as terraces.
    ramp = np.repeat(np.floor(np.arange(300) * 0.2)[None], 300, axis=0).astype(np.float32)
    terrain = made_terrain(ramp, (12.0, 12.0))
    for seed in range(5):
        relief = cut_relief(terrain, 64, np.random.default_rng(seed))
        steps = np.diff(relief.heights[32, 12:-12]) / relief.gsd * 12.0
        assert steps.min() > 0.05
        assert steps.max() < 0.4


def test_what_was_reduced_is_enlarged_in_its_place() -> None:
    down, across = np.mgrid[:50, :41].astype(np.float32)
    ramp = 3.0 * down - 2.0 * across
    back = enlarged(reduced(ramp, 4), 4, ramp.shape)
    assert back.shape == ramp.shape
    assert np.allclose(back[10:-10, 10:-10], ramp[10:-10, 10:-10], atol=0.02)


def test_water_runs_down_a_slope() -> None:
    heights = np.repeat(np.arange(20.0, 0.0, -1.0)[:, None], 15, axis=1).astype(np.float32)
    area = np.exp(flow(heights))
    # The first row drains over the edge, so the second one begins each stream.
    for row in range(1, 19):
        assert np.allclose(area[row, 1:-1], row)


def test_water_gathers_in_a_valley_and_leaves_a_basin_over_its_lowest_saddle() -> None:
    down, across = np.mgrid[:31, :31]
    valley = (np.abs(across - 15) * 4.0 + (30 - down)).astype(np.float32)
    area = np.exp(flow(valley))
    assert area[29, 15] > 0.7 * 31 * 28 / 2
    assert area[29, 15] == area[1:-1, 1:-1].max()
    basin = np.full((31, 31), 50.0, np.float32)
    basin[5:26, 5:26] = np.hypot(down - 15, across - 15)[5:26, 5:26]
    basin[15, 26:] = 30.0 - np.arange(5)
    area = np.exp(flow(basin))
    assert area[15, 28] >= 21 * 21 + 2
    area[15, 26:] = 0.0
    assert max(area[0].max(), area[-1].max(), area[:, 0].max(), area[:, -1].max()) < 100


@given(seed=st.integers(0, 50), size=st.integers(5, 24))
def test_all_water_leaves(seed: int, size: int) -> None:
    area = np.exp(flow(rough(size, 100.0, seed)).astype(np.float64))
    border = area[0].sum() + area[-1].sum() + area[1:-1, 0].sum() + area[1:-1, -1].sum()
    assert np.isclose(border, size**2, rtol=1e-4)
    assert area.min() >= 1.0 - 1e-6


def test_facing_and_height_are_those_of_the_ground() -> None:
    down, _ = np.mgrid[:40, :40].astype(np.float32)
    landform = read_landform(down * 30.0, 30.0)
    # It rises to the south at 45 degrees, so it faces north.
    assert np.allclose(landform.facing(0.0), np.sqrt(0.5), atol=1e-4)
    assert np.allclose(landform.facing(180.0), -np.sqrt(0.5), atol=1e-4)
    assert np.allclose(landform.facing(90.0), 0.0, atol=1e-4)
    assert np.allclose(landform.slope, 1.0, atol=1e-4)
    assert np.isclose(np.quantile(landform.height, 0.02), 0.0, atol=0.1)
    assert np.isclose(np.quantile(landform.height, 0.98), 1.0, atol=0.1)


def test_degrees_become_metres_and_a_lake_is_seen(tmp_path: Path) -> None:
    heights = np.rint(rough(240, 300.0)).astype(np.int16)
    heights[40:70, 80:110] = 1400
    write_dem(tmp_path / "north.tif", heights, nodata=-32768)
    (tmp_path / "index.csv").write_text("file,licence\nnorth.tif,CC0\n")
    (terrain,) = read_terrains(tmp_path)
    latitude = 60.5 - 0.12
    assert np.isclose(terrain.spacing[0], 111.32, rtol=1e-3)
    assert np.isclose(terrain.spacing[1], 111.32 * np.cos(np.radians(latitude)), rtol=1e-3)
    assert terrain.gsd == terrain.spacing[0]
    assert np.allclose(terrain.centre, (10.12, latitude))
    assert (terrain.name, terrain.licence) == ("north", "CC0")
    assert (terrain.heights == heights).all()
    assert terrain.known.all()
    assert terrain.level[40:70, 80:110].all()
    assert terrain.level.sum() < 30 * 30 + 100


def test_voids_are_masked_whether_declared_or_not_and_peaks_are_not(tmp_path: Path) -> None:
    heights = np.rint(rough(200, 200.0)).astype(np.float32)
    truth = heights.copy()
    heights[50:60, 50:60] = -32768
    heights[100:104, 20:24] = -9999
    heights[150, 150] = 20.0
    heights[151, 30] = 8900.0
    down, across = np.mgrid[:200, :200]
    peak = np.clip(700.0 - 90.0 * np.hypot(down - 100, across - 150), 0, None)
    write_dem(tmp_path / "a.tif", heights + peak.astype(np.float32), nodata=-9999.0)
    (terrain,) = read_terrains(tmp_path)
    void = np.zeros((200, 200), bool)
    void[50:60, 50:60] = void[100:104, 20:24] = void[150, 150] = void[151, 30] = True
    assert (terrain.known == ~void).all()
    assert np.abs(terrain.heights - truth - peak).max() < 300.0


@pytest.mark.parametrize("value", [np.nan, -32768.0, 12000.0])
def test_a_dem_without_heights_is_not_known(value: float) -> None:
    known, level = known_and_level(np.full((9, 9), value, np.float32), np.ones((9, 9), bool), 30.0)
    assert not known.any()
    assert not level.any()


def test_areas_apart_are_unknown_and_large_dems_come_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dem(tmp_path / "a.tif", rough(300, 300.0))
    (terrain,) = read_terrains(tmp_path, [(10.1, 60.35, 10.15, 60.4)])
    apart = np.zeros((300, 300), bool)
    apart[100:150, 100:150] = True
    assert ((~terrain.known) == apart).mean() > 0.995
    assert (~terrain.known)[101:149, 101:149].all()
    monkeypatch.setattr(terrain_module, "_LARGEST_SIDE", 160)
    pieces = read_terrains(tmp_path)
    assert [piece.name for piece in pieces] == ["a_0", "a_1", "a_2", "a_3"]
    whole = np.block([[pieces[0].heights, pieces[1].heights], [pieces[2].heights, pieces[3].heights]])
    assert (whole == terrain.heights)[terrain.known].all()
    monkeypatch.setattr(terrain_module, "_LARGEST_TOTAL", 50_000)
    assert [piece.name for piece in read_terrains(tmp_path)] == ["a_0", "a_2"]


def test_a_folder_without_heights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        read_terrains(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no DEM"):
        read_terrains(tmp_path)
    write_dem(tmp_path / "void.tif", np.full((20, 20), -32768, np.int16), nodata=-32768)
    with pytest.raises(DataError, match="no DEM"):
        read_terrains(tmp_path)
    (tmp_path / "broken.tif").write_bytes(b"II*")
    with pytest.raises(DataError, match=r"broken\.tif"):
        read_terrains(tmp_path)


@pytest.mark.parametrize("seed", range(6))
def test_relief_keeps_its_scale_at_any_distance(seed: int) -> None:
    down, across = np.mgrid[:400, :400].astype(np.float32)
    # Rows lie 12 m apart, columns 6: a slope of one in four to the east.
    terrain = made_terrain(1000.0 + 0.25 * 6.0 * across + 0.0 * down, (12.0, 6.0))
    relief = cut_relief(terrain, 64, np.random.default_rng(seed))
    assert 10.0 <= relief.gsd <= 24.0
    inner = relief.heights[12:-12, 12:-12]
    assert np.allclose(np.diff(inner, axis=1) / relief.gsd, 0.25, atol=2e-3)
    assert np.allclose(np.diff(inner, axis=0), 0.0, atol=0.05)
    column = (relief.heights[32, 32] - 1000.0) / 0.25 / 6.0
    assert abs(column - relief.centre[1]) < 3.0


def test_coarse_terrain_is_enlarged_with_detail_or_shrunk_and_hardly_steeper() -> None:
    terrain = made_terrain(rough(500, 400.0, 5), (90.0, 90.0))
    slope = np.hypot(*np.gradient(terrain.heights, 90.0)).mean()
    found = []
    for seed in range(12):
        relief = cut_relief(terrain, 96, np.random.default_rng(seed))
        assert 10.0 <= relief.gsd <= 60.0
        assert relief.heights.dtype == np.float32
        found.append(np.hypot(*np.gradient(relief.heights, relief.gsd)).mean() / slope)
    assert 0.6 < np.median(found) < 1.7


def test_what_is_unknown_stays_so(tmp_path: Path) -> None:
    known = np.ones((300, 300), bool)
    known[:, 140:160] = False
    terrain = made_terrain(rough(300, 200.0), (12.0, 12.0), known)
    relief = cut_relief(terrain, 220, np.random.default_rng(1))
    assert 0.02 < (~relief.known).mean() < 0.25
    assert np.isfinite(relief.heights).all()


def test_real_dems_are_read(shared_data: Path, tmp_path: Path) -> None:
    for name in (
        "osgearth_mt_everest_90m.tif",
        "lsdtopotools_Mandakini.tif",
        "topotoolbox_bigtujunga30m.tif",
    ):
        shutil.copy(shared_data / "dems" / name, tmp_path / name)
    mandakini, everest, bigtujunga = read_terrains(tmp_path)
    assert np.isclose(bigtujunga.gsd, 35.0, atol=1.5)
    assert np.isclose(everest.spacing[0] * np.cos(np.radians(27.5)), everest.spacing[1], rtol=0.01)
    assert 8000.0 < everest.heights.max() < 8850.0
    for terrain in (mandakini, bigtujunga, everest):
        down, across = np.gradient(terrain.heights, *terrain.spacing)
        both = terrain.known & np.roll(terrain.known, 1, 0) & np.roll(terrain.known, 1, 1)
        assert np.quantile(np.hypot(down, across)[both], 0.999) < 3.0
