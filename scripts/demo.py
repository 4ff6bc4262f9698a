"""Predict DEM on a real image, from a shell to a picture: what ``make demo`` runs after installing.

Makes the machine-learning environment (``imagetodem:setupenvironment``), predicts a DEM of the Rocky
Mountains (``imagetodem:predictdem``), shows it beside the true DEM in three dimensions
(``imagetodem:exportscene``), compares the two and draws them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from osgeo import gdal

from imagetodem_qgis.runtime.locations import environment_folder
from imagetodem_qgis.runtime.marker import environment_python
from scripts.demo_figures import compare, table
from scripts.demo_picture import draw
from scripts.rocky_mountain import fetch_scene

gdal.UseExceptions()


class DemoError(Exception):
    """A step of the demo failed; what it ran has said why."""


def run_algorithm(algorithm: str, **parameters: str | Path) -> None:
    """Run one of the plugin's algorithms as a user would, with ``qgis_process``, away from this folder.

    Raises:
        DemoError: QGIS reports a failure.
    """
    settings = [f"{key}={value}" for key, value in parameters.items()]
    command = [
        os.environ.get("QGIS_PROCESS", "qgis_process"),
        "run",
        f"imagetodem:{algorithm}",
        "--",
        *settings,
    ]
    print("\n$", " ".join(["qgis_process", *command[1:]]), flush=True)
    with tempfile.TemporaryDirectory() as elsewhere:
        code = subprocess.run(command, cwd=elsewhere, stdin=subprocess.DEVNULL, check=False).returncode
    if code != 0:
        raise DemoError(f"imagetodem:{algorithm} failed with exit status {code}")


def demo(output: Path) -> None:
    """Run all steps and write into ``output``.

    Raises:
        DemoError: an algorithm failed.
    """
    run_algorithm("setupenvironment", PROFILE="predict")
    scene = fetch_scene(output, environment_python(environment_folder()))
    dem, confidence, picture = output / "dem.tif", output / "confidence.tif", output / "demo.png"
    run_algorithm("predictdem", INPUT=scene.image, OUTPUT=dem, CONFIDENCE=confidence)
    view = output / "scene.html"
    run_algorithm("exportscene", DEM=dem, IMAGE=scene.image, REFERENCE=scene.dem, OUTPUT=view)
    figures = compare(dem, scene.image, scene.dem)
    draw(dem, scene.image, scene.dem, picture, "Image to DEM: an elevation surface from a single image")
    print("\nAgainst the true DEM, on its grid of 234 m (a row's name says what was fitted to it):\n")
    print(table(figures))
    print(
        "\nElevation from one image is ill-posed: where a current DEM exists, that DEM is the better one.\n"
    )
    for name, path in (
        ("image", scene.image),
        ("predicted DEM", dem),
        ("confidence", confidence),
        ("true DEM", scene.dem),
        ("picture", picture),
        ("3D scene", view),
    ):
        print(f"{name:14} {path}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("build/demo"), help="folder (default: %(default)s)"
    )
    try:
        demo(parser.parse_args().output.resolve())
    except (DemoError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
