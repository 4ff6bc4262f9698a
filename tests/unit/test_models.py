from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from imagetodem_qgis.runtime import models
from imagetodem_qgis.runtime.models import (
    DEFAULT_MODEL,
    ModelError,
    installed_models,
    open_installed_model,
    open_model_file,
)

ARCHITECTURE = {"name": "light_unet", "tile_size": 256}


def write_model(
    folder: Path,
    files: tuple[str, ...] = ("generator.onnx", "generator.weights.h5"),
    inputs: tuple[str, ...] = ("red", "green", "blue", "log_ground_sampling_distance"),
) -> Path:
    """A model's folder; its weights are a few bytes, which are never run here."""
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_bytes(f"bytes of {name}".encode())
    card = {
        "name": folder.name,
        "version": "1",
        "licence": "CC0-1.0",
        "architecture": ARCHITECTURE,
        "direction": "image_to_dem",
        "inputs": list(inputs),
        "outputs": ["height", "log_scale"],
        "stretch": {"method": "percentile", "lower": 2, "upper": 98, "clip": 1.5},
        "target": "relief_per_pixel",
        "sun_azimuth": 135,
        "ground_sampling_distance": {"minimum": 10, "maximum": 600},
        "tile_size": 256,
        "training_data": {},
        "seed": 1,
        "libraries": {},
        "metrics": {},
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files},
    }
    (folder / "model.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


def edit_card(folder: Path, **keys: object) -> None:
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**card, **keys}))


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_model(tmp_path / "hills")


@pytest.fixture
def scratch(tmp_path) -> Path:
    path = tmp_path / "scratch"
    path.mkdir()
    return path


def test_a_folder_gives_both_engines(folder, scratch):
    expected = {
        "onnxruntime": {"kind": "onnx", "path": str(folder / "generator.onnx")},
        "tensorflow": {
            "kind": "weights",
            "path": str(folder / "generator.weights.h5"),
            "architecture": ARCHITECTURE,
        },
    }
    for path in (folder, folder / "model.json"):
        model = open_model_file(path, scratch)
        assert model.engines == expected
        assert model.card.name == "hills"
        assert model.has_own_card


def test_choice_of_the_engine(folder, scratch, tmp_path):
    model = open_model_file(folder, scratch)
    assert model.engine("automatic") == "onnxruntime"
    assert model.engine("tensorflow") == "tensorflow"
    weights_only = open_model_file(write_model(tmp_path / "w", ("generator.weights.h5",)), scratch)
    assert weights_only.engine("automatic") == "tensorflow"
    with pytest.raises(ModelError, match="cannot be run by onnxruntime, only by tensorflow"):
        weights_only.engine("onnxruntime")


@pytest.mark.parametrize("name", ["generator.onnx", "generator.weights.h5"])
def test_weights_that_are_not_the_cards_are_refused(folder, scratch, name):
    (folder / name).write_bytes(b"others")
    digest = hashlib.sha256(b"others").hexdigest()
    with pytest.raises(ModelError, match=f"{name} is not the file that the card describes.*{digest}"):
        open_model_file(folder, scratch)


def test_a_digest_may_be_written_in_capitals(folder, scratch):
    digests = json.loads((folder / "model.json").read_text())["files"]
    edit_card(folder, files={name: digest.upper() for name, digest in digests.items()})
    assert set(open_model_file(folder, scratch).engines) == {"onnxruntime", "tensorflow"}


def test_a_file_that_the_card_lists_must_be_there(folder, scratch):
    (folder / "generator.onnx").unlink()
    with pytest.raises(ModelError, match=r"generator\.onnx is missing"):
        open_model_file(folder, scratch)


def test_a_card_without_weights_is_refused(tmp_path, scratch):
    with pytest.raises(ModelError, match="lists neither generator.onnx nor generator.weights.h5"):
        open_model_file(write_model(tmp_path / "empty", ()), scratch)


def test_a_card_that_lacks_a_key_is_refused_by_name(folder, scratch):
    card = json.loads((folder / "model.json").read_text())
    del card["stretch"]
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="model.json.*lacks the key 'stretch'"):
        open_model_file(folder, scratch)


