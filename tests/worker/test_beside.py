"""Pairs that are joined with what lies beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny_dataset import GSD, write_raster
from training.data.beside import Neighbours, joined
from training.data.cache import PairCache
from training.data.dataset import read_dataset
from training.data.pair import Pair, towards_the_sun
from training.data.sampling import Augmentation, random_sample
from training.data.sources import open_source

LEFT, TOP = 500_000.0, 5_200_000.0
SIDE = 64


def scene(rows: int, columns: int) -> Pair:
    """A scene whose every pixel is unlike all others."""
    numbers = np.arange(rows * columns, dtype=np.uint16).reshape(rows, columns)
    image = np.stack([numbers, numbers // 256, 65535 - numbers], axis=-1)
    known = numbers % 97 != 0
    return Pair("scene", image, np.where(known, numbers / 4, np.nan).astype(np.float32), known, GSD, "train")


def cut(whole: Pair, row: int, column: int, rows: int = SIDE, columns: int = SIDE) -> Pair:
    window = slice(row, row + rows), slice(column, column + columns)
    return Pair("cut", whole.image[window], whole.dem[window], whole.valid[window], GSD, "train")


WHOLE = scene(256, 256)


def place_in_the_scene(pair: Pair) -> tuple[int, int]:
    return divmod(int(pair.image[0, 0, 0]), WHOLE.dem.shape[1])


def assert_cut_from_the_scene(pair: Pair) -> tuple[int, int]:
    row, column = place_in_the_scene(pair)
    expected = cut(WHOLE, row, column, *pair.dem.shape)
    np.testing.assert_array_equal(pair.image, expected.image)
    np.testing.assert_array_equal(pair.dem, expected.dem)
    np.testing.assert_array_equal(pair.valid, expected.valid)
    return row, column


@given(
    own=st.tuples(st.integers(40, 150), st.integers(40, 150)),
    others=st.lists(st.tuples(st.integers(0, 192), st.integers(0, 192)), max_size=8),
)
def test_what_is_joined_is_what_the_scene_shows_without_gaps(own, others):
    placed = [(cut(WHOLE, *other), other[0] - own[0], other[1] - own[1]) for other in others]
    whole = joined(cut(WHOLE, *own), placed)
    row, column = assert_cut_from_the_scene(whole)
    rows, columns = whole.dem.shape
    # All of the pair, and half of its side beyond it at most.
    assert own[0] - SIDE // 2 <= row <= own[0]
    assert own[1] - SIDE // 2 <= column <= own[1]
    assert own[0] + SIDE <= row + rows <= own[0] + SIDE * 3 // 2
    assert own[1] + SIDE <= column + columns <= own[1] + SIDE * 3 // 2


def test_tiles_side_by_side_make_squares_of_twice_their_side():
    middle = cut(WHOLE, SIDE, SIDE)
    around = [
        (cut(WHOLE, SIDE + down * SIDE, SIDE + right * SIDE), down * SIDE, right * SIDE)
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
        if (down, right) != (0, 0)
    ]
    whole = joined(middle, around)
    assert whole.dem.shape == (2 * SIDE, 2 * SIDE)
    assert assert_cut_from_the_scene(whole) == (SIDE // 2, SIDE // 2)
    # Without a corner a square would have a gap: the larger of two oblongs is left.
    assert sorted(joined(middle, around[1:]).dem.shape) == [SIDE * 3 // 2, 2 * SIDE]
    assert joined(middle, []) is middle


def test_the_same_ground_of_another_day_is_left_out():
    middle = cut(WHOLE, SIDE, SIDE)
    later = Pair(
        "later", WHOLE.image[64:128, 96:160] + 1, WHOLE.dem[64:128, 96:160], middle.valid, GSD, "train"
    )
    assert joined(middle, [(later, 0, 32)]) is middle
    same = cut(WHOLE, SIDE, 96)
    assert joined(middle, [(later, 0, 32), (same, 0, 32)]).dem.shape == (SIDE, SIDE * 3 // 2)


def write_folder(folder: Path, corners: Iterable[tuple[float, float]], **changes: object) -> Path:
    """A data set of cuts from the scene, their upper left corners in pixels of it."""
    pairs = []
    for number, (row, column) in enumerate(corners):
        pair = cut(WHOLE, round(row), round(column))
        left, top = LEFT + column * GSD, TOP - row * GSD
        transform = (GSD, 0.0, left, 0.0, -GSD, top)
        for part, bands in (("images", np.moveaxis(pair.image, -1, 0)), ("dems", pair.dem[None])):
            write_raster(folder / part / f"p{number}.tif", bands, transform=transform, nodata=None)
        pairs.append({"id": f"p{number}", "split": "train", "area": "here", "sun_azimuth": 135.0})
        pairs[-1].update(changes.get(f"p{number}", {}))
    content = {"pairs": pairs, **{key: value for key, value in changes.items() if not key.startswith("p")}}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


ROW = [(64.0, 0.0), (64.0, 64.0), (64.0, 128.0)]


def shapes(folder: Path, join: bool = True) -> list[tuple[int, ...]]:
    return [pair.dem.shape for pair in read_dataset(folder).pairs("train", PairCache(), join)]


def test_pairs_of_a_folder_are_joined_where_that_is_wanted(tmp_path):
    folder = write_folder(tmp_path, ROW)
    pairs = read_dataset(folder).pairs("train", PairCache(), join=True)
    assert [pair.name for pair in pairs] == ["p0", "p1", "p2"]
    assert [pair.dem.shape for pair in pairs] == [(64, 96), (64, 128), (64, 96)]
    assert [place_in_the_scene(pair) for pair in pairs] == [(64, 0), (64, 32), (64, 96)]
    assert shapes(folder, join=False) == [(64, 64)] * 3
    groups = open_source(folder, PairCache(), join=True).train
    assert groups[0].pairs[1].dem.shape == (64, 128)
    assert open_source(folder, PairCache()).train[0].pairs[1].dem.shape == (64, 64)


def test_pairs_of_no_area_are_joined_with_each_other(tmp_path):
    folder = write_folder(tmp_path, ROW[:2], p0={"area": None}, p1={"area": None})
    assert shapes(folder) == [(64, 96)] * 2
    assert all(pair.around is None for pair in read_dataset(folder).pairs("train", PairCache(), join=True))


@pytest.mark.parametrize(
    ("days", "expected"),
    [(["2021-07-03", "2021-07-03"], (64, 96)), ("2021-07-03", (64, 96)), (["2021-07-08"], (64, 64))],
)
def test_fetched_pairs_are_joined_by_their_days_whatever_the_mean_of_their_suns(tmp_path, days, expected):
    first = {"dates": ["2021-07-03"], "sun_azimuth": 139.8}
    folder = write_folder(tmp_path, ROW[:2], p0=first, p1={"dates": days, "sun_azimuth": 140.1})
    assert shapes(folder) == [expected] * 2


def test_the_light_is_brought_to_one_side_after_joining(tmp_path):
    folder = write_folder(tmp_path, ROW, **{f"p{n}": {"sun_azimuth": 315.0} for n in range(3)})
    pair = read_dataset(folder).pairs("train", PairCache(), join=True)[1]
    np.testing.assert_array_equal(pair.dem, cut(WHOLE, 64, 32, 64, 128).dem[::-1, ::-1])
    assert pair.dem.shape == towards_the_sun(pair, 90.0).dem.shape


@pytest.mark.parametrize(
    "changes",
    [
        {"p1": {"area": "elsewhere"}},
        {"p1": {"area": None}},
        {"p1": {"sun_azimuth": 150.0}},
        {"p1": {"gsd": 10.0}},
        {"p1": {"split": "validation"}},
        {"rendered": True},
    ],
)
def test_what_does_not_belong_together_stands_alone(tmp_path, changes):
    assert set(shapes(write_folder(tmp_path, ROW[:2], **changes))) == {(64, 64)}


@pytest.mark.parametrize(("shift", "expected"), [(0.0, (64, 96)), (0.005, (64, 96)), (0.3, (64, 64))])
def test_pixels_must_lie_on_one_grid(tmp_path, shift, expected):
    assert shapes(write_folder(tmp_path, [ROW[0], (64.0 + shift, 64.0)])) == [expected] * 2


def test_of_many_that_overlap_few_are_read(tmp_path):
    corners = [(64.0 + down, 64.0 + right) for down in range(-32, 33, 8) for right in range(-32, 33, 8)]
    files = [tmp_path / "images" / f"p{number}.tif" for number in range(len(corners))]
    write_folder(tmp_path, corners)
    middle = corners.index((64.0, 64.0))
    found = list(Neighbours(files, ["here"] * len(files)).beside(middle))
    assert len(found) <= 8
    assert shapes(tmp_path)[middle] == (128, 128)


def test_so_many_that_they_would_not_fit_into_memory_stand_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("training.data.beside._MOST_PIXELS", 3 * SIDE * SIDE - 1)
    assert shapes(write_folder(tmp_path, ROW)) == [(64, 64)] * 3


def test_a_joined_pair_has_windows_at_any_place_and_turn():
    whole = scene(512, 512)
    corners = [(row, column) for row in (0, 256) for column in (0, 256)]
    tiles = [(cut(whole, row, column, 256, 256), row, column) for row, column in corners]
    alone, wide = tiles[0][0], joined(tiles[0][0], tiles[1:])
    plain = Augmentation(scale=False, contrast=False, mirror=False)

    def seen(pair: Pair) -> int:
        samples = (random_sample(pair, 256, np.random.default_rng(seed), plain) for seed in range(12))
        return len({sample.target.tobytes() for sample in samples})

    assert wide.dem.shape == (384, 384)
    assert seen(alone) == 1
    assert seen(wide) == 12
