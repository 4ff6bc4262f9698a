"""What the tests share: the tiny models, Predict DEM as users call it, a stand-in for Earth Engine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest

from tests import tiny_models

if TYPE_CHECKING:
    from tests.services.earthengine.server import EarthEngineServer

ModelMaker = Callable[..., Path]
Predict = Callable[..., "dict[str, Any]"]


@pytest.fixture(scope="session")
def networks(qgis_app: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one ``.onnx`` file for each kind of tiny network."""
    from imagetodem_qgis.runtime.interpreter import find_interpreter

    folder = tmp_path_factory.mktemp("networks")
    command = [str(find_interpreter(None).path), "-I", tiny_models.__file__, str(folder)]
    written = subprocess.run(command, capture_output=True, text=True, check=False)
    assert written.returncode == 0, f"the tiny networks need onnx in {command[0]}:\n{written.stderr}"
    return folder


@pytest.fixture(scope="session")
def tiny_model(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelMaker:
    """Makes a tiny model: ``tiny_model(kind, **changes_of_the_card)`` gives the path of its card."""
    made: dict[str, Path] = {}

    def make(kind: str, **changes: Any) -> Path:
        key = f"{kind} {sorted(changes.items())}"
        if key not in made:
            folder = tmp_path_factory.mktemp("models") / kind
            made[key] = tiny_models.make_model(folder, networks / f"{kind}.onnx", **changes) / "model.json"
        return made[key]

    return make


@pytest.fixture(scope="session")
def shipped_model() -> str:
    """The name of the model that users get when they choose none."""
    from imagetodem_qgis.runtime.models import installed_models

    models = installed_models()
    if not models:
        pytest.skip("needs a model in model_weights/")
    return models[0]


@pytest.fixture
def logged(qgis_app: Any) -> Iterator[Callable[[], list[str]]]:
    """What QGIS logs during a test, in any thread: ``logged()`` gives the lines so far."""
    from qgis.PyQt.QtCore import QCoreApplication

    lines: list[str] = []

    def hear(message: str, tab: str, level: object) -> None:
        lines.append(f"{tab}: {message}")

    def heard() -> list[str]:
        # What other threads log waits for the event loop.
        QCoreApplication.processEvents()
        return lines

    log = qgis_app.messageLog()
    log.messageReceived.connect(hear)
    yield heard
    # Python's garbage collector can clear a slot that is left behind, with the cycle that an error makes of
    # a test's frame, while QGIS goes on to call it: that crashes.
    log.messageReceived.disconnect(hear)


@pytest.fixture
def gdal_raises() -> Iterator[Callable[[bool], None]]:
    """Sets, for a test, whether GDAL raises: QGIS, or another plugin, may have set it up either way."""
    from osgeo import gdal

    def set_up(raises: bool) -> None:
        if raises == bool(gdal.GetUseExceptions()):
            return
        try:
            (gdal.UseExceptions if raises else gdal.DontUseExceptions)()
        except RuntimeError as error:
            pytest.skip(f"this QGIS has GDAL raise: {error}")

    before = bool(gdal.GetUseExceptions())
    yield set_up
    set_up(before)


@pytest.fixture
def predict(qgis_app: object, tmp_path: Path, tiny_model: ModelMaker) -> Predict:
    """Runs Predict DEM: ``predict(image, **parameters)`` gives its results and, under ``said``, what it told.

    The model is the tiny ``red`` unless ``MODEL`` or ``MODEL_FILE`` is given, the output ``dem.tif``.
    """
    import processing
    from qgis.core import QgsProcessingFeedback

    def run(image: object, **parameters: Any) -> dict[str, Any]:
        if not {"MODEL", "MODEL_FILE"} & set(parameters):
            parameters["MODEL_FILE"] = tiny_model("red")
        given = {"INPUT": image, "OUTPUT": tmp_path / "dem.tif", **parameters}
        given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
        feedback = QgsProcessingFeedback(False)
        results = processing.run("imagetodem:predictdem", given, feedback=feedback)
        return {**results, "said": feedback.textLog()}

    return run


@pytest.fixture(scope="session")
def earth_engine_python(qgis_app: object) -> Path:
    """An interpreter with Earth Engine's client library."""
    from imagetodem_qgis.runtime.inspection import inspect
    from imagetodem_qgis.runtime.interpreter import InterpreterError, find_interpreter

    try:
        found = find_interpreter(None).path
    except InterpreterError as error:
        pytest.skip(f"needs the machine-learning environment: {error}")
    if "ee" not in inspect(found).packages:
        pytest.skip(f"{found} lacks earthengine-api")
    return found


@pytest.fixture(scope="session")
def earth_engine(earth_engine_python: Path) -> Iterator[EarthEngineServer]:
    """A stand-in for Earth Engine, whose world each test fills for itself."""
    from tests.services.earthengine.keys import Key
    from tests.services.earthengine.server import EarthEngineServer, interface_of
    from tests.services.earthengine.world import World

    interface = interface_of(earth_engine_python)
    with EarthEngineServer(World(), interface, Key.made_by(earth_engine_python)) as server:
        yield server


@pytest.fixture
def inverse_model(tiny_model: ModelMaker) -> ModelMaker:
    """Makes a model from the DEM to the image: ``inverse_model(kind, inputs, **changes_of_the_card)``."""
    inverse = {"direction": "dem_to_image", "outputs": ["red", "green", "blue"]}

    def make(kind: str, inputs: list[str], **changes: Any) -> Path:
        return tiny_model(kind, **inverse, inputs=inputs, **changes)

    return make


@pytest.fixture
def predict_image(qgis_app: object, tmp_path: Path) -> Predict:
    """Runs the algorithm: ``predict_image(dem, model, **parameters)`` gives its results and, under ``said``,
    what it told."""
    import processing
    from qgis.core import QgsProcessingFeedback

    def run(dem: Path, model: Path, **parameters: Any) -> dict[str, Any]:
        feedback = QgsProcessingFeedback(False)
        given = {
            "INPUT": str(dem),
            "MODEL_FILE": str(model),
            "OVERLAP": 25,
            "OUTPUT": str(tmp_path / "image.tif"),
            **parameters,
        }
        return {
            **processing.run("imagetodem:predictimage", given, feedback=feedback),
            "said": feedback.textLog(),
        }

    return run


@pytest.fixture
def refusal(
    qgis_app: object, tmp_path: Path, tiny_model: ModelMaker, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Gives the reason for which Predict DEM refuses parameters, before any worker is started.

    The model is the tiny ``red``, the image one of waves, the output ``dem.tif``, unless they are given.
    """
    from qgis.core import QgsApplication, QgsProcessingContext

    from imagetodem_qgis.runtime import client
    from tests.rasters import colours, write_image

    def no_worker(*arguments: object, **keywords: object) -> None:
        pytest.fail("a process was started before the parameters were checked")

    monkeypatch.setattr(client, "start_worker", no_worker)

    def check(**parameters: Any) -> str:
        given = {"OUTPUT": tmp_path / "dem.tif", "MODEL_FILE": tiny_model("red"), **parameters}
        if "INPUT" not in given:
            given["INPUT"] = write_image(tmp_path / "image.tif", colours(40, 50))
        given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
        algorithm = QgsApplication.processingRegistry().createAlgorithmById("imagetodem:predictdem")
        accepted, reason = algorithm.checkParameterValues(given, QgsProcessingContext())
        assert not accepted
        assert not list(tmp_path.glob(".*"))
        return reason

    return check
