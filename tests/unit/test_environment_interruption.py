"""Environments whose making was killed or cancelled: none passes for whole, and the next run finishes it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagetodem_qgis.runtime.child import ChildCancelled
from imagetodem_qgis.runtime.marker import State, read_marker
from tests.tiny_wheels import PREDICT_MODULES, build_wheels
from tests.unit.environments import Heard, imported, is_whole, make

ROOT = Path(__file__).resolve().parents[2]


def kill_while_making(folder: Path, wheels: Path, words: str) -> None:
    """Make an environment in another process, which kills itself at a line that contains some words."""
    code = (
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from imagetodem_qgis.runtime.environment import Listener, make_environment\n"
        "from imagetodem_qgis.runtime.profiles import PREDICT\n"
        "def hear(line):\n"
        f"    if {words!r} in line: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"wheels = Path({str(wheels)!r})\n"
        f"make_environment(Path({str(folder)!r}), PREDICT, wheels / 'requirements.txt', wheels=wheels,\n"
        "    listener=Listener(hear))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9


def test_a_killed_run_leaves_nothing_that_passes_for_whole_and_the_next_finishes_it(tmp_path, wheels):
    folder = tmp_path / "environment"
    kill_while_making(folder, wheels, "Installing collected")
    assert read_marker(folder).state is State.UNFINISHED
    make(folder, wheels)
    assert is_whole(folder, "predict")
    assert imported(folder, "import numpy, scipy, onnxruntime; print(scipy.__version__)") == "1.0"


@pytest.mark.parametrize("words", ["Processing", "Installing collected", "Checking the packages"])
def test_a_killed_update_leaves_nothing_that_passes_for_whole_and_the_next_finishes_it(made, tmp_path, words):
    newer = tmp_path / "newer"
    build_wheels(newer, PREDICT_MODULES, "2.0")
    kill_while_making(made, newer, words)
    assert read_marker(made).state is State.UNFINISHED
    make(made, newer)
    assert is_whole(made, "predict")
    assert imported(made, "import numpy, scipy, onnxruntime; print(scipy.__version__)") == "2.0"


def test_a_run_killed_while_venv_works_is_finished_by_the_next(tmp_path, wheels):
    folder = tmp_path / "environment"
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    make(folder, wheels)
    assert is_whole(folder, "predict")


def test_cancel_stops_within_a_second_and_is_not_taken_for_whole(tmp_path, wheels):
    heard = Heard(cancel_at="Processing")
    with pytest.raises(ChildCancelled):
        make(tmp_path / "environment", wheels, heard=heard)
    assert time.monotonic() - heard.cancelled_at < 1.0
    assert read_marker(tmp_path / "environment").state is State.UNFINISHED
    assert not (tmp_path / "environment.temporary").exists()


def test_what_predicted_still_predicts_when_adding_train_is_cancelled(made, train_wheels):
    with pytest.raises(ChildCancelled):
        make(made, train_wheels, "train", Heard(cancel_at="Processing"))
    assert is_whole(made, "predict")


def test_the_former_environment_comes_back_after_a_kill(made, tmp_path, wheels):
    aside = made.with_name("environment.former")
    made.rename(aside)
    made.mkdir()
    (made / "pyvenv.cfg").write_text("home = /usr/bin\n")
    heard = Heard()
    make(made, wheels, heard=heard)
    assert heard.lines == [f"The environment in {made} is whole: nothing to do."]
    assert not aside.exists()
