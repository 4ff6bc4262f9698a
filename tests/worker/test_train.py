from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from imagetodem_qgis.core.card import ONNX_FILE, parse_card
from tests.conftest import ROOT
from tests.tiny_dataset import write_dataset
from tests.tiny_generator import TINY
from tests.tiny_training import Recording
from training import checkpoint, steps
from training.generator import build
from training.networks import WEIGHTS_FILE
from training.package import package
from training.train import DataError, Request, TrainingError, train

STILL = 1e-30
"""A learning rate that moves no weight."""


def test_it_learns_and_makes_a_model(finished):
    request, result, listener = finished
    assert result.epochs_done == 3
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    best = min(result.history, key=lambda row: row["validation_rmse_by_sigma"])
    assert result.best_epoch == best["epoch"]
    assert result.validation_rmse == best["validation_rmse"]
    assert best["validation_rmse_by_sigma"] < 0.8
    assert result.history[-1]["loss"] < result.history[0]["loss"]

    card = parse_card((result.model / "model.json").read_text())
    assert card.outputs == ("height", "log_scale")
    assert card.tile_size == 32
    assert card.gsd_range == pytest.approx((30.0, 30.0), rel=0.01)
    assert card.content["training_data"]["pairs"] == 4
    assert card.content["training_data"]["sources"] == ["hills"]
    assert card.content["training"]["best_epoch"] == result.best_epoch
    assert card.content["metrics"]["validation"]["hills"]["luminance"]["rmse_by_sigma_shift_scale"] > 0.0
    assert card.spread_factor > 0.0
    assert str(request.output) not in json.dumps(card.content)

    page = result.report.read_text()
    assert "tiny" in page
    assert (request.output / "pictures").is_dir()
    assert list((request.output / "tensorboard").iterdir())


def test_the_model_has_the_best_weights_and_both_files_hold_the_same(finished):
    request, result, _ = finished
    best = checkpoint.load_weights(request.output, result.best_epoch)
    card = parse_card((result.model / "model.json").read_text())
    model = build(card.architecture)
    model.load_weights(result.model / WEIGHTS_FILE)
    for weight, kept in zip(model.get_weights(), best):
        np.testing.assert_array_equal(weight, kept.astype(np.float16).astype(np.float32))
    tiles = np.random.default_rng(0).normal(size=(2, 32, 32, 4)).astype(np.float32)
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(result.model / ONNX_FILE))
    np.testing.assert_allclose(
        session.run(None, {"tiles": tiles})[0], steps.adapter().make_answer(model)(tiles), atol=1e-4
    )


def test_a_finished_run_is_published_under_a_name(finished, tmp_path):
    request, result, _ = finished
    output = tmp_path / "hills-tiny"
    output.mkdir()
    (output / "old.txt").write_text("of an earlier version")
    package(request.output, request.datasets, output, name="hills-tiny", version="1.2.3")
    assert sorted(path.name for path in output.iterdir()) == [ONNX_FILE, WEIGHTS_FILE, "model.json"]
    assert list(tmp_path.iterdir()) == [output]
    card = parse_card((output / "model.json").read_text())
    assert (card.name, card.version) == ("hills-tiny", "1.2.3")
    assert (output / ONNX_FILE).read_bytes() == (result.model / ONNX_FILE).read_bytes()
    assert card.files[ONNX_FILE] == hashlib.sha256((output / ONNX_FILE).read_bytes()).hexdigest()
    metrics = card.content["metrics"]
    # Pairs of 96 pixels hold nine tiles of 32.
    tiles = {split: figures["hills"]["model"]["tiles"] for split, figures in metrics.items()}
    assert tiles == {"validation": 18, "test": 9}
    within = metrics["validation"]["hills"]["model"]["within_1_sigma"]
    assert within == pytest.approx(0.68, abs=0.05)


def test_the_listener_hears_how_it_goes(finished):
    _, result, listener = finished
    assert any("processor" in note for note in listener.notes)
    assert any("4 training pairs, 2 held out" in note for note in listener.notes)
    assert not listener.warnings
    assert listener.asked == 12
    fractions = [progress.fraction for progress in listener.told]
    assert fractions == sorted(fractions)
    last = listener.told[-1]
    assert (last.epoch, last.epochs, last.step, last.steps, last.fraction) == (3, 3, 4, 4, 1.0)
    assert last.validation["rmse"] == result.history[-1]["validation_rmse"]
    assert last.losses["relief"] == result.history[-1]["relief"]
    assert last.seconds_left == 0.0


