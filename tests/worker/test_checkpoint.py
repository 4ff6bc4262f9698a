from __future__ import annotations

import os

import keras
import numpy as np
import pytest

from training.checkpoint import (
    CHECKPOINT_FILE,
    CheckpointError,
    drop_weights,
    load_variables,
    load_weights,
    read_state,
    save_checkpoint,
    save_weights,
)


def variables(scale: float = 1.0, columns: int = 3) -> dict[str, list[keras.Variable]]:
    values = np.arange(2 * columns, dtype=np.float32).reshape(2, columns) * scale / 3.0
    return {
        "generator": [keras.Variable(values), keras.Variable(np.int64(2**53 + 1), dtype="int64")],
        "optimiser": [keras.Variable(-values)],
    }


STATE = {"step": 7, "best_score": 0.1 + 0.2, "history": [{"epoch": 1, "loss": 1 / 3}]}


def test_what_is_saved_comes_back_to_the_last_bit(tmp_path):
    saved, other = variables(), variables(5.0)
    save_checkpoint(tmp_path, saved, STATE)
    assert read_state(tmp_path) == STATE
    load_variables(tmp_path, other)
    for owner, group in saved.items():
        for variable, again in zip(group, other[owner]):
            np.testing.assert_array_equal(again.numpy(), variable.numpy())
            assert again.dtype == variable.dtype


def test_where_there_is_none(tmp_path):
    assert read_state(tmp_path) is None


def test_an_interrupted_write_leaves_the_one_before(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, variables(), {"step": 1})

    def killed(*paths: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as until_here:
        until_here.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, variables(9.0), {"step": 2})
    assert read_state(tmp_path) == {"step": 1}
    again = variables(3.0)
    load_variables(tmp_path, again)
    np.testing.assert_array_equal(again["generator"][0].numpy(), variables()["generator"][0].numpy())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no more", b"something else"])
def test_a_broken_one_is_named(tmp_path, content):
    (tmp_path / CHECKPOINT_FILE).write_bytes(content)
    with pytest.raises(CheckpointError, match="checkpoint.npz cannot be read"):
        read_state(tmp_path)


def test_nothing_is_run_from_a_checkpoint(tmp_path):
    np.savez(tmp_path / CHECKPOINT_FILE, state=np.array([{"step": 1}], dtype=object))
    with pytest.raises(CheckpointError, match="allow_pickle"):
        read_state(tmp_path)


def test_one_of_another_network_is_refused(tmp_path):
    save_checkpoint(tmp_path, variables(), STATE)
    with pytest.raises(CheckpointError, match=r"generator/0 has the shape \(2, 3\), not \(2, 4\)"):
        load_variables(tmp_path, variables(columns=4))
    fewer = variables()
    del fewer["optimiser"]
    with pytest.raises(CheckpointError, match="another network or recipe"):
        load_variables(tmp_path, fewer)


def test_the_best_weights_are_kept_until_better_ones_are_named(tmp_path):
    for number in (3, 12):
        save_weights(tmp_path, number, [np.full(2, number, np.float32), np.float32(number)])
    drop_weights(tmp_path, but=12)
    with pytest.raises(CheckpointError, match="weights_000003.npz"):
        load_weights(tmp_path, 3)
    first, second = load_weights(tmp_path, 12)
    np.testing.assert_array_equal(first, [12, 12])
    assert second == 12
    drop_weights(tmp_path, but=None)
    assert list(tmp_path.iterdir()) == []
