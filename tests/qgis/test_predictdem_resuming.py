"""Runs of Predict DEM that are cut off, and go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.qgis.processes import ROOT, needs_proc, start_qgis, wait_for
from tests.rasters import colours, read_surface, write_image

UNFINISHED = "dem.unfinished"


@pytest.fixture
def run(tmp_path, tiny_model) -> dict[str, Any]:
    """Parameters of a run of some seconds, with a hole in the image and a tile that is all hole."""
    bands = colours(170, 150)
    bands[:70, :80] = 0
    bands[120:, 100:110] = 0
    return {
        "INPUT": str(write_image(tmp_path / "image.tif", bands, nodata=0)),
        "MODEL_FILE": str(tiny_model("slow")),
        "OVERLAP": 60,
        "BATCH_SIZE": 2,
        "OUTPUT": str(tmp_path / "dem.tif"),
    }


@pytest.fixture
def uninterrupted(run, tmp_path_factory, predict) -> np.ndarray:
    folder = tmp_path_factory.mktemp("uninterrupted")
    parameters = {**run, "OUTPUT": str(folder / "whole.tif")}
    results = predict(parameters.pop("INPUT"), **parameters)
    assert sorted(path.name for path in folder.iterdir()) == ["whole.qml", "whole.tif"]
    return read_surface(results["OUTPUT"]).heights


def cancelled(run: dict[str, Any], percent: float) -> str:
    """Run until so much is done, then cancel; what was told."""
    import processing
    from qgis.core import QgsProcessingFeedback

    feedback = QgsProcessingFeedback(False)

    def watch() -> None:
        wait_for(lambda: feedback.progress() > percent)
        feedback.cancel()

    threading.Thread(target=watch, daemon=True).start()
    assert "OUTPUT" not in processing.run("imagetodem:predictdem", run, feedback=feedback)
    return feedback.textLog()


def gone_on(predict: Any, run: dict[str, Any]) -> tuple[int, np.ndarray]:
    """Run to the end: how many tiles were done before, and the heights."""
    results = predict(run["INPUT"], **{name: run[name] for name in run if name != "INPUT"})
    before = [line for line in results["said"].splitlines() if "Going on" in line]
    tiles = int(before[0].split(":")[1].split()[0]) if before else 0
    return tiles, read_surface(results["OUTPUT"]).heights


def test_a_cancelled_run_goes_on_and_comes_to_the_same(run, tmp_path, predict, uninterrupted):
    told = cancelled(run, 30.0)
    assert str(tmp_path / UNFINISHED) in told
    assert not (tmp_path / "dem.tif").exists()
    tiles, heights = gone_on(predict, run)
    assert tiles > 5
    np.testing.assert_array_equal(heights, uninterrupted)
    assert not (tmp_path / UNFINISHED).exists()


@pytest.mark.parametrize("change", ["overlap", "image", "model"])
def test_another_run_at_the_same_output_starts_anew(run, tmp_path, predict, tiny_model, change):
    cancelled(run, 20.0)
    if change == "overlap":
        run["OVERLAP"] = 5
    elif change == "image":
        write_image(tmp_path / "image.tif", colours(170, 150, seed=9))
        os.utime(tmp_path / "image.tif", (1, 1))
    else:
        run["MODEL_FILE"] = str(tiny_model("red"))
    tiles, heights = gone_on(predict, run)
    assert tiles == 0
    fresh = {**run, "OUTPUT": str(tmp_path / "fresh.tif")}
    np.testing.assert_array_equal(heights, gone_on(predict, fresh)[1])
    assert not (tmp_path / UNFINISHED).exists()


def test_time_and_disk_are_told_before_the_first_tile(predict, tmp_path):
    results = predict(write_image(tmp_path / "image.tif", colours(600, 700)))
    (told,) = [line for line in results["said"].splitlines() if "of disk in" in line]
    assert told.startswith(f"{13 * 15} tiles of 64 pixels with onnxruntime on ")
    # 64 x 64 heights of four bytes a tile; 600 x 700 of them with overviews in the output.
    assert f" s, up to 3 MB of disk in {tmp_path / UNFINISHED} until" in told
    assert "up to 2 MB for the output" in told


def test_a_temporary_output_is_told_of_no_folder(run, qgis_app):
    assert ".unfinished" not in cancelled({**run, "OUTPUT": "TEMPORARY_OUTPUT"}, 5.0).splitlines()[-1]


@needs_proc
def test_killed_ten_times_at_random_moments_it_comes_to_the_same(run, tmp_path, uninterrupted):
    order = {
        "image": run["INPUT"],
        "model": run["MODEL_FILE"],
        "output": run["OUTPUT"],
        "overlap": 0.6,
        "batch_size": 2,
    }
    command = [sys.executable, str(ROOT / "tests" / "predict_run.py"), json.dumps(order)]
    chance = np.random.default_rng(4)
    for number in range(10):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        # From before the worker is there to well into the tiles; later runs reach the writing.
        for _ in range(chance.integers(0, 2 + number)):
            if process.stdout.readline().strip() in ("whole", ""):
                break
        time.sleep(chance.uniform(0.0, 0.1))
        process.kill()
        process.communicate()
        # Killed, or whole before: never ended by a fault of its own.
        assert process.returncode in (-9, 0)
        if (tmp_path / "dem.tif").exists():
            # A quick machine comes to the end of the little that is left.
            assert number >= 5
            break
    else:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.endswith("whole\n"), done.stderr
        assert "Going on where an earlier run stopped" in done.stdout
        assert sorted(path.name for path in tmp_path.glob("*dem*")) == ["dem.tif"]
    np.testing.assert_array_equal(read_surface(tmp_path / "dem.tif").heights, uninterrupted)


@needs_proc
def test_a_killed_qgis_goes_on_and_comes_to_the_same(run, tmp_path, predict, uninterrupted):
    (tmp_path / "settings").mkdir()
    qgis = start_qgis(tmp_path / "settings", "imagetodem:predictdem", run)
    try:
        journal = tmp_path / UNFINISHED / "tiles.journal"
        wait_for(lambda: journal.is_file() and journal.read_bytes().count(b"\n") > 10)
        assert qgis.poll() is None
    finally:
        qgis.kill()
        qgis.communicate()
    # The killed worker may still hold the lock for a moment.
    tiles, heights = gone_on(predict, run)
    assert tiles > 5
    np.testing.assert_array_equal(heights, uninterrupted)
    assert not (tmp_path / UNFINISHED).exists()


def test_the_folder_of_another_thing_is_refused(run, predict, tmp_path):
    from qgis.core import QgsProcessingException

    (tmp_path / UNFINISHED).mkdir()
    (tmp_path / UNFINISHED / "notes.txt").write_text("mine")
    with pytest.raises(QgsProcessingException, match="holds something else"):
        gone_on(predict, run)
    assert Path(tmp_path / UNFINISHED / "notes.txt").read_text() == "mine"
