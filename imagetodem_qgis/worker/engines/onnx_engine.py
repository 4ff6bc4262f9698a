"""ONNX Runtime: starts in a fraction of TensorFlow's time, and its providers reach the GPUs of all three
systems."""

from __future__ import annotations

import os
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
_MOST_LANES = 8
"""Each takes the memory of a tile under way."""


class OnnxEngine:
    """A generator in ONNX: input (n, rows, columns, planes) float32, one output of the same layout."""

    name = "onnxruntime"

    def __init__(self, model: dict[str, Any], device: str, threads: int | None) -> None:
        if model["kind"] != "onnx":
            raise EngineError(
                "ONNX Runtime loads .onnx files only: choose the engine 'tensorflow' for this model"
            )
        providers = _providers(device)
        self.lanes, own = _on_a_processor() if providers == [_CPU_PROVIDER] else (1, 0)
        self._session = _session(model["path"], providers, threads or own)
        used = self._session.get_providers()[0]
        if used == _CPU_PROVIDER != providers[0]:
            if device == "gpu":
                raise EngineError("the GPU was asked for (DEVICE), but ONNX Runtime could not start on it")
            self.lanes, own = _on_a_processor()
            self._session = _session(model["path"], [_CPU_PROVIDER], threads or own)
        if threads:
            self.lanes = 1
        self.device = _GPU_PROVIDERS.get(used, "CPU")
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def predict(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`imagetodem_qgis.worker.engines.Engine`."""
        return np.asarray(self._session.run([self._output], {self._input: tiles})[0], np.float32)


def _session(path: str, providers: list[str], threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    if "DmlExecutionProvider" in providers:
        # DirectML's documented conditions.
        options.enable_mem_pattern = False
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:
        raise EngineError(f"ONNX Runtime cannot load {path}: {error}") from error


def _on_a_processor() -> tuple[int, int]:
    """Lanes, and threads in each: a tile on each core, or on several of many cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    lanes = min(_MOST_LANES, cores)
    return lanes, cores // lanes


def _providers(device: str) -> list[str]:
    available = onnxruntime.get_available_providers()
    gpu = [provider for provider in _GPU_PROVIDERS if provider in available] if device != "cpu" else []
    if device == "gpu" and not gpu:
        raise EngineError(
            "the GPU was asked for (DEVICE), but this ONNX Runtime has no GPU provider; "
            f"it has {', '.join(available)}. Choose DEVICE 'automatic' or 'cpu'"
        )
    return gpu + [_CPU_PROVIDER]
