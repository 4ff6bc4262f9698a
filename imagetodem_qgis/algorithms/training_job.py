"""What the parameters of Train generator ask for, as the order that the training is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingAlgorithm, QgsProcessingContext

from imagetodem_qgis.algorithms import training_parameters as parameter
from imagetodem_qgis.algorithms.inputs import Parameters, Refusal, destination
from imagetodem_qgis.runtime.datasets import DatasetError, check_dataset, check_terrains
from imagetodem_qgis.runtime.model_folder import is_unfinished, problem_of_output, run_folder
from imagetodem_qgis.runtime.models import (
    WEIGHTS_FILE,
    ModelError,
    installed_models,
    open_installed_model,
    open_model_file,
)


@dataclass(frozen=True)
class Job:
    """A training to run and where its results go.

    Attributes:
        order: the fields of ``training.request.Request`` by name, paths as text.
        output: folder of the model.
        report: the page of HTML, if wanted.
    """

    order: dict[str, Any]
    output: Path
    report: Path | None

    @property
    def run(self) -> Path:
        """Folder of checkpoints, pictures and logs."""
        return run_folder(self.output)


def check(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext, scratch: Path
) -> None:
    """Look at everything that a run would use, but the environment and the pixels of the pairs.

    Raises:
        Refusal: a parameter cannot be used; the message names it.
    """
    _folder(algorithm, parameters, parameter.DATASET, context, check_dataset)
    _folder(algorithm, parameters, parameter.TERRAINS, context, check_terrains)
    _recipe(algorithm, parameters, context)
    _start(algorithm, parameters, context, scratch)
    output = destination(parameters, parameter.OUTPUT, context)
    if output is None:
        return
    problem = problem_of_output(output)
    if problem:
        raise Refusal(parameter.OUTPUT, problem)
    run = run_folder(output)
    if is_unfinished(run) and not algorithm.parameterAsBool(parameters, parameter.RESUME, context):
        raise Refusal(
            parameter.RESUME,
            f"an unfinished training lies in {run}: set RESUME to go on with it, or remove that folder",
        )


def job_of(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext, scratch: Path
) -> Job:
    """The training that the parameters ask for.

    Args:
        scratch: an existing folder, into which a model's zip is unpacked, that lasts as long as the training.

    Raises:
        Refusal: a parameter cannot be used.
    """

    def given(name: str, read: Callable[[Parameters, str, QgsProcessingContext], Any]) -> Any:
        return None if parameters.get(name) is None else read(parameters, name, context)

    dataset = _folder(algorithm, parameters, parameter.DATASET, context, check_dataset)
    terrains = _folder(algorithm, parameters, parameter.TERRAINS, context, check_terrains)
    start = _start(algorithm, parameters, context, scratch)
    output = Path(algorithm.parameterAsString(parameters, parameter.OUTPUT, context)).absolute()
    report = algorithm.parameterAsFileOutput(parameters, parameter.REPORT, context)
    minutes = given(parameter.MINUTES, algorithm.parameterAsDouble)
    order = {
        "datasets": [str(dataset)],
        "output": str(run_folder(output)),
        "name": output.name,
        "recipe": _recipe(algorithm, parameters, context),
        "start_from": None if start is None else str(start),
        "direction": parameter.DIRECTIONS.get(
            algorithm.parameterAsEnumString(parameters, parameter.DIRECTION, context)
        ),
        "architecture": algorithm.parameterAsEnumString(parameters, parameter.ARCHITECTURE, context) or None,
        "terrains": None if terrains is None else str(terrains),
        "epochs": given(parameter.EPOCHS, algorithm.parameterAsInt),
        "batch_size": given(parameter.BATCH_SIZE, algorithm.parameterAsInt),
        "learning_rate": given(parameter.LEARNING_RATE, algorithm.parameterAsDouble),
        "lambda_": given(parameter.LAMBDA, algorithm.parameterAsDouble),
        "seed": algorithm.parameterAsInt(parameters, parameter.SEED, context),
        "budget_seconds": None if minutes is None else 60.0 * minutes,
        "resume": algorithm.parameterAsBool(parameters, parameter.RESUME, context),
        "device": algorithm.parameterAsEnumString(parameters, parameter.DEVICE, context),
        "precision": algorithm.parameterAsEnumString(parameters, parameter.PRECISION, context),
    }
    return Job(order, output, Path(report) if report else None)


def _folder(
    algorithm: QgsProcessingAlgorithm,
    parameters: Parameters,
    name: str,
    context: QgsProcessingContext,
    check_folder: Callable[[Path], None],
) -> Path | None:
    """The folder that a parameter names, looked at; None where it is left empty."""
    text = algorithm.parameterAsString(parameters, name, context)
    if not text:
        return None
    folder = Path(text).expanduser().absolute()
    try:
        check_folder(folder)
    except DatasetError as error:
        raise Refusal(name, str(error)) from error
    return folder


def _recipe(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext
) -> str | None:
    recipe = algorithm.parameterAsString(parameters, parameter.RECIPE, context)
    if not recipe or recipe in parameter.recipes():
        return recipe or None
    file = Path(recipe).expanduser().absolute()
    if not file.is_file():
        known = ", ".join(parameter.recipes())
        raise Refusal(
            parameter.RECIPE, f"there is no recipe '{recipe}': take one of {known}, or a recipe's JSON file"
        )
    return str(file)


def _start(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext, scratch: Path
) -> Path | None:
    """The folder of the model to start from; None where there is none."""
    file = algorithm.parameterAsString(parameters, parameter.START_FROM_FILE, context)
    name = algorithm.parameterAsString(parameters, parameter.START_FROM, context)
    if not file and not name:
        return None
    chosen = parameter.START_FROM_FILE if file else parameter.START_FROM
    try:
        if file or name not in installed_models():
            path = Path(file or name).expanduser().absolute()
            # A training that is resumed knows the model by its folder's name.
            unpacked = scratch / path.stem
            unpacked.mkdir()
            model = open_model_file(path, unpacked)
        else:
            model = open_installed_model(name)
    except ModelError as error:
        raise Refusal(chosen, str(error)) from error
    weights = model.engines.get("tensorflow", {})
    if weights.get("kind") != "weights":
        raise Refusal(chosen, f"'{model.card.name}' cannot be trained further: it lacks {WEIGHTS_FILE}")
    wanted = parameter.DIRECTIONS.get(
        algorithm.parameterAsEnumString(parameters, parameter.DIRECTION, context)
    )
    if wanted not in (None, model.card.direction):
        raise Refusal(
            parameter.DIRECTION, f"the model to start from, '{model.card.name}', has the other direction"
        )
    architecture = algorithm.parameterAsEnumString(parameters, parameter.ARCHITECTURE, context)
    if architecture not in ("", model.card.architecture["name"]):
        of_model = model.card.architecture["name"]
        raise Refusal(
            parameter.ARCHITECTURE, f"the model to start from, '{model.card.name}', is a {of_model}"
        )
    return Path(weights["path"]).parent
