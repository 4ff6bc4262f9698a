"""Reading the original project's SavedModel folders.

Only the numbers in the folder's ``variables`` are read; the functions saved beside them are never run. They
compute with the batch's statistics and with dropout, so that an answer depended on its batch and on chance;
the weights are put into the paper's U-Net with each sample's own statistics and no dropout instead.
"""

from __future__ import annotations

import re
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from training.generator import paper_unet

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_LEVELS = 8


def read_savedmodel(folder: str) -> keras.Model:
    """The generator whose weights a SavedModel folder holds.

    Args:
        folder: with ``saved_model.pb`` and ``variables/``, saved from the U-Net of Panagiotou et al. 2020:
            eight convolutions down, eight transposed ones up, batch normalisation between them.

    Returns:
        ``paper_unet`` with as many input and output bands as the weights have, statistics of each sample.

    Raises:
        ValueError: the variables are not those of that network.
    """
    variables = _variables(Path(folder) / "variables" / "variables")
    kernels = [value for kind, value in variables if kind == "kernel"]
    gammas = [value for kind, value in variables if kind == "gamma"]
    betas = [value for kind, value in variables if kind == "beta"]
    biases = [value for kind, value in variables if kind == "bias"]
    if len(kernels) != 2 * _LEVELS or any(kernel.shape[:2] != (4, 4) for kernel in kernels):
        raise ValueError(f"{len(kernels)} kernels where the paper's generator has {2 * _LEVELS} of 4 x 4")
    network = paper_unet(kernels[0].shape[2], kernels[-1].shape[2], statistics="sample")
    vectors = [vector for pair in zip(gammas, betas) for vector in pair] + biases
    _fill(network, kernels, vectors)
    return network


def _variables(prefix: Path) -> list[tuple[str, NDArray[np.float32]]]:
    """Kind (kernel, gamma, beta, bias, ...) and value of each variable of a checkpoint, in the order of its
    layers.

    Layers are ordered by their names: Keras numbers them as they are made, and the network was made from its
    input to its output. The order of the checkpoint's own keys differs between versions of TensorFlow.
    """
    reader = tf.train.load_checkpoint(str(prefix))
    graph = TrackableObjectGraph.FromString(reader.get_tensor(_OBJECT_GRAPH))
    attributes = [attribute for node in graph.nodes for attribute in node.attributes]
    paths = {attribute.full_name: attribute.checkpoint_key for attribute in attributes}
    return [
        (path.rsplit("/", 1)[-1], np.asarray(reader.get_tensor(paths[path])))
        for path in sorted(paths, key=_natural)
        if "/" in path and "Adam" not in path
    ]


def _fill(
    network: keras.Model, kernels: list[NDArray[np.float32]], vectors: list[NDArray[np.float32]]
) -> None:
    remaining_kernels, remaining_vectors = iter(kernels), iter(vectors)
    for layer in network.layers:
        values = [
            next(remaining_kernels if len(w.shape) == 4 else remaining_vectors, None) for w in layer.weights
        ]
        for weight, value in zip(layer.weights, values):
            if value is None or tuple(weight.shape) != value.shape:
                found = "nothing" if value is None else value.shape
                raise ValueError(f"layer {layer.name} takes {tuple(weight.shape)}, the folder has {found}")
        if values:
            layer.set_weights(values)
    if next(remaining_vectors, None) is not None:
        raise ValueError("the folder holds more variables than the paper's generator has")


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sorts numbers in a name by value: layer 10 comes after layer 9."""
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", name)]
