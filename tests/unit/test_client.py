from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from imagetodem_qgis.runtime import client
from imagetodem_qgis.runtime.client import WorkerCancelled, WorkerClient, WorkerError
from imagetodem_qgis.runtime.interpreter import Interpreter, InterpreterError, find_interpreter
from imagetodem_qgis.runtime.models import DEFAULT_MODEL, open_installed_model

# What stands in for an engine inside a real worker: its answer is the tiles' mean, told with much noise.
_NOISY_ENGINE = """
import os, subprocess, sys, time
import numpy as np
import imagetodem_qgis.worker.main as worker

class Engine:
    name, device, lanes = "stand-in", "CPU", 1

    def predict(self, tiles):
        print("printed by a library")
        os.write(1, b"written by a library in C\\n")
        subprocess.run([sys.executable, "-c", "print('printed by a child of it')"])
        print("warned by a library", file=sys.stderr, flush=True)
        if tiles.shape[0] == 13:
            raise RuntimeError("thirteen tiles are too many")
        if tiles.shape[0] == 7:
            os._exit(3)
        if tiles.shape[0] == 99:
            time.sleep(600)
        return tiles.mean(axis=-1, keepdims=True)

worker.open_engine = lambda *details: Engine()
"""


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    try:
        return find_interpreter(None)
    except InterpreterError as error:
        pytest.skip(f"needs the machine-learning environment: {error}")


@pytest.fixture
def noisy(monkeypatch) -> None:
    """Makes the workers of a test run the stand-in engine."""
    start = "import sys; sys.path.append({path!r})\n" + _NOISY_ENGINE.replace("{", "{{").replace("}", "}}")
    monkeypatch.setattr(client, "_START", f"{start}\nworker.main()\n")


def tiles_of(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 8, 8, 3)).astype(np.float32)


def opened(worker: WorkerClient) -> WorkerClient:
    worker.ask({"type": "open", "engine": "onnxruntime", "device": "cpu", "model": {}})
    return worker


def wait_for_the_end_of(pid: int) -> bool:
    """Whether a process is gone within a second."""
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


SOLVE = {"type": "solve", "gains": False}


def asked_of(tiles: int, differences: dict[tuple[int, int], float]) -> list[np.ndarray]:
    """What a solve takes: how much higher the second of two overlapping tiles is than the first."""
    overlaps = [(0.0, difference, 1.0, 1.0, 1.0, 1.0, 1.0) for difference in differences.values()]
    return [
        np.array(list(differences), np.int64).reshape(-1, 2),
        np.array(overlaps, np.float64).reshape(-1, 7),
        np.zeros(0, np.int64),
        np.zeros((0, 3)),
        np.ones(tiles),
    ]


def test_a_real_worker_solves(interpreter):
    with WorkerClient(interpreter.path) as worker:
        answer = worker.ask(SOLVE, asked_of(3, {(0, 1): 3.0, (1, 2): -1.0}))
        pid = worker.pid
    # o0 - o1 = 3, o1 - o2 = -1, sum 0
    np.testing.assert_allclose(answer.arrays[0], [5 / 3, -4 / 3, -1 / 3], atol=1e-8)
    assert answer.header == {"type": "solved", "guessed": 0}
    assert wait_for_the_end_of(pid)


def test_libraries_that_print_do_not_break_the_protocol(interpreter, noisy):
    lines: list[str] = []
    with opened(WorkerClient(interpreter.path, log=lines.append)) as worker:
        for count in (1, 4, 2):
            answer = worker.ask({"type": "predict"}, [tiles_of(count)])
            np.testing.assert_allclose(answer.arrays[0], tiles_of(count).mean(-1, keepdims=True), rtol=1e-6)
    for words in ("written by a library in C", "printed by a child of it", "warned by a library"):
        assert lines.count(words) == 3


def test_answers_come_in_the_order_of_the_requests(interpreter, noisy):
    with opened(WorkerClient(interpreter.path)) as worker:
        for count in (1, 2, 3, 4, 5):
            worker.send({"type": "predict"}, [tiles_of(count)])
        shapes = [worker.receive().arrays[0].shape[0] for _ in range(5)]
    assert shapes == [1, 2, 3, 4, 5]


def test_an_error_inside_is_told_and_the_worker_lives_on(interpreter, noisy):
    lines: list[str] = []
    with opened(WorkerClient(interpreter.path, log=lines.append)) as worker:
        pid = worker.pid
        with pytest.raises(WorkerError, match="^thirteen tiles are too many$"):
            worker.ask({"type": "predict"}, [tiles_of(13)])
        assert worker.ask({"type": "predict"}, [tiles_of(2)]).arrays[0].shape == (2, 8, 8, 1)
        with pytest.raises(WorkerError, match="nonsense"):
            worker.ask({"type": "nonsense"})
        with pytest.raises(WorkerError, match="type"):
            worker.ask({})
        assert worker.ask({"type": "predict"}, [tiles_of(3)]).arrays[0].shape == (3, 8, 8, 1)
        assert worker.pid == pid
    assert any("Traceback" in line for line in lines)


