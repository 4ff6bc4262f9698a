"""Making a model's folder of a trained network: rounded weights, ONNX, and the card."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.card import CARD_FILE, ONNX_FILE, parse_card
from training.generator import build
from training.networks import WEIGHTS_FILE, muting_part, trained_part
from training.onnx_export import export_onnx
from training.request import TrainingError


def write_model(
    weights: list[NDArray[Any]],
    architecture: Mapping[str, Any],
    folder: Path,
    describe: Callable[[keras.Model, Path], Mapping[str, Any]],
) -> None:
    """Write a model's folder, which is there only when it is whole; an earlier one is replaced.

    The weights are rounded to half precision once; both files hold the rounded numbers, so that the two
    engines run the same network.

    Args:
        weights: of the trained network, in Keras's order.
        architecture: of the model, as the card gives it.
        folder: to write.
        describe: makes the card, all but its ``files``, of the finished float32 network and the folder where
            its files already lie.

    Raises:
        TrainingError: a weight is too large for half precision.
    """
    with np.errstate(over="ignore"):
        rounded = [np.asarray(weight, np.float16) for weight in weights]
    if not all(np.isfinite(weight).all() for weight in rounded):
        raise TrainingError(
            "the weights grew beyond the range of half precision: begin anew with a smaller LEARNING_RATE"
        )
    policy = keras.mixed_precision.global_policy()
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        keras.mixed_precision.set_global_policy("float16")
        half = build(architecture)
        trained_part(half).set_weights(rounded)
        half.save_weights(partial / WEIGHTS_FILE)
        keras.mixed_precision.set_global_policy("float32")
        whole = build(architecture)
        trained_part(whole).set_weights([weight.astype(np.float32) for weight in rounded])
        export_onnx(
            trained_part(whole),
            partial / ONNX_FILE,
            mirrored=bool(architecture.get("mirrored")),
            before=muting_part(whole),
        )
        write_card(describe(whole, partial), partial)
    finally:
        keras.mixed_precision.set_global_policy(policy)
    replace_folder(partial, folder)


def write_card(card: Mapping[str, Any], folder: Path) -> None:
    """Write a card with the SHA-256 of the files beside it.

    Raises:
        CardError: it lacks something.
    """
    files = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (ONNX_FILE, WEIGHTS_FILE)
    }
    text = json.dumps({**card, "files": files}, indent=1, ensure_ascii=False) + "\n"
    parse_card(text)
    (folder / CARD_FILE).write_text(text, encoding="utf-8")


def replace_folder(new: Path, folder: Path) -> None:
    """Put a finished folder in the place of another one."""
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(new, folder)
    shutil.rmtree(old, ignore_errors=True)
