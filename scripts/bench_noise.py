"""Fractal noise beside a loop over pixels and the quickest library of PyPI, in one run: ``make bench``.

The work is the same: 1024 × 1024 pixels, six octaves of gradient noise, the longest waves 128 pixels long.
The loop computes one pixel at a time in Python, as the original project's script does; a part of the raster
is timed. The library is compiled; it uses all processors, as this plugin does. Each is run in turn, several
times, and its quickest run counts, for what else the machine does only ever adds.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import random
import time
from typing import Callable

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.erosion import Erosion, eroded
from imagetodem_qgis.core.noise import Fractal
from imagetodem_qgis.core.noise_grid import Axis, fractal_noise
from imagetodem_qgis.core.terrain import FRACTAL, RIDGED, Terrain
from imagetodem_qgis.core.tiling import Window, blocks
from imagetodem_qgis.landscape.threads import in_threads

_SIDE = 1024
_WAVELENGTH = 128.0
_OCTAVES = 6
_BLOCK = 512
_LOOP_SIDE = 48
_OURS = "this plugin"
_LIBRARY = "pyfastnoisesimd"


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="of each")
    options = parser.parse_args()
    contenders: dict[str, tuple[Callable[[], object], int]] = {
        _OURS: (_ours(), _SIDE**2),
        "this plugin, one thread": (_ours_in_one_thread(), _SIDE**2),
        "a loop over pixels in Python": (_loop(), _LOOP_SIDE**2),
    }
    if importlib.util.find_spec(_LIBRARY) is not None:
        contenders[f"{_LIBRARY}, all processors"] = (_library(), _SIDE**2)
    times = dict.fromkeys(contenders, math.inf)
    for _ in range(options.rounds):
        for name, (work, pixels) in contenders.items():
            times[name] = min(times[name], _seconds(work) / pixels * 1e9)
    ours = times[_OURS]
    print(f"Fractal noise, {_SIDE} x {_SIDE}, {_OCTAVES} octaves, best of {options.rounds} rounds")
    print("| what | ns a pixel | against this plugin |")
    print("|---|---|---|")
    for name, nanoseconds in times.items():
        print(f"| {name} | {nanoseconds:.1f} | {nanoseconds / ours:.3g} |")
    if _LIBRARY not in " ".join(times):
        print(f"{_LIBRARY} is not to be had here: it is left out")
    print()
    print("| terrain, 512 x 512, 9 octaves | ns a pixel |")
    print("|---|---|")
    for name, work in _terrains().items():
        nanoseconds = min(_seconds(work) for _ in range(max(1, options.rounds // 2))) / 512**2 * 1e9
        print(f"| {name} | {nanoseconds:.0f} |")


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _ours() -> Callable[[], object]:
    octaves = Fractal(_WAVELENGTH, _OCTAVES, seed=1).parts
    whole = Window(0, 0, _SIDE, _SIDE)

    def block(window: Window) -> NDArray[np.float64]:
        axes = Axis(window.row, window.rows, 1.0), Axis(window.column, window.columns, 1.0)
        return fractal_noise(octaves, *axes)

    def work() -> NDArray[np.float64]:
        windows = list(blocks(_SIDE, _SIDE, _BLOCK))
        raster = np.empty((_SIDE, _SIDE))
        for window, noise in zip(windows, in_threads(block, windows)):
            raster[window.within(whole)] = noise
        return raster

    return work


def _ours_in_one_thread() -> Callable[[], object]:
    axis = Axis(0, _SIDE, 1.0)
    octaves = Fractal(_WAVELENGTH, _OCTAVES, seed=1).parts
    return lambda: fractal_noise(octaves, axis, axis)


def _library() -> Callable[[], object]:
    import pyfastnoisesimd

    noise = pyfastnoisesimd.Noise(seed=1)
    noise.noiseType = pyfastnoisesimd.NoiseType.PerlinFractal
    noise.frequency = 1.0 / _WAVELENGTH
    noise.fractal.octaves = _OCTAVES
    noise.fractal.lacunarity = 2.0
    noise.fractal.gain = 0.5
    return lambda: noise.genAsGrid([1, _SIDE, _SIDE])


def _loop() -> Callable[[], object]:
    gradients: dict[tuple[int, int], tuple[float, float]] = {}
    source = random.Random(1)  # noqa: S311 - a terrain is no secret

    def gradient(row: int, column: int) -> tuple[float, float]:
        if (row, column) not in gradients:
            angle = source.uniform(0.0, 2.0 * math.pi)
            gradients[row, column] = (math.sin(angle), math.cos(angle))
        return gradients[row, column]

    def noise(y: float, x: float) -> float:
        row, column = math.floor(y), math.floor(x)
        v, u = y - row, x - column
        ends = []
        for below in (0, 1):
            slopes = []
            for beside in (0, 1):
                down, across = gradient(row + below, column + beside)
                slopes.append(down * (v - below) + across * (u - beside))
            fade = u * u * (3.0 - 2.0 * u)
            ends.append(slopes[0] + fade * (slopes[1] - slopes[0]))
        fade = v * v * (3.0 - 2.0 * v)
        return ends[0] + fade * (ends[1] - ends[0])

    def work() -> list[list[float]]:
        raster = [[0.0] * _LOOP_SIDE for _ in range(_LOOP_SIDE)]
        for row in range(_LOOP_SIDE):
            for column in range(_LOOP_SIDE):
                for octave in range(_OCTAVES):
                    scale = 2.0**octave
                    place = (row / _WAVELENGTH * scale, column / _WAVELENGTH * scale)
                    raster[row][column] += noise(*place) / scale
        return raster

    return work


def _terrains() -> dict[str, Callable[[], object]]:
    axis = Axis(0, 512, 30.0)
    fractal = Fractal(5000.0, 9, seed=1)

    def terrain(form: str, warp: float) -> Callable[[], object]:
        return lambda: Terrain(fractal, form, warp).heights(axis, axis)

    def cut() -> object:
        def sample(level: int, window: Window) -> object:
            spacing = 30.0 * 2.0**level
            rows = Axis(window.row, window.rows, spacing)
            columns = Axis(window.column, window.columns, spacing)
            return Terrain(fractal).heights(rows, columns).astype("float32")

        return eroded(sample, Window(0, 0, 512, 512), Erosion(0.5, 30.0, 0.0, 6))  # type: ignore[arg-type]

    return {
        "fractal": terrain(FRACTAL, 0.0),
        "ridged": terrain(RIDGED, 0.0),
        "fractal, warped": terrain(FRACTAL, 0.2),
        "ridged, warped": terrain(RIDGED, 0.2),
        "fractal, eroded": cut,
    }


if __name__ == "__main__":
    main()
