"""Environments made from a folder of wheels: whole, mended, extended, made anew."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace

import pytest

from imagetodem_qgis.runtime.marker import Marker, State, environment_python, read_marker, write_marker
from imagetodem_qgis.runtime.profiles import requirements_hash
from tests.tiny_wheels import PREDICT_MODULES, build_wheels
from tests.unit.environments import Heard, imported, is_whole, make, packages_folder


def test_an_environment_is_made_from_a_folder_of_wheels(tmp_path, wheels):
    heard = Heard()
    python = make(tmp_path / "environment", wheels, heard=heard)
    assert python == environment_python(tmp_path / "environment")
    assert (
        imported(tmp_path / "environment", "import numpy, scipy, onnxruntime; print(onnxruntime.__version__)")
        == "1.0"
    )
    assert is_whole(tmp_path / "environment", "predict")
    assert heard.percents == sorted(heard.percents)
    assert heard.percents[-1] == 100.0
    assert len({round(percent) for percent in heard.percents}) >= 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["environment", "environment.lock"]


def test_a_second_run_finds_it_whole_and_changes_nothing(made, wheels):
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*") if path.is_file()}
    heard = Heard()
    started = time.monotonic()
    make(made, wheels, heard=heard)
    assert time.monotonic() - started < 2.0
    assert heard.lines == [f"The environment in {made} is whole: nothing to do."]
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("damage", ["missing", "shortened", "no list of files", "left aside by pip"])
def test_damage_is_found_and_mended(made, wheels, damage):
    packages = packages_folder(made)
    if damage == "missing":
        (packages / "scipy" / "part.py").unlink()
    elif damage == "shortened":
        (packages / "scipy" / "part.py").write_text("VALUE = 1\n")
    elif damage == "no list of files":
        (packages / "scipy-1.0.dist-info" / "RECORD").unlink()
    else:
        (packages / "scipy" / "part.py").unlink()
        shutil.copytree(packages / "scipy", packages / "~cipy")
    heard = Heard()
    make(made, wheels, heard=heard)
    assert heard.says("scipy is not whole")
    assert (packages / "scipy" / "part.py").read_text() == "VALUE = 1\n" * 50
    assert (packages / "scipy-1.0.dist-info" / "RECORD").is_file()
    assert not list(packages.glob("~*"))
    assert is_whole(made, "predict")


def test_predict_becomes_train_in_place(made, train_wheels):
    numpy = packages_folder(made) / "numpy" / "__init__.py"
    before = numpy.stat().st_mtime_ns
    make(made, train_wheels, "train")
    assert is_whole(made, "predict", "train")
    assert imported(made, "import keras, tensorflow, PIL; print(keras.__version__)") == "1.0"
    assert numpy.stat().st_mtime_ns == before


def test_other_requirements_are_installed_over_the_former_ones(made, tmp_path):
    newer = tmp_path / "newer"
    build_wheels(newer, PREDICT_MODULES, "2.0")
    make(made, newer)
    assert imported(made, "import numpy; print(numpy.__version__)") == "2.0"
    assert read_marker(made).requirements["predict"] == requirements_hash(newer / "requirements.txt")


def test_an_environment_whose_python_was_replaced_is_made_anew(made, wheels):
    write_marker(made, replace(read_marker(made), version="3.5.2"))
    heard = Heard()
    make(made, wheels, heard=heard)
    assert heard.says("Making an environment")
    assert is_whole(made, "predict")
    assert not made.with_name("environment.former").exists()


def test_a_users_configuration_of_pip_does_not_lead_packages_elsewhere(tmp_path, wheels, monkeypatch):
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PIP_USER", "1")
    make(tmp_path / "environment", wheels)
    assert not (tmp_path / "elsewhere").exists()
    assert is_whole(tmp_path / "environment", "predict")


def test_a_marker_that_was_cut_off_is_no_whole_environment(made):
    stored = (made / "imagetodem.json").read_text()
    for length in (0, 1, len(stored) // 2, len(stored) - 1):
        (made / "imagetodem.json").write_text(stored[:length])
        assert read_marker(made).state is State.UNFINISHED
    (made / "imagetodem.json").write_text(json.dumps({"state": "whole"}))
    assert read_marker(made) == Marker(State.UNFINISHED)
    assert read_marker(made / "missing").state is State.ABSENT
