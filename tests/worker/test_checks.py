from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_dataset import GSD, hills, write_dataset, write_raster
from training.data.cache import PairCache
from training.data.checks import areas_in_two_splits, check_pair, check_sources, overlaps_between_splits
from training.data.dataset import read_dataset
from training.data.sources import open_source
from training.request import DataError

DEM, GREY = hills(96, 0)
IMAGE = np.stack([GREY] * 3)


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_dataset(tmp_path / "data")


def checked(folder: Path, **options):
    return check_sources([open_source(folder, PairCache())], **options)


def test_good_data_pass_and_their_resolution_is_told(folder):
    result = checked(folder)
    assert result.warnings == ()
    assert result.gsd == pytest.approx((GSD, GSD), rel=2e-3)


FAULTS = {
    "sizes differ": (
        lambda f: write_raster(f / "dems/p1.tif", DEM[None, :90]),
        r"images/p1.tif has 96 x 96 pixels, .*dems/p1.tif 96 x 90: bring both to one grid",
    ),
    "all nodata": (
        lambda f: write_raster(f / "dems/p1.tif", np.full_like(DEM, -9999)[None], nodata=-9999),
        r"dems/p1.tif knows no height, all is nodata: leave p1 out",
    ),
    "undeclared nodata": (
        lambda f: write_raster(f / "dems/p1.tif", np.full_like(DEM, -32768)[None]),
        r"dems/p1.tif knows no height",
    ),
    "constant image": (
        lambda f: write_raster(f / "images/p1.tif", np.full_like(IMAGE, 17)),
        r"images/p1.tif is of one colour",
    ),
    "NaN": (
        lambda f: write_raster(f / "images/p1.tif", np.where(IMAGE > 150, np.nan, IMAGE).astype("f4")),
        r"images/p1.tif has \d+ pixels that are NaN or infinite .* declare NaN as its nodata value",
    ),
    "image is nodata": (
        lambda f: write_raster(f / "images/p1.tif", np.zeros_like(IMAGE), nodata=0),
        r"images/p1.tif is nodata wherever p1.tif knows a height",
    ),
    "two bands": (
        lambda f: write_raster(f / "images/p1.tif", IMAGE[:2]),
        r"images/p1.tif has 2 band\(s\), not red, green and blue",
    ),
    "too small": (
        lambda f: [
            write_raster(f / "images/p1.tif", IMAGE[:, :40]),
            write_raster(f / "dems/p1.tif", DEM[None, :40]),
        ],
        r"images/p1.tif has 96 x 40 pixels: pairs need 64 x 64 at least",
    ),
    "missing": (lambda f: (f / "dems/p1.tif").unlink(), r"dems/p1.tif is missing"),
    "broken": (lambda f: (f / "dems/p1.tif").write_bytes(b"II*\0"), r"p1: .*dems/p1.tif"),
}


@pytest.mark.parametrize(("spoil", "message"), FAULTS.values(), ids=list(FAULTS))
def test_a_bad_pair_is_named_with_a_way_out(folder, spoil, message):
    spoil(folder)
    with pytest.raises(DataError, match=message) as caught:
        checked(folder)
    # The other pairs are not blamed.
    assert str(caught.value).count("\n- ") == 1


def test_nan_that_is_declared_as_nodata_is_no_fault(folder):
    image = np.where(IMAGE > 150, np.nan, IMAGE).astype(np.float32)
    write_raster(folder / "images/p1.tif", image, nodata=np.nan)
    found, _ = check_pair(read_dataset(folder).entries[1])
    assert found == []
    checked(folder)


def test_all_faults_are_told_at_once_up_to_a_dozen(tmp_path):
    folder = write_dataset(tmp_path / "many", splits=("train",) * 20 + ("validation",), side=64)
    for number in range(20):
        (folder / "dems" / f"p{number}.tif").unlink()
    with pytest.raises(DataError) as caught:
        checked(folder)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + 12 + 1
    assert lines[-1] == "- and 8 more"


@pytest.mark.parametrize(
    ("splits", "missing"), [(("validation", "test"), "train"), (("train", "test"), "validation")]
)
def test_a_split_without_pairs(tmp_path, splits, missing):
    folder = write_dataset(tmp_path / "data", splits)
    with pytest.raises(DataError, match=f"the split '{missing}' has no pair .*give whole areas 'split'"):
        checked(folder)


def test_an_area_in_two_splits(folder):
    path = folder / "dataset.json"
    content = json.loads(path.read_text())
    content["pairs"][4]["area"] = "a0"
    path.write_text(json.dumps(content))
    (fault,) = areas_in_two_splits(read_dataset(folder))
    assert "the area a0 is in the splits train and validation (for example p0, p4)" in fault
    with pytest.raises(DataError, match="the area a0"):
        checked(folder)


def test_ground_that_is_shown_in_two_splits_whatever_the_areas_are_called(folder):
    assert overlaps_between_splits(read_dataset(folder)) == []
    # p4 is held out; it moves half a tile away from p1's place, which is trained on.
    write_raster(folder / "images/p4.tif", IMAGE, left=550_000.0 + 48 * GSD)
    (fault,) = overlaps_between_splits(read_dataset(folder))
    assert "images/p4.tif (validation) shows ground that p1.tif (train) shows too" in fault
    # Neighbours that share a border show no common ground.
    write_raster(folder / "images/p4.tif", IMAGE, left=550_000.0 + 96 * GSD)
    assert overlaps_between_splits(read_dataset(folder)) == []


def test_another_resolution_than_the_models_is_said(folder):
    assert checked(folder, gsd_range=(10.0, 600.0)).warnings == ()
    assert checked(folder, gsd_range=(33.0, 600.0)).warnings == ()
    (warning,) = checked(folder, gsd_range=(300.0, 600.0)).warnings
    assert "The pairs have 30 to 30 m a pixel" in warning
    assert "300 to 600 m" in warning


def test_no_source_has_what_is_needed(folder):
    source = open_source(folder, PairCache())
    with pytest.raises(DataError, match="'train' has no pair(.|\n)*'validation' has no pair"):
        check_sources([replace(source, train=(), validation=())])
