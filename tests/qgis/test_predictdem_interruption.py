"""Runs of Predict DEM that do not come to their end, and what a run leaves in QGIS's process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable

import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.qgis.processes import SECONDS, children, needs_proc, start_qgis, wait_for
from tests.rasters import colours, read_surface, write_image

EARLIER = b"an earlier file"


def beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("image"))


@pytest.fixture
def long_run(tmp_path, tiny_model) -> dict[str, Any]:
    """Parameters of a run of a minute or more, at whose OUTPUT an earlier file lies."""
    (tmp_path / "dem.tif").write_bytes(EARLIER)
    return {
        "INPUT": str(write_image(tmp_path / "image.tif", colours(600, 600))),
        "MODEL_FILE": str(tiny_model("slow")),
        "OVERLAP": 75,
        "BATCH_SIZE": 8,
        "OUTPUT": str(tmp_path / "dem.tif"),
    }


class Run:
    """Runs Predict DEM and calls something from another thread when it has come far enough."""

    def __init__(self, parameters: dict[str, Any], when: str, act: Callable[[Any], None]) -> None:
        import processing
        from qgis.core import QgsProcessingException, QgsProcessingFeedback

        feedback = QgsProcessingFeedback(False)
        self.acted = self.ended = 0.0
        self.error = ""

        def watch() -> None:
            wait_for(lambda: feedback.progress() > 0 if when == "predicting" else when in feedback.textLog())
            # Between two answers of the worker, while QGIS waits for the next.
            time.sleep(0.05)
            self.acted = time.monotonic()
            act(feedback)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            self.results = processing.run("imagetodem:predictdem", parameters, feedback=feedback)
        except QgsProcessingException as error:
            self.error = str(error)
        self.ended = time.monotonic()
        watcher.join(SECONDS)


@needs_proc
@pytest.mark.parametrize("when", ["tiles of 64 pixels", "predicting"])
def test_cancelling_answers_within_a_second_and_leaves_what_is_done(qgis_app, long_run, tmp_path, when):
    run = Run(long_run, when, lambda feedback: feedback.cancel())
    assert run.error == ""
    assert "OUTPUT" not in run.results
    assert 0 < run.ended - run.acted < 1.0
    left = beside(tmp_path)
    assert left == ["dem.tif", "dem.unfinished"] if when == "predicting" else left[:1] == ["dem.tif"]
    assert (tmp_path / "dem.tif").read_bytes() == EARLIER
    assert children(os.getpid()) == []


def test_cancelling_before_the_start_leaves_nothing(qgis_app, long_run, tmp_path):
    import processing
    from qgis.core import QgsProcessingFeedback

    feedback = QgsProcessingFeedback(False)
    feedback.cancel()
    assert "OUTPUT" not in processing.run("imagetodem:predictdem", long_run, feedback=feedback)
    assert (tmp_path / "dem.tif").read_bytes() == EARLIER


def test_cancelling_while_the_file_is_written_leaves_no_half_of_it(qgis_app, long_run, tmp_path, tiny_model):
    import processing
    from qgis.core import QgsProcessingFeedback

    feedback = QgsProcessingFeedback(False)
    seen = []

    def cancel_when_writing(percent: float) -> None:
        seen.append(sorted(path.name for path in tmp_path.glob(".*")))
        if seen[-1]:
            feedback.cancel()

    feedback.progressChanged.connect(cancel_when_writing)
    # More than one block to write.
    image = write_image(tmp_path / "image.tif", colours(40, 2100))
    parameters = {**long_run, "INPUT": str(image), "MODEL_FILE": str(tiny_model("red")), "OVERLAP": 5}
    assert "OUTPUT" not in processing.run("imagetodem:predictdem", parameters, feedback=feedback)
    assert len(seen[-1]) == 1
    assert seen[-1][0].endswith(".partial.tif")
    assert beside(tmp_path) == ["dem.tif", "dem.unfinished"]
    assert (tmp_path / "dem.tif").read_bytes() == EARLIER


@needs_proc
def test_a_killed_worker_is_told_as_lack_of_memory(qgis_app, long_run, tmp_path):
    def kill(feedback: Any) -> None:
        for worker in children(os.getpid()):
            os.kill(worker, signal.SIGKILL)

    run = Run(long_run, "predicting", kill)
    assert "memory" in run.error
    assert "BATCH_SIZE" in run.error
    assert "log" in run.error
    assert run.ended - run.acted < 5.0
    assert beside(tmp_path) == ["dem.tif", "dem.unfinished"]
    assert (tmp_path / "dem.tif").read_bytes() == EARLIER


@needs_proc
def test_a_killed_qgis_leaves_no_output_and_no_worker(qgis_app, long_run, predict, tmp_path):
    (tmp_path / "image_settings").mkdir()
    qgis = start_qgis(tmp_path / "image_settings", "imagetodem:predictdem", long_run)
    try:
        (worker,) = wait_for(lambda: worker_of(qgis))
        # Long enough to be at work on tiles, and not half of what the run takes.
        time.sleep(3.0)
        assert qgis.poll() is None
        assert worker in children(qgis.pid)
    finally:
        qgis.kill()
        qgis.wait()
    assert (tmp_path / "dem.tif").read_bytes() == EARLIER
    ended = time.monotonic() + 20.0
    while Path(f"/proc/{worker}").exists() and time.monotonic() < ended:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()


@needs_proc
def test_what_a_killed_qgis_was_writing_is_removed_by_the_next_run(qgis_app, predict, tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    living = f".dem.{os.getppid()}.partial.tif"
    for name in (f".dem.{dead.pid}.partial.tif", living, ".other.1.partial.tif", "dem.tif"):
        (tmp_path / name).write_bytes(EARLIER)
    predict(write_image(tmp_path / "image.tif", colours(40, 40)))
    assert beside(tmp_path) == sorted([living, ".other.1.partial.tif", "dem.qml", "dem.tif"])
    assert read_surface(tmp_path / "dem.tif").heights.shape == (40, 40)


def worker_of(qgis: subprocess.Popen[str]) -> list[int]:
    """The worker's process id, once it is more than the child that will become it."""
    assert qgis.poll() is None, qgis.communicate()[1]
    found = []
    for child in children(qgis.pid):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if b"imagetodem_qgis.worker.main" in command:
            found.append(child)
    return found


