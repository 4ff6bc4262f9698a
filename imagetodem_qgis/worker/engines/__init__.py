"""The inference engines, behind one interface."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """A loaded generator.

    Attributes:
        name: ``onnxruntime`` or ``tensorflow``.
        device: what it runs on, in words.
        lanes: of how many threads it is best asked at once, tile by tile; 1 for whole batches.
    """

    name: str
    device: str
    lanes: int

    def predict(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answers for tiles.

        Args:
            tiles: (n, rows, columns, planes) float32.

        Returns:
            (n, rows, columns, answers) float32; a tile's answer does not depend on the others.
        """


class EngineError(RuntimeError):
    """A model that an engine cannot load, or a device that it cannot use."""


def open_engine(engine: str, model: dict[str, Any], device: str, threads: int | None = None) -> Engine:
    """Load a model.

    Args:
        engine: ``onnxruntime`` or ``tensorflow``.
        model: ``kind`` (``onnx``, ``weights``, ``keras`` or ``savedmodel``) and ``path``; for ``weights`` the
            card's ``architecture`` as well.
        device: ``automatic``, ``cpu`` or ``gpu``.
        threads: processor threads for each question; the engine's own choice if not given.

    Raises:
        EngineError: the model or the device cannot be used.
    """
    if engine == "onnxruntime":
        from imagetodem_qgis.worker.engines.onnx_engine import OnnxEngine

        return OnnxEngine(model, device, threads)
    if engine == "tensorflow":
        from imagetodem_qgis.worker.engines.tensorflow_engine import TensorFlowEngine

        return TensorFlowEngine(model, device, threads)
    raise EngineError(f"there is no engine '{engine}'")
