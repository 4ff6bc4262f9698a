"""Which model predicts: the one that is named, or the one that suits what is known."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsProcessingAlgorithm, QgsProcessingContext

from imagetodem_qgis.algorithms.inputs import Parameters, Refusal
from imagetodem_qgis.algorithms.known_heights import CONTROL_POINTS, REFERENCE
from imagetodem_qgis.core.card import DEM_TO_IMAGE, GUIDED, IMAGE_TO_DEM
from imagetodem_qgis.runtime.models import (
    Model,
    ModelError,
    guided_models,
    installed_models,
    open_installed_model,
    open_model_file,
    suitable_model,
)

AUTOMATIC = "automatic"


def model_choices() -> list[str]:
    """What the parameter for an installed model offers: the choice by what is known, then each model that
    predicts a DEM."""
    return [AUTOMATIC, *installed_models(IMAGE_TO_DEM), *guided_models()]


def opened_model(
    algorithm: QgsProcessingAlgorithm,
    parameters: Parameters,
    name: str,
    file_name: str,
    context: QgsProcessingContext,
    scratch: Path,
) -> Model:
    """The model that a file parameter names, else the installed one that an enumeration names.

    Raises:
        Refusal: it cannot be used, or does not suit the known heights.
    """
    path = algorithm.parameterAsFile(parameters, file_name, context)
    chosen = file_name if path else name
    try:
        if path:
            model = open_model_file(Path(path), scratch)
        else:
            asked = algorithm.parameterAsEnumString(parameters, name, context) or AUTOMATIC
            model = open_installed_model(
                asked if asked != AUTOMATIC else suitable_model(bool(parameters.get(REFERENCE)))
            )
    except ModelError as error:
        raise Refusal(chosen, str(error)) from error
    _check(model, chosen, parameters)
    return model


def _check(model: Model, chosen: str, parameters: Parameters) -> None:
    card = model.card
    if card.task == DEM_TO_IMAGE:
        raise Refusal(chosen, f"'{card.name}' predicts an image from a DEM, not a DEM from an image")
    if card.task == GUIDED and not parameters.get(REFERENCE):
        raise Refusal(
            chosen,
            f"'{card.name}' takes a coarse DEM beside the image: give one ({REFERENCE}), or choose one that "
            "takes the image alone",
        )
    known = next((name for name in (REFERENCE, CONTROL_POINTS) if parameters.get(name)), None)
    if card.target == "relative" and known is not None:
        raise Refusal(
            known,
            f"the heights of '{card.name}' have no unit: leave this empty, and bring the DEM to known "
            "heights with 'Anchor DEM to known heights', method 'shift and scale'",
        )
