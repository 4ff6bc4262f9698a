from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from imagetodem_qgis.core.card import COARSE_DEM, ELEVATION, LOG_GSD, RELIEF
from tests.tiny_models import LOG_SCALE, make_model, write_networks
from training.data.pair import Pair
from training.evaluate import evaluate, figures_of, markdown
from training.evaluation.accuracy import baselines, is_level, medians, mosaic_figures, tile_figures
from training.evaluation.area import Area, area_of, held_out_mosaics, held_out_tiles, reduced, tiles_of
from training.evaluation.predictor import Predictor
from training.evaluation.relief import spread_factor
from training.report.figures import COLUMNS, RELATIVE_ERROR, in_words

GSD = 30.0
COLOURS = ["red", "green", "blue"]


def ground(rows: int, columns: int, seed: int = 0, noise: float = 0.0) -> Area:
    """Hills in metres whose image has the heights in red, something else in green, nothing in blue."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:rows, :columns]
    dem = 1500.0 + 200.0 * np.sin(down / 17.0 + seed) + 150.0 * np.cos(across / 23.0) + across
    image = np.stack([dem, 1000.0 + 900.0 * np.sin(across / 7.0), np.full(dem.shape, 500.0)], axis=-1)
    image[..., 0] += random.normal(0.0, 1.0, dem.shape) * noise
    pair = Pair(
        "hills", image.astype(np.float32), dem.astype(np.float32), np.ones(dem.shape, bool), GSD, "test"
    )
    return area_of(pair, "hills")


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    write_networks(folder)
    return folder


@pytest.fixture
def model(networks, tmp_path):
    def make(network: str, **changes: object) -> Predictor:
        name = f"{network}_{len(list(tmp_path.iterdir()))}"
        return Predictor(make_model(tmp_path / name, networks / f"{network}.onnx", **changes))

    return make


def stretched(area: Area, band: int) -> np.ndarray:
    """Percentiles 2 and 98 of the whole image's band become -1 and 1."""
    low, high = np.percentile(area.samples[:, band].astype(float), (2, 98))
    return np.clip(2.0 * (area.image[..., band] - low) / (high - low) - 1.0, -1.5, 1.5)


def test_heights_are_the_networks_answer_in_metres_around_0(model):
    area = ground(64, 64)
    area.valid[:9] = False
    surface = model("red").answer(area).surface
    expected = 10.0 * stretched(area, 0) * GSD
    expected -= expected[area.valid].mean()
    np.testing.assert_allclose(surface[area.valid], expected[area.valid], atol=0.02)
    assert np.isnan(surface[~area.valid]).all()


def test_a_tile_is_stretched_like_the_image_that_it_is_cut_from(model):
    area = ground(128, 64)
    tiles = list(tiles_of(area, 64))
    assert [tile.name for tile in tiles] == ["hills/0_0", "hills/64_0"]
    assert [tile.name for tile in tiles_of(area, 64, 40)] == ["hills/0_0", "hills/40_0"]
    surface = model("red").answer(tiles[1]).surface
    expected = 10.0 * GSD * stretched(area, 0)[64:]
    np.testing.assert_allclose(surface, expected - expected.mean(), atol=0.02)


def test_an_area_smaller_than_a_tile_is_answered_in_its_own_size(model):
    (tile,) = tiles_of(ground(40, 31), 64)
    assert model("red").answer(tile).surface.shape == (40, 31)


def test_the_plane_of_the_ground_sampling_distance(model):
    predictor = model("ground_sampling_distance", inputs=[*COLOURS, LOG_GSD])
    area = ground(64, 64)
    expected = 10.0 * stretched(area, 0) * math.log(GSD / 100.0) * GSD
    np.testing.assert_allclose(predictor.answer(area).surface, expected - expected.mean(), atol=0.05)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({}, GSD / 2.0), ({"ground_sampling_distance": {"minimum": GSD / 1.5, "maximum": GSD}}, GSD / 1.5)],
)
def test_an_area_smaller_than_a_tile_is_enlarged_for_a_model_that_is_told_the_distance(model, changes, told):
    area = ground(32, 30)
    area.valid[:9] = False
    predictor = model("ground_sampling_distance", inputs=[*COLOURS, LOG_GSD], **changes)
    surface = predictor.answer(area).surface
    assert surface.shape == (32, 30)
    assert np.isnan(surface[~area.valid]).all()
    inner = np.zeros(area.valid.shape, bool)
    # What is unknown has no light: next to it the enlarged image mixes both.
    inner[12:] = True
    expected = 10.0 * stretched(area, 0) * math.log(told / 100.0) * told
    np.testing.assert_allclose(
        surface[inner] - surface[inner].mean(),
        expected[inner] - expected[inner].mean(),
        atol=0.02 * np.ptp(expected[inner]),
    )


