from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from imagetodem_qgis.worker import engines
from imagetodem_qgis.worker.engines import EngineError, onnx_engine, open_engine, tensorflow_engine
from training.generator import GUIDED_INPUTS, light_unet, paper_unet
from training.onnx_export import export_onnx

ARCHITECTURE = {"name": "light_unet", "tile_size": 64}


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(4)
    return light_unet(tile_size=64)


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model")
    export_onnx(network, path / "generator.onnx")
    network.save_weights(path / "generator.weights.h5")
    network.save(path / "generator.keras")
    return path


@pytest.fixture
def tiles() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (3, 64, 64, 4)).astype(np.float32)


def onnx_of(folder: Path, name: str = "generator.onnx") -> dict[str, Any]:
    return {"kind": "onnx", "path": str(folder / name)}


def weights_of(folder: Path, **changes: Any) -> dict[str, Any]:
    path = str(folder / "generator.weights.h5")
    return {"kind": "weights", "path": path, "architecture": {**ARCHITECTURE, **changes}}


def keras_of(folder: Path, name: str = "generator.keras") -> dict[str, Any]:
    return {"kind": "keras", "path": str(folder / name)}


def test_every_kind_of_file_gives_the_networks_answer(folder, network, tiles):
    expected = np.asarray(network(tiles, training=False))
    for name, model in (
        ("onnxruntime", onnx_of(folder)),
        ("tensorflow", weights_of(folder)),
        ("tensorflow", keras_of(folder)),
    ):
        engine = open_engine(name, model, "automatic")
        assert engine.name == name
        answer = engine.predict(tiles)
        assert answer.dtype == np.float32
        assert np.abs(answer - expected).max() < 1e-3 * np.ptp(expected[..., 0])


def test_there_are_no_other_engines(folder):
    with pytest.raises(EngineError, match="there is no engine 'pytorch'"):
        open_engine("pytorch", onnx_of(folder), "cpu")


def test_onnx_runtime_takes_onnx_only(folder):
    with pytest.raises(EngineError, match="loads .onnx files only: choose the engine 'tensorflow'"):
        open_engine("onnxruntime", weights_of(folder), "cpu")


@pytest.mark.parametrize("content", [b"", b"no model", bytes(1000)])
def test_a_file_that_is_no_onnx_model_is_refused_by_name(tmp_path, content):
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(EngineError, match=r"cannot load .*bad\.onnx"):
        open_engine("onnxruntime", onnx_of(tmp_path, "bad.onnx"), "cpu")


def test_a_truncated_onnx_model_is_refused(folder, tmp_path):
    content = (folder / "generator.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(EngineError, match=r"cannot load .*cut\.onnx"):
        open_engine("onnxruntime", onnx_of(tmp_path, "cut.onnx"), "cpu")


def test_a_gpu_that_onnx_runtime_cannot_reach_is_told(folder, monkeypatch):
    providers = ["AzureExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnx_engine.onnxruntime, "get_available_providers", lambda: providers)
    with pytest.raises(EngineError, match=r"GPU was asked for.*has no GPU provider.*Choose DEVICE"):
        open_engine("onnxruntime", onnx_of(folder), "gpu")
    assert open_engine("onnxruntime", onnx_of(folder), "automatic").device == "CPU"


def test_a_gpu_provider_that_does_not_start_is_told_or_passed_over(folder, monkeypatch, tiles):
    class Session:
        """A session in a runtime whose provider for the GPU fails to start, which ends on the processor."""

        def __init__(self, path: str, options: Any, providers: list[str]) -> None:
            asked.append(providers)
            self._session = real(path, options, providers=["CPUExecutionProvider"])

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

    asked: list[list[str]] = []
    real = onnx_engine.onnxruntime.InferenceSession
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnx_engine.onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr(onnx_engine.onnxruntime, "InferenceSession", Session)
    with pytest.raises(EngineError, match="could not start on it"):
        open_engine("onnxruntime", onnx_of(folder), "gpu")
    engine = open_engine("onnxruntime", onnx_of(folder), "automatic")
    assert engine.device == "CPU"
    assert asked == [providers, providers, ["CPUExecutionProvider"]]
    assert np.isfinite(engine.predict(tiles)).all()
    open_engine("onnxruntime", onnx_of(folder), "cpu")
    assert asked[-1] == ["CPUExecutionProvider"]


def test_a_gpu_that_tensorflow_does_not_see_is_told(folder, monkeypatch):
    monkeypatch.setattr(tensorflow_engine.tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(EngineError, match="TensorFlow sees none: run imagetodem:environmentreport"):
        open_engine("tensorflow", weights_of(folder), "gpu")


@pytest.mark.parametrize(
    "changes", [{"inputs": GUIDED_INPUTS}, {"name": "paper_unet"}, {"name": "other"}, {"depth": 3}], ids=str
)
def test_weights_of_another_architecture_are_refused(folder, changes):
    with pytest.raises(EngineError, match=r"generator\.weights\.h5 do not fit the card's arch") as told:
        open_engine("tensorflow", weights_of(folder, **changes), "cpu")
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize("content", [b"", b"no weights at all", bytes(4096)])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, content):
    (tmp_path / "generator.weights.h5").write_bytes(content)
    with pytest.raises(EngineError, match=r"generator\.weights\.h5"):
        open_engine("tensorflow", weights_of(tmp_path), "cpu")


def test_a_papers_keras_file_is_loaded(tmp_path):
    keras.utils.set_random_seed(5)
    network = paper_unet(tile_size=256, statistics="sample")
    network.save(tmp_path / "paper.keras")
    tiles = np.random.default_rng(0).uniform(-1, 1, (1, 256, 256, 3)).astype(np.float32)
    answer = open_engine("tensorflow", keras_of(tmp_path, "paper.keras"), "cpu").predict(tiles)
    np.testing.assert_allclose(answer, np.asarray(network(tiles)), atol=1e-4 * np.ptp(answer))


def test_a_keras_file_that_carries_code_is_not_run(tmp_path):
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, layers.Lambda(lambda x: x * 2)(inputs))
    model.save(tmp_path / "code.keras")
    with pytest.raises(EngineError, match=r"code\.keras is not a Keras model that can be loaded safely"):
        open_engine("tensorflow", keras_of(tmp_path, "code.keras"), "cpu")


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_file_that_is_no_keras_model_is_refused(tmp_path, content):
    (tmp_path / "bad.keras").write_bytes(content)
    with pytest.raises(EngineError, match=r"bad\.keras is not a Keras model"):
        open_engine("tensorflow", keras_of(tmp_path, "bad.keras"), "cpu")


def test_a_folder_that_is_no_savedmodel_is_refused(tmp_path):
    with pytest.raises(EngineError, match="is not a SavedModel of the original layout"):
        open_engine("tensorflow", {"kind": "savedmodel", "path": str(tmp_path)}, "cpu")


def test_both_engines_keep_to_the_interface(folder):
    for name, model in (("onnxruntime", onnx_of(folder)), ("tensorflow", weights_of(folder))):
        engine: engines.Engine = open_engine(name, model, "cpu")
        assert engine.device == "CPU"
        for count in (1, 2, 5, 2):
            assert engine.predict(np.zeros((count, 64, 64, 4), np.float32)).shape == (count, 64, 64, 2)
