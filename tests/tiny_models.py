"""Models so small that the surface they predict is known in closed form.

The networks need the package ``onnx``, which QGIS's Python lacks: this file, run as a script by the
machine-learning environment's interpreter, writes them. The cards are written wherever the tests run.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

RELIEF = 10.0
"""Height in pixels of one unit of the stretched red band."""

LOG_SCALE = math.log(0.5)
"""What the model ``spread`` answers for its log_scale everywhere."""

_TILE_WEIGHT = 50.0
_SLOW_CHANNELS = 96
_SLOW_LAYERS = 6


def card(**changes: Any) -> dict[str, Any]:
    """A card that lacks nothing; keys given replace those of the default."""
    return {
        "name": "tiny",
        "version": "1.2.3",
        "licence": "CC0-1.0",
        "architecture": {"name": "closed_form"},
        "direction": "image_to_dem",
        "inputs": ["red", "green", "blue"],
        "outputs": ["height"],
        "stretch": {"method": "percentile", "lower": 2, "upper": 98, "clip": 1.5},
        "target": "relief_per_pixel",
        "sun_azimuth": None,
        "ground_sampling_distance": {"minimum": 1, "maximum": 1000},
        "tile_size": 64,
        "training_data": {},
        "seed": 0,
        "libraries": {},
        "metrics": {},
        "files": {},
        **changes,
    }


def make_model(folder: Path, network: Path, **changes: Any) -> Path:
    """A model's folder with a network and its card."""
    folder.mkdir(parents=True)
    shutil.copy(network, folder / "generator.onnx")
    digest = hashlib.sha256(network.read_bytes()).hexdigest()
    content = card(files={"generator.onnx": digest}, **changes)
    (folder / "model.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_networks(folder: Path) -> None:
    """Write one ``.onnx`` file for each kind of network; needs ``onnx``."""
    for name, build in _NETWORKS.items():
        network = _Network()
        planes = build(network)
        network.write(folder / f"{name}.onnx", planes)


class _Network:
    """ONNX nodes that take ``tiles`` (n, rows, columns, planes) and answer in the same layout."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, kind: str = "float32") -> str:
        import numpy as np
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def part(self, tensor: str, axis: int, start: int, end: int) -> str:
        """A tensor's entries from start to before end along an axis."""
        bounds = [self.constant([value], "int64") for value in (start, end, axis)]
        return self.node("Slice", tensor, *bounds)

    def plane(self, number: int) -> str:
        return self.part("tiles", 3, number, number + 1)

    def relief(self) -> str:
        return self.node("Mul", self.plane(0), self.constant(RELIEF))

    def write(self, path: Path, answers: str) -> None:
        import onnx
        from onnx import TensorProto, helper

        self.nodes.append(helper.make_node("Identity", [answers], ["answers"]))
        sides = ["n", "rows", "columns"]
        graph = helper.make_graph(
            self.nodes,
            path.stem,
            [helper.make_tensor_value_info("tiles", TensorProto.FLOAT, [*sides, "planes"])],
            [helper.make_tensor_value_info("answers", TensorProto.FLOAT, [*sides, "heights"])],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())


def _red(network: _Network) -> str:
    """The stretched red band."""
    return network.relief()


def _red_and_tile_mean(network: _Network) -> str:
    """The stretched red band, and a constant that is each tile's own."""
    mean = network.node("ReduceMean", network.plane(1), axes=[1, 2], keepdims=1)
    return network.node("Add", network.relief(), network.node("Mul", mean, network.constant(_TILE_WEIGHT)))


def _red_of_next_column(network: _Network) -> str:
    """The stretched red band of the pixel to the right: it tells how a tile was turned."""
    red = network.relief()
    edge = network.part(red, 2, -1, 2**31)
    return network.node("Concat", network.part(red, 2, 1, 2**31), edge, axis=2)


def _spread(network: _Network) -> str:
    """The stretched red band, and the same log_scale everywhere."""
    red = network.relief()
    flat = network.node("Mul", red, network.constant(0.0))
    return network.node("Concat", red, network.node("Add", flat, network.constant(LOG_SCALE)), axis=3)


def _ground_sampling_distance(network: _Network) -> str:
    """The stretched red band times the fourth plane."""
    return network.node("Mul", network.relief(), network.plane(3))


def _fourth_plane(network: _Network) -> str:
    """The fourth plane as it comes."""
    return network.node("Identity", network.plane(3))


def _first_plane_thrice(network: _Network) -> str:
    """The first plane as three bands."""
    plane = network.plane(0)
    return network.node("Concat", plane, plane, plane, axis=3)


def _second_plane_thrice(network: _Network) -> str:
    """The second plane as three bands."""
    plane = network.plane(1)
    return network.node("Concat", plane, plane, plane, axis=3)


def _second_plane_and_tile_mean(network: _Network) -> str:
    """The second plane, and a constant that is each tile's own, added, taken away and left out."""
    plane = network.plane(1)
    mean = network.node("ReduceMean", plane, axes=[1, 2], keepdims=1)
    bands = (network.node("Add", plane, mean), network.node("Sub", plane, mean), plane)
    return network.node("Concat", *bands, axis=3)


def _first_plane_of_next_column_thrice(network: _Network) -> str:
    """The first plane of the pixel to the right as three bands: it tells how a tile was turned."""
    plane = network.plane(0)
    moved = network.node(
        "Concat", network.part(plane, 2, 1, 2**31), network.part(plane, 2, -1, 2**31), axis=2
    )
    return network.node("Concat", moved, moved, moved, axis=3)


def _second_plane_dark_at_its_border_thrice(network: _Network) -> str:
    """The second plane's mean over 9 x 9 pixels, where those beyond the tile are 0, as three bands."""
    import numpy as np

    plane = network.node("Transpose", network.plane(1), perm=[0, 3, 1, 2])
    kernel = network.constant(np.full((3, 1, 9, 9), 1.0 / 81.0))
    return network.node("Transpose", network.node("Conv", plane, kernel, pads=[4] * 4), perm=[0, 2, 3, 1])


def _planes_three_to_five(network: _Network) -> str:
    """Three planes as they come."""
    return network.part("tiles", 3, 2, 5)


def _not_a_number(network: _Network) -> str:
    """The root of a negative number."""
    flat = network.node("Mul", network.relief(), network.constant(0.0))
    return network.node("Sqrt", network.node("Add", flat, network.constant(-1.0)))


def _three_not_numbers(network: _Network) -> str:
    """The root of a negative number as three bands."""
    plane = _not_a_number(network)
    return network.node("Concat", plane, plane, plane, axis=3)


def _slow(network: _Network) -> str:
    """The stretched red band after convolutions that keep a processor busy for a while."""
    import numpy as np

    random = np.random.default_rng(1)
    tensor = network.node("Transpose", "tiles", perm=[0, 3, 1, 2])
    planes = 3
    for _ in range(_SLOW_LAYERS):
        kernel = random.normal(0, 0.02, (_SLOW_CHANNELS, planes, 5, 5))
        tensor = network.node("Conv", tensor, network.constant(kernel), pads=[2, 2, 2, 2])
        planes = _SLOW_CHANNELS
    mixed = network.node("ReduceMean", tensor, axes=[1], keepdims=1)
    mixed = network.node("Transpose", mixed, perm=[0, 2, 3, 1])
    return network.node("Add", network.relief(), network.node("Mul", mixed, network.constant(1e-6)))


_NETWORKS = {
    "red": _red,
    "red_and_tile_mean": _red_and_tile_mean,
    "red_of_next_column": _red_of_next_column,
    "spread": _spread,
    "ground_sampling_distance": _ground_sampling_distance,
    "fourth_plane": _fourth_plane,
    "first_plane_thrice": _first_plane_thrice,
    "second_plane_thrice": _second_plane_thrice,
    "second_plane_and_tile_mean": _second_plane_and_tile_mean,
    "first_plane_of_next_column_thrice": _first_plane_of_next_column_thrice,
    "second_plane_dark_at_its_border_thrice": _second_plane_dark_at_its_border_thrice,
    "planes_three_to_five": _planes_three_to_five,
    "not_a_number": _not_a_number,
    "three_not_numbers": _three_not_numbers,
    "slow": _slow,
}


if __name__ == "__main__":
    write_networks(Path(sys.argv[1]))
