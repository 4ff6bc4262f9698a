"""The networks of a run: what a recipe's stage trains, what it takes over, and what the model is made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from imagetodem_qgis.core.card import CARD_FILE, DEM_TO_IMAGE, CardError, ModelCard, parse_card
from training.generator import IMAGE_OUTPUTS, RELIEF_OUTPUTS, build
from training.muting import MUTING
from training.recipe import Recipe, Stage
from training.request import TrainingError

WEIGHTS_FILE = "generator.weights.h5"
ANSWERING_KEYS = ("mirrored", "guided", "muted")
"""Keys of an architecture that concern how a trained network answers, not what is trained."""


def output_planes(recipe: Recipe) -> tuple[str, ...]:
    """Planes of the model's answer, as its card names them."""
    if recipe.direction == DEM_TO_IMAGE:
        return IMAGE_OUTPUTS
    return ("height",) if recipe.architecture["name"] == "paper_unet" else RELIEF_OUTPUTS


def full_architecture(recipe: Recipe) -> dict[str, Any]:
    """The recipe's architecture with its planes, as the card gives it and ``training.generator.build`` takes
    it."""
    return _with_planes(recipe, recipe.architecture["name"], dict(recipe.architecture))


def build_stage(recipe: Recipe, stage: Stage) -> keras.Model:
    """The network that a stage trains.

    Raises:
        TrainingError: there is no such network, or it cannot take the recipe's planes.
    """
    own = stage.network == recipe.architecture["name"]
    options = dict(recipe.architecture) if own else {}
    kept = {key: value for key, value in options.items() if key not in ANSWERING_KEYS}
    try:
        return build(_with_planes(recipe, stage.network, {**kept, "tile_size": stage.tile_size}))
    except ValueError as error:
        raise TrainingError(f"recipe {recipe.name}: {error}") from error


def _with_planes(recipe: Recipe, name: str, options: dict[str, Any]) -> dict[str, Any]:
    outputs = output_planes(recipe)
    if name == "paper_unet":
        planes: dict[str, Any] = {"input_bands": len(recipe.inputs), "output_bands": len(outputs)}
    else:
        planes = {"inputs": list(recipe.inputs), "outputs": list(outputs)}
    return {**options, **planes, "name": name}


def take_over(model: keras.Model, earlier: keras.Model) -> int:
    """Give a network the weights of another one's layers of the same names and shapes.

    Returns:
        How many layers were given theirs.
    """
    layers = {layer.name: layer for layer in earlier.layers if layer.get_weights()}
    taken = 0
    for layer in model.layers:
        source = layers.get(layer.name)
        if source is not None and _shapes(source) == _shapes(layer):
            layer.set_weights(source.get_weights())
            taken += 1
    return taken


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]


def trained_part(model: keras.Model) -> keras.Model:
    """The network that was trained, inside a model that answers with muted colours or with the mean over a
    mirror image."""
    inner = [layer for layer in model.layers if isinstance(layer, keras.Model) and layer.name != MUTING]
    return inner[0] if inner else model


def muting_part(model: keras.Model) -> keras.Model | None:
    """What mutes a tile's colours inside a model, if anything does."""
    return next((layer for layer in model.layers if layer.name == MUTING), None)


def read_card(folder: Path) -> ModelCard:
    """The card of a model's folder.

    Raises:
        TrainingError: the folder holds no usable one.
    """
    try:
        return parse_card((folder / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, CardError) as error:
        raise TrainingError(f"START_FROM: {folder} is no model's folder: {error}") from error


def read_network(folder: Path, card: ModelCard) -> keras.Model:
    """The trained network of a model's folder.

    Raises:
        TrainingError: the folder has no Keras weights, or they do not fit its card.
    """
    weights = folder / WEIGHTS_FILE
    if not weights.exists():
        raise TrainingError(
            f"START_FROM: {folder} has no {WEIGHTS_FILE}: only Keras weights can be trained on"
        )
    try:
        model = build({**card.architecture, **_answering(card.architecture)})
        model.load_weights(weights)
    except (ValueError, KeyError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(f"START_FROM: {weights} does not fit its card: {reason}") from error
    return trained_part(model)


def _answering(architecture: Mapping[str, Any]) -> dict[str, Any]:
    # "guided" adds no weights, and the network is trained on what the coarse DEM lacks.
    return {"guided": False} if architecture.get("guided") else {}