def test_predicting_before_a_model_is_open_is_told(interpreter):
    with WorkerClient(interpreter.path) as worker, pytest.raises(WorkerError, match="before open"):
        worker.ask({"type": "predict"}, [tiles_of(1)])


def test_a_killed_worker_is_told_with_the_logs_last_lines(interpreter, noisy):
    with opened(WorkerClient(interpreter.path)) as worker:
        worker.ask({"type": "predict"}, [tiles_of(1)])
        worker.send({"type": "predict"}, [tiles_of(99)])
        time.sleep(0.5)
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerError) as told:
            worker.receive()
    message = str(told.value)
    assert "killed by the system: most often memory ran out. Lower BATCH_SIZE" in message
    assert "Last lines of its log:" in message
    assert message.rstrip().endswith("warned by a library")


def test_a_worker_that_ends_by_itself_is_told_with_its_exit_code(interpreter, noisy):
    worker = opened(WorkerClient(interpreter.path))
    with worker, pytest.raises(WorkerError, match=r"ended unexpectedly \(exit code 3\)") as told:
        worker.ask({"type": "predict"}, [tiles_of(7)])
    assert "memory" not in str(told.value)
    assert "environmentreport" in str(told.value)


def cancel_during(worker_of, request: list[np.ndarray], wait: float) -> float:
    """Seconds from the user's cancel to the end of waiting, while a long request is under way."""
    flag = threading.Event()
    cancelled_at: list[float] = []

    def cancel() -> None:
        cancelled_at.append(time.monotonic())
        flag.set()

    with worker_of(flag.is_set) as worker:
        worker.send({"type": "predict"}, request)
        pid = worker.pid
        timer = threading.Timer(wait, cancel)
        timer.start()
        with pytest.raises(WorkerCancelled):
            worker.receive()
        seconds = time.monotonic() - cancelled_at[0]
        assert wait_for_the_end_of(pid)
    return seconds


def test_cancel_ends_a_worker_that_does_not_listen_within_a_second(interpreter, noisy):
    def worker_of(is_cancelled):
        return opened(WorkerClient(interpreter.path, is_cancelled))

    assert cancel_during(worker_of, [tiles_of(99)], 0.5) < 1.0


def test_cancel_ends_a_real_prediction_within_a_second(interpreter):
    if "onnxruntime" not in interpreter.engines:
        pytest.skip(f"{interpreter.path} has no onnxruntime")
    model = open_installed_model(DEFAULT_MODEL)
    tiles = np.zeros((96, 256, 256, len(model.card.inputs)), np.float32)

    def worker_of(is_cancelled):
        worker = WorkerClient(interpreter.path, is_cancelled)
        answer = worker.ask(
            {"type": "open", "engine": "onnxruntime", "device": "cpu", "threads": 1}
            | {"model": model.engines["onnxruntime"]}
        )
        assert answer.header == {"type": "opened", "engine": "onnxruntime", "device": "CPU", "lanes": 1}
        return worker

    assert cancel_during(worker_of, [tiles], 1.0) < 1.0


def test_a_worker_ends_with_the_process_that_started_it(interpreter):
    worker = WorkerClient(interpreter.path)
    worker.ask(SOLVE, asked_of(1, {}))
    assert worker._process.stdin is not None
    worker._process.stdin.close()
    assert worker._process.wait(5) == 0
    worker.close()


def test_an_interpreter_that_does_not_start_is_told(tmp_path):
    with pytest.raises(WorkerError, match="cannot be started.*imagetodem:setupenvironment"):
        WorkerClient(tmp_path / "python")


def test_an_interpreter_without_the_libraries_is_told_with_its_log(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ModuleNotFoundError: numpy' >&2\nexit 1\n")
    python.chmod(0o755)
    with WorkerClient(python) as worker, pytest.raises(WorkerError, match="exit code 1") as told:
        worker.ask(SOLVE)
    assert "ModuleNotFoundError: numpy" in str(told.value)


def test_a_program_that_speaks_another_language_is_told(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'Python 3.11, type help for help'\nsleep 60\n")
    python.chmod(0o755)
    with WorkerClient(python) as worker, pytest.raises(WorkerError, match="cannot be read"):
        worker.receive()


def test_the_workers_environment_is_clean(interpreter, monkeypatch, tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError('numpy of QGIS')")
    for name in ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, str(tmp_path))
    with WorkerClient(Path(interpreter.path)) as worker:
        answer = worker.ask(SOLVE, asked_of(2, {}))
    assert answer.arrays[0].tolist() == [0.0, 0.0]
