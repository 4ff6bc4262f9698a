from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from training.data.cache import PairCache
from training.data.checks import check_sources
from training.data.sources import open_source
from training.regional import JUDGED, LEARNED, SCENE, part_of, run, write_pairs

MODEL = Path(__file__).resolve().parents[2] / "model_weights" / "relief-light"
ROWS, COLUMNS = 1385, 700


class Quiet:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    warn = note

    def progress(self, progress: object) -> None:
        pass

    def cancelled(self) -> bool:
        return False


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A scene of hills whose light comes from the south-east, at 30 m."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    down, across = np.mgrid[:ROWS, :COLUMNS].astype(np.float32)
    heights = 200.0 * np.sin(down / 29.0 + across / 53.0) * np.cos(across / 37.0 - down / 71.0) + 900.0
    slope_down, slope_right = np.gradient(heights, 30.0)
    light = 120.0 - 150.0 * (slope_down + slope_right) / np.sqrt(2.0)
    grain = np.random.default_rng(4).normal(0.0, 3.0, (3, ROWS, COLUMNS))
    image = np.clip(light * np.array([1.0, 0.9, 0.7])[:, None, None] + grain, 1, 255).astype(np.uint8)
    place = {"crs": "EPSG:32612", "transform": from_origin(300000, 4150000, 30, 30)}
    size = {"driver": "GTiff", "height": ROWS, "width": COLUMNS}
    with rasterio.open(folder / f"{SCENE}_rgb.tif", "w", count=3, dtype="uint8", **size, **place) as file:
        file.write(image)
    with rasterio.open(folder / f"{SCENE}_dem.tif", "w", count=1, dtype="float32", **size, **place) as file:
        file.write(heights.astype(np.float32), 1)
    return folder


def test_pairs_are_learned_from_the_west_and_judged_by_the_east(scenes, tmp_path):
    count = write_pairs(scenes, tmp_path / "pairs")
    content = json.loads((tmp_path / "pairs" / "dataset.json").read_text())
    assert content["gsd"] == pytest.approx(30.0, rel=5e-3)
    columns: dict[str, list[int]] = {"train": [], "validation": []}
    with (
        rasterio.open(scenes / f"{SCENE}_rgb.tif") as image,
        rasterio.open(scenes / f"{SCENE}_dem.tif") as dem,
    ):
        whole = {"images": image.read(), "dems": dem.read()}
        corner = image.transform
    for pair in content["pairs"]:
        row, column = map(int, pair["id"].split("_")[-2:])
        columns[pair["split"]].append(column)
        for part, array in whole.items():
            expected = array[:, row : row + 256, column : column + 256]
            with rasterio.open(tmp_path / "pairs" / part / f"{pair['id']}.tif") as file:
                np.testing.assert_array_equal(file.read(), expected)
                assert file.transform * (0, 0) == corner * (column, row)
    assert count == len(columns["train"]) == 5
    assert max(columns["train"]) + 256 <= 0.46 * COLUMNS
    assert min(columns["validation"]) >= 0.54 * COLUMNS
    assert len(columns["validation"]) == 5
    # What Train generator checks finds nothing.
    assert check_sources([open_source(tmp_path / "pairs", PairCache())]).warnings == ()


def test_the_two_parts_of_the_scene_are_both_kept_from_training():
    assert {part_of(name).split for name in (LEARNED, JUDGED)} == {"validation"}


def test_a_model_goes_on_with_the_west_and_is_compared_on_the_east(scenes, tmp_path):
    listener = Quiet()
    figures = run(scenes, MODEL, tmp_path / "out", 15.0, 1, listener)
    name = part_of(JUDGED).name
    assert list(figures) == [name, f"{name}, in steps of 64 pixels"]
    assert [answers["model"]["tiles"] for answers in figures.values()] == [5, 36]
    for answers in figures.values():
        assert {"model", "before fine-tuning", "luminance", "best plane"} <= set(answers)
        before, after = (answers[of]["rmse_by_sigma_shift_scale"] for of in ("before fine-tuning", "model"))
        # The hills of the east are those of the west.
        assert after < 0.9 * before
    assert any(f"pairs of {part_of(LEARNED).name}" in note for note in listener.notes)
