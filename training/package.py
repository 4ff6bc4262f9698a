"""Making a model folder of trained weights: ``python -m training.package --run FOLDER --data DATA --output
MODEL``."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from imagetodem_qgis.core.card import CARD_FILE, ONNX_FILE
from training.data.pair import SUN_AZIMUTH
from training.data.sampling import TILE_SIZE
from training.evaluate import calibration, evaluate, markdown
from training.generator import IMAGE_INPUTS, build, light_unet
from training.onnx_export import export_onnx
from training.supervised import PHASES, average_file

WEIGHTS_FILE = "generator.weights.h5"
ARCHITECTURE = {"name": "light_unet", "tile_size": TILE_SIZE, "mirrored": True}
_LIBRARIES = ("keras", "tensorflow-cpu", "numpy", "onnx", "onnxruntime")


def package(
    weights: Path, log: Path, data: Path, output: Path, seed: int, name: str, model_version: str
) -> None:
    """Write the generator's files and its card, with figures on the held-out splits.

    The weights are rounded to half precision once; both files hold the rounded numbers, so that the two
    engines run the same network.

    Args:
        weights: of the light generator.
        log: of the training run.
        data: the pairs, for the figures.
        output: the model's folder.
        seed: of the training run.
        name: of the model.
        model_version: of the model.
    """
    output.mkdir(parents=True, exist_ok=True)
    keras.mixed_precision.set_global_policy("float32")
    trained = light_unet(tile_size=TILE_SIZE)
    trained.load_weights(weights)
    rounded = [np.asarray(value, np.float16) for value in trained.get_weights()]
    trained.set_weights([value.astype(np.float32) for value in rounded])
    _save_half(rounded, output / WEIGHTS_FILE)
    export_onnx(trained, output / ONNX_FILE, mirrored=True)
    card = _card(name, model_version, seed, log)
    _write(card, output)
    card["spread_factor"] = round(calibration(output, data), 4)
    _write(card, output)
    for split in ("validation", "test"):
        card["metrics"][split] = evaluate(output, data, split)
        print(split, markdown(card["metrics"][split]), sep="\n", flush=True)
    _write(card, output)


def _save_half(values: list[Any], path: Path) -> None:
    keras.mixed_precision.set_global_policy("float16")
    model = build(ARCHITECTURE)
    model.get_layer("light_unet").set_weights(values)
    model.save_weights(path)
    keras.mixed_precision.set_global_policy("float32")


def _card(name: str, model_version: str, seed: int, log: Path) -> dict[str, Any]:
    with open(log, newline="") as table:
        rows = list(csv.DictReader(table))
    phases = sorted({row["phase"] for row in rows})
    seconds = sum(max(int(row["seconds"]) for row in rows if row["phase"] == phase) for phase in phases)
    return {
        "name": name,
        "version": model_version,
        "licence": "GPL-2.0-or-later",
        "description": "First weights: image to relief, trained on a processor by the supervised loop.",
        "architecture": ARCHITECTURE,
        "direction": "image_to_dem",
        "inputs": list(IMAGE_INPUTS),
        "outputs": ["height", "log_scale"],
        "stretch": {"method": "percentile", "bands": "together", "lower": 2, "upper": 98, "clip": 1.5},
        "target": "relief_per_pixel",
        "sun_azimuth": SUN_AZIMUTH,
        "ground_sampling_distance": {"minimum": 10, "maximum": 600},
        "tile_size": TILE_SIZE,
        "training_data": {
            "pairs": 2287,
            "sources": [
                "NASA Blue Marble Next Generation imagery (NASA Earth Observatory) with DEMs from "
                "jaanga/terrain-plus (Viewfinder Panoramas by J. de Ferranti, SRTM): 2,281 tiles, 300-600 m, "
                "world-wide",
                "Zion (Landsat 8, SRTM; CC0), Fuji and Tanzawa (Copernicus Sentinel-2; AW3D30 (c) "
                "JAXA), Kanto "
                "(Landsat 8; AW3D30 (c) JAXA), Davos (aerial, lidar; ethz-asl/terrain-navigation), "
                "Great Salt "
                "Lake (Landsat 7; USGS), Para (Landsat 5; USGS): 6 scenes, 10-31 m",
            ],
            "footprints": "held out by blocks of 20 degrees with a buffer of one tile (Blue Marble), "
            "by scene "
            "(others)",
        },
        "training": {
            "command": "python -m training.supervised --data DATA --output RUN",
            "phases": [vars(phase) for phase in PHASES],
            "seconds": seconds,
            "machine": f"{platform.machine()} processor, 2 cores, no GPU, mixed_bfloat16",
            "curve": [
                {key: float(row[key]) for key in ("phase", "round", "loss", "validation", "seconds")}
                for row in rows
            ],
        },
        "seed": seed,
        "libraries": {library: version(library) for library in _LIBRARIES},
        "spread_factor": 1.0,
        "metrics": {},
        "files": {},
    }


def _write(card: dict[str, Any], output: Path) -> None:
    for name in (ONNX_FILE, WEIGHTS_FILE):
        card["files"][name] = hashlib.sha256((output / name).read_bytes()).hexdigest()
    (output / CARD_FILE).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of training.supervised")
    parser.add_argument("--phase", type=int, default=len(PHASES) - 1, help="whose averaged weights to take")
    parser.add_argument("--data", type=Path, required=True, help="folder with bluemarble/ and scenes/")
    parser.add_argument("--output", type=Path, required=True, help="the model's folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--name", default="relief-light")
    parser.add_argument("--version", default="0.1.0")
    options = parser.parse_args()
    weights = average_file(options.run, options.phase)
    package(
        weights,
        options.run / "log.csv",
        options.data,
        options.output,
        options.seed,
        options.name,
        options.version,
    )


if __name__ == "__main__":
    main()
