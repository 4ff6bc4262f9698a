from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

log = pytest.importorskip("training.report.tensorboard_log", reason="needs TensorBoard")

ROOT = Path(__file__).resolve().parents[2]


def test_tensorboard_reads_what_was_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    picture = tmp_path / "picture.png"
    Image.new("RGB", (7, 5), (10, 20, 30)).save(picture)
    with log.TensorBoardLog(tmp_path / "log") as first:
        first.scalars(1, {"training/loss": 2.5, "validation/rmse": 80.0})
        first.scalars(2, {"training/loss": 1.25})
    # A run that goes on.
    second = log.TensorBoardLog(tmp_path / "log")
    second.scalars(3, {"training/loss": 0.625})
    second.picture(3, "tiles", picture)
    second.close()
    second.close()
    assert len(list((tmp_path / "log").iterdir())) == 2
    read = EventAccumulator(str(tmp_path / "log")).Reload()
    assert [(event.step, event.value) for event in read.Scalars("training/loss")] == [
        (1, 2.5),
        (2, 1.25),
        (3, 0.625),
    ]
    assert [event.value for event in read.Scalars("validation/rmse")] == [80.0]
    (image,) = read.Images("tiles")
    assert (image.step, image.width, image.height) == (3, 7, 5)
    assert image.encoded_image_string == picture.read_bytes()


def test_it_is_on_disk_at_once_and_brings_no_tensorflow(tmp_path):
    script = (
        "import os, sys, pathlib\n"
        "from training.report.tensorboard_log import TensorBoardLog\n"
        "log = TensorBoardLog(pathlib.Path(sys.argv[1]))\n"
        "log.scalars(1, {'loss': 1.0})\n"
        "assert not {'tensorflow', 'torch', 'keras'} & set(sys.modules)\n"
        "os._exit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 7, done.stderr
    (file,) = tmp_path.iterdir()
    assert b"loss" in file.read_bytes()
