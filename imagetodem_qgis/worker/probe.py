"""What an interpreter is and holds, as one line of JSON on standard output.

Run as a file by any interpreter, with none of the plugin importable: ``python -I probe.py [--devices]
[--verify] [--import NAME ...]``. Without options it imports no package, so that it answers in a fraction of
a second.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import struct
import subprocess
import sys
import sysconfig
from typing import Any

DISTRIBUTIONS = {
    "numpy": ("numpy",),
    "scipy": ("scipy",),
    "onnxruntime": ("onnxruntime", "onnxruntime-directml", "onnxruntime-gpu", "onnxruntime-openvino"),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"),
    "keras": ("keras",),
    "torch": ("torch",),
    "onnx": ("onnx",),
    "rasterio": ("rasterio",),
    "PIL": ("pillow",),
    "tensorboard": ("tensorboard",),
    "ee": ("earthengine-api",),
    "xdem": ("xdem",),
    "geoutils": ("geoutils",),
    "dask": ("dask",),
    "distributed": ("distributed",),
    "pip": ("pip",),
}
"""Names to import, and the distributions that may provide each."""


def is_importable(module: str) -> bool:
    """Whether a module is found, without importing it; a folder left without its code is not a module."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return False
    return found is not None and found.origin is not None


def packages() -> dict[str, dict[str, str]]:
    """Packages of interest that can be imported: distribution and version, both empty where unknown."""
    found = {}
    for module, distributions in DISTRIBUTIONS.items():
        if is_importable(module):
            found[module] = _first_installed(distributions)
    return found


def _first_installed(distributions: tuple[str, ...]) -> dict[str, str]:
    for name in distributions:
        try:
            return {"distribution": name, "version": importlib.metadata.version(name)}
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"distribution": "", "version": ""}


def broken_distributions() -> list[dict[str, str]]:
    """Distributions of this environment whose files are not all there at the size that was installed."""
    folder = sysconfig.get_paths()["purelib"]
    broken = []
    for distribution in importlib.metadata.distributions(path=[folder]):
        # The only handle on the metadata folder that all versions from 3.9 on have.
        metadata_folder = str(distribution._path)  # type: ignore[attr-defined]
        try:
            name = distribution.metadata["Name"]
            files = distribution.files
        except (OSError, ValueError, UnicodeError) as error:
            name, files = None, None
            reason = f"its metadata cannot be read: {error}"
        else:
            reason = "its list of files is missing" if files is None else _first_damage(files)
        if reason:
            name = name or os.path.basename(metadata_folder).split("-")[0]
            broken.append({"name": name, "reason": reason, "metadata_folder": metadata_folder})
    return broken


def _first_damage(files: list[Any]) -> str:
    for file in files:
        if file.suffix == ".pyc":
            continue
        path = str(file.locate())
        try:
            size = os.path.getsize(path)
        except OSError:
            return f"{file} is missing"
        if file.size is not None and size != file.size:
            return f"{file} has {size} bytes in place of {file.size}"
    return ""


def import_errors(modules: list[str]) -> dict[str, str]:
    """What goes wrong when modules are really imported; empty when nothing does."""
    errors = {}
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - an import can raise anything
            errors[module] = f"{type(error).__name__}: {error}"
    return errors


def devices() -> dict[str, Any]:
    """What can compute: the graphics card's own tool, and what each installed engine says it can use."""
    found: dict[str, Any] = {"cards": _nvidia_cards(), "engines": {}}
    for engine, ask in (("onnxruntime", _onnxruntime), ("tensorflow", _tensorflow), ("torch", _torch)):
        if is_importable(engine):
            try:
                found["engines"][engine] = ask()
            except Exception as error:  # noqa: BLE001 - an import can raise anything
                found["engines"][engine] = {"error": f"{type(error).__name__}: {error}"}
    return found


def _nvidia_cards() -> list[str]:
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def _onnxruntime() -> dict[str, Any]:
    import onnxruntime

    return {"devices": onnxruntime.get_available_providers()}


def _tensorflow() -> dict[str, Any]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow

    details = tensorflow.config.experimental.get_device_details
    cards = tensorflow.config.list_physical_devices("GPU")
    return {"devices": [details(card).get("device_name", card.name) for card in cards] + ["CPU"]}


def _torch() -> dict[str, Any]:
    import torch

    cards = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        cards.append("Apple GPU (MPS)")
    return {"devices": [*cards, "CPU"]}


def main() -> None:
    """Answer with one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", action="store_true")
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--import", dest="imports", nargs="+", default=[])
    options = parser.parse_args()
    answer: dict[str, Any] = {
        "version": list(sys.version_info[:3]),
        "implementation": platform.python_implementation(),
        "bits": struct.calcsize("P") * 8,
        "machine": platform.machine(),
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "packages_folders": sorted({sysconfig.get_paths()[key] for key in ("purelib", "platlib")}),
        "can_make_environments": is_importable("venv") and is_importable("ensurepip"),
        "can_download": is_importable("ssl") and not import_errors(["ssl"]),
        "packages": packages(),
    }
    # Libraries write to standard output as they please: theirs goes to the log, the answer stands alone.
    output = os.dup(1)
    os.dup2(2, 1)
    if options.verify:
        answer["broken"] = broken_distributions()
    if options.imports:
        answer["import_errors"] = import_errors(options.imports)
    if options.devices:
        answer["devices"] = devices()
    os.write(output, (json.dumps(answer) + "\n").encode())


if __name__ == "__main__":
    main()
