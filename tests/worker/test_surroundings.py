"""Pairs that are stretched as the scene that they were cut from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagetodem_qgis.core.stretch import EACH, StretchRecipe
from tests.tiny_dataset import write_dataset, write_raster
from training.data.cache import PairCache
from training.data.dataset import read_dataset
from training.data.sampling import Augmentation, pair_stretch, random_sample
from training.data.surroundings import Surroundings
from training.evaluation.area import area_of

WHOLE = StretchRecipe(0.0, 100.0, 1.0, EACH)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six pairs, four of them of one area, each of a light of its own from 40 to 49, 60 to 69 and so on."""
    data = write_dataset(tmp_path / "data")
    random = np.random.default_rng(0)
    for number in range(4):
        bands = random.integers(0, 10, (3, 96, 96), dtype=np.uint8) + np.uint8(40 + 20 * number)
        bands[:, :5] = 0
        write_raster(data / "images" / f"p{number}.tif", bands, nodata=0)
    return data


def describe(folder: Path, areas: dict[str, str | None], **changes: object) -> None:
    path = folder / "dataset.json"
    content = {**json.loads(path.read_text()), **changes}
    for pair in content["pairs"]:
        pair.pop("parent", None)
        pair["area"] = areas.get(pair["id"])
    path.write_text(json.dumps(content))


def test_pairs_of_an_area_are_stretched_alike(folder):
    describe(folder, dict.fromkeys(("p0", "p1", "p2"), "north") | {"p3": "south"})
    pairs = read_dataset(folder).pairs("train", PairCache())
    for number in (0, 1, 2):
        # What is nodata does not count: the least is 40, not 0.
        assert pair_stretch(pairs[number], WHOLE).low == (40.0,) * 3
        assert pair_stretch(pairs[number], WHOLE).high == (89.0,) * 3
        assert area_of(pairs[number], "here").samples is pairs[number].around.pixels
    assert pairs[3].around is None
    assert pair_stretch(pairs[3], WHOLE).low == (100.0,) * 3
    assert pair_stretch(pairs[3], WHOLE).high == (109.0,) * 3


def test_windows_keep_the_light_that_they_have_in_the_scene(folder):
    describe(folder, dict.fromkeys(("p0", "p1", "p2", "p3"), "north"))
    pairs = read_dataset(folder).pairs("train", PairCache())
    plain = Augmentation(turn=False, mirror=False)
    for number in range(4):
        expected = (2.0 * (44.5 + 20 * number - 40.0) / 69.0) - 1.0
        for seed in range(6):
            sample = random_sample(pairs[number], 32, np.random.default_rng(seed), plain, WHOLE)
            known = sample.target[..., 1] > 0
            # Gains and offsets of the contrast's changes are of a tenth.
            assert sample.inputs[..., :3][known].mean() == pytest.approx(expected, abs=0.35)
        still = random_sample(
            pairs[number], 32, np.random.default_rng(0), replace(plain, contrast=False), WHOLE
        )
        assert still.inputs[..., :3][still.target[..., 1] > 0].mean() == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("changes", [{"rendered": True}, {}])
def test_rendered_images_and_pairs_of_no_area_stand_alone(folder, changes):
    describe(folder, dict.fromkeys(("p0", "p1"), "north" if changes else None), **changes)
    pairs = read_dataset(folder).pairs("train", PairCache())
    assert all(pair.around is None for pair in pairs)
    assert pair_stretch(pairs[1], WHOLE).low == (60.0,) * 3


def test_of_a_large_area_some_images_are_read_and_each_area_once(tmp_path, monkeypatch):
    files = []
    for number in range(40):
        files.append(tmp_path / f"{number}.tif")
        write_raster(files[-1], np.full((3, 200, 200), number, np.uint8))
    surroundings = Surroundings({"wide": files})
    found = surroundings.of("wide")
    assert found is not None
    assert len(found.pixels) <= 16384
    seen = np.unique(found.pixels)
    assert len(seen) == 16
    assert (seen[0], seen[-1]) == (0, 39)
    for path in files:
        path.unlink()
    assert surroundings.of("wide") is found
    assert surroundings.of("elsewhere") is None
    assert surroundings.of(None) is None
