"""The parameters and outputs that the algorithms that make pairs share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingOutputNumber,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
)

from imagetodem_qgis.algorithms.inputs import Parameters, Refusal, advanced, destination
from imagetodem_qgis.pairs.dataset import Made
from imagetodem_qgis.pairs.examine import Limits
from imagetodem_qgis.pairs.journal import JournalError, check_folder
from imagetodem_qgis.pairs.plan import Plan
from imagetodem_qgis.pairs.splits import Shares
from imagetodem_qgis.styling.footprints import show_footprints, write_footprints_style

RESOLUTION = "RESOLUTION"
TILE_SIZE = "TILE_SIZE"
VALIDATION = "VALIDATION"
TEST = "TEST"
BUFFER = "BUFFER"
SEED = "SEED"
GAPS = "GAPS"
SEA = "SEA"
OUTPUT = "OUTPUT"
FOOTPRINTS = "FOOTPRINTS"
PAIRS = "PAIRS"

SMALLEST_TILE, LARGEST_TILE = 64, 1024

_HELP = {
    TILE_SIZE: "Side of a tile in pixels. Generators are trained on 256.",
    VALIDATION: "Share of the tiles to choose the best epoch by, as whole areas.",
    TEST: "Share of the tiles to report on in the end, as whole areas.",
    BUFFER: "Metres that tiles of different splits lie apart at least; tiles nearer than that are left out. "
    "Left empty, half a tile's side, so that no two of them touch.",
    SEED: "The same seed gives the same splits.",
    GAPS: "Tiles with more pixels without image or height than this are left out.",
    SEA: "Tiles with more sea (heights of exactly 0) than this are left out.",
    OUTPUT: "The data set's folder: images/, dems/, footprints.gpkg and dataset.json. A folder that holds "
    "part of the same data set is completed: what is whole in it is kept.",
}


def declare(algorithm: Any, own: list[QgsProcessingParameterDefinition], help_of_own: dict[str, str]) -> None:
    """Add an algorithm's own parameters, those that all share, and the outputs."""
    for parameter in own + _shared(algorithm.tr):
        parameter.setHelp(algorithm.tr({**_HELP, **help_of_own}[parameter.name()]))
        algorithm.addParameter(parameter)
    algorithm.addOutput(QgsProcessingOutputVectorLayer(FOOTPRINTS, algorithm.tr("Footprints")))
    algorithm.addOutput(QgsProcessingOutputNumber(PAIRS, algorithm.tr("Pairs")))


def _shared(tr: Any) -> list[QgsProcessingParameterDefinition]:
    number = QgsProcessingParameterNumber
    return [
        number(TILE_SIZE, tr("Tile size (pixels)"), number.Integer, 256, False, SMALLEST_TILE, LARGEST_TILE),
        advanced(number(VALIDATION, tr("For validation (%)"), number.Double, 15.0, False, 0.0, 50.0)),
        advanced(number(TEST, tr("For testing (%)"), number.Double, 15.0, False, 0.0, 50.0)),
        advanced(number(BUFFER, tr("Buffer between splits (m)"), number.Double, None, True, 0.0)),
        advanced(number(SEED, tr("Seed"), number.Integer, 1, False, 0)),
        advanced(number(GAPS, tr("Largest share of gaps (%)"), number.Double, 10.0, False, 0.0, 100.0)),
        advanced(number(SEA, tr("Largest share of sea (%)"), number.Double, 50.0, False, 0.0, 100.0)),
        QgsProcessingParameterFolderDestination(OUTPUT, tr("Data set")),
    ]


def shares_of(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext, side: float
) -> Shares:
    """How the tiles are to be shared out.

    Args:
        side: of a tile in metres.
    """
    wide = algorithm.parameterAsDouble(parameters, BUFFER, context)
    return Shares(
        algorithm.parameterAsDouble(parameters, VALIDATION, context) / 100.0,
        algorithm.parameterAsDouble(parameters, TEST, context) / 100.0,
        side / 2.0 if parameters.get(BUFFER) is None else wide,
        algorithm.parameterAsInt(parameters, SEED, context),
    )


def limits_of(
    algorithm: QgsProcessingAlgorithm,
    parameters: Parameters,
    context: QgsProcessingContext,
    gap_of_image: str,
) -> Limits:
    """What is left out."""
    return Limits(
        algorithm.parameterAsDouble(parameters, GAPS, context) / 100.0,
        algorithm.parameterAsDouble(parameters, SEA, context) / 100.0,
        gap_of_image,
    )


def recorded(plan: Plan, limits: Limits) -> dict[str, Any]:
    """What all data sets record of their parameters, to be gone on with by the same alone."""
    return {
        "the tiles": plan.fingerprint,
        GAPS: round(100.0 * limits.gaps, 6),
        SEA: round(100.0 * limits.sea, 6),
    }


def check_output(parameters: Parameters, context: QgsProcessingContext, wanted: dict[str, Any]) -> None:
    """Refuse a folder that cannot become, or go on to be, the data set.

    Args:
        wanted: what the run would record of its parameters.

    Raises:
        Refusal: it holds something else, or cannot be written to.
    """
    folder = destination(parameters, OUTPUT, context)
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise Refusal(OUTPUT, f"{folder} is a file: give a folder")
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise Refusal(OUTPUT, f"the folder {existing} cannot be written to: give another")
    if folder.is_dir():
        try:
            check_folder(folder, wanted)
        except (JournalError, OSError) as error:
            raise Refusal(OUTPUT, str(error)) from error


def output_folder(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext
) -> Path:
    """The folder that the data set goes to."""
    return Path(algorithm.parameterAsString(parameters, OUTPUT, context)).absolute()


def results(made: Made, folder: Path, context: QgsProcessingContext) -> dict[str, Any]:
    """The outputs of a run, its footprints styled and shown.

    Raises:
        OSError: the style cannot be written.
    """
    write_footprints_style(made.footprints)
    show_footprints(context, made.footprints, FOOTPRINTS)
    return {OUTPUT: str(folder), FOOTPRINTS: str(made.footprints), PAIRS: made.pairs}
