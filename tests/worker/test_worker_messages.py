"""The worker's answers beyond what its engines and its solve give."""

from __future__ import annotations

import threading
import time
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
    assert [np.shape(answer) for answer in answers] == [(3, 16, 16, answers[0].shape[-1])] * 5
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


class Recording:
    """An engine whose answer is its question plus one, and which counts how it is asked."""

    name, device = "stand-in", "CPU"

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.asked: list[int] = []
        self.most = self._now = 0
        self._lock = threading.Lock()

    def predict(self, tiles):
        with self._lock:
            self.asked.append(len(tiles))
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.05)
        with self._lock:
            self._now -= 1
        if (tiles < 0).all():
            raise ValueError("all of it is below zero")
        return tiles + 1.0


@pytest.fixture
def recording(opening, monkeypatch):
    def opened(lanes: int) -> tuple[Recording, InProcessWorker]:
        engine = Recording(lanes)
        monkeypatch.setattr(main, "open_engine", lambda *_: engine)
        worker = InProcessWorker()
        assert worker.ask(opening).header["lanes"] == lanes
        return engine, worker

    return opened


def test_several_lanes_get_tile_by_tile_and_do_not_wait_for_the_end_of_a_batch(recording):
    engine, worker = recording(3)
    batches = [np.full((4, 2, 2, 1), number, np.float32) for number in range(5)]
    for batch in batches:
        worker.send({"type": "predict"}, [batch])
    answers = [worker.receive() for _ in batches]
    for batch, answer in zip(batches, answers):
        np.testing.assert_array_equal(answer.arrays[0], batch + 1.0)
    assert engine.asked == [1] * 20
    assert engine.most == 3
    # Twenty tiles of a twentieth of a second on three lanes, one batch after the other.
    assert 0.3 < sum(answer.header["seconds"] for answer in answers) < 0.9


def test_one_lane_gets_whole_batches(recording):
    engine, worker = recording(1)
    for count in (4, 2):
        worker.send({"type": "predict"}, [np.zeros((count, 2, 2, 1), np.float32)])
    assert [len(worker.receive().arrays[0]) for _ in range(2)] == [4, 2]
    assert (engine.asked, engine.most) == ([4, 2], 1)


def test_another_number_of_lanes_is_taken_when_it_is_asked_for(recording):
    engine, worker = recording(2)
    worker.ask({"type": "predict", "lanes": 1, "threads": 2}, [np.zeros((4, 2, 2, 1), np.float32)])
    worker.ask({"type": "predict", "lanes": 4, "threads": 1}, [np.zeros((4, 2, 2, 1), np.float32)])
    assert (engine.asked, engine.most) == ([4, 1, 1, 1, 1], 4)


def test_a_lane_that_fails_is_told_and_the_next_batch_is_answered(recording):
    _, worker = recording(2)
    tiles = np.zeros((4, 2, 2, 1), np.float32)
    tiles[2] = -1.0
    worker.send({"type": "predict"}, [tiles])
    worker.send({"type": "predict"}, [tiles + 1.0])
    with pytest.raises(WorkerError, match="all of it is below zero"):
        worker.receive()
    np.testing.assert_array_equal(worker.receive().arrays[0], tiles + 2.0)
