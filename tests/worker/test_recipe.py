from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny_dataset import RECIPE, write_recipe
from training.recipe import RECIPES, Recipe, RecipeError, adapted, parse_recipe, read_recipe
from training.request import Request, TrainingError
from training.starting import in_direction, with_architecture

REQUEST = Request(datasets=(), output=Path("run"))


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.json")))
def test_every_recipe_can_be_read_and_says_its_name(name):
    recipe = read_recipe(name)
    assert recipe.name == name
    assert len(recipe.description) > 40
    assert parse_recipe(recipe.as_json(), "again") == recipe


def test_the_papers_recipe_is_the_published_one():
    paper = read_recipe("paper")
    (stage,) = paper.stages
    assert (stage.batch_size, stage.epochs, stage.learning_rate, stage.schedule) == (1, 300, 2e-4, "constant")
    assert stage.order == "passes"
    assert stage.steps_per_epoch is None
    assert paper.losses == {"l1": 100.0}
    assert paper.adversarial == 1.0
    assert paper.optimiser == {"name": "adam", "beta_1": 0.5}
    assert not any(paper.augmentation.values())
    assert paper.target == "relative"
    assert paper.average == 0.0
    assert paper.patience == 0


def test_a_file_is_read_too(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path / "mine.json", name="mine", stage={"epochs": 7}))
    assert (recipe.name, recipe.epochs) == ("mine", 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"losse": {}}, "unknown key 'losse'"),
        ({"stage": {"lerning_rate": 1}}, "stage 1: unknown key 'lerning_rate'"),
        ({"stage": {"learning_rate": 0}}, r"stages\[0\].learning_rate' must be a positive number, not 0"),
        ({"stage": {"batch_size": True}}, "batch_size' must be a positive number, not True"),
        ({"stage": {"steps_per_epoch": -1}}, "steps_per_epoch' must be a positive number"),
        ({"stage": {"schedule": "linear"}}, "schedule' is 'linear', not one of 'constant', 'cosine'"),
        ({"stage": {"network": "light_unet"}}, "network' is 'light_unet', not one of 'tiny_unet'"),
        ({"stages": []}, "'stages' must be a list of at least one stage"),
        ({"inputs": "red"}, "'inputs' must be a list"),
        ({"direction": "sideways"}, "'direction' is 'sideways', not one of 'image_to_dem', 'dem_to_image'"),
        ({"augmentation": {"rotate": True}}, "'augmentation' is 'rotate'"),
        ({"adversarial": "no"}, "'adversarial' must be 0 or a positive number, not 'no'"),
        ({"losses": {}}, "'losses' must be a positive number, not 0"),
        ({"losses": {"detail": 1.0}}, "'losses' must be 'detail' alone where 'inputs' hold 'coarse_dem'"),
        ({"inputs": ["red", "green", "blue", "coarse_dem"]}, "others elsewhere, not 'relief'"),
        (
            {"inputs": ["red", "coarse_dem"], "losses": {"detail": 1.0}, "adversarial": 0.02},
            "'adversarial' must be 0 where 'inputs' hold 'coarse_dem'",
        ),
    ],
)
def test_a_wrong_recipe_is_refused_with_file_and_key(tmp_path, changes, message):
    path = write_recipe(tmp_path / "wrong.json", **changes)
    with pytest.raises(RecipeError, match=message) as caught:
        read_recipe(path)
    assert "wrong.json" in str(caught.value)


def test_what_is_no_recipe_at_all(tmp_path):
    with pytest.raises(RecipeError, match="take one of .*default.*paper"):
        read_recipe("nothing")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(RecipeError, match="not valid JSON"):
        read_recipe(tmp_path / "x.json")
    missing = {key: value for key, value in RECIPE.items() if key != "losses"}
    with pytest.raises(RecipeError, match="missing 1 required positional argument: 'losses'"):
        parse_recipe(json.loads(json.dumps(missing)), "x")


def test_a_request_changes_what_it_names_and_nothing_else():
    recipe = read_recipe("default")
    assert adapted(recipe, REQUEST) == recipe
    changed = adapted(recipe, replace(REQUEST, batch_size=4, learning_rate=3e-4, epochs=16))
    trunk, whole = changed.stages
    # Half of 8 and of 6e-4 in the last stage: half of the trunk's 32 and 2e-3 too.
    assert (whole.batch_size, trunk.batch_size) == (4, 16)
    assert whole.learning_rate == pytest.approx(3e-4)
    assert trunk.learning_rate == pytest.approx(1e-3)
    assert (trunk.epochs, whole.epochs) == (15, 1)
    assert changed.losses == recipe.losses


@given(epochs=st.integers(1, 400))
def test_the_epochs_of_a_request_are_those_of_all_stages(epochs):
    recipe = adapted(read_recipe("default"), replace(REQUEST, epochs=epochs))
    assert recipe.epochs == epochs
    assert recipe.stages[-1].network == "light_unet"


def test_lambda_weighs_reconstruction_against_an_opponent_of_weight_one():
    paper = replace(read_recipe("paper"), adversarial=0.5)
    changed = adapted(paper, replace(REQUEST, lambda_=30.0))
    assert changed.losses == {"l1": 30.0}
    assert changed.adversarial == 1.0
    alone = read_recipe("default")
    assert adapted(alone, replace(REQUEST, lambda_=30.0)).losses == alone.losses


def test_another_architecture_comes_with_what_it_can_learn():
    recipe = with_architecture(read_recipe("default"), "paper_unet")
    assert [stage.network for stage in recipe.stages] == ["paper_unet"]
    assert (recipe.target, recipe.losses, recipe.inputs) == (
        "relative",
        {"l1": 1.0},
        ("red", "green", "blue"),
    )
    back = with_architecture(recipe, "light_unet")
    assert (back.target, back.losses, back.inputs) == (
        "relief_per_pixel",
        {"relief": 1.0},
        read_recipe("default").inputs,
    )
    assert with_architecture(recipe, None) == recipe == with_architecture(recipe, "paper_unet")
    with pytest.raises(TrainingError, match="ARCHITECTURE is 'resnet', not one of paper_unet, light_unet"):
        with_architecture(recipe, "resnet")


def test_the_other_direction_has_planes_and_losses_of_its_own():
    recipe: Recipe = in_direction(read_recipe("paper"), "dem_to_image")
    assert recipe.inputs[0] == "relief"
    assert recipe.losses == {"l1": 100.0}
    assert in_direction(recipe, "dem_to_image") == recipe
