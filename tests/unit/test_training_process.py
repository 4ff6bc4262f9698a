"""A training in a child process: what it tells, how it is stopped, and what is said when it dies.

The child is the real one but for the training itself: in its place stands a loop that counts steps.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from imagetodem_qgis.runtime import training
from imagetodem_qgis.runtime.training import Outcome, TrainingCancelled, TrainingError, run_training
from imagetodem_qgis.worker.train import progress_text

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = """
import os, signal, sys, time, types
sys.path.append({root!r})
from training.request import Cancelled, DataError, Progress, Result, TrainingError

def train(request, listener):
    run = request.output
    run.mkdir(parents=True, exist_ok=True)
    print("a library prints what it likes")
    listener.note(f"computing on {{request.device}}, {{request.datasets[0].name}}")
    if request.name == "deaf":
        time.sleep(600)
    for step in range(1, 101):
        if listener.cancelled():
            (run / "checkpoint").write_text(str(step))
            raise Cancelled
        if request.name == "bad data":
            raise DataError("dems/a.tif is all nodata")
        if request.name == "bad recipe":
            raise TrainingError("there is no loss 'l7'")
        if request.name == "bug":
            raise RuntimeError("a bug")
        if request.name == "killed" and step == 3:
            print("the last words", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        listener.progress(Progress(1, 1, step, 100, {{"l1": 0.5}}, {{}}, 9.0, step / 100))
        time.sleep(0.002 if request.name == "quick" else 0.1)
    listener.warn("few pairs")
    model = run / "model"
    return Result(model, model / "report.html", 7, 5, 12.5, ())

stand_in = types.ModuleType("training.train")
stand_in.train = train
sys.modules["training.train"] = stand_in
from imagetodem_qgis.worker.train import main
main()
"""


class Hearing:
    """Keeps what it is told; cancels once something was said a number of times."""

    def __init__(self, cancel_at_progress: int = -1) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []
        self.logged: list[str] = []
        self.texts: list[str] = []
        self.percents: list[float] = []
        self.cancelled_at = 0.0
        self._cancel_at = cancel_at_progress
        self.say, self.warn, self.log = self.said.append, self.warned.append, self.logged.append
        self.text, self.progress = self.texts.append, self.percents.append

    def is_cancelled(self) -> bool:
        cancelled = self._cancel_at >= 0 and len(self.percents) >= self._cancel_at and bool(self.said)
        if cancelled and not self.cancelled_at:
            self.cancelled_at = time.monotonic()
        return cancelled


@pytest.fixture
def order(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGETODEM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(
        training, "_START", STAND_IN.format(root=str(ROOT)).replace("{", "{{").replace("}", "}}")
    )
    return lambda name: {
        "datasets": [str(tmp_path / "pairs")],
        "output": str(tmp_path / "model.training"),
        "name": name,
        "device": "cpu",
    }


def python() -> Path:
    return Path(sys.executable)


def test_what_a_training_tells_comes_through(order, tmp_path):
    hearing = Hearing()
    outcome = run_training(python(), order("quick"), hearing)
    model = tmp_path / "model.training" / "model"
    assert outcome == Outcome(model, model / "report.html", 7, 5, 12.5)
    assert hearing.said == ["computing on cpu, pairs"]
    assert hearing.warned == ["few pairs"]
    assert hearing.percents == pytest.approx(list(range(1, 101)))
    assert hearing.texts[0] == "Epoch 1 of 1, step 1 of 100 · l1 0.5 · 9 s left"
    assert "a library prints what it likes" in hearing.logged


def test_cancelling_lets_the_step_end_and_be_kept(order, tmp_path):
    hearing = Hearing(cancel_at_progress=2)
    with pytest.raises(TrainingCancelled):
        run_training(python(), order("slow"), hearing)
    assert time.monotonic() - hearing.cancelled_at < 1.0
    assert 2 <= int((tmp_path / "model.training" / "checkpoint").read_text()) <= 6


def test_cancelling_ends_a_training_that_does_not_listen(order, tmp_path):
    hearing = Hearing(cancel_at_progress=0)
    with pytest.raises(TrainingCancelled):
        run_training(python(), order("deaf"), hearing)
    assert time.monotonic() - hearing.cancelled_at < 1.2
    assert not (tmp_path / "model.training" / "checkpoint").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bad data", "DATASET: dems/a.tif is all nodata"),
        ("bad recipe", "there is no loss 'l7'"),
    ],
)
def test_a_refusal_comes_with_its_own_words_alone(order, name, message):
    with pytest.raises(TrainingError) as caught:
        run_training(python(), order(name), Hearing())
    assert str(caught.value) == message


def test_a_crash_comes_with_the_end_of_the_log(order):
    with pytest.raises(TrainingError, match=r"ended unexpectedly \(exit code 1\)") as caught:
        run_training(python(), order("bug"), Hearing())
    assert "RuntimeError: a bug" in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_kill_is_told_as_lack_of_memory_with_the_way_on(order):
    with pytest.raises(TrainingError, match="memory") as caught:
        run_training(python(), order("killed"), Hearing())
    for words in ("The training was killed", "BATCH_SIZE", "RESUME", "the last words"):
        assert words in str(caught.value)


def test_an_interpreter_that_cannot_be_started(order, tmp_path):
    with pytest.raises(TrainingError, match="imagetodem:setupenvironment"):
        run_training(tmp_path / "python", order("quick"), Hearing())


def test_two_trainings_do_not_share_a_run(order):
    errors = []

    def second() -> None:
        with pytest.raises(TrainingError) as caught:
            run_training(python(), order("slow"), Hearing())
        errors.append(str(caught.value))

    class StartsAnother(Hearing):
        def is_cancelled(self) -> bool:
            if self.percents and not errors:
                other = threading.Thread(target=second)
                other.start()
                other.join()
            return bool(errors)

    with pytest.raises(TrainingCancelled):
        run_training(python(), order("slow"), StartsAnother())
    assert "another training is at work" in errors[0]
    assert errors[0].startswith("OUTPUT")


def test_a_training_whose_qgis_is_gone_keeps_what_it_learned_and_ends(order, tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", STAND_IN.format(root=str(ROOT))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "IMAGETODEM_HOME": str(tmp_path / "home")},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(order("slow")).encode() + b"\n")
    child.stdin.flush()
    while json.loads(child.stdout.readline())["event"] != "progress":
        assert child.poll() is None
    for stream in (child.stdin, child.stdout):
        stream.close()
    child.wait(15.0)
    assert (tmp_path / "model.training" / "checkpoint").exists()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, " · 0 s left"),
        (119, " · 2 min left"),
        (89, " · 89 s left"),
        (9000, " · 2.5 h left"),
        (None, ""),
    ],
)
def test_the_time_left_in_words(seconds, words):
    from training.request import Progress

    progress: Any = Progress(2, 5, 3, 4, {"loss": 1.23456}, {"rmse_by_sigma": 0.9}, seconds, 0.35)
    figures = "loss 1.235 · held-out rmse by sigma 0.9"
    assert progress_text(progress) == f"Epoch 2 of 5, step 3 of 4 · {figures}{words}"
