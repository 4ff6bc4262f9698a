"""The original project's data sets: values, splits by parents, and what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagetodem_qgis.core.light import NORTHERN_MORNING_AZIMUTH, symmetry_towards
from training.data.arrays import array_file, read_arrays, split_of_parent
from training.data.cache import PairCache
from training.data.checks import check_sources
from training.data.pair import SUN_AZIMUTH
from training.data.relative import height_range
from training.data.sources import open_source
from training.request import DataError

TILES = 40


def tiles(count: int = TILES, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Images and heights as the original project stores them: floats that are counts of 0 to 255."""
    random = np.random.default_rng(1)
    images = random.integers(0, 60, (count, size, size, 3)).astype(np.float32)
    heights = random.integers(0, 256, (count, size, size, 1)).astype(np.float32)
    heights[0, 0, 0], heights[0, 0, 1] = 0.0, 255.0
    return images, heights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.savez_compressed(tmp_path / "Dataset.npz", *tiles())
    return tmp_path


def turned(array: np.ndarray) -> np.ndarray:
    """As a pair is turned towards the training's light."""
    return symmetry_towards(NORTHERN_MORNING_AZIMUTH, SUN_AZIMUTH).apply(array)


def test_pairs_are_the_arrays(folder: Path) -> None:
    images, heights = tiles()
    read = read_arrays(folder / "Dataset.npz")
    first = read.splits["train"][0]
    np.testing.assert_array_equal(first.image, turned(images[0]))
    assert first.image.dtype == np.uint8
    np.testing.assert_array_equal(first.dem, turned(heights[0, ..., 0]))
    assert first.gsd == 30.0
    assert height_range(read.splits["train"]) == (0.0, 255.0)
    assert read.description["heights"].startswith("relative")


def test_what_the_file_does_not_know_may_be_told(folder: Path) -> None:
    about = {"height_range": [-10, 2540], "resolution": 50, "sun_azimuth": 135.0, "licence": "MIT"}
    (folder / "dataset.json").write_text(json.dumps(about))
    _, heights = tiles()
    read = read_arrays(folder / "Dataset.npz")
    first = read.splits["train"][0]
    np.testing.assert_allclose(first.dem, -10.0 + heights[0, ..., 0] * 10.0, atol=1e-3)
    assert first.gsd == 50.0
    assert (read.description["heights"], read.description["licence"]) == ("metres", "MIT")


def test_a_training_takes_the_folder(folder: Path) -> None:
    source = open_source(folder, PairCache())
    assert check_sources([source]).warnings == ()
    assert len(source.train[0].pairs) == source.description["pairs"]
    assert min(len(source.validation), len(source.test)) >= 4


@given(st.integers(1, 400))
def test_parents_are_shared_out_with_a_gap(parents: int) -> None:
    splits = [split_of_parent(parent, parents) for parent in range(parents)]
    order = [split for split in splits if split is not None]
    assert order == sorted(order, key=("train", "validation", "test").index)
    assert splits[0] == "train"
    if parents > 1:
        assert "validation" in splits
    if parents >= 8:
        assert splits.count(None) == 2
        assert splits.count("test") == splits.count("validation") == round(0.15 * parents)
        for one, other in zip(splits, splits[1:]):
            assert one == other or None in (one, other)


def test_tiles_of_a_parent_share_a_split(folder: Path) -> None:
    read = read_arrays(folder / "Dataset.npz")
    splits: dict[int, set[str]] = {}
    for split, pairs in read.splits.items():
        for pair in pairs:
            splits.setdefault(int(pair.name.split()[-1]) // 4, set()).add(split)
    assert all(len(found) == 1 for found in splits.values())
    assert sum(map(len, read.splits.values())) == TILES - 8


def test_the_sea_is_left_out(folder: Path) -> None:
    images, heights = tiles()
    heights[2] = 0.0
    np.savez(folder / "Dataset.npz", images, heights)
    names = [pair.name for pair in read_arrays(folder / "Dataset.npz").splits["train"]]
    assert "Dataset 1" in names
    assert "Dataset 2" not in names


@pytest.mark.parametrize("planes", [0, 1, 3])
def test_heights_with_and_without_planes(tmp_path: Path, planes: int) -> None:
    images, heights = tiles(8)
    stored = np.repeat(heights, planes, axis=-1) if planes else heights[..., 0]
    np.savez(tmp_path / "d.npz", images, stored)
    (first, *_) = read_arrays(tmp_path / "d.npz").splits["train"]
    np.testing.assert_array_equal(first.dem, turned(heights[0, ..., 0]))


def test_two_files_are_one_too_many(folder: Path) -> None:
    np.savez(folder / "Other.npz", *tiles(4))
    with pytest.raises(DataError, match="several"):
        open_source(folder, PairCache())


def test_a_data_set_with_images_is_none_of_arrays(folder: Path) -> None:
    (folder / "images").mkdir()
    assert array_file(folder) is None


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"arr_0": np.zeros((4, 8, 8, 3))}, "lacks arr_1"),
        ({"arr_0": np.zeros((4, 8, 8)), "arr_1": np.zeros((4, 8, 8))}, "shape"),
        ({"arr_0": np.zeros((4, 8, 8, 3)), "arr_1": np.zeros((4, 9, 8))}, "shape"),
        ({"arr_0": np.zeros((0, 8, 8, 3)), "arr_1": np.zeros((0, 8, 8))}, "no tile"),
        ({"arr_0": np.full((4, 8, 8, 3), np.nan), "arr_1": np.zeros((4, 8, 8))}, "NaN"),
        ({"arr_0": np.zeros((4, 8, 8, 3)), "arr_1": np.zeros((4, 8, 8))}, "no pair with relief"),
        ({"arr_0": np.array([{}], dtype=object), "arr_1": np.zeros((4, 8, 8))}, "cannot be read"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(DataError, match=words):
        read_arrays(tmp_path / "d.npz")


def test_a_file_that_is_torn(folder: Path) -> None:
    path = folder / "Dataset.npz"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match="cannot be read"):
        read_arrays(path)


@pytest.mark.parametrize(
    "about",
    [
        "{",
        "[]",
        '{"resolution": -1}',
        '{"height_range": [5]}',
        '{"height_range": [5, 1]}',
        '{"sun_azimuth": "s"}',
    ],
)
def test_a_description_that_is_wrong(folder: Path, about: str) -> None:
    (folder / "dataset.json").write_text(about)
    with pytest.raises(DataError, match=r"dataset\.json"):
        read_arrays(folder / "Dataset.npz")