@pytest.mark.parametrize("heights", [None, {"minimum": -100.0, "maximum": 3000.0}])
def test_a_relative_models_heights_are_metres_where_its_card_tells_how(model, heights):
    changes = {} if heights is None else {"heights": heights}
    predictor = model("red", target="relative", **changes)
    area = ground(64, 64)
    answer = 10.0 * stretched(area, 0)
    expected = answer if heights is None else -100.0 + (answer + 1.0) / 2.0 * 3100.0
    np.testing.assert_allclose(predictor.answer(area).surface, expected, atol=0.05)
    row = figures_of({"model": predictor}, [area])["hills"]["model"]
    assert ("rmse_raw_m" in row) == (heights is not None)
    assert row["correlation"] == pytest.approx(1.0, abs=0.02)


def test_a_mosaics_tiles_fit_together_again(model):
    """Each tile comes with a constant of its own; what is left is the red band, whole."""
    area = ground(150, 200)
    surface = model("red_and_tile_mean").mosaic(area)
    expected = 10.0 * stretched(area, 0) * GSD
    difference = surface - expected
    assert np.ptp(expected) > 500.0
    assert np.ptp(difference) < 0.01 * np.ptp(expected)
    steps = np.abs(np.diff(difference, axis=1)).max(), np.abs(np.diff(difference, axis=0)).max()
    assert max(steps) < 1.0


def test_unknown_ground_is_no_part_of_a_mosaic(model):
    area = ground(150, 200)
    area.valid[:, :70] = False
    surface = model("red").mosaic(area)
    assert np.isnan(surface[:, :70]).all()
    assert np.isfinite(surface[:, 70:]).all()


def test_figures_of_a_surface_that_is_off_by_a_scale_and_a_shift():
    area = ground(50, 60)
    relief = area.dem - area.dem.mean()
    row = tile_figures(0.5 * relief + 40.0, area)
    sigma = float(area.dem.std(dtype=float))
    assert row[RELATIVE_ERROR] == pytest.approx(0.0, abs=1e-4)
    assert row["rmse_shift_scale_m"] == pytest.approx(0.0, abs=0.01)
    assert row["slope_rmse_scaled_deg"] == pytest.approx(0.0, abs=0.01)
    assert row["correlation"] == pytest.approx(1.0)
    assert row["rmse_shift_m"] == pytest.approx(0.5 * sigma, rel=1e-4)
    assert row["rmse_by_sigma_shift"] == pytest.approx(0.5, rel=1e-4)
    raw = np.sqrt(np.mean((0.5 * relief + 40.0 - area.dem.astype(float)) ** 2))
    assert row["rmse_raw_m"] == pytest.approx(raw, rel=1e-5)
    assert row["mae_shift_m"] == pytest.approx(0.5 * np.abs(relief).mean(), rel=1e-3)
    assert row["slope_rmse_deg"] > 1.0
    assert mosaic_figures(0.5 * relief, area)["rmse_by_sigma_mosaic"] == pytest.approx(0.0, abs=1e-4)


def test_an_upside_down_surface_has_a_negative_correlation():
    area = ground(50, 60)
    row = tile_figures(-area.dem, area)
    assert row["correlation"] == pytest.approx(-1.0)
    words = in_words({"hills": {"model": {"tiles": 1, **row}}})[0]
    assert "do not use it there" in words


