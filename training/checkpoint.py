"""Checkpoints: all that a run needs to go on, in files that are whole or not there."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from training.request import TrainingError

CHECKPOINT_FILE = "checkpoint.npz"
_STATE = "state"
_WEIGHTS = "weights_{:06d}.npz"


class CheckpointError(TrainingError):
    """A checkpoint that cannot be gone on from; the message names the file."""


def save_checkpoint(folder: Path, variables: Mapping[str, Sequence[Any]], state: Mapping[str, Any]) -> None:
    """Replace a run's checkpoint.

    Args:
        folder: of the run.
        variables: Keras variables by what they belong to.
        state: what else the run must know; JSON must be able to hold it.
    """
    arrays = {
        f"{owner}/{number}": np.asarray(ops.convert_to_numpy(variable))
        for owner, group in variables.items()
        for number, variable in enumerate(group)
    }
    _write(folder / CHECKPOINT_FILE, {**arrays, _STATE: np.array(json.dumps(state))})


def read_state(folder: Path) -> dict[str, Any] | None:
    """What a run's checkpoint says beside its numbers; ``None`` where there is no checkpoint.

    Raises:
        CheckpointError: it cannot be read.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    state: dict[str, Any] = json.loads(str(_read(path, lambda name: name == _STATE)[_STATE]))
    return state


def load_variables(folder: Path, variables: Mapping[str, Sequence[Any]]) -> None:
    """Give variables the numbers that the checkpoint holds for them.

    Raises:
        CheckpointError: it cannot be read, or holds other variables.
    """
    path = folder / CHECKPOINT_FILE
    arrays = _read(path, lambda name: name != _STATE)
    wanted = {f"{owner}/{n}": v for owner, group in variables.items() for n, v in enumerate(group)}
    if set(wanted) != set(arrays):
        raise CheckpointError(f"{path} was made by another network or recipe: begin anew without RESUME")
    for name, variable in wanted.items():
        if tuple(variable.shape) != arrays[name].shape:
            raise CheckpointError(
                f"{path}: {name} has the shape {arrays[name].shape}, not {tuple(variable.shape)}: it "
                "was made by another network; begin anew without RESUME"
            )
        variable.assign(arrays[name])


def save_weights(folder: Path, number: int, weights: Sequence[NDArray[Any]]) -> None:
    """Keep the weights of a look at the held-out tiles under its number."""
    _write(folder / _WEIGHTS.format(number), {str(n): weight for n, weight in enumerate(weights)})


def load_weights(folder: Path, number: int) -> list[NDArray[Any]]:
    """The weights kept under a number.

    Raises:
        CheckpointError: they cannot be read.
    """
    arrays = _read(folder / _WEIGHTS.format(number), lambda name: True)
    return [arrays[str(n)] for n in range(len(arrays))]


def drop_weights(folder: Path, but: int | None) -> None:
    """Remove all kept weights but those of one number. To be called once a checkpoint names that number."""
    for path in folder.glob("weights_*.npz"):
        if but is None or path.name != _WEIGHTS.format(but):
            path.unlink()


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    try:
        with open(partial, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise TrainingError(f"{path} cannot be written: {error.strerror}") from error
    os.replace(partial, path)


def _read(path: Path, wanted: Any) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if wanted(name)}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; begin anew without RESUME") from error
