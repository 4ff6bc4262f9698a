"""The parameters of Train generator."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingOutputNumber,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from imagetodem_qgis.algorithms.inputs import advanced
from imagetodem_qgis.runtime.locations import training_folder
from imagetodem_qgis.runtime.models import installed_models

DATASET = "DATASET"
START_FROM = "START_FROM"
START_FROM_FILE = "START_FROM_FILE"
DIRECTION = "DIRECTION"
RECIPE = "RECIPE"
ARCHITECTURE = "ARCHITECTURE"
TERRAINS = "TERRAINS"
EPOCHS = "EPOCHS"
BATCH_SIZE = "BATCH_SIZE"
LEARNING_RATE = "LEARNING_RATE"
LAMBDA = "LAMBDA"
MINUTES = "MINUTES"
SEED = "SEED"
DEVICE = "DEVICE"
PRECISION = "PRECISION"
RESUME = "RESUME"
OUTPUT = "OUTPUT"
REPORT = "REPORT"
EPOCHS_DONE = "EPOCHS_DONE"
BEST_EPOCH = "BEST_EPOCH"
VALIDATION_RMSE = "VALIDATION_RMSE"

DIRECTIONS = {"image to DEM": "image_to_dem", "DEM to image": "dem_to_image"}
_ARCHITECTURES = ("light_unet", "paper_unet")
_DEVICES = ("automatic", "cpu", "gpu")
_PRECISIONS = ("automatic", "float32", "mixed_float16", "mixed_bfloat16")
_MODEL_FILTER = "Models (*.zip model.json);;All files (*)"

_HELP = {
    DATASET: "A folder of pairs: images/<id>.tif, dems/<id>.tif on the same grid, and dataset.json, which "
    "says of each pair whether it is for training or for validation. Pairs of one area must share a split. "
    "Or a folder with an .npz file of the original project.",
    START_FROM: "An installed model to go on from (fine-tuning): minutes on a few dozen pairs of your "
    "region, not hours. Its name; a script may give a model's folder as well. Left empty, training begins "
    "from nothing.",
    START_FROM_FILE: "In place of 'Model to start from': a model's model.json, its folder, or a .zip of it.",
    DIRECTION: "What to predict from what. Left empty, the direction of the model to start from, else "
    "image to DEM.",
    RECIPE: "How to train. 'default': relief in units of a pixel, multi-scale gradients, augmentation that "
    "keeps the light, early stopping. 'fine_tune': the same in one stage, from a model. 'paper': as "
    "Panagiotou et al. 2020 did, for comparison; it is slow and overfits. A script may give a recipe's "
    "JSON file. Left empty: fine_tune where a model is started from, else default. The recipe that a model "
    "came from goes through all its stages again: for much data, and hours.",
    ARCHITECTURE: "The network: light_unet (1.4 million weights) or paper_unet (54 million). Left empty, "
    "the recipe's, or that of the model to start from.",
    TERRAINS: "A folder of DEMs (GeoTIFF), of any place, over which further training images are rendered "
    "under a known sun. It helps where pairs are few.",
    EPOCHS: "How often to go through the data set at most; training stops earlier once the held-out areas "
    "no longer get better. Left empty, the recipe's.",
    BATCH_SIZE: "Tiles a step. Halved, with a word in the log, where memory runs out. Left empty, the "
    "recipe's.",
    LEARNING_RATE: "The largest size of a step. Left empty, the recipe's; smaller when starting from a "
    "model.",
    LAMBDA: "Weight of the mean absolute error beside the adversarial loss, in recipes that have one (100 "
    "in the paper's).",
    MINUTES: "Stop after about as many minutes, even if epochs are left. Left empty, no limit.",
    SEED: "The same seed gives the same batches, and on a processor the same model.",
    DEVICE: "'automatic' takes a graphics card where there is one, else the processor; the log names it.",
    PRECISION: "'automatic' computes in half precision where that is faster here, with weights in full.",
    RESUME: "Go on with the training that was interrupted with this OUTPUT, from its last checkpoint. "
    "Without one, training begins anew.",
    OUTPUT: "The folder of the trained model, for Predict DEM's 'Model from a file'. An earlier model "
    "there is replaced once the new one is whole. Checkpoints, pictures and logs are in a folder beside "
    "it, '<OUTPUT>.training'.",
    REPORT: "A page of HTML: curves, pictures of held-out tiles, figures beside the baselines', recipe and "
    "data.",
}


def declare(algorithm: Any) -> None:
    """Add the parameters and outputs to an algorithm that has ``tr``."""
    for parameter in _parameters(algorithm.tr):
        parameter.setHelp(algorithm.tr(_HELP[parameter.name()]))
        algorithm.addParameter(parameter)
    algorithm.addOutput(QgsProcessingOutputNumber(EPOCHS_DONE, algorithm.tr("Epochs trained")))
    algorithm.addOutput(QgsProcessingOutputNumber(BEST_EPOCH, algorithm.tr("Best epoch")))
    rmse = algorithm.tr("RMSE on the held-out areas")
    algorithm.addOutput(QgsProcessingOutputNumber(VALIDATION_RMSE, rmse))


def recipes() -> list[str]:
    """Names of the recipes that come with the plugin, the default first."""
    names = sorted(path.stem for path in (training_folder() / "recipes").glob("*.json"))
    return sorted(names, key=lambda name: name != "default")


def _parameters(tr: Any) -> list[QgsProcessingParameterDefinition]:
    folder = QgsProcessingParameterFile.Behavior.Folder
    number, choice = QgsProcessingParameterNumber, QgsProcessingParameterEnum
    directions = list(DIRECTIONS)
    start = QgsProcessingParameterString(START_FROM, tr("Model to start from"), optional=True)
    start.setMetadata({"widget_wrapper": {"value_hints": installed_models()}})
    recipe = QgsProcessingParameterString(RECIPE, tr("Recipe"), optional=True)
    recipe.setMetadata({"widget_wrapper": {"value_hints": recipes()}})
    learning_rate = number(LEARNING_RATE, tr("Learning rate"), number.Double, None, True, 1e-7, 1.0)
    # The widget would show the default of two decimals.
    learning_rate.setMetadata({"widget_wrapper": {"decimals": 7}})
    return [
        QgsProcessingParameterFile(DATASET, tr("Data set"), behavior=folder),
        start,
        QgsProcessingParameterFile(
            START_FROM_FILE, tr("Model to start from (file)"), optional=True, fileFilter=_MODEL_FILTER
        ),
        choice(DIRECTION, tr("Direction"), directions, False, None, True, True),
        recipe,
        QgsProcessingParameterFile(
            TERRAINS, tr("DEMs to render further images over"), behavior=folder, optional=True
        ),
        number(EPOCHS, tr("Epochs"), number.Integer, None, True, 1, 100_000),
        number(MINUTES, tr("Minutes at most"), number.Double, None, True, 0.01),
        QgsProcessingParameterBoolean(RESUME, tr("Resume an interrupted training"), False),
        advanced(choice(ARCHITECTURE, tr("Architecture"), _ARCHITECTURES, False, None, True, True)),
        advanced(number(BATCH_SIZE, tr("Batch size"), number.Integer, None, True, 1, 1024)),
        advanced(learning_rate),
        advanced(number(LAMBDA, tr("Lambda"), number.Double, None, True, 0.0, 1e6)),
        advanced(number(SEED, tr("Seed"), number.Integer, 1, False, 0, 2**31 - 1)),
        advanced(choice(DEVICE, tr("Device"), _DEVICES, False, _DEVICES[0], False, True)),
        advanced(choice(PRECISION, tr("Precision"), _PRECISIONS, False, _PRECISIONS[0], False, True)),
        QgsProcessingParameterFolderDestination(OUTPUT, tr("Model folder")),
        QgsProcessingParameterFileDestination(
            REPORT, tr("Report"), fileFilter=tr("HTML files (*.html)"), optional=True
        ),
    ]
