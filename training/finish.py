"""The end of a run: its model's folder with card and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras
from numpy.typing import NDArray

from imagetodem_qgis.core.card import DEM_TO_IMAGE, PALETTE, PALETTES, SEA_COLOUR, ModelCard
from training.data.pair import SUN_AZIMUTH
from training.data.palettes import sea_colour, typical_palettes
from training.evaluate import evaluate
from training.evaluation.predictor import HEIGHTS
from training.material import Material, stretch_of
from training.model_folder import write_card, write_model
from training.networks import full_architecture, output_planes
from training.recipe import Recipe
from training.recorder import Recorder
from training.report.figures import BEFORE
from training.request import Listener, Request, Result
from training.state import State
from training.steps import adapter

MODEL_FOLDER = "model"
REPORT_FILE = "report.html"
_LICENCE = "GPL-2.0-or-later"
_LIBRARIES = ("keras", "tensorflow", "tensorflow-cpu", "torch", "numpy", "onnx", "onnxruntime")


def finish(
    request: Request,
    recipe: Recipe,
    card: ModelCard | None,
    material: Material,
    state: State,
    weights: list[NDArray[Any]],
    recorder: Recorder,
    machine: Mapping[str, str],
    listener: Listener,
) -> Result:
    """Write the model's folder and the report inside it.

    Args:
        request: of the run.
        recipe: as it was run.
        card: of the model that was gone on with, if there was one.
        material: what was learned from.
        state: where the run ended.
        weights: those that are kept, in Keras's order.
        recorder: of the run.
        machine: where it ran.
        listener: who is told.
    """
    folder = request.output / MODEL_FOLDER
    rows = [row for row in state.history if row["stage"] == recipe.stages[-1].network]
    best = next(row for row in rows if row["epoch"] == state.best_epoch)
    listener.note(
        f"Keeping the weights of epoch {best['epoch']} of {state.epoch}; making the model's folder."
    )
    content = _card(request, recipe, card, material, state, machine, best)
    figures: dict[str, Any] = {}

    def describe(model: keras.Model, partial: Path) -> Mapping[str, Any]:
        held_out = material.held_out(recipe, recipe.stages[-1])
        if not recipe.architecture.get("guided"):
            answers = held_out.answers(adapter().make_answer(model))
            content["spread_factor"] = round(held_out.spread_factor(answers), 4)
            recorder.draw(int(best["epoch"]), held_out, answers)
        write_card(content, partial)
        figures.update(_figures(request, material, partial, listener))
        content["metrics"]["validation"] = figures
        recorder.report(
            partial / REPORT_FILE,
            _facts(request, recipe, material, state, machine),
            state.history,
            figures,
            int(best["epoch"]),
            [str(warning) for warning in getattr(listener, "warnings", ())],
        )
        return content

    write_model(weights, full_architecture(recipe), folder, describe)
    return Result(
        folder,
        folder / REPORT_FILE,
        state.epoch,
        int(best["epoch"]),
        float(best["validation_rmse"]),
        tuple(state.history),
    )


def _figures(request: Request, material: Material, model: Path, listener: Listener) -> dict[str, Any]:
    """Accuracy on the held-out validation ground beside the baselines', and beside the model that was gone on
    with."""
    others = {} if request.start_from is None else {BEFORE: request.start_from}
    figures: dict[str, Any] = {}
    for folder in material.folders:
        listener.note(f"Comparing with the baselines on the held-out ground of {folder.name}.")
        figures.update(evaluate(model, folder, "validation", others))
    return figures


def _card(
    request: Request,
    recipe: Recipe,
    card: ModelCard | None,
    material: Material,
    state: State,
    machine: Mapping[str, str],
    best: Mapping[str, Any],
) -> dict[str, Any]:
    least, largest = material.gsd
    if card is not None:
        least, largest = min(least, card.gsd_range[0]), max(largest, card.gsd_range[1])
    stretch = stretch_of(recipe)
    content: dict[str, Any] = {
        "name": request.name or request.output.name,
        "version": "1.0.0",
        "licence": _LICENCE if card is None else card.licence,
        "description": recipe.description,
        "architecture": full_architecture(recipe),
        "direction": recipe.direction,
        "inputs": list(recipe.inputs),
        "outputs": list(output_planes(recipe)),
        "stretch": {"method": "percentile", **asdict(stretch)},
        "target": recipe.target,
        "sun_azimuth": None if recipe.augmentation.get("any_sun") else SUN_AZIMUTH,
        "ground_sampling_distance": {"minimum": round(least, 3), "maximum": round(largest, 3)},
        "tile_size": recipe.stages[-1].tile_size,
        "training_data": dict(material.description),
        "training": {
            "command": command(request),
            "recipe": recipe.as_json(),
            "seconds": round(state.seconds),
            "machine": dict(machine),
            "epochs": state.epoch,
            "best_epoch": best["epoch"],
            "curve": state.history,
        },
        "seed": request.seed,
        "libraries": _libraries(),
        "spread_factor": 1.0,
        "metrics": {},
        "files": {},
    }
    if card is not None:
        content["start_from"] = {
            "name": card.name,
            "version": card.version,
            "data": card.content["training_data"],
        }
        content["training"]["before"] = _trainings(card)
    if PALETTE[0] in recipe.inputs:
        content[PALETTES] = typical_palettes(material.groups, stretch, request.seed)
    if recipe.direction == DEM_TO_IMAGE:
        sea = sea_colour(material.groups, stretch)
        content.update({} if sea is None else {SEA_COLOUR: sea})
    if material.heights is not None:
        content[HEIGHTS] = {"minimum": material.heights[0], "maximum": material.heights[1]}
    return content


def _trainings(card: ModelCard) -> list[Any]:
    """All trainings behind a model, the earliest first, without their recipes: a model that goes on from it
    owes its answers to them as well. A card need not tell any."""
    training = card.content.get("training")
    if not isinstance(training, Mapping):
        return []
    before = training.get("before")
    own = {key: value for key, value in training.items() if key not in ("recipe", "before")}
    return [*(before if isinstance(before, list) else []), {"version": card.version, **own}]


def command(request: Request) -> str:
    """The command that repeats a run, its folders by their names alone."""
    words = ["python -m training.train", *(f"--data {folder.name}" for folder in request.datasets)]
    options = {
        "--recipe": None if request.recipe is None else Path(request.recipe).name,
        "--start-from": None if request.start_from is None else request.start_from.name,
        "--direction": request.direction,
        "--architecture": request.architecture,
        "--epochs": request.epochs,
        "--batch-size": request.batch_size,
        "--learning-rate": request.learning_rate,
        "--lambda": request.lambda_,
        "--terrains": None if request.terrains is None else request.terrains.name,
        "--rendered-share": request.rendered_share,
        "--budget": request.budget_seconds,
        "--precision": request.precision,
        "--seed": request.seed,
        "--output": "RUN",
    }
    words += [f"{name} {value}" for name, value in options.items() if value is not None]
    return " ".join([*words, *(["--keep-last"] if request.keep_last else [])])


def _facts(
    request: Request, recipe: Recipe, material: Material, state: State, machine: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    stages: Sequence[str] = [
        f"{stage.network}, {stage.tile_size} px, {stage.batch_size} tiles a step, learning rate "
        f"{stage.learning_rate:g} ({stage.schedule})"
        for stage in recipe.stages
    ]
    return {
        "Recipe": {
            "name": recipe.name,
            "what it is": recipe.description,
            "direction": recipe.direction,
            "stages": list(stages),
            "losses": dict(recipe.losses),
            "adversarial weight": recipe.adversarial,
            "started from": "nothing" if request.start_from is None else request.start_from.name,
            "seed": request.seed,
        },
        "Data": {
            **{key: value for key, value in material.description.items() if value},
            "held-out pairs": len(material.validation),
            "metres a pixel": f"{material.gsd[0]:.4g} to {material.gsd[1]:.4g}",
        },
        "Machine": {**machine, "training time": f"{state.seconds / 60.0:.1f} min", **_libraries()},
    }


def _libraries() -> dict[str, str]:
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
