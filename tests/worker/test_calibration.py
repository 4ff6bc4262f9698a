"""The weights of the standard deviation, the description of training images, and seams."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imagetodem_qgis.core.confidence import doubt_of
from imagetodem_qgis.core.likeness import likeness_of, tile_features
from imagetodem_qgis.core.tiling import plan_tiles
from tests.tiny_dataset import write_dataset
from tests.tiny_models import RELIEF, make_model, write_networks
from training import calibrate, seams
from training.data.pair import Pair
from training.data.tasks import coarse_dem
from training.evaluation.area import Area, area_of
from training.evaluation.confidence import (
    WEIGHTS,
    Doubts,
    coverage,
    doubts_of,
    fitted_weights,
    open_worker,
)
from training.evaluation.course import CoarseDem, follow
from training.evaluation.likeness import input_statistics
from training.evaluation.seams import Bends, bends

GSD = 30.0


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    write_networks(folder)
    return folder


def ground(rows: int, columns: int, seed: int = 0, error: float = 0.0) -> Area:
    """Hills whose image has the heights in red, so that the model ``red`` is right but for an error in
    pixels."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:rows, :columns]
    shape = np.sin(down / 17.0 + seed) + np.cos(across / 23.0)
    image = np.repeat((100.0 + 50.0 * shape)[..., None], 3, axis=-1).astype(np.float32)
    low, high = np.percentile(image[..., 0], (2, 98))
    stretched = np.clip(2.0 * (image[..., 0] - low) / (high - low) - 1.0, -1.5, 1.5)
    dem = GSD * (RELIEF * stretched + random.normal(0.0, 1.0, shape.shape) * error) + 1500.0
    known = np.ones(shape.shape, bool)
    known[:5, :7] = False
    return area_of(Pair("hills", image, dem.astype(np.float32), known, GSD, "test"), "hills")


def test_the_course_of_a_prediction_gives_the_models_relief(networks, tmp_path):
    area = ground(150, 130)
    card, worker = open_worker(make_model(tmp_path / "model", networks / "red.onnx"))
    course = follow(area, card, worker, 0.25)
    expected = area.dem - np.nanmean(area.dem)
    assert np.nanstd(course.heights) > 100.0
    np.testing.assert_allclose(course.heights - np.nanmean(course.heights), expected, atol=0.2)
    assert course.frame.scale == GSD
    # The mirrored copy agrees; the one of weaker contrast is a quarter lower.
    assert 10.0 < np.nanmedian(course.deviation) < 100.0
    assert follow(area, card, worker, 0.25, with_deviation=False).deviation is None


def test_a_guided_model_is_asked_with_its_coarse_dem_and_adds_to_it(networks, tmp_path):
    inputs = ["red", "green", "blue", "coarse_dem"]
    folder = make_model(tmp_path / "model", networks / "fourth_plane.onnx", inputs=inputs)
    area = ground(90, 80)
    card, worker = open_worker(folder)
    coarse = coarse_dem(np.nan_to_num(area.dem), area.valid, 8)
    course = follow(area, card, worker, 0.25, CoarseDem(coarse, 8))
    # It answers the coarse DEM as it came, so that it adds nothing.
    np.testing.assert_allclose(course.heights[area.valid], 0.0, atol=1e-3)
    (doubts,) = doubts_of(folder, [area])
    added = (area.dem - coarse)[::7, ::7] / GSD
    np.testing.assert_allclose(doubts.errors, -added[np.isfinite(added)], atol=1e-4)
    with pytest.raises(ValueError, match="coarse DEM"):
        follow(area, card, worker, 0.25)


def test_errors_and_the_squares_that_go_with_them(networks, tmp_path):
    folder = make_model(tmp_path / "model", networks / "spread.onnx", outputs=["height", "log_scale"])
    (doubts,) = doubts_of(folder, [ground(140, 140, error=0.8)])
    assert doubts.errors.std() == pytest.approx(0.8, rel=0.05)
    assert doubts.errors.mean() == pytest.approx(0.0, abs=0.1)
    columns = dict(zip(WEIGHTS, doubts.squares.T))
    # The tiny model's scale is a half everywhere; what tiles agree in does not depart.
    np.testing.assert_allclose(columns["spread"], 0.25, rtol=1e-3)
    np.testing.assert_allclose(columns["overlaps"], 0.0, atol=1e-6)
    np.testing.assert_array_equal(columns["floor"], 1.0)
    assert columns["copies"].min() >= 0.0
    assert columns["copies"].mean() > 0.5


