"""Where a run computes: the backend, the graphics cards or the processor, and the precision that suits."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training.request import Listener, TrainingError

if TYPE_CHECKING:
    # Keras is imported with it, and the backend is chosen here.
    from training.steps import Adapter, Card

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
_BFLOAT16_FLAGS = frozenset(("amx_bf16", "avx512_bf16"))
"""What processors that multiply in bfloat16 have one of. With the second, a step of the light generator was
seen to take 0.7 of float32's time."""
_AUTOMATIC = (None, "", "auto", "automatic")


@dataclass(frozen=True)
class Device:
    """What a run computes on.

    Attributes:
        kind: ``gpu`` or ``cpu``.
        name: for the log and the card.
        cards: graphics cards that share the work; 0 on the processor.
    """

    kind: str
    name: str
    cards: int

    @property
    def keras_name(self) -> str:
        """As ``keras.device`` takes it."""
        return f"{self.kind}:0"


def choose_device(asked: str | None, adapter: Adapter, listener: Listener) -> Device:
    """The device of a run, named in the log, with a warning where a graphics card stays unused.

    Args:
        asked: ``cpu``, ``gpu``, or ``None`` for the best there is.
        adapter: of the backend.
        listener: who is told.

    Raises:
        TrainingError: there is no such kind of device.
    """
    if asked not in (*_AUTOMATIC, "cpu", "gpu"):
        raise TrainingError(f"DEVICE is {asked!r}, not one of automatic, cpu, gpu")
    cards = adapter.cards()
    if cards and asked != "cpu":
        shared = adapter.largest_replication()
        names = ", ".join(card.name for card in cards[:shared])
        listener.note(f"Training on the GPU: {names}.")
        if len(cards) > shared:
            listener.warn(
                f"{len(cards) - shared} more GPU(s) stay unused: Keras shares training between cards on "
                "TensorFlow only."
            )
        return Device("gpu", names, shared)
    name = processor_name()
    listener.note(f"Training on the processor: {name}.")
    flags = _processor_flags()
    if flags and not _BFLOAT16_FLAGS & flags:
        listener.note(
            "It has no instructions for bfloat16: a step takes several times as long as on a processor that "
            "has, and the times that the documentation gives for training are not this one's."
        )
    if asked == "gpu":
        listener.warn(
            "DEVICE asks for the GPU, but the machine-learning environment sees none: training falls back to "
            "the processor, which is many times slower. imagetodem:environmentreport says what is missing."
        )
    elif asked != "cpu":
        unused = cards_of_the_system()
        if unused:
            listener.warn(
                f"This machine has a GPU ({', '.join(unused)}) that the machine-learning environment cannot "
                "use: training runs on the processor, many times slower. imagetodem:environmentreport says "
                "what is missing."
            )
    return Device("cpu", name, 0)


def choose_precision(asked: str | None, device: Device, cards: list[Card]) -> str:
    """The Keras dtype policy of a run.

    Raises:
        TrainingError: there is no such precision.
    """
    if asked in _AUTOMATIC:
        if device.kind == "cpu":
            return "mixed_bfloat16" if _BFLOAT16_FLAGS & _processor_flags() else "float32"
        return "mixed_bfloat16" if cards and cards[0].bfloat16 else "float32"
    if asked not in PRECISIONS:
        raise TrainingError(f"PRECISION is {asked!r}, not one of automatic, {', '.join(PRECISIONS)}")
    return str(asked)


def choose_backend() -> str:
    """The backend of Keras, set before Keras is imported: TensorFlow, but PyTorch on Windows, where it alone
    reaches the graphics card. A choice that was made before stays.

    Raises:
        TrainingError: neither is installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "KERAS_BACKEND" in os.environ:
        return os.environ["KERAS_BACKEND"]
    order = ("torch", "tensorflow") if sys.platform == "win32" else ("tensorflow", "torch")
    for backend in order:
        if importlib.util.find_spec(backend) is not None:
            os.environ["KERAS_BACKEND"] = backend
            return backend
    raise TrainingError(
        "training needs TensorFlow or PyTorch: run imagetodem:setupenvironment with PROFILE train"
    )


def cards_of_the_system() -> list[str]:
    """Names of NVIDIA cards that the system's driver reports."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        answer = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return []
    lines = answer.stdout.splitlines() if answer.returncode == 0 else []
    return [line.split(":", 1)[1].split("(")[0].strip() for line in lines if line.startswith("GPU")]


def processor_name() -> str:
    """What the processor calls itself, and how many of its cores may be used."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    name = next((line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")), "")
    return f"{name or os.environ.get('PROCESSOR_IDENTIFIER', 'processor')}, {cores} cores"


def _processor_flags() -> set[str]:
    return set(next((line.split() for line in _cpuinfo() if line.startswith("flags")), []))


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
