from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import layers

from imagetodem_qgis.core.card import LOG_GSD
from imagetodem_qgis.runtime.models import DEFAULT_MODEL, open_installed_model
from imagetodem_qgis.worker.engines import Engine, open_engine
from training.generator import DEM_INPUTS, GUIDED_INPUTS, IMAGE_OUTPUTS, build
from training.networks import muting_part, trained_part
from training.normalisation import SampleNormalization
from training.onnx_export import export_onnx

LIGHT = {"name": "light_unet", "tile_size": 128}
GUIDED = {"name": "light_unet", "inputs": list(GUIDED_INPUTS), "guided": True, "tile_size": 128}
INVERSE = {
    "name": "light_unet",
    "inputs": list(DEM_INPUTS),
    "outputs": list(IMAGE_OUTPUTS),
    "tile_size": 128,
}
MUTED = {**LIGHT, "mirrored": True, "muted": True}
PAPER = {"name": "paper_unet", "input_bands": 3, "output_bands": 1, "tile_size": 256}
PAPER_BY_SAMPLE = {**PAPER, "output_bands": 2, "statistics": "sample"}
ANY_SIZE = {"name": "light_unet", "tile_size": None}


def with_random_weights(architecture: dict[str, Any]) -> keras.Model:
    """A generator whose every weight, running statistics included, is unlike its first value."""
    keras.utils.set_random_seed(11)
    model = build(architecture)
    random = np.random.default_rng(11)
    for layer in trained_part(model).layers:
        if isinstance(layer, (layers.BatchNormalization, SampleNormalization)):
            channels = layer.gamma.shape[0]
            ranges = ((0.5, 1.5), (-0.5, 0.5), (-0.3, 0.3), (0.2, 4.0))[: len(layer.weights)]
            layer.set_weights([random.uniform(low, high, channels) for low, high in ranges])
        elif getattr(layer, "use_bias", False):
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, random.uniform(-0.2, 0.2, bias.shape)])
    return model


def real_like(count: int, side: int, bands: int) -> np.ndarray:
    """Tiles with the look of ground, smooth shapes and fine texture; beyond three planes, the last one is
    level as a distance plane is."""
    random = np.random.default_rng(0)
    down, across = np.mgrid[:side, :side] / side
    tiles = np.empty((count, side, side, bands), np.float32)
    for tile in tiles:
        waves = np.sin(random.uniform(5, 40) * down + random.uniform(5, 40) * across)
        tile[:] = 0.6 * waves[..., None] + 0.3 * random.normal(size=tile.shape)
    tiles = np.clip(tiles, -1.5, 1.5)
    if bands > 3:
        tiles[..., -1] = np.linspace(-2, 1.5, count)[:, None, None]
    return tiles


def engines_of(model: keras.Model, architecture: dict[str, Any], folder: Path) -> tuple[Engine, Engine]:
    export_onnx(
        trained_part(model),
        folder / "generator.onnx",
        mirrored=bool(architecture.get("mirrored")),
        before=muting_part(model),
    )
    model.save_weights(folder / "generator.weights.h5")
    onnx_model = {"kind": "onnx", "path": str(folder / "generator.onnx")}
    weights = {"kind": "weights", "path": str(folder / "generator.weights.h5"), "architecture": architecture}
    return open_engine("onnxruntime", onnx_model, "cpu"), open_engine("tensorflow", weights, "cpu")


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference as a share of each answer's range, whichever plane it is in."""
    assert one.shape == other.shape
    ranges = np.ptp(other, axis=(0, 1, 2))
    assert (ranges > 1e-3).all()
    return float((np.abs(one - other) / ranges).max())


@pytest.mark.parametrize(
    "architecture",
    [LIGHT, MUTED, GUIDED, INVERSE, PAPER, PAPER_BY_SAMPLE],
    ids=["light", "muted and mirrored", "guided", "from the DEM", "paper", "paper, statistics of the sample"],
)
def test_both_engines_agree(tmp_path, architecture):
    model = with_random_weights(architecture)
    by_onnx, by_tensorflow = engines_of(model, architecture, tmp_path)
    tiles = real_like(3, architecture["tile_size"], model.input_shape[-1])
    answer = by_onnx.predict(tiles)
    assert answer.dtype == np.float32
    assert apart(answer, by_tensorflow.predict(tiles)) < 1e-3
    # Neither of the engines is the reference for the other's layers: Keras itself is.
    assert apart(answer, np.asarray(model(tiles, training=False))) < 1e-3
    assert (by_onnx.name, by_tensorflow.name) == ("onnxruntime", "tensorflow")
    assert (by_onnx.device, by_tensorflow.device) == ("CPU", "CPU")
    # Any number of tiles, each with the answer it has alone.
    alone = np.concatenate([by_onnx.predict(tile[None]) for tile in tiles])
    assert apart(alone, answer) < 1e-4
    np.testing.assert_array_equal(by_onnx.predict(tiles), answer)


def test_normalisation_is_folded_into_the_convolutions(tmp_path):
    export_onnx(with_random_weights(LIGHT), tmp_path / "light.onnx")
    kinds = [node.op_type for node in onnx.load(tmp_path / "light.onnx").graph.node]
    assert "BatchNormalization" not in kinds
    assert kinds.count("Transpose") == 2
    assert kinds.count("Conv") == sum(isinstance(layer, layers.Conv2D) for layer in build(LIGHT).layers)


