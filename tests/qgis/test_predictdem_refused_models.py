"""Models that Predict DEM does not take: cards, weights and files that are not what they should be."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any, Callable

import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.tiny_models import card

KEYS = [
    *card(),
    "architecture.name",
    *(f"stretch.{key}" for key in card()["stretch"]),
    *(f"ground_sampling_distance.{key}" for key in card()["ground_sampling_distance"]),
]


def changed_model(tiny_model: Any, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    shutil.copytree(tiny_model("red").parent, folder)
    content = json.loads((folder / "model.json").read_text())
    change(content)
    (folder / "model.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("key", KEYS)
def test_a_card_that_lacks_a_key(refusal, tiny_model, tmp_path, key):
    def remove(content: dict[str, Any]) -> None:
        *parents, last = key.split(".")
        for parent in parents:
            content = content[parent]
        del content[last]

    reason = refusal(MODEL_FILE=changed_model(tiny_model, tmp_path / "model", remove))
    assert "MODEL_FILE" in reason
    assert f"'{key}'" in reason


WRONG = {
    "name": 3,
    "architecture": "unet",
    "direction": "sideways",
    "inputs": ["green", "red", "blue"],
    "outputs": ["depth"],
    "stretch": {"method": "percentile", "lower": 98, "upper": 2, "clip": 1.5},
    "target": "metres",
    "sun_azimuth": "south",
    "ground_sampling_distance": {"minimum": 0, "maximum": 10},
    "tile_size": 0,
    "files": {"generator.onnx": "abc"},
    "seed": True,
}


@pytest.mark.parametrize("key", WRONG)
def test_a_card_with_a_wrong_value(refusal, tiny_model, tmp_path, key):
    model = changed_model(tiny_model, tmp_path / "model", lambda content: content.update({key: WRONG[key]}))
    reason = refusal(MODEL_FILE=model)
    assert "MODEL_FILE" in reason
    assert key in reason


def test_a_model_of_the_other_direction(refusal, tiny_model, tmp_path):
    planes = {"inputs": ["relief", "elevation"], "outputs": ["red", "green", "blue"]}
    model = changed_model(
        tiny_model, tmp_path / "model", lambda content: content.update(direction="dem_to_image", **planes)
    )
    reason = refusal(MODEL_FILE=model)
    assert "MODEL_FILE" in reason
    assert "not a DEM from an image" in reason


def test_a_model_that_wants_a_coarse_dem(refusal, tiny_model, tmp_path):
    inputs = ["red", "green", "blue", "coarse_dem"]
    model = changed_model(tiny_model, tmp_path / "model", lambda content: content.update(inputs=inputs))
    reason = refusal(MODEL_FILE=model)
    assert "MODEL_FILE" in reason
    assert "choose one that takes the image alone" in reason


@pytest.mark.parametrize("form", ["", "model.json", "generator.onnx"])
def test_weights_that_are_not_the_cards(refusal, tiny_model, tmp_path, form):
    model = shutil.copytree(tiny_model("red").parent, tmp_path / "model")
    weights = bytearray((model / "generator.onnx").read_bytes())
    weights[len(weights) // 2] ^= 1
    (model / "generator.onnx").write_bytes(weights)
    reason = refusal(MODEL_FILE=model / form)
    assert "MODEL_FILE" in reason
    assert "SHA-256" in reason


def test_weights_that_are_missing(refusal, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model("red").parent, tmp_path / "model")
    (model / "generator.onnx").unlink()
    reason = refusal(MODEL_FILE=model)
    assert "MODEL_FILE" in reason
    assert "generator.onnx is missing" in reason


@pytest.mark.parametrize(
    "name", ["model.onnx", "model.keras", "model.zip", "model.json", "model.h5", "model"]
)
def test_a_text_is_no_model(refusal, tmp_path, name):
    folder = tmp_path / "model_folder"
    folder.mkdir()
    (folder / name).write_text("these are no weights")
    reason = refusal(MODEL_FILE=folder / name)
    assert "MODEL_FILE" in reason


def test_a_folder_or_a_zip_without_a_card_is_no_model(refusal, tmp_path):
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    for name in ("empty", "empty.zip", "nowhere", "nowhere.zip"):
        assert "MODEL_FILE" in refusal(MODEL_FILE=tmp_path / name)


def test_an_onnx_file_of_another_card(refusal, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model("red").parent, tmp_path / "model")
    (model / "generator.onnx").rename(model / "other.onnx")
    reason = refusal(MODEL_FILE=model / "other.onnx")
    assert "MODEL_FILE" in reason
    assert "other.onnx" in reason


def test_a_keras_file_without_its_engine(refusal, tmp_path):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    reason = refusal(MODEL_FILE=tmp_path / "model.keras", ENGINE="onnxruntime")
    assert "ENGINE" in reason
    assert "tensorflow" in reason
