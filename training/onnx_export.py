"""Writing a generator as ONNX.

The network is walked layer by layer: there are few kinds of them, and by doing it here normalisation is
folded into the convolutions and no transposition is left between them, which a general converter does not
promise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.normalisation import SampleNormalization

_OPSET = 17


def export_onnx(
    model: keras.Model,
    path: Path,
    half_precision: bool = False,
    mirrored: bool = False,
    before: keras.Model | None = None,
) -> None:
    """Write a model for inference: no dropout, normalisation by running (or the sample's own) statistics.

    Args:
        model: one input (n, rows, columns, planes) and one output of the same layout; layers and operations
            of ``training.generator`` only.
        path: of the file to write.
        half_precision: store kernels as float16; they are computed with as float32 all the same.
        mirrored: answer with the mean of the model's answers for a tile and for its mirror image across the
            diagonal, as ``training.generator.light_unet`` does.
        before: what the tiles go through first, of the same layout, if anything.

    Raises:
        ValueError: the model holds a layer that is not known here.
    """
    graph = _Graph(half_precision)
    source, answer = model.inputs[0], model.outputs[0]
    tiles = graph.node("Transpose", ["tiles"], perm=[0, 3, 1, 2])
    if before is not None:
        tiles = graph.run(before.inputs[0], before.outputs[0], tiles)
    answered = graph.run(source, answer, tiles)
    if mirrored:
        mirror = [0, 1, 3, 2]
        image = graph.run(source, answer, graph.node("Transpose", [tiles], perm=mirror))
        answered = graph.node("Mean", [answered, graph.node("Transpose", [image], perm=mirror)])
    graph.node("Transpose", [answered], ["answers"], perm=[0, 2, 3, 1])
    onnx_graph = helper.make_graph(
        graph.nodes,
        model.name,
        [helper.make_tensor_value_info("tiles", TensorProto.FLOAT, ["n", *_sides(source), source.shape[-1]])],
        [
            helper.make_tensor_value_info(
                "answers", TensorProto.FLOAT, ["n", *_sides(answer), answer.shape[-1]]
            )
        ],
        graph.constants,
    )
    written = helper.make_model(
        onnx_graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="imagetodem", ir_version=8
    )
    onnx.checker.check_model(written, full_check=True)
    path.write_bytes(written.SerializeToString())


def _sides(tensor: Any) -> list[Any]:
    return [side or name for side, name in zip(tensor.shape[1:3], ("rows", "columns"))]


class _Graph:
    """The ONNX nodes so far, and which of their outputs stands for which tensor of the Keras model."""

    def __init__(self, half_precision: bool) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.names: dict[int, str] = {}
        self._half = half_precision
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def run(self, source: Any, answer: Any, name: str) -> str:
        """Add the model's nodes for an input of the given name, and name its answer."""
        self.names = {id(source): name}
        return self.name_of(answer)

    def name_of(self, tensor: Any) -> str:
        """The name of a tensor, after adding the nodes that make it."""
        if id(tensor) not in self.names:
            operation, node_index, _ = tensor._keras_history
            node = operation._inbound_nodes[node_index]
            writer = _WRITERS.get(type(operation).__name__)
            if writer is None:
                raise ValueError(f"cannot write {type(operation).__name__} '{operation.name}' as ONNX")
            self.names[id(tensor)] = writer(self, operation, node)
        return self.names[id(tensor)]

    def node(self, kind: str, inputs: list[str], outputs: list[str] | None = None, **attributes: Any) -> str:
        """Add a node and name its output."""
        outputs = outputs or [f"{kind.lower()}_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs[0]

    def constant(self, value: NDArray[np.generic], may_be_half: bool = False) -> str:
        """Add a constant; kernels may be stored in half precision."""
        halved = may_be_half and self._half
        stored = np.ascontiguousarray(value.astype(np.float16) if halved else value)
        # The same kernel serves the tile and its mirror image.
        key = (stored.dtype.str, stored.shape, stored.tobytes())
        if key not in self._known:
            name = f"constant_{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(stored, name))
            self._known[key] = self.node("Cast", [name], to=TensorProto.FLOAT) if halved else name
        return self._known[key]


def _only_input(graph: _Graph, node: Any) -> str:
    return graph.name_of(node.input_tensors[0])


def _conv(graph: _Graph, layer: Any, node: Any) -> str:
    kernel = _array(layer.kernel)
    bias = _array(layer.bias) if layer.use_bias else np.zeros(kernel.shape[-1], np.float32)
    follower = _normalisation_after(node)
    if follower is not None:
        # Ioffe & Szegedy 2015: at inference a batch normalisation is a scale and a shift of each channel.
        scale = _array(follower.gamma) / np.sqrt(_array(follower.moving_variance) + follower.epsilon)
        kernel = kernel * scale
        bias = (bias - _array(follower.moving_mean)) * scale + _array(follower.beta)
    rows, columns = (
        _same_padding(size, kernel.shape[axis], layer.strides[axis])
        for axis, size in enumerate(node.input_tensors[0].shape[1:3])
    )
    convolved = graph.node(
        "Conv",
        [
            _only_input(graph, node),
            graph.constant(kernel.transpose(3, 2, 0, 1), may_be_half=True),
            graph.constant(bias.astype(np.float32)),
        ],
        strides=list(layer.strides),
        pads=[rows[0], columns[0], rows[1], columns[1]],
    )
    return _activated(graph, layer, convolved)


def _conv_transpose(graph: _Graph, layer: Any, node: Any) -> str:
    kernel = _array(layer.kernel)
    bias = _array(layer.bias) if layer.use_bias else np.zeros(kernel.shape[2], np.float32)
    pads = [(side - stride) // 2 for side, stride in zip(kernel.shape[:2], layer.strides)]
    transposed = graph.node(
        "ConvTranspose",
        [
            _only_input(graph, node),
            graph.constant(kernel.transpose(3, 2, 0, 1), may_be_half=True),
            graph.constant(bias.astype(np.float32)),
        ],
        strides=list(layer.strides),
        pads=pads + pads,
    )
    return _activated(graph, layer, transposed)


def _activated(graph: _Graph, layer: Any, name: str) -> str:
    activation = keras.activations.serialize(layer.activation)
    if activation == "linear":
        return name
    if activation == "tanh":
        return graph.node("Tanh", [name])
    raise ValueError(f"cannot write the activation {activation} of '{layer.name}' as ONNX")


def _batch_norm(graph: _Graph, layer: Any, node: Any) -> str:
    source = node.input_tensors[0]
    if _is_folded(source):
        return graph.name_of(source)
    statistics = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    names = [graph.constant(_array(value)) for value in statistics]
    return graph.node("BatchNormalization", [graph.name_of(source), *names], epsilon=layer.epsilon)


def _sample_norm(graph: _Graph, layer: SampleNormalization, node: Any) -> str:
    names = [graph.constant(_array(value)) for value in (layer.gamma, layer.beta)]
    return graph.node("InstanceNormalization", [_only_input(graph, node), *names], epsilon=layer.epsilon)


def _group_norm(graph: _Graph, layer: Any, node: Any) -> str:
    """Each group is normalised as one channel, then brought back to its shape, scaled and shifted."""
    channels = node.outputs[0].shape[-1]
    ones = graph.constant(np.ones(layer.groups, np.float32))
    zeros = graph.constant(np.zeros(layer.groups, np.float32))
    grouped = graph.constant(np.array([0, layer.groups, -1], np.int64))
    source = _only_input(graph, node)
    apart = graph.node("Shape", [source])
    joined = graph.node("Reshape", [source, grouped])
    normal = graph.node("InstanceNormalization", [joined, ones, zeros], epsilon=layer.epsilon)
    scale, shift = (graph.constant(_array(w).reshape(1, channels, 1, 1)) for w in (layer.gamma, layer.beta))
    scaled = graph.node("Mul", [graph.node("Reshape", [normal, apart]), scale])
    return graph.node("Add", [scaled, shift])


def _upsample(graph: _Graph, layer: Any, node: Any) -> str:
    scales = graph.constant(np.array([1, 1, *layer.size], np.float32))
    inputs = [_only_input(graph, node), "", scales]
    if layer.interpolation == "bilinear":
        return graph.node("Resize", inputs, mode="linear", coordinate_transformation_mode="half_pixel")
    return graph.node(
        "Resize",
        inputs,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _slice_planes(graph: _Graph, operation: Any, node: Any) -> str:
    planes = node.arguments.args[1][-1]
    start, stop, _ = planes.indices(node.input_tensors[0].shape[-1])
    bounds = [graph.constant(np.array([value], np.int64)) for value in (start, stop, 1)]
    return graph.node("Slice", [_only_input(graph, node), *bounds])


def _elementwise(kind: str) -> Callable[[_Graph, Any, Any], str]:
    def write(graph: _Graph, operation: Any, node: Any) -> str:
        return graph.node(kind, [graph.name_of(tensor) for tensor in node.input_tensors])

    return write


def _add(graph: _Graph, layer: Any, node: Any) -> str:
    names = [graph.name_of(tensor) for tensor in node.input_tensors]
    # Engines join the sum of two with the convolution before it, but not the sum of any number.
    return graph.node("Add" if len(names) == 2 else "Sum", names)


def _concatenate(graph: _Graph, layer: Any, node: Any) -> str:
    return graph.node("Concat", [graph.name_of(tensor) for tensor in node.input_tensors], axis=1)


def _leaky_relu(graph: _Graph, layer: Any, node: Any) -> str:
    return graph.node("LeakyRelu", [_only_input(graph, node)], alpha=float(layer.negative_slope))


def _average_pool(graph: _Graph, layer: Any, node: Any) -> str:
    sides = {"kernel_shape": list(layer.pool_size), "strides": list(layer.strides)}
    return graph.node("AveragePool", [_only_input(graph, node)], **sides)


def _rescale(graph: _Graph, layer: Any, node: Any) -> str:
    scale, offset = (graph.constant(np.array(value, np.float32)) for value in (layer.scale, layer.offset))
    return graph.node("Add", [graph.node("Mul", [_only_input(graph, node), scale]), offset])


def _skip(graph: _Graph, layer: Any, node: Any) -> str:
    return _only_input(graph, node)


_WRITERS: dict[str, Callable[[_Graph, Any, Any], str]] = {
    "Conv2D": _conv,
    "Conv2DTranspose": _conv_transpose,
    "BatchNormalization": _batch_norm,
    "GroupNormalization": _group_norm,
    "SampleNormalization": _sample_norm,
    "UpSampling2D": _upsample,
    "GetItem": _slice_planes,
    "ReLU": _elementwise("Relu"),
    "LeakyReLU": _leaky_relu,
    "Exp": _elementwise("Exp"),
    "Sigmoid": _elementwise("Sigmoid"),
    "Average": _elementwise("Mean"),
    "Subtract": _elementwise("Sub"),
    "Add": _add,
    "Multiply": _elementwise("Mul"),
    "Concatenate": _concatenate,
    "AveragePooling2D": _average_pool,
    "Rescaling": _rescale,
    "Dropout": _skip,
}


def _is_folded(tensor: Any) -> bool:
    operation, node_index, _ = tensor._keras_history
    return _normalisation_after(operation._inbound_nodes[node_index]) is not None


def _normalisation_after(node: Any) -> Any:
    """The batch normalisation that alone takes a convolution's output as it is, if there is one."""
    layer = node.operation
    if type(layer).__name__ != "Conv2D" or keras.activations.serialize(layer.activation) != "linear":
        return None
    followers = [
        other
        for other in layer._outbound_nodes
        if any(tensor is node.outputs[0] for tensor in other.input_tensors)
    ]
    if len(followers) == 1 and type(followers[0].operation).__name__ == "BatchNormalization":
        return followers[0].operation
    return None


def _same_padding(size: int | None, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels before and after, as TensorFlow's "same" pads: the odd one comes after."""
    if size is None:
        size = stride
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def _array(variable: Any) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float32)
