"""Time and memory of a prediction beside the bare engine's, in one run: ``make bench``.

End-to-end is the whole call of Predict DEM: reading, the worker's start and its model's load, the network,
the solve, blending, compression and overviews. The bare engine runs as many tiles, in memory, loaded: in
batches as large in a loop with the engine's own settings, and as the plugin has it run, a tile on each core.
Whole processes are measured, in turn with the engine, and the median of the rounds is given.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal, osr

from imagetodem_qgis.core.card import ONNX_FILE
from imagetodem_qgis.runtime.child import clean_environment
from imagetodem_qgis.runtime.interpreter import find_interpreter
from imagetodem_qgis.runtime.locations import shipped_models_folder
from imagetodem_qgis.runtime.models import DEFAULT_MODEL

_ROOT = Path(__file__).resolve().parents[1]
_BATCH = 4
_TIMED = 4096
_MEMORY = (4000, 20_000)
_ROWS = {
    "engine": "bare ONNX Runtime, same tiles",
    "lanes": "the same with a tile on each core",
    "prediction": "Predict DEM, end to end",
    "whole": "qgis_process, its start included",
}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of the timed size")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=_ROOT / "build") as folder:
        images = {size: _image(Path(folder) / f"image_{size}.tif", size) for size in (_TIMED, *_MEMORY)}
        dem = Path(folder) / "dem.tif"
        model = shipped_models_folder() / DEFAULT_MODEL / ONNX_FILE
        rounds = [_round(images[_TIMED], dem, model) for _ in range(options.rounds)]
        memory = {size: _predict(images[size], dem) for size in _MEMORY}
    _report(rounds, memory)


def _round(image: Path, dem: Path, model: Path) -> dict[str, float]:
    predicted = _predict(image, dem)
    engine, lanes = (_engine(model, predicted["tiles"], lanes) for lanes in (1, os.cpu_count() or 1))
    start = time.perf_counter()
    program = os.environ.get("QGIS_PROCESS", "qgis_process")
    command = [program, "run", "imagetodem:predictdem", "--", f"INPUT={image}", f"OUTPUT={dem}"]
    subprocess.run([*command, f"BATCH_SIZE={_BATCH}"], check=True, capture_output=True)
    whole = time.perf_counter() - start
    seconds = {"engine": engine, "lanes": lanes, "prediction": predicted["seconds"], "whole": whole}
    return {**seconds, "tiles": predicted["tiles"]}


def _engine(model: Path, tiles: float, lanes: int) -> float:
    command = [str(find_interpreter(None).path), str(_ROOT / "scripts" / "bench_engine.py"), str(model)]
    output = subprocess.run(
        [*command, str(int(tiles)), str(_BATCH), str(lanes)],
        check=True,
        capture_output=True,
        text=True,
        env=clean_environment(),
    )
    return float(output.stdout)


def _predict(image: Path, dem: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "scripts.bench_prediction", str(image), str(dem), str(_BATCH)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=_ROOT)
    measured: dict[str, Any] = json.loads(output.stdout.strip().splitlines()[-1])
    return measured


def _report(rounds: list[dict[str, float]], memory: dict[int, dict[str, Any]]) -> None:
    middle = {key: statistics.median(row[key] for row in rounds) for key in rounds[0]}
    print(
        f"Predict DEM, {_TIMED} x {_TIMED}, {middle['tiles']:.0f} tiles of 256, batch {_BATCH}, "
        f"{len(rounds)} rounds"
    )
    print("| what | seconds | against the bare engine | against it with a tile on each core |")
    print("|---|---|---|---|")
    for key, what in _ROWS.items():
        ratios = (statistics.median(row[key] / row[bare] for row in rounds) for bare in ("engine", "lanes"))
        print(f"| {what} | {middle[key]:.2f} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")
    print()
    print("| raster | peak memory of QGIS's process (MB) | before the call (MB) |")
    print("|---|---|---|")
    for size, row in memory.items():
        print(f"| {size} x {size} | {row['peak_mb']:.0f} | {row['before_mb']:.0f} |")
    growth = memory[_MEMORY[-1]]["peak_mb"] / memory[_MEMORY[0]]["peak_mb"]
    print(f"\nfrom {_MEMORY[0]} to {_MEMORY[-1]}: {growth:.2f} x")


def _image(path: Path, size: int) -> Path:
    """A smooth coloured texture of size × size bytes, written by strips."""
    dataset = gdal.GetDriverByName("GTiff").Create(
        str(path), size, size, 3, gdal.GDT_Byte, ["TILED=YES", "COMPRESS=DEFLATE", "INTERLEAVE=PIXEL"]
    )
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32633)
    dataset.SetProjection(reference.ExportToWkt())
    dataset.SetGeoTransform((500000.0, 30.0, 0.0, 5200000.0, 0.0, -30.0))
    random = np.random.default_rng(size)
    columns = np.arange(size)
    for row in range(0, size, 256):
        rows = np.arange(row, min(size, row + 256))[:, None]
        shade = 40.0 * np.sin(rows / 37.0 + np.sin(columns / 91.0)) + 30.0 * np.cos(
            columns / 23.0 + rows / 53.0
        )
        for band in range(3):
            noise = random.normal(0.0, 6.0, (len(rows), size))
            values = np.clip(110.0 + 15.0 * band + shade + noise, 0, 255).astype(np.uint8)
            dataset.GetRasterBand(band + 1).WriteArray(values, 0, row)
    return path


if __name__ == "__main__":
    main()
