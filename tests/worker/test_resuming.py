from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagetodem_qgis.core.card import ONNX_FILE
from tests.conftest import ROOT
from tests.tiny_dataset import RECIPE, write_recipe
from tests.tiny_training import Recording
from training import checkpoint
from training.networks import WEIGHTS_FILE
from training.train import Cancelled, Request, TrainingError, train


def last_weights(run: Path) -> dict[str, np.ndarray]:
    with np.load(run / checkpoint.CHECKPOINT_FILE) as file:
        return {name: file[name] for name in file.files if name != "state"}


def assert_same_run(first: Path, second: Path) -> None:
    """Bit for bit: networks, optimisers, averages, the best weights, and the history but its times."""
    here, there = last_weights(first), last_weights(second)
    assert set(here) == set(there)
    for name, weight in here.items():
        np.testing.assert_array_equal(weight, there[name], err_msg=name)
    assert (first / "model" / WEIGHTS_FILE).exists()
    for name in (ONNX_FILE,):
        assert (first / "model" / name).read_bytes() == (second / "model" / name).read_bytes()
    states = [checkpoint.read_state(run) for run in (first, second)]
    histories = [[{**row, "seconds": 0} for row in (state or {})["history"]] for state in states]
    assert histories[0] == histories[1]


def killed(request: Request, when: Callable[[dict], bool]) -> dict:
    """Run a request in a process of its own, kill -9 it when its state is so, and return the state."""
    run = request.output
    command = [sys.executable, "-m", "tests.tiny_generator", "--data", str(request.datasets[0])]
    command += ["--output", str(run), "--recipe", str(request.recipe)]
    command += ["--device", "cpu", "--precision", "float32"]
    if request.start_from is not None:
        command += ["--start-from", str(request.start_from)]
    environment = {**os.environ, "STEPS_BEFORE_SLEEP": "6"}
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment)
    try:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and child.poll() is None:
            state = checkpoint.read_state(run)
            if state is not None and when(state):
                break
            time.sleep(0.05)
    finally:
        child.kill()
        status = child.wait(60)
    assert status != 0
    state = checkpoint.read_state(run)
    assert state is not None
    assert not (run / "model").exists()
    return state


def test_a_killed_run_goes_on_to_the_same_end(finished, tmp_path):
    """Kill -9 in the middle of an epoch, then RESUME: nothing tells it from the run that was left alone."""
    request, _, _ = finished
    run = replace(request, output=tmp_path / "run")
    state = killed(run, lambda state: state["step"] in (5, 6))
    # Within the second epoch of four steps.
    assert (state["step"], state["epoch"]) in ((5, 1), (6, 1))
    train(replace(run, resume=True), Recording())
    assert_same_run(run.output, request.output)


@pytest.fixture(scope="module")
def in_two_stages(finished, tmp_path_factory) -> Request:
    """Of a run that began with a model and went through two stages."""
    request, result, _ = finished
    folder = tmp_path_factory.mktemp("two_stages")
    stage = RECIPE["stages"][0]
    recipe = write_recipe(folder / "two.json", stages=[{**stage, "epochs": 1, "tile_size": 16}, stage])
    request = replace(request, output=folder / "run", recipe=recipe, start_from=result.model)
    train(request, Recording())
    return request


def test_a_run_that_began_with_a_model_and_was_killed_in_its_second_stage_goes_on(in_two_stages, tmp_path):
    run = replace(in_two_stages, output=tmp_path / "run")
    state = killed(run, lambda state: state["stage"] == 1 and state["step"] in (5, 6))
    # The model as it was, the first stage's epoch, a look at what it handed on, and an epoch of the second.
    assert [row["step"] for row in state["history"]] == [0, 4, 0, 4]
    train(replace(run, resume=True), Recording())
    assert_same_run(run.output, in_two_stages.output)


@pytest.mark.parametrize(("count", "place"), [(4, (0, 4)), (5, (1, 1))])
def test_a_run_that_was_cancelled_where_its_stages_meet_goes_on(in_two_stages, tmp_path, count, place):
    run = replace(in_two_stages, output=tmp_path / "run")
    with pytest.raises(Cancelled):
        train(run, Recording(stop_after=count))
    state = checkpoint.read_state(run.output)
    assert state is not None
    assert (state["stage"], state["step"]) == place
    train(replace(run, resume=True), Recording())
    assert_same_run(run.output, in_two_stages.output)


def test_a_cancelled_run_goes_on_to_the_same_end(finished, tmp_path):
    request, result, _ = finished
    run = replace(request, output=tmp_path / "run")
    listener = Recording(stop_after=8)  # the last step of the second epoch, before its tiles were looked at
    with pytest.raises(Cancelled):
        train(run, listener)
    state = checkpoint.read_state(run.output)
    assert state is not None
    assert (state["step"], state["epoch"], len(state["history"])) == (8, 1, 1)
    listener = Recording()
    train(replace(run, resume=True), listener)
    assert any("Going on after epoch 1, step 8" in note for note in listener.notes)
    assert listener.asked == 4
    assert_same_run(run.output, request.output)

    # A finished run has nothing left to do but the model's folder; with more epochs it goes on.
    listener = Recording()
    again = train(replace(run, resume=True), listener)
    assert listener.asked == 0
    assert again.best_epoch == result.best_epoch
    more = train(replace(run, resume=True, epochs=4), listener)
    assert (more.epochs_done, listener.asked) == (4, 4)


def test_going_on_with_other_settings_is_refused_and_without_resume_begins_anew(finished, tmp_path):
    request, _, _ = finished
    run = replace(request, output=tmp_path / "run")
    with pytest.raises(Cancelled):
        train(run, Recording(stop_after=2))
    with pytest.raises(TrainingError, match="begun with another recipe, seed"):
        train(replace(run, resume=True, seed=2, batch_size=2), Recording())
    listener = Recording(stop_after=1)
    with pytest.raises(Cancelled):
        train(run, listener)
    assert (checkpoint.read_state(run.output) or {})["step"] == 1
    listener = Recording(stop_after=1)
    with pytest.raises(Cancelled):
        train(replace(run, output=tmp_path / "other", resume=True), listener)
    assert any("nothing to go on with" in note for note in listener.notes)