def test_memory_that_runs_out_halves_the_batch_and_repeats_the_step(request_for, monkeypatch):
    adapter = steps.adapter()
    real, sizes = adapter.make_step, []

    def make_step(learner, replicas):
        step = real(learner, replicas)

        def limited(inputs, target):
            sizes.append(len(inputs))
            if len(inputs) > 2:
                raise MemoryError
            return step(inputs, target)

        return limited

    monkeypatch.setattr(adapter, "make_step", make_step)
    request, listener = request_for(stage={"epochs": 1, "batch_size": 8, "steps_per_epoch": 3}), Recording()
    result = train(request, listener)
    assert sizes == [8, 4, 2, 2, 2]
    assert [warning[:60] for warning in listener.warnings] == [
        "Memory ran out with batches of 8 tiles: going on with 4, fro",
        "Memory ran out with batches of 4 tiles: going on with 2, fro",
    ]
    assert result.history[0]["batch_size"] == 2
    assert result.history[0]["step"] == 3
    assert "Memory ran out" in result.report.read_text()

    monkeypatch.setattr(adapter, "make_step", lambda learner, replicas: lambda *batch: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        train(request, Recording())

    def never(*batch: object) -> dict:
        raise MemoryError

    monkeypatch.setattr(adapter, "make_step", lambda learner, replicas: never)
    with pytest.raises(TrainingError, match="memory is too small for a batch of one tile"):
        train(request, Recording())


def test_fine_tuning_begins_with_the_model_and_keeps_it_where_nothing_is_better(finished, request_for):
    _, before, _ = finished
    stage = {"learning_rate": STILL, "epochs": 9}
    request = request_for({"start_from": before.model}, patience=1, stage=stage)
    listener = Recording()
    after = train(request, listener)
    assert [row["epoch"] for row in after.history] == [0, 1]
    assert after.best_epoch == 0
    assert any("No better validation in 1 epochs" in note for note in listener.notes)
    # The first word comes before any step, when nothing tells how long it takes.
    first = listener.told[0]
    assert (first.epoch, first.step, first.steps, first.seconds_left) == (1, 0, 4, None)
    assert after.validation_rmse == pytest.approx(before.validation_rmse, rel=1e-2)
    assert (after.model / ONNX_FILE).read_bytes() == (before.model / ONNX_FILE).read_bytes()
    card = parse_card((after.model / "model.json").read_text())
    assert card.content["start_from"]["name"] == "run"
    start = parse_card((before.model / "model.json").read_text()).content["training"]
    assert [past["curve"] for past in card.content["training"]["before"]] == [start["curve"]]
    assert card.content["training"]["before"][0]["command"] == start["command"]
    figures = card.content["metrics"]["validation"]["hills"]
    assert figures["before fine-tuning"] == pytest.approx(figures["model"])


@pytest.mark.parametrize("keep_last", [False, True])
def test_the_last_weights_are_kept_where_they_are_asked_for_however_they_do(finished, request_for, keep_last):
    _, before, _ = finished
    request = request_for(
        {"start_from": before.model, "keep_last": keep_last},
        patience=1,
        stage={"learning_rate": 0.3, "epochs": 3, "schedule": "constant"},
    )
    after = train(request, Recording())
    scores = [row["validation_rmse_by_sigma"] for row in after.history]
    assert scores[-1] > scores[0]
    assert after.best_epoch == (3 if keep_last else 0)
    # Without early stopping: of the last weights none is the best.
    assert len(scores) == (4 if keep_last else 2)
    last = after.history[after.best_epoch]
    assert after.validation_rmse == last["validation_rmse"]
    content = parse_card((after.model / "model.json").read_text()).content
    assert ("--keep-last" in content["training"]["command"]) is keep_last
    figures = content["metrics"]["validation"]["hills"]
    same = figures["before fine-tuning"] == pytest.approx(figures["model"])
    assert same is not keep_last


@pytest.mark.parametrize(("rate", "full"), [(1e-3, True), (STILL, False)])
def test_what_has_learned_fine_ground_answers_in_full_colours_and_else_as_before(tmp_path, rate, full):
    start = ROOT / "model_weights" / "relief-light"
    before = parse_card((start / "model.json").read_text()).architecture
    assert before["muted"] is True
    hills = write_dataset(tmp_path / "hills", ("train", "validation"), side=256)
    # Epochs, not seconds: a busy machine must come as far.
    run = Request((hills,), tmp_path / "run", start_from=start, learning_rate=rate, epochs=1, device="cpu")
    result = train(run, Recording())
    assert (result.best_epoch > 0) is full
    after = parse_card((result.model / "model.json").read_text()).architecture
    assert after == {key: value for key, value in before.items() if key != "muted" or not full}


def test_what_a_model_cannot_become_is_refused(finished, request_for):
    _, before, _ = finished
    for fields, message in (
        (
            {"direction": "dem_to_image"},
            "DIRECTION is dem_to_image, but the model .* is image_to_dem",
        ),
        (
            {"architecture": "light_unet"},
            f"ARCHITECTURE is light_unet, but the model .* is {TINY}",
        ),
        ({"start_from": before.model.parent}, "is no model's folder"),
    ):
        with pytest.raises(TrainingError, match=message):
            train(request_for({"start_from": before.model, **fields}), Recording())
    with pytest.raises(TrainingError, match="DEVICE is 'tpu'"):
        train(request_for({"device": "tpu"}), Recording())
    with pytest.raises(TrainingError, match="PRECISION is 'int8'"):
        train(request_for({"precision": "int8"}), Recording())


SHORT = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 2}


