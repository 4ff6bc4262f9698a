"""The worker's answers beyond what its engines and its solve give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagetodem_qgis.runtime.client import WorkerError
from imagetodem_qgis.worker import main
from imagetodem_qgis.worker.headless.in_process import InProcessWorker
from tests.tiny_models import write_networks

TILES = np.random.default_rng(0).uniform(-1.0, 1.0, (3, 16, 16, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def opening(tmp_path_factory) -> dict:
    folder: Path = tmp_path_factory.mktemp("networks")
    write_networks(folder)
    network = {"kind": "onnx", "path": str(folder / "red.onnx")}
    return {"type": "open", "engine": "onnxruntime", "device": "cpu", "model": network}


def test_a_trial_tells_how_long_a_tile_takes(opening):
    worker = InProcessWorker()
    assert "seconds" not in worker.ask(opening).header
    told = worker.ask({**opening, "trial": [2, 16, 16, 3]}).header
    assert (told["engine"], told["device"]) == ("onnxruntime", "CPU")
    assert 0.0 < told["seconds"] < 60.0


def test_a_trial_of_a_shape_that_the_network_does_not_take_is_told(opening):
    with pytest.raises(WorkerError):
        InProcessWorker().ask({**opening, "trial": [1, 16, 16]})


def test_the_engine_is_loaded_anew_for_another_number_of_threads_alone(opening, monkeypatch):
    loaded = []
    real = main.open_engine

    def open_engine(engine, model, device, threads):
        loaded.append(threads)
        return real(engine, model, device, threads)

    monkeypatch.setattr(main, "open_engine", open_engine)
    worker = InProcessWorker()
    worker.ask(opening)
    answers = []
    for threads in (0, 1, 1, 2, 0):
        answered = worker.ask({"type": "predict", "threads": threads}, [TILES])
        assert answered.header["seconds"] > 0.0
        answers.append(answered.arrays[0])
    assert loaded == [None, 1, 2, None]
    for answer in answers:
        np.testing.assert_allclose(answer[..., 0], 10.0 * TILES[..., 0], rtol=1e-6)
    worker.ask({"type": "predict"}, [TILES])
    assert loaded == [None, 1, 2, None]


def test_answers_come_in_the_order_of_the_questions(opening):
    worker = InProcessWorker()
    worker.send(opening)
    for tile in range(3):
        worker.send({"type": "predict"}, [TILES[tile : tile + 1]])
    assert worker.receive().header["type"] == "opened"
    for tile in range(3):
        np.testing.assert_allclose(
            worker.receive().arrays[0][0, ..., 0], 10.0 * TILES[tile, ..., 0], rtol=1e-6
        )