def test_a_card_that_is_no_text_is_refused(folder, scratch):
    (folder / "model.json").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ModelError, match="model.json"):
        open_model_file(folder, scratch)


@pytest.mark.parametrize("prefix", ["", "hills/", "some/where/deep/"])
def test_a_zip_of_a_folder_is_unpacked_and_checked(folder, scratch, tmp_path, prefix):
    path = tmp_path / "hills.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, prefix + file.name)
        archive.writestr(f"{prefix}preview/picture.png", b"not needed")
    model = open_model_file(path, scratch)
    assert model.engines["onnxruntime"] == {"kind": "onnx", "path": str(scratch / "generator.onnx")}
    assert (scratch / "generator.onnx").read_bytes() == (folder / "generator.onnx").read_bytes()
    assert not (scratch / "preview").exists()
    assert not (scratch / "picture.png").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "/evil.txt",
        "hills/../../evil.txt",
        "hills/..\\evil.txt",
        "hills/..",
        "hills/D:evil.txt",
    ],
)
def test_names_in_a_zip_that_lead_out_of_the_folder_are_left_alone(folder, scratch, tmp_path, name):
    path = tmp_path / "hills.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"hills/{file.name}")
        archive.writestr(name, b"evil")
    before = {item for item in tmp_path.rglob("*") if item.parent != scratch}
    open_model_file(path, scratch)
    assert {item for item in tmp_path.rglob("*") if item.parent != scratch} == before
    assert {item.name for item in scratch.iterdir()} == {file.name for file in folder.iterdir()}
    assert not Path("/evil.txt").exists()


def test_zips_that_hold_no_model_are_refused(folder, scratch, tmp_path):
    path = tmp_path / "model.zip"
    path.write_bytes(b"PK but no zip")
    with pytest.raises(ModelError, match="is not a zip file"):
        open_model_file(path, scratch)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(ModelError, match="holds 0 files model.json"):
        open_model_file(path, scratch)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(folder / "model.json", "one/model.json")
        archive.write(folder / "model.json", "two/model.json")
    with pytest.raises(ModelError, match="holds 2 files model.json"):
        open_model_file(path, scratch)


def test_a_damaged_zip_is_refused(folder, scratch, tmp_path):
    path = tmp_path / "model.zip"
    (folder / "generator.onnx").write_bytes(bytes(range(256)) * 40)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.zip"):
        open_model_file(path, scratch)


def test_a_locked_zip_is_refused(folder, scratch, tmp_path):
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(folder / "model.json", "model.json")
    content = bytearray(path.read_bytes())
    for header in (b"PK\x03\x04", b"PK\x01\x02"):
        place = content.index(header) + (6 if header[2] == 3 else 8)
        content[place] |= 1  # the flag "encrypted"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.zip"):
        open_model_file(path, scratch)


def test_an_onnx_file_needs_a_card_that_lists_it(folder, scratch):
    onnx = folder / "generator.onnx"
    assert open_model_file(onnx, scratch).engines == {"onnxruntime": {"kind": "onnx", "path": str(onnx)}}
    (folder / "model.json").rename(folder / "generator.json")
    assert set(open_model_file(onnx, scratch).engines) == {"onnxruntime"}
    (folder / "generator.json").rename(folder / "other.json")
    with pytest.raises(ModelError, match=r"has no card: put model\.json or generator\.json beside it"):
        open_model_file(onnx, scratch)
    (folder / "other.json").rename(folder / "model.json")
    onnx.rename(folder / "stranger.onnx")
    with pytest.raises(ModelError, match=r"does not list stranger\.onnx"):
        open_model_file(folder / "stranger.onnx", scratch)


def test_an_onnx_file_that_is_not_the_cards_is_refused(folder, scratch):
    (folder / "generator.onnx").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="is not the file that the card describes"):
        open_model_file(folder / "generator.onnx", scratch)