def test_the_relative_error_is_what_the_correlation_leaves():
    area = ground(60, 60)
    surface = area.dem + np.random.default_rng(4).normal(0.0, 150.0, area.dem.shape)
    row = tile_figures(surface, area)
    r = np.corrcoef(surface.ravel(), area.dem.ravel())[0, 1]
    assert row[RELATIVE_ERROR] == pytest.approx(math.sqrt(1.0 - r**2), rel=1e-5)


def test_heights_without_a_unit_give_ratios_only():
    area = replace(ground(50, 60), in_metres=False)
    assert set(tile_figures(area.dem, area)) == {RELATIVE_ERROR, "correlation"}


def test_the_baselines_are_fitted_to_the_truth():
    area = ground(60, 70)
    area.valid[:5] = False
    area = replace(area, dem=np.where(area.valid, area.dem, np.nan).astype(np.float32))
    rows = {name: tile_figures(surface, area) for name, surface in baselines(area).items()}
    assert rows["flat mean"][RELATIVE_ERROR] == pytest.approx(1.0, abs=1e-6)
    assert rows["flat mean"]["correlation"] == 0.0
    known = area.valid
    down, across = np.indices(known.shape)
    design = np.stack([np.ones(known.sum()), down[known], across[known]], axis=1)
    luminance = area.image.mean(axis=-1)[known]
    for name, columns in (
        ("best plane", design),
        ("luminance", np.stack([np.ones_like(luminance), luminance], 1)),
    ):
        left = np.linalg.lstsq(columns.astype(float), area.dem[known].astype(float), rcond=None)[1][0]
        assert rows[name]["rmse_raw_m"] == pytest.approx(math.sqrt(left / known.sum()), rel=1e-4)
        assert 0.05 < rows[name][RELATIVE_ERROR] < 0.999


def test_level_ground_is_left_out(model):
    level = ground(64, 64)
    level = replace(level, source="sea", dem=level.dem * 0.0 + np.float32(3.0))
    unknown = replace(level, dem=level.dem * np.float32(np.nan))
    assert is_level(level)
    assert is_level(unknown)
    assert not is_level(ground(64, 64))
    assert set(figures_of({"model": model("red")}, [level, unknown, ground(64, 64)])) == {"hills"}


def test_medians_are_of_tiles_and_shares_are_averaged():
    rows = [{"a": value, "within_1_sigma": value} for value in (1.0, 2.0, 9.0)]
    assert medians(rows) == {"tiles": 3, "a": 2.0, "within_1_sigma": 4.0}


def test_a_spread_that_is_too_small_is_stretched(model):
    predictor = model("spread", outputs=["height", "log_scale"], spread_factor=2.0)
    area = ground(64, 64, noise=40.0)
    deviation = np.exp(LOG_SCALE) * math.sqrt(2.0) * 2.0 * GSD
    np.testing.assert_allclose(predictor.answer(area).deviation, deviation, rtol=1e-5)
    surface = predictor.answer(area).surface
    error = np.abs(surface - surface.mean() - area.dem + area.dem.mean())
    factor = spread_factor(predictor, [area])
    assert (error <= deviation / 2.0 * factor).mean() == pytest.approx(0.6827, abs=0.05)
    row = figures_of({"model": predictor}, [area])["hills"]["model"]
    assert row["within_1_sigma"] == pytest.approx((error <= deviation).mean(), abs=1e-3)
    with pytest.raises(ValueError, match="no tile"):
        spread_factor(predictor, [])
    with pytest.raises(ValueError, match="predicts no spread"):
        spread_factor(model("red"), [area])


def test_a_model_that_repeats_the_coarse_dem_is_as_good_as_bicubic(model):
    predictor = model("fourth_plane", inputs=[*COLOURS, COARSE_DEM])
    figures = figures_of({"model": predictor}, [ground(64, 64)])
    assert list(figures) == [f"hills, cells of {cell} pixels" for cell in (8, 16, 32, 64)]
    for answers in figures.values():
        for name in ("model", "model, image left out"):
            assert answers[name]["rmse_by_bicubic"] == pytest.approx(1.0, abs=1e-3)
            assert answers[name]["slope_rmse_by_bicubic"] == pytest.approx(1.0, abs=1e-3)
    errors = [answers["bicubic"]["rmse_raw_m"] for answers in figures.values()]
    assert 0.0 < errors[0] < errors[1] < errors[2] < errors[3]
    assert "0 % less than the coarse DEM's bicubic" in in_words(figures)[0]


