"""What Train generator refuses before it works: each refusal names the parameter and a way out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.pairs import write_dataset
from tests.tiny_models import make_model

Refusal = Callable[..., str]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "hills", train=2, validation=1, size=16)


@pytest.fixture
def refusal(qgis_app, dataset, tmp_path) -> Refusal:
    """What the algorithm says of parameters that it refuses; they are those of a good call but for some."""
    from qgis.core import QgsApplication, QgsProcessingContext

    def ask(**parameters: Any) -> str:
        algorithm = QgsApplication.processingRegistry().createAlgorithmById("imagetodem:traingenerator")
        given = {"DATASET": dataset, "OUTPUT": tmp_path / "model", **parameters}
        given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
        accepted, message = algorithm.checkParameterValues(given, QgsProcessingContext())
        assert accepted == (message == "")
        return message

    return ask


def test_a_data_set_and_a_folder_are_all_that_is_needed(refusal):
    assert refusal() == ""
    assert refusal(OUTPUT="TEMPORARY_OUTPUT") == ""


def test_a_data_set_that_is_none(refusal, tmp_path):
    assert "DATASET" in refusal(DATASET=None)
    assert refusal(DATASET=tmp_path / "nowhere").startswith("DATASET: the folder")
    assert "lacks dataset.json" in refusal(DATASET=tmp_path)


def test_a_data_set_without_held_out_pairs(refusal, tmp_path):
    folder = write_dataset(tmp_path / "hills", train=2, validation=0, size=16)
    assert "no pair of the split 'validation'" in refusal(DATASET=folder)


def test_a_data_set_that_lacks_a_file(refusal, tmp_path):
    folder = write_dataset(tmp_path / "hills", train=2, validation=1, size=16)
    (folder / "dems" / "tile_01.tif").unlink()
    message = refusal(DATASET=folder)
    assert message.startswith("DATASET")
    assert str(folder / "dems" / "tile_01.tif") in message


def test_a_folder_of_terrains_without_a_dem(refusal, tmp_path):
    assert refusal(TERRAINS=tmp_path).startswith(f"TERRAINS: the folder {tmp_path} holds no DEM")


def test_a_folder_that_holds_something_else_than_a_model(refusal, tmp_path):
    (tmp_path / "thesis.txt").write_text("words")
    message = refusal(OUTPUT=tmp_path)
    assert message.startswith("OUTPUT")
    assert "something else than a model" in message


def test_an_unfinished_training_is_not_begun_anew_unasked(refusal, tmp_path):
    run = tmp_path / "model.training"
    run.mkdir()
    (run / "checkpoint.npz").write_bytes(b"")
    message = refusal()
    assert message.startswith("RESUME")
    assert str(run) in message
    assert refusal(RESUME=True) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EPOCHS", 0),
        ("BATCH_SIZE", 0),
        ("LEARNING_RATE", 0.0),
        ("LAMBDA", -1.0),
        ("SEED", -1),
        ("DEVICE", "abacus"),
        ("PRECISION", "float8"),
        ("DIRECTION", "image to image"),
        ("ARCHITECTURE", "diffusion"),
    ],
)
def test_a_value_that_no_training_can_use(refusal, name, value):
    assert refusal(**{name: value}) != ""


def test_a_recipe_that_is_none(refusal, tmp_path):
    message = refusal(RECIPE="of the house")
    assert message.startswith("RECIPE: there is no recipe 'of the house'")
    assert "default" in message
    assert refusal(RECIPE="default") == ""
    (tmp_path / "own.json").write_text("{}")
    assert refusal(RECIPE=str(tmp_path / "own.json")) == ""


@pytest.mark.parametrize("name", ["START_FROM", "START_FROM_FILE"])
def test_a_model_to_start_from_that_is_none(refusal, tmp_path, name):
    message = refusal(**{name: tmp_path / "nowhere"})
    assert message.startswith(f"{name}: ")
    assert "does not exist" in message


def test_a_model_to_start_from_without_weights(refusal, tmp_path):
    (tmp_path / "network.onnx").write_bytes(b"onnx")
    folder = make_model(tmp_path / "tiny", tmp_path / "network.onnx")
    message = refusal(START_FROM=folder)
    assert message.startswith("START_FROM: 'tiny' cannot be trained further")
    assert "generator.weights.h5" in message


def test_a_model_to_start_from_is_what_was_asked_for(refusal, shipped_model):
    from imagetodem_qgis.runtime.models import open_installed_model

    card = open_installed_model(shipped_model).card
    assert refusal(START_FROM=shipped_model) == ""
    assert refusal(START_FROM=shipped_model, DIRECTION="image to DEM") == ""
    assert refusal(START_FROM=shipped_model, ARCHITECTURE=card.architecture["name"]) == ""
    assert refusal(START_FROM=shipped_model, DIRECTION="DEM to image").startswith("DIRECTION: ")
    assert refusal(START_FROM=shipped_model, ARCHITECTURE="paper_unet").startswith("ARCHITECTURE: ")


def test_an_environment_that_can_only_predict(qgis_app, dataset, monkeypatch, tmp_path):
    import processing
    from qgis.core import QgsProcessingException

    site = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(site)], check=True)
    (packages,) = site.glob("lib/python*/site-packages")
    for name in ("numpy", "scipy", "onnxruntime"):
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text("__version__ = '1.0'\n")
        (packages / f"{name}-1.0.dist-info").mkdir()
        (packages / f"{name}-1.0.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    monkeypatch.setenv("IMAGETODEM_PYTHON", str(site / "bin" / "python"))
    parameters = {"DATASET": str(dataset), "OUTPUT": str(tmp_path / "model")}
    with pytest.raises(QgsProcessingException) as caught:
        processing.run("imagetodem:traingenerator", parameters)
    for words in ("keras", "tensorflow or torch", "imagetodem:setupenvironment", "PROFILE=train"):
        assert words in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_the_installed_models_and_recipes_are_offered(qgis_app, shipped_model):
    from qgis.core import QgsApplication

    algorithm = QgsApplication.processingRegistry().createAlgorithmById("imagetodem:traingenerator")
    hints = {
        name: algorithm.parameterDefinition(name).metadata()["widget_wrapper"]["value_hints"]
        for name in ("START_FROM", "RECIPE")
    }
    assert shipped_model in hints["START_FROM"]
    assert hints["RECIPE"][0] == "default"
    assert "paper" in hints["RECIPE"]
    assert json.dumps(hints)
