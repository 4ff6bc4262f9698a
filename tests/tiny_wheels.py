"""Wheels of a few hundred bytes, so that pip can be run for real without a network."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

PREDICT_MODULES = {"numpy": "numpy", "scipy": "scipy", "onnxruntime": "onnxruntime"}
TRAIN_MODULES = {
    **PREDICT_MODULES,
    "keras": "keras",
    "tensorflow": "tensorflow",
    "onnx": "onnx",
    "rasterio": "rasterio",
    "pillow": "PIL",
}
"""Distribution and the name to import."""


def build_wheel(folder: Path, name: str, version: str, module: str, code: str = "") -> Path:
    """Write a wheel with one package, whose ``__init__`` holds some code."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    files = {
        f"{module}/__init__.py": f"{code}\n__version__ = {version!r}\n",
        f"{module}/part.py": "VALUE = 1\n" * 50,
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{_digest(text)},{len(text)}\n" for path, text in files.items())
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{stem}.dist-info/RECORD", record + f"{stem}.dist-info/RECORD,,\n")
    return wheel


def build_wheels(folder: Path, modules: dict[str, str], version: str = "1.0") -> Path:
    """Write a wheel of each distribution, and a requirements file beside them that pins all of them.

    Returns:
        The requirements file.
    """
    for name, module in modules.items():
        build_wheel(folder, name, version, module)
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{name}=={version}\n" for name in modules), encoding="utf-8")
    return requirements


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