def test_nothing_heavy_comes_into_qgis(qgis_app, tiny_model, tmp_path):
    parameters = {
        "INPUT": str(write_image(tmp_path / "image.tif", colours(100, 100))),
        "MODEL_FILE": str(tiny_model("spread", outputs=["height", "log_scale"])),
        "OUTPUT": str(tmp_path / "dem.tif"),
        "CONFIDENCE": str(tmp_path / "confidence.tif"),
    }
    (tmp_path / "image_settings").mkdir()
    qgis = start_qgis(tmp_path / "image_settings", "imagetodem:predictdem", parameters)
    printed, errors = qgis.communicate(timeout=SECONDS)
    assert qgis.returncode == 0, errors
    told = json.loads(printed.splitlines()[-1])
    assert told["results"]["TILES"] == 4
    assert "imagetodem_qgis.prediction.predict" in told["modules"]
    heavy = {"tensorflow", "keras", "torch", "onnxruntime", "onnx", "ee", "scipy"}
    assert heavy & {module.split(".")[0] for module in told["modules"]} == set()
    assert heavy & {module.split(".")[0] for module in sys.modules} == set()


# --- the interpreter ----------------------------------------------------------------------------------------


@pytest.fixture
def without_setting(qgis_app, tmp_path, monkeypatch):
    from imagetodem_qgis.runtime.settings import set_python_setting

    monkeypatch.setenv("IMAGETODEM_HOME", str(tmp_path / "image_home"))
    monkeypatch.delenv("IMAGETODEM_PYTHON", raising=False)
    set_python_setting("")
    yield
    set_python_setting("")


@pytest.fixture
def failure(predict, tmp_path, without_setting):
    from qgis.core import QgsProcessingException

    def run(**parameters: Any) -> str:
        (tmp_path / "dem.tif").write_bytes(EARLIER)
        with pytest.raises(QgsProcessingException) as caught:
            predict(write_image(tmp_path / "image.tif", colours(40, 40)), **parameters)
        assert beside(tmp_path) == ["dem.tif"]
        assert (tmp_path / "dem.tif").read_bytes() == EARLIER
        return str(caught.value)

    return run


def test_without_an_environment_it_says_how_to_get_one(failure):
    from imagetodem_qgis.runtime.interpreter import InterpreterError, find_interpreter

    try:
        find_interpreter(None)
    except InterpreterError:
        assert "imagetodem:setupenvironment" in failure()
    else:
        pytest.skip("QGIS's own Python has an engine here")


def test_a_named_interpreter_that_is_missing(failure, monkeypatch, tmp_path):
    monkeypatch.setenv("IMAGETODEM_PYTHON", str(tmp_path / "nowhere" / "python"))
    message = failure()
    assert "IMAGETODEM_PYTHON" in message
    assert str(tmp_path / "nowhere" / "python") in message
    assert "imagetodem:setupenvironment" in message


def test_a_named_interpreter_without_an_engine(failure, monkeypatch, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "image_venv")], check=True)
    python = tmp_path / "image_venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    monkeypatch.setenv("IMAGETODEM_PYTHON", str(python))
    message = failure()
    assert "IMAGETODEM_PYTHON" in message
    assert "onnxruntime" in message
    assert "imagetodem:setupenvironment" in message


def test_an_interpreter_without_the_engine_that_the_model_needs(failure, monkeypatch, tmp_path):
    """An interpreter with ONNX Runtime alone, and a model that only TensorFlow can run."""
    import zipfile

    site = tmp_path / "image_venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(site)], check=True)
    (packages,) = site.glob("lib/python*/site-packages")
    for name in ("numpy", "scipy", "onnxruntime"):
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text("__version__ = '1.0'\n")
        (packages / f"{name}-1.0.dist-info").mkdir()
        (packages / f"{name}-1.0.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    monkeypatch.setenv("IMAGETODEM_PYTHON", str(site / "bin" / "python"))
    with zipfile.ZipFile(tmp_path / "image_model.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    message = failure(MODEL_FILE=tmp_path / "image_model.keras")
    assert "has no tensorflow" in message
    assert "imagetodem:setupenvironment" in message
    assert "PROFILE=train" in message


def test_an_engine_that_breaks_on_import_is_told_with_its_log(failure, monkeypatch, tmp_path):
    site = tmp_path / "image_venv"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", str(site)], check=True
    )
    (packages,) = site.glob("lib/python*/site-packages")
    for name, code in (
        ("scipy", ""),
        ("onnxruntime", "import os; os.write(2, b'broken in a way\\n'); os._exit(3)"),
    ):
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text(f"__version__ = '1.0'\n{code}\n")
        (packages / f"{name}-1.0.dist-info").mkdir()
        (packages / f"{name}-1.0.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    monkeypatch.setenv("IMAGETODEM_PYTHON", str(site / "bin" / "python"))
    message = failure()
    assert "exit code 3" in message
    assert "broken in a way" in message
    assert "imagetodem:environmentreport" in message
