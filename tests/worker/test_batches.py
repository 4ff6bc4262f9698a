from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.tiny_dataset import hills
from training.data.batches import Batches, ahead
from training.data.pair import Pair
from training.data.relative import height_range, relative_task
from training.data.sampling import DEFAULT_STRETCH, FULL_AUGMENTATION, Augmentation, Sample
from training.data.sources import Group
from training.data.tasks import make_task
from training.request import DataError

PLANES = ("red", "green", "blue", "log_ground_sampling_distance")
PLAIN = Augmentation(scale=False, turn=False, mirror=False, contrast=False)


def pair(number: int, side: int = 96) -> Pair:
    dem, image = hills(side, number)
    return Pair(f"p{number}", np.stack([image] * 3, -1), dem, np.ones(dem.shape, bool), 30.0, "train")


def named(sample: Sample, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A task whose input tells the pair, whose heights are all its number."""
    return np.float32(sample.mean_height)[None], sample.target[:1, :1, 0]


def flat(number: int) -> Pair:
    return replace(pair(number, 64), dem=np.full((64, 64), float(number), np.float32))


def batches(*groups: Group, **changes) -> Batches:
    made = Batches(
        groups,
        make_task("image_to_dem", PLANES),
        size=32,
        batch_size=3,
        seed=(1, 0),
        augmentation=FULL_AUGMENTATION,
        stretch=DEFAULT_STRETCH,
    )
    return replace(made, **changes)


GROUP = Group("hills", [pair(n) for n in range(3)], 1.0)


def test_a_batch_follows_from_seed_stage_and_step_alone():
    first, second = batches(GROUP), batches(GROUP)
    inputs, target = first(5)
    assert inputs.shape == (3, 32, 32, 4)
    assert target.shape == (3, 32, 32, 2)
    assert inputs.dtype == target.dtype == np.float32
    second(0), second(9)
    np.testing.assert_array_equal(second(5)[0], inputs)
    np.testing.assert_array_equal(second(5)[1], target)
    for other in (first(6), batches(GROUP, seed=(2, 0))(5), batches(GROUP, seed=(1, 1))(5)):
        assert (other[0] != inputs).any()


def test_a_smaller_batch_of_a_step_is_the_beginning_of_the_larger():
    np.testing.assert_array_equal(batches(GROUP, batch_size=1)(5)[0], batches(GROUP)(5)[0][:1])


def test_groups_and_pairs_are_drawn_by_their_shares():
    groups = (
        Group("low", [flat(1), flat(2)], 0.25),
        Group("high", [flat(10), flat(20)], 0.75, weights=(1.0, 3.0)),
    )
    drawn = batches(*groups, task=named, batch_size=100, augmentation=PLAIN)
    counts = Counter(float(height) for step in range(6) for height in drawn(step)[0][:, 0])
    shares = {height: count / 600 for height, count in counts.items()}
    # Three standard deviations of 600 draws are at most 0.061.
    expected = {1.0: 0.125, 2.0: 0.125, 10.0: 0.1875, 20.0: 0.5625}
    assert shares == {height: pytest.approx(share, abs=0.061) for height, share in expected.items()}


def test_a_pass_shows_each_pair_once_in_an_order_of_its_own():
    groups = (Group("a", [flat(n) for n in range(4)], 0.5), Group("b", [flat(n) for n in range(4, 7)], 0.5))
    passing = batches(*groups, task=named, batch_size=1, augmentation=PLAIN, passes=True)
    orders = [[float(passing(step)[0][0, 0]) for step in range(7 * n, 7 * n + 7)] for n in range(3)]
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    # Batches that do not fill a pass run over its end.
    wide = replace(passing, batch_size=2)
    heights = [float(height) for step in range(7) for height in wide(step)[0][:, 0]]
    assert Counter(heights) == {float(n): 2 for n in range(7)}


def test_a_sample_has_known_heights_and_a_pair_without_any_is_named():
    half = pair(0)
    half.valid[:, :60] = False
    _, target = batches(Group("half", [half], 1.0))(0)
    assert (target[..., 1].mean(axis=(1, 2)) > 0.3).all()
    void = replace(pair(1), valid=np.indices((96, 96)).sum(axis=0) < 20)
    with pytest.raises(DataError, match="p1: hardly any window of it has known heights"):
        batches(Group("void", [void], 1.0))(0)


def test_items_come_in_order_though_they_are_made_together():
    started: list[int] = []

    def make(step: int) -> int:
        started.append(step)
        time.sleep(0.02 if step % 3 == 0 else 0.0)
        return step * step

    made = ahead(make, range(3, 20), workers=4, depth=5)
    first = next(made)
    time.sleep(0.1)
    assert first == (3, 9)
    # The one that was asked for, those ahead of it, and no more.
    assert sorted(started) == list(range(3, 9))
    assert list(made) == [(step, step * step) for step in range(4, 20)]


def test_what_goes_wrong_in_a_thread_is_raised_where_it_is_asked_for():
    def make(step: int) -> int:
        if step == 2:
            raise DataError("two")
        return step

    made = ahead(make, range(5))
    assert [next(made), next(made)] == [(0, 0), (1, 1)]
    with pytest.raises(DataError, match="two"):
        next(made)


def test_who_stops_early_leaves_no_thread_behind():
    made = ahead(lambda step: step, range(10_000))
    next(made)
    made.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_relative_heights_are_those_of_the_whole_data_set():
    pairs = [pair(0), pair(1)]
    pairs[1].dem[3, 3] = 9000.0
    pairs[1].valid[3, 3] = False
    least, largest = height_range(pairs)
    assert least == min(pairs[0].dem.min(), pairs[1].dem.min())
    assert largest == max(p.dem[p.valid].max() for p in pairs) < 9000.0
    task = relative_task(make_task("image_to_dem", PLANES[:3]), (least, largest))
    made = batches(Group("x", pairs[:1], 1.0), task=task, size=256, batch_size=1, augmentation=PLAIN)
    inputs, target = made(0)
    assert inputs.shape == (1, 256, 256, 3)
    # Without augmentation the one window is the whole pair, here resampled to 256 pixels.
    metres = (target[0, ..., 0] + 1.0) / 2.0 * (largest - least) + least
    truth = pairs[0].dem
    assert metres.mean() == pytest.approx(truth.mean(), abs=1.0)
    assert metres.min() == pytest.approx(truth.min(), abs=5.0)
    assert metres.max() == pytest.approx(truth.max(), abs=5.0)
    with pytest.raises(DataError, match="one height only"):
        height_range([flat(3)])