def made_up(seed: int, count: int = 4000, times: float = 1.0) -> Doubts:
    """Normal errors whose variance is 2 of the first square and half of the second."""
    random = np.random.default_rng(seed)
    squares = random.gamma(1.0, 1.0, (count, 4)) * (1.0, 4.0, 0.2, 0.0) + (0.0, 0.0, 0.0, 1.0)
    variance = squares @ (2.0, 0.5, 0.0, 0.0)
    return Doubts("made up", times * random.normal(size=count) * np.sqrt(variance), squares)


def test_the_weights_that_made_the_errors_are_found():
    doubts = [made_up(seed) for seed in range(12)]
    weights = fitted_weights(doubts)
    assert weights["spread"] == pytest.approx(2.0, rel=0.1)
    assert weights["copies"] == pytest.approx(0.5, rel=0.1)
    assert weights["overlaps"] < 0.1
    assert weights["floor"] < 0.05
    shares = coverage([made_up(seed) for seed in range(100, 104)], weights)["made up"]
    assert shares["areas"] == 4
    assert shares["within_1_sigma"] == pytest.approx(0.6827, abs=0.02)
    assert shares["within_2_sigma"] == pytest.approx(0.9545, abs=0.01)


def other(seed: int) -> Doubts:
    """Errors of another source, whose variance is 8 of the second square."""
    squares = made_up(seed).squares
    errors = np.random.default_rng(seed + 1).normal(size=len(squares)) * np.sqrt(8.0 * squares[:, 1])
    return Doubts("other", errors, squares)


def test_a_source_counts_by_itself_for_what_weights_are_beside_each_other():
    many = [made_up(seed) for seed in range(9)]
    ratios = []
    for others in (0, 1, 9):
        weights = fitted_weights([*many, *(other(seed) for seed in range(50, 50 + others))])
        ratios.append(weights["copies"] / weights["spread"])
    assert ratios[1] > 3.0 * ratios[0]
    assert ratios[1] == pytest.approx(ratios[2], rel=0.1)


def test_an_area_counts_by_itself_for_how_large_weights_are():
    many = [made_up(seed) for seed in range(9)]
    far_off = made_up(50, times=3.0)
    alone = fitted_weights([*many, Doubts("alone", far_off.errors, far_off.squares)])
    assert 1.0 < alone["spread"] / fitted_weights(many)["spread"] < 1.5


def test_errors_with_heavy_tails_are_covered_evenly():
    random = np.random.default_rng(0)
    squares = np.ones((40_000, 4))
    doubts = [Doubts("tails", random.standard_t(3.0, 40_000), squares)]
    shares = coverage(doubts, fitted_weights(doubts))["all"]
    one = (shares["within_1_sigma"] - 0.6827) / 0.08
    two = (0.9545 - shares["within_2_sigma"]) / 0.04
    assert 0.0 < one < 1.0
    assert one == pytest.approx(two, abs=0.05)


def test_nothing_to_calibrate_on_is_told():
    with pytest.raises(ValueError, match="no area with known heights"):
        fitted_weights([])
    with pytest.raises(ValueError, match="too few"):
        input_statistics([ground(64, 64)], open_card().stretch)


def open_card():
    from imagetodem_qgis.core.card import parse_card
    from tests.tiny_models import card

    return parse_card(json.dumps(card()))


def test_one_in_a_hundred_training_tiles_is_far_and_other_images_are_all():
    card = open_card()
    tiles = [ground(64, 64, seed) for seed in range(150)]
    told = input_statistics(tiles, card.stretch)
    object.__setattr__(card, "content", {"input_statistics": json.loads(json.dumps(told))})
    likeness = likeness_of(card)

    def distance(image: np.ndarray) -> float:
        recipe = card.stretch
        stretch = recipe.of(image.reshape(-1, 3))
        return likeness.distance(tile_features(stretch.apply(image), np.ones(image.shape[:2], bool)))

    far = np.mean([distance(tile.image) > likeness.far for tile in tiles])
    assert far < 0.1
    random = np.random.default_rng(0)
    assert distance(random.normal(size=(64, 64, 3)).astype(np.float32)) > 3.0 * likeness.far


