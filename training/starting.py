"""Where a run begins: which recipe, from which model, at which checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import keras

from imagetodem_qgis.core.card import COARSE_DEM, DEM_TO_IMAGE, IMAGE_TO_DEM, ModelCard
from training import checkpoint
from training.generator import ARCHITECTURES, DEM_INPUTS, IMAGE_INPUTS
from training.muting import MUTED_BELOW
from training.networks import read_card
from training.recipe import Recipe, adapted, read_recipe
from training.recorder import LOGS, PICTURES
from training.request import Listener, Request, TrainingError
from training.state import State


def recipe_of(request: Request) -> tuple[Recipe, ModelCard | None]:
    """The recipe as it is to be run, and the card of the model to go on with, if there is one.

    Raises:
        TrainingError: there is no such recipe or model, or they do not fit each other.
    """
    recipe = read_recipe(request.recipe or ("default" if request.start_from is None else "fine_tune"))
    if request.start_from is None:
        recipe = in_direction(recipe, request.direction or recipe.direction)
        return adapted(with_architecture(recipe, request.architecture), request), None
    card = read_card(request.start_from)
    for name, asked, has in (
        ("DIRECTION", request.direction, card.direction),
        ("ARCHITECTURE", request.architecture, card.architecture["name"]),
    ):
        if asked is not None and asked != has:
            raise TrainingError(
                f"{name} is {asked}, but the model to start from is {has}: leave {name} to the model, or "
                "train without START_FROM"
            )
    return adapted(continued(recipe, card), request), card


def in_direction(recipe: Recipe, direction: str) -> Recipe:
    """The recipe for a direction: its planes, and losses that suit what is answered."""
    if direction == recipe.direction:
        return recipe
    if direction not in (IMAGE_TO_DEM, DEM_TO_IMAGE):
        raise TrainingError(f"DIRECTION is {direction!r}, not {IMAGE_TO_DEM} or {DEM_TO_IMAGE}")
    to_image = direction == DEM_TO_IMAGE
    total = sum(recipe.losses.values())
    return replace(
        recipe,
        direction=direction,
        # A DEM has no colours, and an image that is the answer is not to be one of other ground.
        architecture=_without(recipe.architecture, "muted"),
        augmentation=_without(recipe.augmentation, "colour", "albedo") if to_image else recipe.augmentation,
        inputs=DEM_INPUTS if to_image else IMAGE_INPUTS,
        losses={"l1" if to_image else "relief": total},
    )


def with_architecture(recipe: Recipe, name: str | None) -> Recipe:
    """The recipe for another generator: its last stage, with the planes, target and losses that it can learn.

    Raises:
        TrainingError: there is no such generator.
    """
    if name is None or name == recipe.architecture["name"]:
        return recipe
    if name not in ARCHITECTURES:
        raise TrainingError(f"ARCHITECTURE is {name!r}, not one of {', '.join(ARCHITECTURES)}")
    published = name == "paper_unet"
    inputs, losses = recipe.inputs, recipe.losses
    if recipe.direction == IMAGE_TO_DEM:
        # The published network ends in tanh: it answers from -1 to 1, and predicts no spread.
        inputs = IMAGE_INPUTS[:3] if published else IMAGE_INPUTS
        losses = {"l1" if published else "relief": sum(recipe.losses.values())}
    options: dict[str, Any] = {"statistics": "sample"} if published else {"mirrored": name == "light_unet"}
    return replace(
        recipe,
        inputs=inputs,
        losses=losses,
        architecture={"name": name, "tile_size": recipe.stages[-1].tile_size, **options},
        stages=(replace(recipe.stages[-1], network=name),),
        target="relative" if published else "relief_per_pixel",
    )


def continued(recipe: Recipe, card: ModelCard) -> Recipe:
    """The recipe for the network of a card, with the card's planes, stretch and target: all its stages where
    the model could have come from it, else the last one."""
    recipe = in_direction(recipe, card.direction)
    architecture = dict(card.architecture)
    name = architecture["name"]
    stage = replace(recipe.stages[-1], network=name, tile_size=card.tile_size)
    alike = name == recipe.architecture["name"] and tuple(card.inputs) == tuple(recipe.inputs)
    return replace(
        recipe,
        inputs=card.inputs,
        architecture=architecture,
        stages=(*(recipe.stages[:-1] if alike else ()), stage),
        losses=_losses(recipe.losses, card),
        target=card.target,
        stretch=asdict(card.stretch),
    )


def _losses(losses: Mapping[str, float], card: ModelCard) -> Mapping[str, float]:
    """A recipe's losses where the card's network can learn from them, else the one that it learns from."""
    total = sum(losses.values())
    if COARSE_DEM in card.inputs:
        # Its target has the coarse DEM as well, which no other loss knows of.
        return {"detail": total}
    if "log_scale" not in card.outputs:
        # A network without a plane of spread has no use for the loss that teaches it.
        return {"l1": total}
    return {"relief": total} if "detail" in losses else losses


def with_ground_trusted(recipe: Recipe, largest_gsd: float) -> Recipe:
    """The recipe without muted colours and varied albedo where all its pairs are fine.

    Then they show the ground that the network is made for, and what its heights are made of can be trusted;
    so it answers as it was judged, for training does not mute.

    Args:
        recipe: of the run.
        largest_gsd: of the training pairs, metres.
    """
    if largest_gsd >= MUTED_BELOW:
        return recipe
    return replace(
        recipe,
        architecture=_without(recipe.architecture, "muted"),
        augmentation=_without(recipe.augmentation, "albedo"),
    )


def _without(options: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in keys}


def fingerprint_of(request: Request, recipe: Recipe, precision: str) -> dict[str, Any]:
    """What must be the same for a run to go on; the number of epochs may be another one."""
    content = recipe.as_json()
    for stage in content["stages"]:
        del stage["epochs"]
    return {
        "recipe": content,
        "seed": request.seed,
        "datasets": sorted(folder.name for folder in request.datasets),
        "terrains": request.terrains is not None,
        "start_from": None if request.start_from is None else request.start_from.name,
        "precision": precision,
        "backend": keras.backend.backend(),
    }


def state_of(request: Request, fingerprint: Mapping[str, Any], listener: Listener) -> State:
    """Where to begin: at the run's last checkpoint if it is to be resumed, else anew in a cleared folder.

    Raises:
        CheckpointError: the checkpoint cannot be read, or was made with other settings.
    """
    if request.resume:
        saved = checkpoint.read_state(request.output)
        if saved is not None:
            made_with = saved.pop("fingerprint")
            other = sorted(key for key in fingerprint if made_with.get(key) != fingerprint[key])
            if other:
                raise checkpoint.CheckpointError(
                    f"RESUME: the run in {request.output} was begun with another {', '.join(other)}: give "
                    "the same again, or begin anew without RESUME"
                )
            state = State(**saved)
            listener.note(
                f"Going on after epoch {state.epoch}, step {state.step} of stage {state.stage + 1}."
            )
            return state
        listener.note(f"There is nothing to go on with in {request.output}: beginning anew.")
    (request.output / checkpoint.CHECKPOINT_FILE).unlink(missing_ok=True)
    checkpoint.drop_weights(request.output, but=None)
    for name in (PICTURES, LOGS):
        shutil.rmtree(request.output / name, ignore_errors=True)
    return State()
