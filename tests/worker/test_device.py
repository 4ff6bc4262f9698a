from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from training import device
from training.device import Device, choose_backend, choose_device, choose_precision
from training.request import TrainingError
from training.steps import Card

CARDS = [Card("NVIDIA A", True), Card("NVIDIA B", True)]
CPU, GPU = Device("cpu", "processor", 0), Device("gpu", "NVIDIA A", 1)


class Machine:
    """An adapter with cards that are not there."""

    def __init__(self, cards: list[Card], shared: int = 1) -> None:
        self._cards, self._shared = cards, shared

    def cards(self) -> list[Card]:
        return self._cards

    def largest_replication(self) -> int:
        return self._shared


class Told:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(autouse=True)
def _no_driver(monkeypatch):
    monkeypatch.setattr(device, "cards_of_the_system", list)


def test_the_gpu_is_named():
    told = Told()
    assert choose_device(None, Machine(CARDS[:1]), told) == GPU
    assert told.notes == ["Training on the GPU: NVIDIA A."]
    assert told.warnings == []
    assert GPU.keras_name == "gpu:0"


def test_several_gpus_share_the_work_or_stay_unused_with_a_word():
    told = Told()
    assert choose_device("gpu", Machine(CARDS, shared=2), told) == Device("gpu", "NVIDIA A, NVIDIA B", 2)
    assert told.warnings == []
    assert choose_device("gpu", Machine(CARDS), told).cards == 1
    assert "1 more GPU(s) stay unused" in told.warnings[0]


def test_the_processor_is_taken_without_a_word_where_it_was_asked_for(monkeypatch):
    told = Told()
    monkeypatch.setattr(device, "cards_of_the_system", lambda: ["NVIDIA A"])
    chosen = choose_device("cpu", Machine(CARDS), told)
    assert (chosen.kind, chosen.cards) == ("cpu", 0)
    assert told.notes[0].startswith("Training on the processor: ")
    assert told.warnings == []


@pytest.mark.parametrize(
    ("flags", "is_told"), [({"avx2", "fma"}, True), ({"avx2", "amx_bf16"}, False), (set(), False)]
)
def test_a_processor_without_bfloat16_is_said_to_be_slow(monkeypatch, flags, is_told):
    told = Told()
    monkeypatch.setattr(device, "_processor_flags", lambda: flags)
    choose_device("cpu", Machine([]), told)
    assert any("no instructions for bfloat16" in note for note in told.notes) == is_told


def test_a_gpu_that_was_asked_for_and_is_not_seen():
    told = Told()
    assert choose_device("gpu", Machine([]), told).kind == "cpu"
    assert "DEVICE asks for the GPU, but the machine-learning environment sees none" in told.warnings[0]


def test_a_gpu_of_the_machine_that_the_environment_cannot_use(monkeypatch):
    told = Told()
    assert choose_device("automatic", Machine([]), told).kind == "cpu"
    assert told.warnings == []
    monkeypatch.setattr(device, "cards_of_the_system", lambda: ["NVIDIA A"])
    choose_device(None, Machine([]), told)
    words = "This machine has a GPU (NVIDIA A) that the machine-learning environment cannot use"
    assert words in told.warnings[0]


def test_the_drivers_answer_is_read(monkeypatch, tmp_path):
    monkeypatch.undo()
    program = tmp_path / "nvidia-smi"
    lines = ("GPU 0: NVIDIA RTX 9 (UUID: GPU-1)", "GPU 1: Tesla T4 (UUID: GPU-2)")
    program.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    assert device.cards_of_the_system() == ["NVIDIA RTX 9", "Tesla T4"]
    program.write_text("#!/bin/sh\necho 'no driver' >&2\nexit 9\n")
    assert device.cards_of_the_system() == []
    monkeypatch.setenv("PATH", "")
    assert device.cards_of_the_system() == []


def test_the_precision_is_what_the_device_is_quick_with(monkeypatch):
    assert choose_precision(None, GPU, CARDS) == "mixed_bfloat16"
    assert choose_precision("automatic", GPU, [Card("Tesla T4", False)]) == "float32"
    for flag in ("amx_bf16", "avx512_bf16"):
        monkeypatch.setattr(device, "_cpuinfo", lambda flag=flag: [f"flags\t\t: fpu avx2 {flag}"])
        assert choose_precision(None, CPU, []) == "mixed_bfloat16"
    monkeypatch.setattr(device, "_cpuinfo", lambda: ["flags\t\t: fpu avx2"])
    assert choose_precision(None, CPU, []) == "float32"
    monkeypatch.setattr(device, "_cpuinfo", list)
    assert choose_precision(None, CPU, []) == "float32"
    assert choose_precision("mixed_float16", CPU, []) == "mixed_float16"
    with pytest.raises(TrainingError, match="PRECISION is 'half', not one of automatic, float32"):
        choose_precision("half", CPU, [])


@pytest.mark.parametrize(
    ("system", "installed", "backend"),
    [
        ("linux", {"tensorflow", "torch"}, "tensorflow"),
        ("linux", {"torch"}, "torch"),
        ("win32", {"tensorflow", "torch"}, "torch"),
        ("win32", {"tensorflow"}, "tensorflow"),
    ],
)
def test_the_backend_is_chosen_before_keras_is_imported(monkeypatch, system, installed, backend):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in installed else None)
    assert choose_backend() == backend
    assert os.environ["KERAS_BACKEND"] == backend
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert choose_backend() == "jax"


def test_where_nothing_can_train(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="setupenvironment with PROFILE train"):
        choose_backend()


def test_a_backend_without_an_adapter_is_refused():
    script = (
        "import keras; keras.backend.backend = lambda: 'jax'\n"
        "from training import steps\n"
        "try:\n    steps.adapter()\nexcept ValueError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "not on Keras's backend jax" in done.stdout
