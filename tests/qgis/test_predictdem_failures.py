"""Runs of Predict DEM that Processing sees fail, most by what only shows while they run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.rasters import colours, write_image
from tests.tiny_models import card


@pytest.fixture
def failure(predict, tmp_path):
    """The error of a run, which must leave nothing behind and whatever was at OUTPUT as it was."""
    from qgis.core import QgsProcessingException

    def run(image: Path, **parameters: Any) -> str:
        (tmp_path / "dem.tif").write_bytes(b"an earlier file")
        with pytest.raises(QgsProcessingException) as caught:
            predict(image, **parameters)
        assert (tmp_path / "dem.tif").read_bytes() == b"an earlier file"
        assert sorted(path.name for path in tmp_path.iterdir() if "image" not in path.name) == ["dem.tif"]
        return str(caught.value)

    return run


def test_processing_reports_the_refusal(failure, tmp_path):
    message = failure(write_image(tmp_path / "image.tif", colours(20, 20)[..., :2]))
    assert "INPUT" in message
    assert "2 bands" in message


@pytest.mark.parametrize("options", [{"nodata": 7}, {"mask": np.zeros((30, 30), bool)}])
def test_an_image_without_a_known_pixel(failure, tmp_path, options):
    image = write_image(tmp_path / "image.tif", np.full((30, 30, 3), 7, np.uint8), **options)
    message = failure(image)
    assert "INPUT" in message
    assert "no known pixel" in message


def test_a_model_that_answers_no_numbers(failure, tiny_model, tmp_path):
    image = write_image(tmp_path / "image.tif", colours(100, 100))
    message = failure(image, MODEL_FILE=tiny_model("not_a_number"))
    assert "'tiny'" in message
    assert "no numbers" in message
    assert "Traceback" not in message


def test_a_text_whose_card_vouches_for_it(failure, tmp_path):
    """Only the engine can tell: the digest is right."""
    model = tmp_path / "image_model"
    model.mkdir()
    (model / "generator.onnx").write_bytes(b"these are no weights")
    digest = hashlib.sha256(b"these are no weights").hexdigest()
    (model / "model.json").write_text(json.dumps(card(files={"generator.onnx": digest})))
    message = failure(write_image(tmp_path / "image.tif", colours(40, 40)), MODEL_FILE=model)
    assert str(model / "generator.onnx") in message
    assert "cannot load" in message
    assert "Traceback" not in message


def test_a_model_that_wants_other_planes(failure, tiny_model, tmp_path):
    """The network takes four planes, its card promises three."""
    image = write_image(tmp_path / "image.tif", colours(40, 40))
    message = failure(image, MODEL_FILE=tiny_model("ground_sampling_distance"))
    assert "tiny" in message
    assert "height" in message
    assert "Traceback" not in message


def test_a_model_that_answers_fewer_planes(failure, tiny_model, tmp_path):
    """The card promises a spread that the network does not give."""
    image = write_image(tmp_path / "image.tif", colours(40, 40))
    model = tiny_model("red", outputs=["height", "log_scale"])
    message = failure(image, MODEL_FILE=model, CONFIDENCE=str(tmp_path / "confidence.tif"))
    assert "tiny" in message
    assert "log_scale" in message
    assert "Traceback" not in message
