from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.learner import make_learner
from training.networks import build_stage, read_card, read_network
from training.recipe import read_recipe
from training.request import Request, TrainingError
from training.starting import continued, in_direction, recipe_of, with_ground_trusted

MODEL = Path(__file__).resolve().parents[2] / "model_weights" / "relief-light"


def test_a_model_that_is_trained_on_answers_as_it_did():
    card = read_card(MODEL)
    assert card.architecture["muted"] is True
    for recipe in ("fine_tune", "default"):
        continued_recipe = continued(read_recipe(recipe), card)
        assert continued_recipe.architecture == dict(card.architecture)
        assert continued_recipe.target == card.target == "relief_per_pixel"


def test_a_model_goes_through_all_stages_of_its_own_recipe_again():
    card = read_card(MODEL)

    def networks(recipe: str) -> list[str]:
        return [stage.network for stage in continued(read_recipe(recipe), card).stages]

    assert networks("default") == ["coarse_unet", "light_unet"]
    assert networks("fine_tune") == ["light_unet"]
    # Of other planes: no network of that recipe's first stage could hand its weights on.
    assert networks("guided") == ["light_unet"]


def test_a_guided_model_goes_on_learning_what_the_coarse_dem_lacks_and_another_does_not():
    guided, plain = read_card(MODEL.with_name("guided-light")), read_card(MODEL)
    for recipe in ("fine_tune", "default", "guided"):
        assert continued(read_recipe(recipe), guided).losses == {"detail": 1.0}
        assert continued(read_recipe(recipe), plain).losses == {"relief": 1.0}
    to_image = read_card(MODEL.with_name("image-light"))
    assert "detail" not in continued(read_recipe("fine_tune"), to_image).losses


def test_a_guided_model_has_no_use_for_a_discriminator(tmp_path):
    request = Request(
        (tmp_path,), tmp_path / "run", recipe="paper", start_from=MODEL.with_name("guided-light")
    )
    with pytest.raises(TrainingError, match="paper: 'adversarial' must be 0 .* take the recipe guided"):
        recipe_of(request)


def test_its_last_stage_has_the_trunk_of_the_stage_before_and_the_models_own_detail():
    card = read_card(MODEL)
    recipe = continued(read_recipe("default"), card)
    model, trunk = read_network(MODEL, card), build_stage(recipe, recipe.stages[0])
    network = make_learner(recipe, recipe.stages[1], [model, trunk]).objective.generator
    for name, source in (("enter_conv", trunk), ("decode0_conv", trunk), ("merge0_conv", model)):
        kernel = network.get_layer(name).get_weights()[0]
        np.testing.assert_array_equal(kernel, source.get_layer(name).get_weights()[0])
    assert not np.array_equal(trunk.get_layer("enter_conv").kernel, model.get_layer("enter_conv").kernel)


def test_a_network_from_the_dem_has_no_colours_to_mute():
    default = read_recipe("default")
    assert in_direction(default, "image_to_dem") is default
    other = in_direction(default, "dem_to_image")
    assert other.architecture == {k: v for k, v in default.architecture.items() if k != "muted"}


def test_an_image_that_is_the_answer_is_not_recoloured():
    default = read_recipe("default")
    changed = {"colour", "albedo"}
    assert {key for key in changed if default.augmentation[key]} == changed
    other = in_direction(default, "dem_to_image").augmentation
    assert other == {key: value for key, value in default.augmentation.items() if key not in changed}


def test_colours_are_muted_and_albedo_is_varied_only_where_coarse_images_taught_them():
    default = read_recipe("default")
    assert default.augmentation["albedo"] is True
    fine = with_ground_trusted(default, 30.0)
    assert fine.augmentation == {k: v for k, v in default.augmentation.items() if k != "albedo"}
    assert with_ground_trusted(default, 500.0) is default
    assert "muted" not in with_ground_trusted(default, 30.0).architecture
    continued_recipe = continued(read_recipe("fine_tune"), read_card(MODEL))
    assert "muted" not in with_ground_trusted(continued_recipe, 30.0).architecture
    paper = read_recipe("paper")
    assert with_ground_trusted(paper, 30.0) == paper
