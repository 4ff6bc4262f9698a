from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from imagetodem_qgis.worker.engines import EngineError, open_engine
from training.generator import paper_unet
from training.savedmodel import read_savedmodel

DOWN = (64, 128, 256, 512, 512, 512, 512, 512)
UP = (512, 512, 512, 512, 256, 128, 64)
# Channels that each layer takes, by the layout of the paper.
INTO_DOWN = (3, 64, 128, 256, 512, 512, 512, 512)
INTO_UP = (512, 1024, 1024, 1024, 1024, 512, 256)

Weights = dict[str, np.ndarray]


def random_weights(seed: int, bands: int = 3) -> Weights:
    """A generator's weights under the names that Keras 2 gave to the original project's layers."""
    random = np.random.default_rng(seed)

    def kernel(first: int, second: int, fan: int) -> np.ndarray:
        values = random.standard_normal((4, 4, first, second), np.float32)
        return values * np.float32(1.5 / np.sqrt(16 * fan))

    weights = {}
    norms = 0

    def add_norm(channels: int) -> None:
        nonlocal norms
        name = f"batch_normalization{f'_{norms}' if norms else ''}"
        norms += 1
        for part, low, high in (("gamma", 0.5, 1.5), ("beta", -0.5, 0.5), ("moving_mean", -9, 9)):
            weights[f"{name}/{part}"] = random.uniform(low, high, channels).astype(np.float32)
        weights[f"{name}/moving_variance"] = random.uniform(1, 99, channels).astype(np.float32)

    for level, (before, after) in enumerate(zip(INTO_DOWN, DOWN)):
        before = bands if level == 0 else before
        weights[f"conv2d{f'_{level}' if level else ''}/kernel"] = kernel(before, after, before)
        if level:
            add_norm(after)
    for level, (before, after) in enumerate(zip(INTO_UP, UP)):
        name = f"conv2d_transpose{f'_{level}' if level else ''}"
        weights[f"{name}/kernel"] = kernel(after, before, before / 4)
        add_norm(after)
    weights["conv2d_transpose_7/kernel"] = kernel(1, 128, 128)
    weights["conv2d_transpose_7/bias"] = np.array([0.1], np.float32)
    return weights


class Child(tf.Module):
    """Stands in for one Sequential of the original: the variables of a convolution and its normalisation."""

    def __init__(self, weights: Weights, names: list[str]) -> None:
        super().__init__()
        self.layer_with_weights = [tf.Variable(weights[name], name=name) for name in names]


