"""Where a training leaves what it makes: the model's folder, and the run's folder beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from imagetodem_qgis.core.card import CARD_FILE
from imagetodem_qgis.runtime.locations import shipped_models_folder

_CHECKPOINT_FILE = "checkpoint.npz"
"""As in ``training.checkpoint``, which QGIS's process does not load."""


def run_folder(model: Path) -> Path:
    """Where the training that makes a model's folder keeps checkpoints, pictures and logs."""
    return model.with_name(f"{model.name}.training")


def is_unfinished(run: Path) -> bool:
    """Whether a training was interrupted in a run's folder and can go on from there."""
    checkpoint, card = run / _CHECKPOINT_FILE, run / "model" / CARD_FILE
    if not checkpoint.is_file():
        return False
    # A model that is older is an earlier training's.
    return not card.is_file() or card.stat().st_mtime_ns < checkpoint.stat().st_mtime_ns


def problem_of_output(model: Path) -> str:
    """Why a trained model may not be put into a folder; empty where it may.

    A folder that holds something else than a model is never replaced.
    """
    if model.exists() and not model.is_dir():
        return f"{model} is a file: give a folder"
    if model.is_dir() and any(model.iterdir()) and not (model / CARD_FILE).is_file():
        return f"the folder {model} holds something else than a model: give another, or an empty one"
    if shipped_models_folder().resolve() in (model.resolve(), *model.resolve().parents):
        return (
            f"{model} lies among the models that come with the plugin, which upgrades replace: give another"
        )
    parent = next(folder for folder in (model.parent, *model.parent.parents) if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        return f"the folder {parent} cannot be written to: give another"
    return ""


def put_in_place(new: Path, model: Path) -> None:
    """Make a copy of a whole model's folder the model; an earlier one stays until the copy is whole.

    Raises:
        OSError: it cannot be written; an earlier model is as it was.
    """
    model.parent.mkdir(parents=True, exist_ok=True)
    copy, former = (model.with_name(f".{model.name}.{os.getpid()}.{part}") for part in ("new", "old"))
    try:
        shutil.copytree(new, copy)
        if model.exists():
            model.rename(former)
        try:
            copy.rename(model)
        except OSError:
            if former.exists():
                former.rename(model)
            raise
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    shutil.rmtree(former, ignore_errors=True)
