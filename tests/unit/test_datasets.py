"""The first look at a data set: what a user is told before a training is started."""

from __future__ import annotations

import json

import pytest

from imagetodem_qgis.runtime.datasets import DatasetError, check_dataset, check_terrains

PAIRS = [{"id": "a", "split": "train"}, {"id": "b", "split": "validation"}]


@pytest.fixture
def folder(tmp_path):
    """A data set with two pairs whose files are there."""
    for part in ("images", "dems"):
        (tmp_path / part).mkdir()
        for name in ("a", "b"):
            (tmp_path / part / f"{name}.tif").write_bytes(b"")
    describe(tmp_path, {"pairs": PAIRS})
    return tmp_path


def describe(folder, content):
    (folder / "dataset.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_a_data_set_is_taken(folder):
    check_dataset(folder)


def test_what_the_description_leaves_to_the_footprints_is_not_missed(folder):
    (folder / "footprints.gpkg").write_bytes(b"")
    describe(folder, {"pairs": [{"id": "a"}, {"id": "b"}]})
    check_dataset(folder)
    describe(folder, {"version": 1})
    check_dataset(folder)


def test_the_layout_of_the_blue_marble_tiles_is_taken(tmp_path):
    (tmp_path / "bluemarble").mkdir()
    (tmp_path / "bluemarble" / "index.csv").write_text("id\n")
    check_dataset(tmp_path)


def test_the_original_project_s_arrays_are_taken(tmp_path):
    (tmp_path / "Dataset.npz").write_bytes(b"")
    check_dataset(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"pairs": PAIRS[:1]}, "no pair of the split 'validation'"),
        ({"pairs": PAIRS[1:]}, "no pair of the split 'train'"),
        ({"version": 1}, "no pair of the split 'train'"),
        ({"pairs": [{"split": "train"}]}, "'id'"),
        ({"pairs": ["a"]}, "dataset.json cannot be used"),
        ([], "dataset.json cannot be used"),
        ("{", "dataset.json cannot be used"),
        ({"pairs": [*PAIRS, {"id": "c", "split": "train"}]}, "c.tif is missing"),
    ],
)
def test_a_description_that_cannot_be_used(folder, content, words):
    describe(folder, content)
    with pytest.raises(DatasetError, match=words):
        check_dataset(folder)


def test_a_missing_dem_is_named(folder):
    (folder / "dems" / "b.tif").unlink()
    with pytest.raises(DatasetError, match="dems.b.tif is missing"):
        check_dataset(folder)


def test_a_folder_that_is_no_data_set(tmp_path):
    with pytest.raises(DatasetError, match="dataset.json"):
        check_dataset(tmp_path)
    with pytest.raises(DatasetError, match="does not exist"):
        check_dataset(tmp_path / "nowhere")


def test_terrains_are_rasters(tmp_path):
    with pytest.raises(DatasetError, match="holds no DEM"):
        check_terrains(tmp_path)
    (tmp_path / "alps.TIF").write_bytes(b"")
    check_terrains(tmp_path)
    with pytest.raises(DatasetError, match="does not exist"):
        check_terrains(tmp_path / "nowhere")