class Original(tf.Module):
    """Holds variables as the original project's SavedModel does: layers within children within a model."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        stems: dict[str, list[str]] = {}
        for name in weights:
            stems.setdefault(name.split("/")[0], []).append(name)
        # From the output to the input: the order in the file must not matter.
        self.children = [Child(weights, names) for names in reversed(list(stems.values()))]
        # What training left behind in some of the folders.
        self.step = tf.Variable(7, name="Adam/iter", dtype=tf.int64)


def own_forward_pass(weights: Weights, image: np.ndarray) -> np.ndarray:
    """The paper's generator with each sample's own statistics and no dropout, (rows, columns, 1)."""
    norms = iter(range(14))

    def normalised(x: tf.Tensor) -> tf.Tensor:
        number = next(norms)
        name = f"batch_normalization{f'_{number}' if number else ''}"
        values = x.numpy().astype(np.float64)
        mean, variance = values.mean((0, 1, 2)), values.var((0, 1, 2))
        scaled = (values - mean) / np.sqrt(variance + 1e-3)
        return tf.constant(scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"], tf.float32)

    x = tf.constant(image[None])
    skips = []
    for level in range(8):
        x = tf.nn.conv2d(x, weights[f"conv2d{f'_{level}' if level else ''}/kernel"], 2, "SAME")
        x = normalised(x) if level else x
        x = tf.maximum(x, 0.3 * x)
        skips.append(x)
    for level in range(8):
        kernel = weights[f"conv2d_transpose{f'_{level}' if level else ''}/kernel"]
        shape = (1, 2 * x.shape[1], 2 * x.shape[2], kernel.shape[2])
        x = tf.nn.conv2d_transpose(x, kernel, shape, 2, "SAME")
        if level < 7:
            x = tf.concat([tf.nn.relu(normalised(x)), skips[6 - level]], axis=-1)
    return np.tanh(x.numpy()[0] + weights["conv2d_transpose_7/bias"])


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights(0)


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("original")
    tf.saved_model.save(Original(weights), str(path))
    return path


@pytest.fixture
def images() -> np.ndarray:
    random = np.random.default_rng(5)
    down, across = np.mgrid[:256, :256] / 30.0
    waves = [np.sin(down * a + across * b)[..., None] for a, b in random.uniform(0.3, 2, (4, 2))]
    tiles = [wave + 0.3 * random.normal(size=(256, 256, 3)) for wave in waves]
    return np.clip(tiles, -1, 1).astype(np.float32)


def test_the_stand_in_has_the_papers_variables(weights):
    assert sum(value.size for value in weights.values()) == 54_421_761


def test_the_original_layout_gives_the_papers_answer_by_each_samples_statistics(folder, weights, images):
    answer = open_engine("tensorflow", {"kind": "savedmodel", "path": str(folder)}, "cpu").predict(images[:2])
    assert answer.shape == (2, 256, 256, 1)
    for one, image in zip(answer, images):
        expected = own_forward_pass(weights, image)
        assert expected.std() > 0.05
        np.testing.assert_allclose(one, expected, atol=1e-3)


def test_the_answer_is_the_same_every_time_and_in_every_batch(folder, images):
    engine = open_engine("tensorflow", {"kind": "savedmodel", "path": str(folder)}, "cpu")
    together = engine.predict(images)
    np.testing.assert_array_equal(engine.predict(images), together)
    alone = np.concatenate([engine.predict(image[None]) for image in images])
    np.testing.assert_allclose(alone, together, atol=1e-4)
    assert np.abs(together[0] - together[1]).max() > 0.05


def test_a_keras_model_saved_today_is_read_as_well(tmp_path, images):
    keras.utils.set_random_seed(8)
    model = paper_unet()
    random = np.random.default_rng(8)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape[0]
            ranges = ((0.5, 1.5), (-0.5, 0.5), (-9, 9), (1, 99))
            layer.set_weights([random.uniform(low, high, channels) for low, high in ranges])
    tf.saved_model.save(model, str(tmp_path))
    by_name = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    read = read_savedmodel(str(tmp_path))
    for layer in read.layers:
        for value, expected in zip(layer.get_weights(), by_name.get(layer.name, [])):
            np.testing.assert_array_equal(value, expected)
    assert sum(bool(layer.weights) for layer in read.layers) == len(by_name)
    # With a batch of one, the batch's statistics are the sample's; dropout alone makes training's pass
    # another.
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    expected = np.asarray(model(images[:1], training=True))
    np.testing.assert_allclose(np.asarray(read(images[:1])), expected, atol=1e-3)


def test_other_numbers_of_bands_are_taken_from_the_weights(tmp_path):
    tf.saved_model.save(Original(random_weights(1, bands=5)), str(tmp_path))
    model = read_savedmodel(str(tmp_path))
    assert (model.input_shape, model.output_shape) == ((None, 256, 256, 5), (None, 256, 256, 1))


def without(weights: Weights, name: str) -> Weights:
    return {key: value for key, value in weights.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: without(w, "conv2d_3/kernel"), "15 kernels where the paper's generator has 16"),
        (lambda w: {**w, "conv2d_8/kernel": w["conv2d_7/kernel"]}, "17 kernels"),
        (lambda w: {**w, "conv2d/kernel": np.zeros((3, 3, 3, 64), np.float32)}, "of 4 x 4"),
        (
            lambda w: {**w, "conv2d_1/kernel": np.zeros((4, 4, 64, 96), np.float32)},
            "takes .*, the folder has",
        ),
        (lambda w: without(w, "batch_normalization_2/gamma"), "takes .*, the folder has"),
        (lambda w: without(w, "conv2d_transpose_7/bias"), "the folder has nothing"),
        (lambda w: {**w, "dense/bias": np.zeros(3, np.float32)}, "more variables"),
    ],
    ids=[
        "kernel missing",
        "kernel too many",
        "3 x 3",
        "width",
        "gamma missing",
        "bias missing",
        "bias too many",
    ],
)
def test_other_layouts_are_refused(tmp_path, weights, change, message):
    tf.saved_model.save(Original(change(weights)), str(tmp_path))
    with pytest.raises(ValueError, match=message):
        read_savedmodel(str(tmp_path))


def test_another_network_altogether_is_refused_by_the_engine(tmp_path):
    module = tf.Module()
    module.weights = tf.Variable(np.zeros((3, 3), np.float32), name="dense/kernel")
    tf.saved_model.save(module, str(tmp_path))
    with pytest.raises(EngineError, match="not a SavedModel of the original layout: 1 kernels"):
        open_engine("tensorflow", {"kind": "savedmodel", "path": str(tmp_path)}, "cpu")


def test_damaged_variables_are_refused_by_the_engine(folder, tmp_path):
    (tmp_path / "variables").mkdir()
    index = (folder / "variables" / "variables.index").read_bytes()
    (tmp_path / "variables" / "variables.index").write_bytes(index[: len(index) // 2])
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(EngineError, match="not a SavedModel of the original layout"):
        open_engine("tensorflow", {"kind": "savedmodel", "path": str(tmp_path)}, "cpu")
