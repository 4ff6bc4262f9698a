"""TensorFlow: the reference. Loads a model folder's Keras weights, ``.keras`` files, and the SavedModel
folders of the original project."""

from __future__ import annotations

import os
from typing import Any, Callable

# Both are read when the libraries are imported.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imagetodem_qgis.worker.engines import EngineError
from imagetodem_qgis.worker.training_package import import_training


class TensorFlowEngine:
    """A generator run by Keras on TensorFlow."""

    name = "tensorflow"
    lanes = 1

    def __init__(self, model: dict[str, Any], device: str, threads: int | None) -> None:
        gpus = tf.config.list_physical_devices("GPU")
        if device == "gpu" and not gpus:
            raise EngineError(
                "the GPU was asked for (DEVICE), but TensorFlow sees none: run imagetodem:environmentreport, "
                "or choose DEVICE 'automatic' or 'cpu'"
            )
        if device == "cpu":
            tf.config.set_visible_devices([], "GPU")
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        self.device = f"GPU ({gpus[0].name})" if gpus and device != "cpu" else "CPU"
        network = _LOADERS[model["kind"]](model)
        self._run = tf.function(lambda tiles: network(tiles, training=False), reduce_retracing=True)

    def predict(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`imagetodem_qgis.worker.engines.Engine`."""
        return np.asarray(self._run(tf.constant(tiles)), np.float32)


def _load_weights(model: dict[str, Any]) -> keras.Model:
    generator = import_training("generator")
    try:
        network = generator.build(model["architecture"])
        network.load_weights(model["path"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        # Keras goes on with every weight's values.
        reason = str(error).partition("\n")[0]
        raise EngineError(
            f"the weights {model['path']} do not fit the card's architecture: {reason}"
        ) from error
    return network


def _load_keras(model: dict[str, Any]) -> keras.Model:
    import_training("normalisation")  # registers the layer that a saved generator may hold
    try:
        return keras.saving.load_model(model["path"], compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise EngineError(
            f"{model['path']} is not a Keras model that can be loaded safely: {error}"
        ) from error


def _load_savedmodel(model: dict[str, Any]) -> keras.Model:
    savedmodel = import_training("savedmodel")
    try:
        return savedmodel.read_savedmodel(model["path"])
    except (ValueError, OSError, tf.errors.OpError) as error:
        raise EngineError(f"{model['path']} is not a SavedModel of the original layout: {error}") from error


_LOADERS: dict[str, Callable[[dict[str, Any]], keras.Model]] = {
    "weights": _load_weights,
    "keras": _load_keras,
    "savedmodel": _load_savedmodel,
}
