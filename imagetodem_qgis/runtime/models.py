"""Finding, opening and checking models on disk, before anything is computed with them."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagetodem_qgis.core.card import (
    CARD_FILE,
    GUIDED,
    IMAGE_TO_DEM,
    ONNX_FILE,
    CardError,
    ModelCard,
    parse_card,
)
from imagetodem_qgis.runtime.locations import shipped_models_folder, user_models_folder

DEFAULT_MODEL = "relief-light"

WEIGHTS_FILE = "generator.weights.h5"

_CARD_OF_THE_ORIGINAL = {
    "name": "pix2pix of the original project",
    "version": "1",
    "licence": "not stated",
    "architecture": {"name": "paper_unet"},
    "direction": "image_to_dem",
    "inputs": ["red", "green", "blue"],
    "outputs": ["height"],
    "stretch": {"method": "percentile", "lower": 0, "upper": 100, "clip": 1},
    "target": "relative",
    "sun_azimuth": None,
    "ground_sampling_distance": {"minimum": 30, "maximum": 50},
    "tile_size": 256,
    "training_data": {},
    "seed": 0,
    "libraries": {},
    "metrics": {},
    "files": {},
}
"""What Panagiotou et al. 2020 trained, for weights that come without a card."""


class ModelError(ValueError):
    """A model that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Model:
    """A checked model.

    Attributes:
        card: what it is.
        engines: by the engine's name, what the worker is told to load.
        has_own_card: whether the card came with the model; without one, the original project's is assumed.
    """

    card: ModelCard
    engines: dict[str, dict[str, Any]]
    has_own_card: bool = True

    def engine(self, asked: str) -> str:
        """The engine to run it with.

        Args:
            asked: ``automatic``, or an engine's name.

        Raises:
            ModelError: the model cannot be run by the engine asked for.
        """
        if asked == "automatic":
            return "onnxruntime" if "onnxruntime" in self.engines else "tensorflow"
        if asked not in self.engines:
            raise ModelError(
                f"the model '{self.card.name}' cannot be run by {asked}, only by {' or '.join(self.engines)}"
            )
        return asked


def installed_models(task: str | None = None) -> list[str]:
    """Names of the installed models, the default first: the shipped ones, then the user's own.

    Args:
        task: leave out those of another :attr:`ModelCard.task`. A model whose card cannot be read stays in:
            who chooses it is told what is wrong with it.
    """
    names = {
        card.parent.name
        for folder in (shipped_models_folder(), user_models_folder())
        for card in sorted(folder.glob(f"*/{CARD_FILE}"))
        if task is None or _task_of(card) in (task, None)
    }
    return sorted(names, key=lambda name: (name != DEFAULT_MODEL, name))


def suitable_model(has_reference: bool) -> str:
    """The installed model to take where none is named: a guided one for a reference DEM, if there is one.

    Raises:
        ModelError: none is installed.
    """
    models = (guided_models() if has_reference else []) or installed_models(IMAGE_TO_DEM)
    if not models:
        raise ModelError("no model is installed: give one by its file (MODEL_FILE)")
    return models[0]


def guided_models() -> list[str]:
    """Names of the installed models that take a coarse DEM beside the image, less those whose card cannot be
    read: they are among the others."""
    others = installed_models(IMAGE_TO_DEM)
    return [name for name in installed_models(GUIDED) if name not in others]


def open_installed_model(name: str) -> Model:
    """Open an installed model by its name.

    Raises:
        ModelError: there is none of that name, or it cannot be used.
    """
    for folder in (shipped_models_folder(), user_models_folder()):
        if (folder / name / CARD_FILE).is_file():
            return _open_folder(folder / name)
    raise ModelError(f"no model '{name}' is installed; installed: {', '.join(installed_models()) or 'none'}")


def open_model_file(path: Path, scratch: Path) -> Model:
    """Open a model that a user points to.

    Args:
        path: a model's folder (or its ``model.json``), a zip of one, an ``.onnx`` or ``.keras`` file with the
            card beside it, or a SavedModel folder of the original project (or its ``saved_model.pb``).
        scratch: an existing folder into which a zip is unpacked.

    Raises:
        ModelError: it is none of these, or it cannot be used.
    """
    if path.name in (CARD_FILE, "saved_model.pb"):
        path = path.parent
    if not path.exists():
        raise ModelError(f"{path} does not exist")
    if path.is_dir():
        if (path / CARD_FILE).is_file():
            return _open_folder(path)
        if (path / "saved_model.pb").is_file():
            return _open_savedmodel(path)
        raise ModelError(f"the folder {path} holds neither {CARD_FILE} nor saved_model.pb: it is not a model")
    if path.suffix.lower() == ".zip":
        return _open_folder(_unpack(path, scratch))
    if path.suffix.lower() == ".onnx":
        return _open_onnx(path)
    if path.suffix.lower() == ".keras":
        return _open_keras(path)
    raise ModelError(
        f"{path} is not a model: give a model's folder, a .zip of one, an .onnx file with its card, a "
        ".keras file, "
        "or a SavedModel folder"
    )


