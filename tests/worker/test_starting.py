from __future__ import annotations

from pathlib import Path

from training.networks import read_card
from training.recipe import read_recipe
from training.starting import continued, in_direction, with_colours_known

MODEL = Path(__file__).resolve().parents[2] / "model_weights" / "relief-light"


def test_a_model_that_is_trained_on_answers_as_it_did():
    card = read_card(MODEL)
    assert card.architecture["muted"] is True
    for recipe in ("fine_tune", "default"):
        continued_recipe = continued(read_recipe(recipe), card)
        assert continued_recipe.architecture == dict(card.architecture)
        assert [stage.network for stage in continued_recipe.stages] == ["light_unet"]
        assert continued_recipe.target == card.target == "relief_per_pixel"


def test_a_network_from_the_dem_has_no_colours_to_mute():
    default = read_recipe("default")
    assert in_direction(default, "image_to_dem") is default
    other = in_direction(default, "dem_to_image")
    assert other.architecture == {k: v for k, v in default.architecture.items() if k != "muted"}


def test_colours_are_muted_only_where_coarse_images_taught_them():
    default = read_recipe("default")
    assert with_colours_known(default, 500.0) is default
    assert "muted" not in with_colours_known(default, 30.0).architecture
    paper = read_recipe("paper")
    assert with_colours_known(paper, 30.0) is paper
