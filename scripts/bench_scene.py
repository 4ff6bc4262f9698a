"""How long a 3D scene takes to be written, and from opening its file to its first picture.

``python -m scripts.bench_scene`` makes fractal terrain of 1024 × 1024 pixels with an image over it, exports
it with ``imagetodem:exportscene``, and opens the page some times in a headless Chromium, each time in a
browser that has just started. Its software renderer draws: a graphics card is quicker.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, osr

from tests.browser import Browser, find_browser

_ROOT = Path(__file__).resolve().parents[1]
_PIXEL = 30.0
_DRAWN = """
sceneView.then(view => {
  const gl = view.renderer.getContext();
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return performance.now();
})
"""
"""Milliseconds until a pixel of the first picture is read back: only then is it drawn."""


def main() -> None:
    """Run the benchmark and print what it measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="of the DEM in pixels")
    parser.add_argument("--rounds", type=int, default=5, help="how often the page is opened")
    options = parser.parse_args()
    program = find_browser()
    if program is None:
        sys.exit("error: needs Chromium or Chrome")
    with tempfile.TemporaryDirectory(dir=_ROOT / "build") as scratch:
        folder = Path(scratch)
        page, seconds = _exported(folder, options.size)
        drawn = []
        for number in range(options.rounds):
            with Browser(program, folder / f"profile{number}") as browser:
                browser.open(page)
                drawn.append(browser.evaluate(_DRAWN) / 1000.0)
        size = page.stat().st_size / 1e6
    print(f"{options.size} × {options.size} heights with an image over them: {size:.1f} MB")
    print(f"exported in {seconds:.1f} s, QGIS's start included")
    print(f"drawn {statistics.median(drawn):.2f} s after opening ({min(drawn):.2f} to {max(drawn):.2f})")


def _exported(folder: Path, size: int) -> tuple[Path, float]:
    heights = _terrain(size)
    light = np.clip(160 + 4 * np.gradient(heights, axis=1), 0, 255)
    dem = _written(folder / "dem.tif", heights[None])
    image = _written(folder / "image.tif", np.stack([light, 0.9 * light, 0.7 * light]).astype(np.uint8))
    page = folder / "scene.html"
    given = json.dumps({"DEM": str(dem), "IMAGE": str(image), "OUTPUT": str(page)})
    command = [sys.executable, "tests/qgis_run.py", str(folder), "imagetodem:exportscene", given]
    start = time.perf_counter()
    subprocess.run(command, cwd=_ROOT, check=True, capture_output=True)
    return page, time.perf_counter() - start


def _terrain(size: int) -> NDArray[np.float32]:
    """Noise whose amplitude falls with the square of its frequency, some hundred metres high."""
    random = np.random.default_rng(1)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    waves = random.normal(size=frequency.shape) + 1j * random.normal(size=frequency.shape)
    surface = np.fft.irfft2(waves / frequency**2, s=(size, size))
    return (1000.0 + 300.0 * surface / surface.std()).astype(np.float32)


def _written(path: Path, bands: NDArray[np.generic]) -> Path:
    kind = gdal.GDT_Byte if bands.dtype == np.uint8 else gdal.GDT_Float32
    count, rows, columns = bands.shape
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), columns, rows, count, kind)
    dataset.SetGeoTransform((480_000.0, _PIXEL, 0.0, 5_200_000.0, 0.0, -_PIXEL))
    system = osr.SpatialReference()
    system.ImportFromEPSG(32633)
    dataset.SetProjection(system.ExportToWkt())
    for number, band in enumerate(bands, start=1):
        dataset.GetRasterBand(number).WriteArray(band)
    return path


if __name__ == "__main__":
    main()
