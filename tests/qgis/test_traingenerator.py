"""Train generator in a real QGIS: a training whose model predicts, and trainings that are interrupted."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from osgeo import gdal

from tests.pairs import change_raster, write_dataset
from tests.qgis.processes import children, needs_proc, start_qgis, wait_for
from tests.rasters import centred, read_surface

EARLIER = json.dumps({"name": "an earlier model"})
PATIENCE = 400.0
"""Seconds that libraries and networks may take to be ready on a processor that has much else to do."""
SIGMA = 120.0
"""Standard deviation of the hills' heights in metres."""


def epoch_in(text: str) -> int:
    """The epoch that a progress text is about: the second word of "Epoch 3 of 40, step 1 of 8 · ..."."""
    return int(text.split()[1])


class Training:
    """A run of Train generator: its results, its error, and what it told.

    ``act`` is called once, from another thread, with the feedback when the training is at an epoch or beyond.
    """

    def __init__(
        self, parameters: dict[str, Any], epoch: int = 1, act: Callable[[Any], None] | None = None
    ) -> None:
        import processing
        from qgis.core import QgsProcessingException, QgsProcessingFeedback

        texts: list[str] = []

        class Feedback(QgsProcessingFeedback):
            def setProgressText(self, text: str) -> None:
                texts.append(text)

        feedback = Feedback(False)
        self.texts = texts
        self.results: dict[str, Any] = {}
        self.error = ""
        self.acted = 0.0

        def watch() -> None:
            try:
                wait_for(lambda: texts and epoch_in(texts[-1]) >= epoch, PATIENCE)
            except BaseException:
                # Nobody else would end the training that the test waits for.
                feedback.cancel()
                raise
            self.acted = time.monotonic()
            if act is not None:
                act(feedback)

        watcher = threading.Thread(target=watch, daemon=True)
        if act is not None:
            watcher.start()
        try:
            self.results = processing.run("imagetodem:traingenerator", parameters, feedback=feedback)
        except QgsProcessingException as error:
            self.error = str(error)
        self.ended = time.monotonic()
        self.said = feedback.textLog()


# --- a training whose model predicts ------------------------------------------------------------------------