def test_an_image_that_follows_the_relief(model):
    changes = {"direction": "dem_to_image", "inputs": [RELIEF, ELEVATION, LOG_GSD], "outputs": COLOURS}
    predictor = model("first_plane_thrice", **changes)
    area = ground(64, 64)
    relief = (area.dem - area.dem.mean(dtype=float)) / GSD
    np.testing.assert_allclose(predictor.image(area), np.repeat(relief[..., None], 3, -1), atol=1e-4)
    answers = figures_of({"model": predictor}, [area])["hills"]
    assert set(answers) == {"model", "one colour", "height", "hillshade"}
    truth = np.clip(
        np.stack([stretched(area, band) for band in range(2)] + [np.full((64, 64), -1.0)], -1), -1, 1
    )
    raw = np.sqrt(np.mean((np.repeat(relief[..., None], 3, -1) - truth) ** 2))
    assert answers["model"]["image_rmse"] == pytest.approx(raw, rel=1e-3)
    fitted = answers["model"]["image_rmse_fitted"]
    assert fitted == pytest.approx(answers["height"]["image_rmse"], rel=1e-3)
    assert fitted < answers["one colour"]["image_rmse"]


def test_aspect_and_similarity_are_of_the_shifted_surface():
    area = ground(60, 70)
    exact = tile_figures(area.dem + np.float32(400.0), area)
    assert exact["bias_raw_m"] == pytest.approx(400.0, rel=1e-4)
    assert exact["aspect_error_deg"] == pytest.approx(0.0, abs=0.05)
    assert exact["ssim"] == pytest.approx(1.0, abs=1e-4)
    turned = tile_figures(2.0 * np.nanmean(area.dem) - area.dem, area)
    assert turned["aspect_error_deg"] == pytest.approx(180.0, abs=0.1)
    level = tile_figures(np.where(area.valid, 5.0, np.nan), area)
    assert level["aspect_error_deg"] == 90.0


def test_reduced_pixels_are_means_and_known_only_where_all_are():
    pair = Pair(
        "p",
        np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3),
        np.arange(35, dtype=np.float32).reshape(5, 7),
        np.ones((5, 7), bool),
        10.0,
        "test",
    )
    pair.valid[0, 0] = False
    half = reduced(pair, 2)
    assert half.dem.shape == half.valid.shape == (2, 3)
    assert half.image.shape == (2, 3, 3)
    assert half.gsd == 20.0
    assert half.valid.tolist() == [[False, True, True], [True, True, True]]
    assert half.dem[1, 2] == np.mean([18.0, 19.0, 25.0, 26.0])
    assert half.image[1, 2, 1] == np.mean(pair.image[2:4, 4:6, 1])


def tiles_at(places: list[tuple[int, int]], folder: Path) -> None:
    """Blue Marble tiles of 16 × 16 pixels whose heights tell their place: 160 · row + 16 · column metres."""
    for name in ("rgb", "dem"):
        (folder / name).mkdir(parents=True)
    with open(folder / "index.csv", "w", newline="") as table:
        writer = csv.DictWriter(table, ["id", "gsd_m", "split"])
        writer.writeheader()
        for column, row in places:
            name = f"8_{column}_{row}"
            writer.writerow({"id": name, "gsd_m": 500, "split": "test"})
            counts = np.full((16, 16), 10 * row + column, np.uint16)
            Image.fromarray(counts).save(folder / "dem" / f"{name}.png")
            Image.new("RGB", (16, 16)).save(folder / "rgb" / f"{name}.jpg")


def test_squares_of_tiles_share_none(tmp_path):
    tiles_at([(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2), (7, 7)], tmp_path / "bluemarble")
    assert len(list(held_out_tiles(tmp_path, "test", 16))) == 7
    (square,) = held_out_mosaics(tmp_path, "test", 16)
    assert square.source == "bluemarble"
    assert square.dem.shape == (32, 32)
    # The light baked into the tiles comes from the north-west: they lie turned by half a turn.
    assert square.dem[::16, ::16].tolist() == [[16 * 22, 16 * 21], [16 * 12, 16 * 11]]