def test_a_network_of_open_size_takes_any_multiple_of_its_coarsest_step(tmp_path):
    model = with_random_weights(ANY_SIZE)
    export_onnx(model, tmp_path / "open.onnx")
    engine = open_engine(
        "onnxruntime", {"kind": "onnx", "path": str(tmp_path / "open.onnx")}, "cpu", threads=1
    )
    for count, rows, columns in ((1, 64, 128), (2, 128, 64), (5, 64, 64)):
        tiles = real_like(count, 128, 4)[:, :rows, :columns]
        assert apart(engine.predict(tiles), np.asarray(model(tiles, training=False))) < 1e-3


def test_kernels_in_half_precision_halve_the_file_and_change_little(tmp_path):
    model = with_random_weights(LIGHT)
    answers, sizes = [], []
    for half in (False, True):
        path = tmp_path / f"{half}.onnx"
        export_onnx(model, path, half_precision=half)
        sizes.append(path.stat().st_size)
        engine = open_engine("onnxruntime", {"kind": "onnx", "path": str(path)}, "cpu")
        answers.append(engine.predict(real_like(2, 128, 4)))
    assert sizes[1] < 0.53 * sizes[0]
    assert 0.0 < apart(answers[1], answers[0]) < 5e-3


def test_a_layer_that_cannot_be_written_is_named(tmp_path):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.MaxPooling2D(2, name="shrink")(inputs))
    with pytest.raises(ValueError, match="cannot write MaxPooling2D 'shrink' as ONNX"):
        export_onnx(model, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()
    for layer in (
        layers.Conv2DTranspose(1, 4, 2, "same", activation="gelu", name="bent"),
        layers.Conv2D(1, 3, padding="same", activation="gelu", name="bent"),
    ):
        with pytest.raises(ValueError, match="activation gelu of 'bent'"):
            export_onnx(keras.Model(inputs, layer(inputs)), tmp_path / "a.onnx")


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_convolutions_pad_as_keras_does(tmp_path, kernel, size, strides):
    keras.utils.set_random_seed(2)
    inputs = keras.Input((size, size, 2))
    model = keras.Model(inputs, layers.Conv2D(3, kernel, strides, "same", bias_initializer="ones")(inputs))
    export_onnx(model, tmp_path / "conv.onnx")
    engine = open_engine("onnxruntime", {"kind": "onnx", "path": str(tmp_path / "conv.onnx")}, "cpu")
    tiles = np.random.default_rng(1).normal(size=(2, size, size, 2)).astype(np.float32)
    np.testing.assert_allclose(engine.predict(tiles), np.asarray(model(tiles, training=False)), atol=1e-5)


def test_an_activation_inside_a_convolution_comes_before_the_normalisation_after_it(tmp_path):
    keras.utils.set_random_seed(2)
    inputs = keras.Input((8, 8, 2))
    convolved = layers.Conv2D(3, 3, padding="same", activation="tanh")(inputs)
    model = keras.Model(inputs, layers.BatchNormalization(name="norm")(convolved))
    random = np.random.default_rng(4)
    model.get_layer("norm").set_weights([random.uniform(0.5, 2.0, 3) for _ in range(4)])
    export_onnx(model, tmp_path / "conv.onnx")
    engine = open_engine("onnxruntime", {"kind": "onnx", "path": str(tmp_path / "conv.onnx")}, "cpu")
    tiles = np.random.default_rng(1).normal(size=(2, 8, 8, 2)).astype(np.float32)
    np.testing.assert_allclose(engine.predict(tiles), np.asarray(model(tiles, training=False)), atol=1e-5)


def test_a_normalisation_after_something_else_is_kept(tmp_path):
    inputs = keras.Input((16, 16, 3))
    convolved = layers.Conv2D(4, 3, padding="same")(inputs)
    twice = layers.Add()([layers.BatchNormalization(name="one")(convolved), convolved])
    model = keras.Model(inputs, layers.BatchNormalization(name="two")(layers.ReLU()(twice)))
    random = np.random.default_rng(4)
    for name in ("one", "two"):
        model.get_layer(name).set_weights([random.uniform(0.5, 2.0, 4) for _ in range(4)])
    export_onnx(model, tmp_path / "a.onnx")
    engine = open_engine("onnxruntime", {"kind": "onnx", "path": str(tmp_path / "a.onnx")}, "cpu")
    tiles = random.normal(size=(2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(engine.predict(tiles), np.asarray(model(tiles, training=False)), atol=1e-4)


def test_the_shipped_model_is_whole_and_both_engines_run_it_alike():
    model = open_installed_model(DEFAULT_MODEL)
    assert set(model.engines) == {"onnxruntime", "tensorflow"}
    by_onnx, by_tensorflow = (open_engine(name, model.engines[name], "cpu") for name in model.engines)
    card = model.card
    tiles = real_like(2, card.tile_size, len(card.inputs))
    if LOG_GSD in card.inputs:
        assert card.inputs.index(LOG_GSD) == 3
    one, other = by_onnx.predict(tiles), by_tensorflow.predict(tiles)
    assert one.shape == (2, card.tile_size, card.tile_size, len(card.outputs))
    assert apart(one, other) < 1e-3
