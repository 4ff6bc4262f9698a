"""What the profiles of an environment install, on every system."""

from __future__ import annotations

import sys
from pathlib import Path

from imagetodem_qgis.runtime.profiles import (
    PREDICT,
    TRAIN,
    requirements_count,
    requirements_file,
    requirements_hash,
    unavailable_reason,
)

ROOT = Path(__file__).resolve().parents[2]


def test_every_platform_has_pins_for_every_package_a_profile_needs():
    files = {"predict.txt": set(), "train.txt": set(), "train-nvidia-linux.txt": set()}
    folder = ROOT / "imagetodem_qgis" / "runtime" / "requirements"
    for name, pinned in files.items():
        for line in (folder / name).read_text().splitlines():
            requirement = line.split(" ;")[0]
            assert "==" in requirement, line
            pinned.add(requirement.split("==")[0])
    assert {"numpy", "scipy", "onnxruntime", "onnxruntime-directml"} <= files["predict.txt"]
    assert files["predict.txt"] < files["train.txt"]
    assert {"keras", "tensorflow-cpu", "torch", "onnx", "rasterio", "pillow", "tensorboard"} <= files[
        "train.txt"
    ]
    assert {"earthengine-api", "xdem", "geoutils", "dask", "distributed"} <= files["train.txt"]
    assert files["train.txt"] - {"tensorflow-cpu"} <= files["train-nvidia-linux.txt"]
    assert "nvidia-cudnn-cu12" in files["train-nvidia-linux.txt"]
    shared = set((folder / "predict.txt").read_text().splitlines())
    assert shared <= set((folder / "train.txt").read_text().splitlines())


def test_requirements_follow_the_system_and_its_card(monkeypatch):
    module = "imagetodem_qgis.runtime.profiles"
    monkeypatch.setattr(f"{module}.has_nvidia_card", lambda: True)
    monkeypatch.setattr(f"{module}.platform.machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "win32")
    windows = requirements_file(TRAIN)
    monkeypatch.setattr(sys, "platform", "linux")
    linux = requirements_file(TRAIN)
    monkeypatch.setattr(f"{module}.has_nvidia_card", lambda: False)
    assert [windows.name, linux.name] == ["train-nvidia-windows.txt", "train-nvidia-linux.txt"]
    assert requirements_file(TRAIN).name == "train.txt"
    assert requirements_file(PREDICT).name == "predict.txt"
    assert requirements_count(windows) == requirements_count(requirements_file(TRAIN)) > 40
    assert requirements_hash(windows) != requirements_hash(requirements_file(TRAIN))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Intel" in unavailable_reason(TRAIN)
    assert unavailable_reason(PREDICT) == ""