@pytest.mark.parametrize("direction", ["guided", "dem_to_image"])
def test_the_other_tasks_make_models_too(request_for, direction):
    inputs = ["red", "green", "blue", "coarse_dem", "log_ground_sampling_distance"]
    if direction == "guided":
        result = train(request_for(inputs=inputs, losses={"detail": 1.0}, stage=SHORT), Recording())
    else:
        fields = {"direction": direction, "lambda_": 50.0}
        game = {"adversarial": 0.1, "discriminator": {"filters": [4, 4, 4, 4]}}
        result = train(request_for(fields, stage={**SHORT, "tile_size": 32}, **game), Recording())
        assert result.history[0]["discriminator"] > 0.0
        assert result.history[0]["loss"] == pytest.approx(
            50.0 * result.history[0]["l1"] + result.history[0]["adversarial"], rel=1e-5
        )
    card = parse_card((result.model / "model.json").read_text())
    assert card.task == direction
    assert np.isfinite(result.validation_rmse)
    figures = card.content["metrics"]["validation"]
    assert figures
    assert all(answers["model"]["tiles"] > 0 for answers in figures.values())


def test_a_guided_model_is_gone_on_with_by_what_its_coarse_dem_lacks(request_for):
    inputs = ["red", "green", "blue", "coarse_dem", "log_ground_sampling_distance"]
    first = train(request_for(inputs=inputs, losses={"detail": 1.0}, stage=SHORT), Recording())
    # A recipe for images alone, as fine_tune is, whose loss would take the coarse DEM for a mask.
    again = train(request_for({"start_from": first.model}, stage={**SHORT, "epochs": 2}), Recording())
    assert "relief" not in again.history[-1]
    assert all(row["detail"] > 0.0 and np.isfinite(row["detail"]) for row in again.history[1:])
    assert again.history[0]["validation_rmse"] == pytest.approx(
        first.history[-1]["validation_rmse"], rel=1e-4
    )
    assert parse_card((again.model / "model.json").read_text()).task == "guided"


def test_every_training_behind_a_model_stays_in_its_card(request_for):
    model, commands = None, []
    for seed in (1, 2, 3):
        fields = {"seed": seed} if model is None else {"seed": seed, "start_from": model}
        model = train(request_for(fields, stage=SHORT), Recording()).model
        training = json.loads((model / "model.json").read_text())["training"]
        assert [past["command"] for past in training.get("before", [])] == commands
        assert f"--seed {seed}" in training["command"]
        commands.append(training["command"])


@pytest.mark.parametrize("told", [{}, {"training": "in 2020"}, {"training": {"before": "long ago"}}])
def test_a_card_need_not_tell_of_its_training_for_its_model_to_be_gone_on_with(
    finished, request_for, tmp_path, told
):
    _, before, _ = finished
    start = tmp_path / "start"
    shutil.copytree(before.model, start)
    card = json.loads((start / "model.json").read_text())
    del card["training"]
    (start / "model.json").write_text(json.dumps({**card, **told}))
    model = train(request_for({"start_from": start}, stage=SHORT), Recording()).model
    past = json.loads((model / "model.json").read_text())["training"]["before"]
    assert past == ([{"version": "1.0.0"}] if isinstance(told.get("training"), dict) else [])


def test_a_relative_model_tells_its_heights(request_for):
    result = train(request_for(target="relative", losses={"l1": 1.0}, stage=SHORT), Recording())
    card = parse_card((result.model / "model.json").read_text())
    heights = card.content["heights"]
    assert card.target == "relative"
    assert 300.0 < heights["minimum"] < 800.0 < 1200.0 < heights["maximum"] < 1700.0


def test_a_budget_of_time_ends_the_run_and_its_schedule(request_for):
    stage = {"epochs": 1, "steps_per_epoch": 3, "batch_size": 1}
    result = train(request_for({"budget_seconds": 1.5}, stage=stage), Recording())
    assert result.epochs_done > 1
    assert 1.0 < result.history[-1]["seconds"] < 20.0
    # Half a cosine over the time: little is left of 0.01 at its end.
    assert result.history[-1]["learning_rate"] < 0.005


def test_numbers_that_run_away_are_told(request_for):
    changes = {"stage": {"learning_rate": 1e12}, "optimiser": {"name": "adam"}, "losses": {"l1": 1.0}}
    words = r"(became (nan|inf)|infinite numbers|half precision).*smaller LEARNING_RATE"
    with pytest.raises(TrainingError, match=words):
        train(request_for(**changes), Recording())
    assert keras.mixed_precision.global_policy().name == "float32"


def test_bad_data_are_refused_before_anything_is_written(tmp_path, request_for):
    folder = write_dataset(tmp_path / "data", ("train", "train"))
    request = request_for({"datasets": (folder,)})
    with pytest.raises(DataError, match="the split 'validation' has no pair"):
        train(request, Recording())
    assert not request.output.exists()


def test_help_needs_no_learning_library():
    script = (
        "import sys; sys.argv = ['train', '--help']\n"
        "import runpy\n"
        "try:\n    runpy.run_module('training.train', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({'keras', 'tensorflow', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "[]"
    for option in ("--data", "--start-from", "--lambda", "--resume", "--terrains", "--budget"):
        assert option in done.stdout
