from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.tiny_dataset import RECIPE, hills
from training.data.pair import Pair
from training.data.sampling import DEFAULT_STRETCH
from training.data.tasks import make_task
from training.recipe import Recipe, parse_recipe
from training.request import DataError
from training.validation import HeldOut, held_out

PLAIN: Recipe = parse_recipe(RECIPE, "tiny")
GUIDED = replace(PLAIN, inputs=("red", "green", "blue", "coarse_dem", "log_ground_sampling_distance"))


def pair(number: int, rows: int = 256, columns: int = 256, height: float = 1.0) -> Pair:
    dem, image = hills(max(rows, columns), number)
    dem = (dem[:rows, :columns] - 1000.0) * height + 1000.0
    image = np.stack([image[:rows, :columns]] * 3, -1)
    valid = np.ones((rows, columns), bool)
    return Pair(f"p{number}", image, dem.astype(np.float32), valid, 30.0, "validation")


def tiles(pairs: list[Pair], recipe: Recipe = PLAIN, size: int = 64, **options) -> HeldOut:
    task = make_task(recipe.direction, recipe.inputs, image_dropped=0.0)
    return held_out(pairs, recipe, task, size, DEFAULT_STRETCH, **options)


def test_tiles_are_whole_and_the_same_each_time():
    made = tiles([pair(n) for n in range(3)])
    assert made.inputs.shape == (3, 64, 64, 4)
    assert made.target.shape == (3, 64, 64, 2)
    # 256 pixels of 30 m in 64: 120 m each.
    np.testing.assert_allclose(made.inputs[..., 3], np.log(1.2), rtol=1e-5)
    np.testing.assert_allclose(made.metres, 120.0)
    assert (made.target[..., 1] == 1).all()
    np.testing.assert_array_equal(tiles([pair(n) for n in range(3)]).inputs, made.inputs)


def test_many_pairs_give_evenly_spread_tiles_and_few_give_several_each():
    asked: list[int] = []

    class Asked(list):
        def __getitem__(self, number):
            asked.append(number)
            return super().__getitem__(number)

    pairs = Asked(pair(n % 3, 64, 64) for n in range(31))
    assert len(tiles(pairs, size=32, count=4).inputs) == 4
    assert asked == [0, 10, 20, 30]
    # A scene of 2 x 3 tiles; one of them unknown.
    scene = pair(0, 512, 768)
    scene.valid[:256, :256] = False
    made = tiles([scene], count=10)
    assert len(made.inputs) == 5
    assert len(tiles([scene, pair(1)], count=4).inputs) == 3


def test_the_figures_are_those_of_the_formulas():
    made = tiles([pair(0), pair(1), pair(2)])
    height = made.target[..., 0]
    sigma = height.std(axis=(1, 2))
    noise = np.random.default_rng(0).normal(size=height.shape)
    noise -= noise.mean(axis=(1, 2), keepdims=True)
    noise *= (sigma / noise.std(axis=(1, 2)))[:, None, None]
    for product in (noise * height).mean(axis=(1, 2)):
        assert abs(product) < 0.05 * (sigma**2).min()  # next to no correlation

    # Twice the truth, another zero for each tile: wrong by its own relief, but the right shape.
    answers = np.stack([2.0 * height + np.arange(3)[:, None, None], height], axis=-1)
    figures = made.figures(answers)
    assert figures["rmse"] == pytest.approx(np.median(sigma) * 120.0, rel=1e-5)
    assert figures["rmse_by_sigma"] == pytest.approx(0.0, abs=1e-3)
    assert figures["correlation"] == pytest.approx(1.0)

    # Truth and as much noise: r = 1 / sqrt(2), so sqrt(1 - r²) = 1 / sqrt(2).
    figures = made.figures((height + noise)[..., None].astype(np.float32))
    assert figures["rmse_by_sigma"] == pytest.approx(np.sqrt(0.5), rel=0.03)
    assert figures["correlation"] == pytest.approx(np.sqrt(0.5), rel=0.03)
    assert figures["rmse"] == pytest.approx(np.median(sigma) * 120.0, rel=1e-5)

    flat = made.figures(np.zeros((3, 64, 64, 1), np.float32))
    assert (flat["rmse_by_sigma"], flat["correlation"]) == (1.0, 0.0)


def test_unknown_pixels_and_flat_tiles_do_not_count():
    known = pair(0)
    holed = replace(known, valid=known.valid.copy())
    holed.valid[:100] = False
    made = tiles([holed, pair(1, height=1e-4)])
    answers = made.target[..., :1].copy()
    answers[0][made.target[0, ..., 1] == 0] = 1e6
    answers[1] = 55.0
    figures = made.figures(answers)
    assert figures["rmse"] == pytest.approx(0.0, abs=1e-3)
    assert figures["correlation"] == pytest.approx(1.0)


def test_a_guided_answer_has_a_scale_of_its_own():
    made = tiles([pair(0)], GUIDED)
    assert made.inputs.shape == (1, 64, 64, 5)
    lacking = made.target[..., 0]
    # The image is there, and the coarse DEM with what it lacks is the whole height.
    assert np.abs(made.inputs[..., :3]).max() > 0.5
    np.testing.assert_allclose(made.inputs[..., 3] + lacking, made.relief, atol=1e-4)
    figures = made.figures(0.5 * lacking[..., None] + 7.0)
    assert figures["rmse_by_sigma"] == pytest.approx(0.5, rel=1e-4)
    assert figures["correlation"] == pytest.approx(1.0)


def test_an_image_is_compared_as_it_is():
    recipe = replace(PLAIN, direction="dem_to_image", inputs=("relief", "elevation", PLAIN.inputs[-1]))
    made = tiles([pair(0)], recipe)
    truth = made.target[..., :3]
    figures = made.figures(truth + 0.25)
    assert figures["rmse"] == pytest.approx(0.25, rel=1e-5)
    assert figures["rmse_by_sigma"] == pytest.approx(0.25 / truth.std(), rel=1e-5)
    np.testing.assert_array_equal(made.metres, 1.0)


def test_two_thirds_of_the_errors_lie_within_the_calibrated_deviation():
    made = tiles([pair(0), pair(1)])
    random = np.random.default_rng(1)
    error = random.laplace(scale=0.3, size=made.target.shape[:-1])
    answers = np.stack([made.target[..., 0] + error + 5.0, np.full(error.shape, np.log(0.1))], axis=-1)
    factor = made.spread_factor(answers.astype(np.float32))
    within = np.abs(error) <= 0.1 * np.sqrt(2.0) * factor
    assert within.mean() == pytest.approx(0.6827, abs=0.03)
    assert made.spread_factor(answers[..., :1]) == 1.0


def test_ground_without_relief_is_refused():
    with pytest.raises(DataError, match="the validation split has no tile with relief"):
        tiles([pair(0, height=1e-5)])
    void = pair(0)
    void.valid[:] = False
    with pytest.raises(DataError, match="the validation split has no tile with relief"):
        tiles([void])
