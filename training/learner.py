"""Making what a stage trains: the networks, their losses and their optimisers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from training.average import WeightAverage
from training.discriminator import patch_discriminator
from training.networks import build_stage, output_planes, take_over
from training.objective import Objective
from training.recipe import Recipe, RecipeError, Stage
from training.steps import Learner

OPTIMISERS: dict[str, Any] = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}


def make_learner(recipe: Recipe, stage: Stage, earlier: Sequence[keras.Model] = ()) -> Learner:
    """The networks and optimisers of a stage, under the dtype policy that is set.

    Args:
        recipe: of the run.
        stage: the part of it.
        earlier: whose weights are taken over for layers of the same names, the last one's where several have
            them.

    Raises:
        TrainingError: the recipe's networks, losses or optimiser cannot be made.
    """
    generator = build_stage(recipe, stage)
    for network in earlier:
        take_over(generator, network)
    discriminator = None
    if recipe.adversarial > 0.0:
        bands = 1 if output_planes(recipe)[0] == "height" else len(output_planes(recipe))
        discriminator = patch_discriminator(
            len(recipe.inputs), bands, stage.tile_size, **recipe.discriminator
        )
    objective = Objective(
        generator,
        recipe.losses,
        discriminator,
        recipe.adversarial,
        relative_to_relief=recipe.target == "relief_per_pixel" and recipe.direction == "image_to_dem",
    )
    return Learner(
        objective,
        _optimiser(recipe, stage, generator),
        None if discriminator is None else _optimiser(recipe, stage, discriminator),
        WeightAverage(generator, recipe.average) if recipe.average > 0.0 else None,
    )


def _optimiser(recipe: Recipe, stage: Stage, model: keras.Model) -> keras.optimizers.Optimizer:
    options = dict(recipe.optimiser)
    try:
        optimiser = OPTIMISERS[options.pop("name")](learning_rate=stage.learning_rate, **options)
    except (KeyError, TypeError, ValueError) as error:
        known = ", ".join(OPTIMISERS)
        raise RecipeError(
            f"recipe {recipe.name}: 'optimiser' {dict(recipe.optimiser)}: {error} ({known})"
        ) from error
    if keras.mixed_precision.global_policy().name == "mixed_float16":
        # Gradients of half precision vanish unless the loss is scaled up.
        optimiser = keras.optimizers.LossScaleOptimizer(optimiser)
    optimiser.build(model.trainable_variables)
    return optimiser
