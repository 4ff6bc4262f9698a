from __future__ import annotations

import os

import numpy as np
import pytest

from imagetodem_qgis.core.tiling import blending_weights, plan_tiles
from imagetodem_qgis.prediction.store import TileStore, check_space


@pytest.mark.parametrize(("rows", "columns"), [(100, 130), (20, 130), (100, 1), (3, 5)])
@pytest.mark.parametrize("with_spread", [False, True])
def test_tiles_come_back_as_they_were_put_whatever_the_order(tmp_path, rows, columns, with_spread):
    plan = plan_tiles(rows, columns, 32, 8)
    weights = blending_weights(32, 8)
    random = np.random.default_rng(0)
    heights, spreads = {}, {}
    with TileStore(plan, weights, tmp_path, with_spread) as store:
        for index in random.permutation(len(plan)):
            window = plan.window(int(index))
            # Turned tiles are views with other strides; what is stored is what they show.
            heights[index] = random.normal(size=(window.columns, window.rows)).astype(np.float32).T
            spreads[index] = random.random((window.rows, window.columns)).astype(np.float32)
            store.put(int(index), heights[index], spreads[index] if with_spread else None)
        assert len(store) == len(plan)
        for index in range(len(plan)):
            tile = store.get(index, with_spread=True)
            assert tile.window == plan.window(index)
            np.testing.assert_array_equal(tile.heights, heights[index])
            np.testing.assert_array_equal(tile.weights, weights[: tile.window.rows, : tile.window.columns])
            if with_spread:
                np.testing.assert_array_equal(tile.spread, spreads[index])
            else:
                assert tile.spread is None
            assert store.get(index).spread is None


def test_tiles_left_out_are_not_there_and_one_put_again_replaces_the_first(tmp_path):
    plan = plan_tiles(100, 100, 32, 8)
    with TileStore(plan, blending_weights(32, 8), tmp_path, True) as store:
        for value in (1.0, 2.0):
            for index in (5, 2):
                tile = np.full((32, 32), index * value, np.float32)
                store.put(index, tile, -tile)
        assert [index for index in range(len(plan)) if index in store] == [2, 5]
        assert len(store) == 2
        assert (store.get(5).heights == 10.0).all()
        assert (store.get(2, with_spread=True).spread == -4.0).all()
        with pytest.raises(KeyError):
            store.get(0)


@pytest.mark.skipif(os.name == "nt", reason="Windows shows a temporary file's name while it is open")
def test_nothing_is_left_in_the_folder_even_without_a_close(tmp_path):
    plan = plan_tiles(32, 32, 32, 8)
    store = TileStore(plan, blending_weights(32, 8), tmp_path, False)
    store.put(0, np.zeros((32, 32), np.float32), None)
    assert list(tmp_path.iterdir()) == []
    store.__exit__(None, None, None)


def test_a_full_disk_is_told_before_work_starts(tmp_path):
    check_space(tmp_path, 1000, "The test")
    with pytest.raises(OSError, match=r"The test needs about 1000000000\.0 GB.*are free: make room"):
        check_space(tmp_path, 10**18, "The test")
