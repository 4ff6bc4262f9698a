from __future__ import annotations

import csv
from pathlib import Path

import keras
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from training import supervised
from training.data.scenes import SCENES
from training.generator import coarse_unet, light_unet
from training.losses import relief_loss
from training.supervised import Phase, average_file, train, training_pairs, validation_arrays


def ground(side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hills in metres at 100 m a pixel, and their image under a north-western sun; higher is brighter too."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:side, :side] / 20.0
    dem = sum(
        300.0 / wave * np.sin(wave * down * a + wave * across * b + c)
        for wave, (a, b, c) in zip((1, 2, 3), random.uniform(0.3, 2.0, (3, 3)))
    )
    slope_down, slope_across = np.gradient(dem, 100.0)
    light = 128 + 0.15 * dem + 150 * (slope_down + slope_across)
    return dem + 1000.0, np.clip(light + random.normal(0, 3, light.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Pairs in the layout that training reads: a few small ones."""
    folder = tmp_path_factory.mktemp("data")
    tiles, scenes = folder / "bluemarble", folder / "scenes"
    for path in (tiles / "rgb", tiles / "dem", scenes):
        path.mkdir(parents=True)
    with open(tiles / "index.csv", "w", newline="") as table:
        writer = csv.DictWriter(table, ["id", "gsd_m", "split"])
        writer.writeheader()
        for number in range(18):
            split = "validation" if number < 12 else "train"
            writer.writerow({"id": f"t{number}", "gsd_m": 100, "split": split})
            dem, image = ground(256, number)
            Image.fromarray(np.stack([image] * 3, -1)).save(tiles / "rgb" / f"t{number}.jpg", quality=95)
            Image.fromarray(np.round(dem / 16.0).astype(np.uint16)).save(tiles / "dem" / f"t{number}.png")
    for number, scene in enumerate(scene for scene in SCENES if scene.split == "train"):
        dem, image = ground(96, 100 + number)
        place = {"crs": "EPSG:32632", "transform": from_origin(500000, 5200000, 100, 100)}
        size = {"driver": "GTiff", "height": 96, "width": 96}
        with rasterio.open(
            scenes / f"{scene.name}_rgb.tif", "w", count=3, dtype="uint8", **size, **place
        ) as file:
            file.write(np.stack([image] * 3))
        with rasterio.open(
            scenes / f"{scene.name}_dem.tif", "w", count=1, dtype="float32", **size, **place
        ) as file:
            file.write(dem.astype(np.float32), 1)
    return folder


def rows_of(folder: Path) -> list[dict[str, float]]:
    with open(folder / "log.csv", newline="") as table:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(table)]


def test_the_pairs_are_those_of_the_training_split(data):
    tiles, scenes = training_pairs(data)
    assert [tile.name for tile in tiles] == [f"t{number}" for number in range(12, 18)]
    assert len(scenes) == 6
    assert all(pair.split == "train" for pair in tiles + scenes)


def test_validation_tiles_are_whole_and_the_same_each_time(data):
    inputs, target = validation_arrays(data, 12, 64)
    assert inputs.shape == (12, 64, 64, 4)
    # 256 pixels of 100 m in 64: 400 m each.
    np.testing.assert_allclose(inputs[..., 3], np.log(4.0), rtol=1e-5)
    assert (target[..., 1] == 1).all()
    np.testing.assert_array_equal(validation_arrays(data, 12, 64)[0], inputs)


def test_training_learns_phase_by_phase_and_is_not_repeated(data, tmp_path):
    phases = (Phase("coarse_unet", 16, 8, 60, 2e-3), Phase("light_unet", 64, 2, 10, 1e-9))
    train(data, tmp_path, phases, 1, "mixed_bfloat16")
    keras.mixed_precision.set_global_policy("float32")
    rows = rows_of(tmp_path)
    assert [(row["phase"], row["round"]) for row in rows] == [(0, 1), (1, 1)]
    assert all(0.0 < row["validation"] <= 1.0 for row in rows)
    assert all((tmp_path / f"phase{phase}.finished").exists() for phase in (0, 1))

    trunk, whole = coarse_unet(tile_size=16), light_unet(tile_size=64)
    inputs, target = validation_arrays(data, 12, 16)
    before = float(np.mean(relief_loss(target, trunk(inputs))))
    trunk.load_weights(average_file(tmp_path, 0))
    assert float(np.mean(relief_loss(target, trunk(inputs)))) < 0.8 * before

    # The second phase, which learns next to nothing here, began with what the first had learned.
    whole.load_weights(average_file(tmp_path, 1))
    kernels = [layer for layer in trunk.layers if hasattr(layer, "kernel")]
    assert len(kernels) > 20
    for layer in kernels:
        np.testing.assert_allclose(
            whole.get_layer(layer.name).kernel.numpy(), layer.kernel.numpy(), atol=1e-6
        )
    assert {str(value.dtype) for value in whole.get_weights()} == {"float32"}

    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    train(data, tmp_path, phases, 1, "float32")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == files


def test_an_interrupted_phase_goes_on_from_its_last_round(data, tmp_path, monkeypatch):
    monkeypatch.setattr(supervised, "_ROUND_STEPS", 10)
    phases = (Phase("coarse_unet", 16, 2, 30, 1e-3),)
    real = supervised._Log.on_epoch_begin

    def interrupted(self: supervised._Log, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch == 2:
            raise KeyboardInterrupt
        real(self, epoch, logs)

    with monkeypatch.context() as until_here:
        until_here.setattr(supervised._Log, "on_epoch_begin", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(data, tmp_path, phases, 1, "float32")
    assert [row["round"] for row in rows_of(tmp_path)] == [1, 2]
    assert not (tmp_path / "phase0.finished").exists()
    unfinished = average_file(tmp_path, 0).read_bytes()

    train(data, tmp_path, phases, 1, "float32")
    assert [row["round"] for row in rows_of(tmp_path)] == [1, 2, 3]
    assert (tmp_path / "phase0.finished").exists()
    assert average_file(tmp_path, 0).read_bytes() != unfinished
