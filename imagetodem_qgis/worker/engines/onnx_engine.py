"""ONNX Runtime: starts in a fraction of TensorFlow's time, and its providers reach the GPUs of all three
systems."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from imagetodem_qgis.worker.engines import EngineError

_GPU_PROVIDERS = {
    "CUDAExecutionProvider": "NVIDIA GPU (CUDA)",
    "ROCMExecutionProvider": "AMD GPU (ROCm)",
    "DmlExecutionProvider": "GPU (DirectML)",
    "CoreMLExecutionProvider": "Apple GPU or Neural Engine (Core ML)",
}
_CPU_PROVIDER = "CPUExecutionProvider"


class OnnxEngine:
    """A generator in ONNX: input (n, rows, columns, planes) float32, one output of the same layout."""

    name = "onnxruntime"

    def __init__(self, model: dict[str, Any], device: str, threads: int | None) -> None:
        if model["kind"] != "onnx":
            raise EngineError(
                "ONNX Runtime loads .onnx files only: choose the engine 'tensorflow' for this model"
            )
        providers = _providers(device)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        if "DmlExecutionProvider" in providers:
            # DirectML's documented conditions.
            options.enable_mem_pattern = False
            options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        try:
            self._session = onnxruntime.InferenceSession(model["path"], options, providers=providers)
        except Exception as error:
            raise EngineError(f"ONNX Runtime cannot load {model['path']}: {error}") from error
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name
        used = self._session.get_providers()[0]
        self.device = _GPU_PROVIDERS.get(used, "CPU")
        if device == "gpu" and used == _CPU_PROVIDER:
            raise EngineError("the GPU was asked for (DEVICE), but ONNX Runtime could not start on it")

    def predict(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`imagetodem_qgis.worker.engines.Engine`."""
        return np.asarray(self._session.run([self._output], {self._input: tiles})[0], np.float32)


def _providers(device: str) -> list[str]:
    available = onnxruntime.get_available_providers()
    gpu = [provider for provider in _GPU_PROVIDERS if provider in available] if device != "cpu" else []
    if device == "gpu" and not gpu:
        raise EngineError(
            "the GPU was asked for (DEVICE), but this ONNX Runtime has no GPU provider; "
            f"it has {', '.join(available)}. Choose DEVICE 'automatic' or 'cpu'"
        )
    return gpu + [_CPU_PROVIDER]