def test_a_data_sets_split_is_held_out_ground(tmp_path):
    for name in ("images", "dems"):
        (tmp_path / name).mkdir()
    place = {"driver": "GTiff", "crs": "EPSG:32632", "transform": from_origin(500000, 5200000, 30, 30)}
    pairs = [{"id": "a", "split": "train"}, {"id": "b", "split": "validation"}]
    for pair in pairs:
        with rasterio.open(
            tmp_path / "images" / f"{pair['id']}.tif",
            "w",
            count=3,
            dtype="uint8",
            width=64,
            height=40,
            **place,
        ) as file:
            file.write(np.full((3, 40, 64), 7, np.uint8))
        with rasterio.open(
            tmp_path / "dems" / f"{pair['id']}.tif",
            "w",
            count=1,
            dtype="float32",
            width=64,
            height=40,
            **place,
        ) as file:
            file.write(np.full((1, 40, 64), 99.0, np.float32))
    (tmp_path / "dataset.json").write_text(json.dumps({"pairs": pairs}), encoding="utf-8")
    tiles = list(held_out_tiles(tmp_path, "validation", 32))
    assert [(tile.source, tile.name, tile.gsd) for tile in tiles] == [
        (tmp_path.name, "b/0_0", pytest.approx(30.0, rel=0.01)),
        (tmp_path.name, "b/0_32", pytest.approx(30.0, rel=0.01)),
    ]
    assert [area.dem.shape for area in held_out_mosaics(tmp_path, "validation", 32)] == [(40, 64)]
    assert list(held_out_tiles(tmp_path, "test", 32)) == []


def test_real_held_out_ground(shared_data, networks, tmp_path):
    """A real scene through the whole of it, and the published pairs, whose heights have no unit."""
    model = make_model(tmp_path / "red", networks / "red.onnx", tile_size=256)
    scenes = tmp_path / "data" / "scenes"
    scenes.mkdir(parents=True)
    for name in ("goslee_l7_nov_rgb.tif", "goslee_l7_nov_dem.tif", "panagiotou_testset"):
        (scenes / name).symlink_to(shared_data / "scenes" / name)
    figures = evaluate(model, scenes.parent, "test", {"before fine-tuning": model})
    assert set(figures) == {"goslee_l7_nov", "panagiotou_testset"}
    scene, published = figures["goslee_l7_nov"], figures["panagiotou_testset"]
    assert (scene["model"]["tiles"], scene["model"]["mosaics"], published["model"]["tiles"]) == (1, 1, 9)
    assert scene["model"] == scene["before fine-tuning"]
    assert "rmse_raw_m" not in published["model"]
    # Two squares of 100 pixels each way in a tile of 256, none that is nothing but sea; each has its own
    # stretch, which changes no correlation.
    squares = evaluate(model, scenes.parent, "test", side=100)
    assert squares["goslee_l7_nov"]["model"]["tiles"] == 4
    assert "mosaics" not in squares["goslee_l7_nov"]["model"]
    assert 9 * 3 < squares["panagiotou_testset"]["model"]["tiles"] <= 10 * 4
    # Bright valleys under dark ridges: brightness tells height, with the sign turned.
    assert scene["model"]["correlation"] < -0.2
    assert 0.85 < scene["luminance"][RELATIVE_ERROR] < 0.95
    assert scene["luminance"]["correlation"] > 0.3
    # The published figure for the luminance of these pairs is 0.92 to 0.94.
    assert 0.9 < published["luminance"][RELATIVE_ERROR] < 0.95
    table = markdown(json.loads(json.dumps(figures)))
    assert table.count("\n") == 1 + sum(len(answers) for answers in figures.values())
    assert len({line.count("|") for line in table.splitlines()}) == 1
    # What the table leaves out is said by another column.
    assert set(scene["luminance"]) - {column.key for column in COLUMNS} == {"rmse_by_sigma_shift"}