def _open_folder(folder: Path) -> Model:
    card = _read_card(folder / CARD_FILE)
    for name, digest in card.files.items():
        _check_digest(folder / name, digest)
    engines: dict[str, dict[str, Any]] = {}
    if ONNX_FILE in card.files:
        engines["onnxruntime"] = {"kind": "onnx", "path": str(folder / ONNX_FILE)}
    if WEIGHTS_FILE in card.files:
        engines["tensorflow"] = {
            "kind": "weights",
            "path": str(folder / WEIGHTS_FILE),
            "architecture": dict(card.architecture),
        }
    if not engines:
        raise ModelError(f"the card of '{card.name}' lists neither {ONNX_FILE} nor {WEIGHTS_FILE} in 'files'")
    return Model(card, engines)


def _open_onnx(path: Path) -> Model:
    card_path = _card_beside(path)
    if card_path is None:
        raise ModelError(f"{path} has no card: put {CARD_FILE} or {path.stem}.json beside it")
    card = _read_card(card_path)
    if path.name not in card.files:
        raise ModelError(
            f"{card_path} does not list {path.name} in 'files', so it may be another model's card"
        )
    _check_digest(path, card.files[path.name])
    return Model(card, {"onnxruntime": {"kind": "onnx", "path": str(path)}})


def _open_keras(path: Path) -> Model:
    try:
        with zipfile.ZipFile(path) as archive:
            archive.getinfo("config.json")
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(f"{path} is not a Keras model: it is no archive with a config.json") from error
    card_path = _card_beside(path)
    card = _read_card(card_path) if card_path is not None else _card_of_the_original()
    if path.name in card.files:
        _check_digest(path, card.files[path.name])
    return Model(card, {"tensorflow": {"kind": "keras", "path": str(path)}}, card_path is not None)


def _open_savedmodel(folder: Path) -> Model:
    if not (folder / "variables" / "variables.index").is_file():
        raise ModelError(
            f"the SavedModel folder {folder} lacks variables/variables.index: copy the whole folder"
        )
    return Model(_card_of_the_original(), {"tensorflow": {"kind": "savedmodel", "path": str(folder)}}, False)


def _card_of_the_original() -> ModelCard:
    return parse_card(json.dumps(_CARD_OF_THE_ORIGINAL))


def _card_beside(path: Path) -> Path | None:
    for candidate in (path.with_suffix(".json"), path.parent / CARD_FILE):
        if candidate.is_file():
            return candidate
    return None


def _task_of(card: Path) -> str | None:
    try:
        return _read_card(card).task
    except ModelError:
        return None


def _read_card(path: Path) -> ModelCard:
    try:
        return parse_card(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, CardError) as error:
        raise ModelError(f"{path}: {error}") from error


def _check_digest(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ModelError(f"{path} is missing, though the card lists it: install the model again")
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
    if digest.hexdigest() != expected.lower():
        raise ModelError(
            f"{path} is not the file that the card describes (its SHA-256 is {digest.hexdigest()}, "
            "the card says "
            f"{expected}): it is damaged or was replaced; install the model again"
        )


def _unpack(path: Path, scratch: Path) -> Path:
    """Unpack a zip that holds a model's files, at its top or in one folder."""
    try:
        with zipfile.ZipFile(path) as archive:
            cards = [name for name in archive.namelist() if name.rsplit("/", 1)[-1] == CARD_FILE]
            if len(cards) != 1:
                raise ModelError(f"{path} holds {len(cards)} files {CARD_FILE}, a model has one")
            prefix = cards[0][: -len(CARD_FILE)]
            for name in archive.namelist():
                inner = name[len(prefix) :]
                # Only plain files of the model's own folder are wanted, so no path can lead out of it.
                if name.startswith(prefix) and inner and inner[0] != "." and not set(inner) & set("/\\:"):
                    (scratch / inner).write_bytes(archive.read(name))
    except zipfile.BadZipFile as error:
        raise ModelError(f"{path} is not a zip file, or a damaged one: {error}") from error
    except (RuntimeError, EOFError, zlib.error) as error:
        raise ModelError(f"{path} cannot be unpacked: {error}") from error
    return scratch