def test_the_command_adds_to_the_card_and_changes_nothing_else(networks, tmp_path, monkeypatch, capsys):
    splits = ["train"] * 30 + ["validation"] * 2 + ["test"] * 2
    data = write_dataset(tmp_path / "data", splits, side=96)
    folder = make_model(tmp_path / "model", networks / "red.onnx", tile_size=64, unknown_key={"kept": [1, 2]})
    before = json.loads((folder / "model.json").read_text())
    # Thirty pairs of one tile each are fewer than users have.
    monkeypatch.setattr("training.evaluation.likeness._FEWEST", 20)
    monkeypatch.setattr("sys.argv", ["calibrate", "--model", str(folder), "--data", str(data)])
    calibrate.main()
    after = json.loads((folder / "model.json").read_text())
    entries = {name: after.pop(name) for name in ("confidence", "input_statistics")}
    assert after == before
    assert [path.name for path in sorted(folder.iterdir())] == ["generator.onnx", "model.json"]
    within = entries["confidence"]["within"]
    assert (within["validation"]["all"]["areas"], within["test"]["all"]["areas"]) == (2, 2)
    card, _ = open_worker(folder)
    assert doubt_of(card).calibrated
    assert likeness_of(card).far > 0.0
    assert json.loads(capsys.readouterr().out) == entries["confidence"]


def test_second_differences_are_told_apart_at_borders():
    plan = plan_tiles(60, 130, 64, 16)
    assert plan.column_starts == (0, 33, 66)
    random = np.random.default_rng(0)
    noise = random.normal(size=(60, 130))
    assert bends(noise, plan).ratio() == pytest.approx(1.0, abs=0.1)
    # Borders lie before the columns 33, 66, 64 and 97; along the rows there is none.
    assert bends(noise, plan).border_count == 60 * 2 * 4
    plane = np.add.outer(np.arange(60.0), 2.0 * np.arange(130.0))
    stepped = plane + 5.0 * (np.arange(130) >= 66)
    found = bends(stepped, plan)
    # A step bends the surface on both of its sides.
    assert found.at_borders == pytest.approx(60 * 2 * 5.0)
    assert found.elsewhere == pytest.approx(0.0)
    stepped[10:20] = np.nan
    known = bends(stepped, plan)
    assert known.at_borders == pytest.approx(50 * 2 * 5.0)
    total = known + Bends(1.0, 2, 3.0, 4)
    assert (total.at_borders, total.other_count) == (known.at_borders + 1.0, known.other_count + 4)
    assert np.isnan(Bends().ratio())
    # Smooth ground with a seam and rough ground without count alike.
    smooth, rough = bends(noise + 3.0 * stepped, plan), bends(100.0 * noise, plan)
    pooled = (smooth.in_its_own_unit() + rough.in_its_own_unit()).ratio()
    counts = np.array([smooth.border_count, rough.border_count])
    assert pooled == pytest.approx(np.average([smooth.ratio(), rough.ratio()], weights=counts))


def test_a_models_seams_are_told_by_source_and_overlap(networks, tmp_path):
    folder = make_model(tmp_path / "model", networks / "red_and_tile_mean.onnx")
    found = seams.seams(folder, [ground(150, 130), ground(140, 150, seed=2)], (10, 25))
    assert set(found) == {"hills", "all"}
    for overlap in (10, 25):
        assert 0.8 < found["all"][overlap].ratio() < 1.2


@pytest.mark.parametrize(("rows", "columns"), [(150, 130), (64, 300), (40, 70)])
def test_the_part_that_seams_are_told_on_has_the_overlap_asked_for(rows, columns):
    part = seams.fitting(ground(rows, columns), 64, 10)
    plan = plan_tiles(*part.dem.shape, 64, 10)
    for starts in (plan.row_starts, plan.column_starts):
        assert all(second - first == 54 for first, second in zip(starts, starts[1:]))
    assert all(whole - side < 54 for whole, side in zip((rows, columns), part.dem.shape))