def write_recipe(file: Path, stage: dict[str, Any], **changes: Any) -> Path:
    """The default recipe with its first stage alone, a small network on small tiles, and further changes."""
    from imagetodem_qgis.runtime.locations import training_folder

    recipe = json.loads((training_folder() / "recipes" / "default.json").read_text(encoding="utf-8"))
    recipe["stages"] = [{**recipe["stages"][0], "schedule": "constant", **stage}]
    recipe["architecture"] = {"name": "coarse_unet", "tile_size": 64}
    file.write_text(json.dumps({**recipe, "patience": 0, **changes}), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def trained(qgis_app, tmp_path_factory) -> tuple[Training, Path]:
    """A training on twelve tiles, and the folder that it worked in."""
    folder = tmp_path_factory.mktemp("trained")
    stage = {"batch_size": 8, "epochs": 8, "steps_per_epoch": 10}
    parameters = {
        "DATASET": str(write_dataset(folder / "hills", train=8, validation=4)),
        "RECIPE": str(write_recipe(folder / "recipe.json", stage)),
        "DEVICE": "cpu",
        "OUTPUT": str(folder / "model"),
        "REPORT": str(folder / "report.html"),
    }
    return Training(parameters), folder


def test_a_training_comes_to_a_whole_model(trained):
    from imagetodem_qgis.runtime.models import open_model_file

    training, folder = trained
    assert training.error == ""
    results = training.results
    assert results["OUTPUT"] == str(folder / "model")
    assert results["REPORT"] == str(folder / "report.html")
    assert results["EPOCHS_DONE"] >= results["BEST_EPOCH"] >= 1
    assert results["EPOCHS_DONE"] == 8
    assert 0 < results["VALIDATION_RMSE"] < 0.8 * SIGMA
    model = open_model_file(folder / "model", folder)
    assert model.card.name == "model"
    assert set(model.engines) == {"onnxruntime", "tensorflow"}
    assert not list(folder.glob(".model.*"))


def test_the_log_names_the_device_and_the_progress_losses_and_time(trained):
    training, _ = trained
    assert "CPU" in training.said or "processor" in training.said
    assert any("loss" in text and "left" in text and "Epoch" in text for text in training.texts)


def test_the_report_opens_without_network(trained):
    _, folder = trained
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    for fetched in ('src="http', 'href="http', "url(http", "@import"):
        assert fetched not in page


@pytest.mark.parametrize("engine", ["onnxruntime", "tensorflow"])
def test_the_model_predicts(trained, predict, engine):
    training, folder = trained
    held_out = folder / "hills" / "images" / "tile_11.tif"
    results = predict(held_out, MODEL_FILE=training.results["OUTPUT"], ENGINE=engine)
    heights = read_surface(results["OUTPUT"]).heights
    truth = gdal.Open(str(folder / "hills" / "dems" / "tile_11.tif")).ReadAsArray()
    assert heights.shape == truth.shape
    assert np.isfinite(heights).all()
    correlation = np.corrcoef(centred(heights).ravel(), centred(truth).ravel())[0, 1]
    assert correlation > 0.6


def test_fine_tuning_goes_on_from_a_model(qgis_app, shipped_model, tmp_path):
    parameters = {
        "DATASET": str(write_dataset(tmp_path / "hills", train=3, validation=2, size=256)),
        "START_FROM": shipped_model,
        "MINUTES": 0.05,
        "DEVICE": "cpu",
        "OUTPUT": str(tmp_path / "tuned"),
        "REPORT": str(tmp_path / "report.html"),
    }
    run = Training(parameters)
    assert run.error == ""
    card = json.loads((tmp_path / "tuned" / "model.json").read_text(encoding="utf-8"))
    assert card["name"] == "tuned"
    assert card["start_from"]["name"] == shipped_model
    assert "before fine-tuning" in (tmp_path / "report.html").read_text(encoding="utf-8")
    (figures,) = card["metrics"]["validation"].values()
    assert {"model", "before fine-tuning", "luminance"} <= set(figures)


# --- bad data -----------------------------------------------------------------------------------------------


def test_a_dem_without_heights_is_named_before_training(qgis_process, tmp_path):
    """In the installed plugin, where the package ``training`` lies inside it."""
    dataset = write_dataset(tmp_path / "hills", train=2, validation=1, size=64)
    change_raster(dataset / "dems" / "tile_00.tif", lambda heights: np.full_like(heights, -9999.0))
    parameters = (f"DATASET={dataset}", f"OUTPUT={tmp_path / 'model'}")
    done = qgis_process("run", "imagetodem:traingenerator", "--", *parameters)
    assert done.returncode != 0
    assert "DATASET: " in done.stderr
    assert "tile_00" in done.stderr
    assert "Epoch" not in done.stdout
    assert not (tmp_path / "model").exists()
    assert not list(tmp_path.glob("*.training/checkpoint*"))


# --- interruptions ------------------------------------------------------------------------------------------


@pytest.fixture
def long_run(qgis_app, tmp_path) -> dict[str, Any]:
    """Parameters of a training of many short epochs, at whose OUTPUT an earlier model lies."""
    stage = {"batch_size": 2, "epochs": 400, "steps_per_epoch": 4}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text(EARLIER, encoding="utf-8")
    return {
        "DATASET": str(write_dataset(tmp_path / "hills", train=2, validation=1, size=64)),
        "RECIPE": str(write_recipe(tmp_path / "recipe.json", stage, checkpoint_seconds=0.5)),
        "DEVICE": "cpu",
        "OUTPUT": str(tmp_path / "model"),
    }


def earlier_model_is_untouched(folder: Path) -> bool:
    names = [path.name for path in (folder / "model").iterdir()]
    return names == ["model.json"] and (folder / "model" / "model.json").read_text("utf-8") == EARLIER


def epoch_of_the_resumed(parameters: dict[str, Any]) -> int:
    """The epoch that a resumed training begins with; it is cancelled there."""
    resumed = Training({**parameters, "RESUME": True}, 1, lambda feedback: feedback.cancel())
    assert resumed.error == ""
    return epoch_in(resumed.texts[0])


@needs_proc
def test_a_cancelled_training_ends_within_a_second_and_goes_on_where_it_was(long_run, tmp_path):
    run = Training(long_run, 3, lambda feedback: feedback.cancel())
    assert run.error == ""
    assert "OUTPUT" not in run.results
    assert 0 < run.ended - run.acted < 1.0
    assert children(os.getpid()) == []
    assert earlier_model_is_untouched(tmp_path)
    assert "RESUME" in run.said
    assert epoch_of_the_resumed(long_run) >= 3


@needs_proc
def test_a_killed_training_is_told_as_lack_of_memory_and_goes_on(long_run, tmp_path):
    def kill(feedback: Any) -> None:
        for child in children(os.getpid()):
            os.kill(child, signal.SIGKILL)

    run = Training(long_run, 3, kill)
    for words in ("memory", "BATCH_SIZE", "RESUME"):
        assert words in run.error
    assert run.ended - run.acted < 5.0
    assert earlier_model_is_untouched(tmp_path)
    assert epoch_of_the_resumed(long_run) >= 2


@needs_proc
def test_a_killed_qgis_takes_its_training_along_which_goes_on(long_run, tmp_path):
    (tmp_path / "settings").mkdir()
    qgis = start_qgis(tmp_path / "settings", "imagetodem:traingenerator", long_run)
    run = tmp_path / "model.training"
    try:
        wait_for(lambda: qgis.poll() is not None or (run / "checkpoint.npz").exists(), PATIENCE)
        assert qgis.poll() is None, qgis.communicate()[1]
        (worker,) = children(qgis.pid)
    finally:
        qgis.kill()
        qgis.wait()
    wait_for(lambda: not Path(f"/proc/{worker}").exists())
    assert earlier_model_is_untouched(tmp_path)
    assert epoch_of_the_resumed(long_run) >= 1


def test_nothing_heavy_comes_into_qgis(trained):
    heavy = {"tensorflow", "keras", "torch", "onnxruntime", "onnx", "ee", "scipy"}
    assert "VALIDATION_RMSE" in trained[0].results
    assert heavy & {module.split(".")[0] for module in sys.modules} == set()