def test_a_keras_file_is_an_archive_with_a_config(tmp_path, scratch):
    path = tmp_path / "mine.keras"
    path.write_bytes(b"no archive")
    with pytest.raises(ModelError, match="is not a Keras model"):
        open_model_file(path, scratch)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "")
    with pytest.raises(ModelError, match="is not a Keras model"):
        open_model_file(path, scratch)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    model = open_model_file(path, scratch)
    assert model.engines == {"tensorflow": {"kind": "keras", "path": str(path)}}
    assert not model.has_own_card
    assert model.card.target == "relative"
    broken = bytearray(path.read_bytes())
    broken[broken.index(b"PK\x01\x02")] = 0
    path.write_bytes(broken)
    with pytest.raises(ModelError, match="is not a Keras model"):
        open_model_file(path, scratch)


def test_a_keras_file_takes_the_card_beside_it(folder, scratch):
    with zipfile.ZipFile(folder / "mine.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    model = open_model_file(folder / "mine.keras", scratch)
    assert model.has_own_card
    assert model.card.name == "hills"
    edit_card(folder, files={"mine.keras": "0" * 64})
    with pytest.raises(ModelError, match="is not the file that the card describes"):
        open_model_file(folder / "mine.keras", scratch)


def test_a_savedmodel_folder_must_be_whole(tmp_path, scratch):
    saved = tmp_path / "saved"
    (saved / "variables").mkdir(parents=True)
    (saved / "saved_model.pb").write_bytes(b"pb")
    with pytest.raises(ModelError, match=r"lacks variables/variables\.index"):
        open_model_file(saved, scratch)
    (saved / "variables" / "variables.index").write_bytes(b"index")
    for path in (saved, saved / "saved_model.pb"):
        model = open_model_file(path, scratch)
        assert model.engines == {"tensorflow": {"kind": "savedmodel", "path": str(saved)}}
        assert (model.card.target, model.card.tile_size, model.has_own_card) == ("relative", 256, False)


def test_what_is_no_model_is_refused(tmp_path, scratch):
    (tmp_path / "plain").mkdir()
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(ModelError, match="does not exist"):
        open_model_file(tmp_path / "nowhere", scratch)
    with pytest.raises(ModelError, match="holds neither model.json nor saved_model.pb"):
        open_model_file(tmp_path / "plain", scratch)
    with pytest.raises(ModelError, match="is not a model: give"):
        open_model_file(tmp_path / "notes.txt", scratch)


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(models, "shipped_models_folder", lambda: tmp_path / "shipped")
    monkeypatch.setattr(models, "user_models_folder", lambda: tmp_path / "own")
    return tmp_path


def test_models_of_another_task_are_left_out_and_damaged_ones_kept(installed):
    write_model(installed / "own" / "plain")
    write_model(installed / "own" / "guided", inputs=("red", "green", "blue", "coarse_dem"))
    write_model(installed / "own" / "damaged")
    (installed / "own" / "damaged" / "model.json").write_text("{")
    assert installed_models() == ["damaged", "guided", "plain"]
    assert installed_models("image_to_dem") == ["damaged", "plain"]
    assert installed_models("guided") == ["damaged", "guided"]


def test_installed_models_are_the_shipped_and_the_users(installed):
    assert installed_models() == []
    with pytest.raises(ModelError, match="no model 'hills' is installed; installed: none"):
        open_installed_model("hills")
    for folder in ("shipped/alps", f"shipped/{DEFAULT_MODEL}", "own/zagros", "own/alps"):
        write_model(installed / folder)
    (installed / "own" / "no-card").mkdir()
    assert installed_models() == [DEFAULT_MODEL, "alps", "zagros"]
    assert installed_models("image_to_dem") == installed_models()
    assert open_installed_model("zagros").card.name == "zagros"
    # What came with the plugin is not replaced by a folder of the same name.
    edit_card(installed / "shipped" / "alps", version="shipped")
    assert open_installed_model("alps").card.version == "shipped"
    shutil.rmtree(installed / "own" / "zagros")
    with pytest.raises(ModelError, match=f"no model 'zagros' is installed; installed: {DEFAULT_MODEL}, alps"):
        open_installed_model("zagros")
