"""Environments that cannot be made: what is told, and what was there before."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

import pytest

from imagetodem_qgis.runtime.environment import make_environment
from imagetodem_qgis.runtime.errors import SetupError
from imagetodem_qgis.runtime.lock import exclusive
from imagetodem_qgis.runtime.marker import State, read_marker, write_marker
from imagetodem_qgis.runtime.profiles import PREDICT
from tests.tiny_wheels import PREDICT_MODULES, build_wheel, build_wheels
from tests.unit.environments import SMALL, imported, is_whole, make


def test_what_predicted_still_predicts_when_train_cannot_be_added(made, wheels, tmp_path):
    requirements = tmp_path / "train.txt"
    requirements.write_text((wheels / "requirements.txt").read_text() + "keras==9.9\n")
    with pytest.raises(SetupError, match=r"no wheel of keras==9\.9") as caught:
        make_environment(made, SMALL["train"], requirements, wheels=wheels)
    assert str(wheels) in str(caught.value)
    assert is_whole(made, "predict")


def test_the_former_environment_comes_back_when_another_cannot_be_made(made, tmp_path):
    write_marker(made, replace(read_marker(made), version="3.5.2"))
    former = read_marker(made)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "requirements.txt").write_text("numpy==1.0\n")
    with pytest.raises(SetupError, match="no wheel of numpy==1.0"):
        make(made, empty)
    assert read_marker(made) == former
    assert imported(made, "import onnxruntime; print(onnxruntime.__version__)") == "1.0"


def test_a_base_that_is_no_python_leaves_the_environment_as_it_is(made, wheels, tmp_path):
    impostor = tmp_path / "python"
    impostor.write_text("#!/bin/sh\nexit 1\n")
    impostor.chmod(0o755)
    before = read_marker(made)
    with pytest.raises(SetupError, match=r"python is not a Python interpreter; Python 3\.9 to 3\.14 work"):
        make(made, wheels, base=impostor)
    assert read_marker(made) == before
    assert imported(made, "import onnxruntime; print(onnxruntime.__version__)") == "1.0"


def test_a_package_that_cannot_be_imported_is_named_and_not_taken_for_whole(tmp_path):
    build_wheels(tmp_path / "wheels", PREDICT_MODULES)
    build_wheel(
        tmp_path / "wheels",
        "onnxruntime",
        "1.0",
        "onnxruntime",
        "raise ImportError('its library is missing')",
    )
    with pytest.raises(
        SetupError, match="onnxruntime cannot be imported: ImportError: its library is missing"
    ):
        make(tmp_path / "environment", tmp_path / "wheels")
    assert read_marker(tmp_path / "environment").state is State.UNFINISHED


def test_a_crash_while_importing_is_told(tmp_path):
    build_wheels(tmp_path / "wheels", PREDICT_MODULES)
    crash = "import os, sys; sys.stderr.write('illegal instruction\\n'); sys.stderr.flush(); os.abort()"
    build_wheel(tmp_path / "wheels", "onnxruntime", "1.0", "onnxruntime", crash)
    with pytest.raises(SetupError, match=r"(?s)does not work.*exit status -6.*illegal instruction"):
        make(tmp_path / "environment", tmp_path / "wheels")


def test_too_little_room_is_told_before_anything_is_made(tmp_path, wheels):
    profile = replace(PREDICT, room=10**18)
    with pytest.raises(
        SetupError, match=r"GB free; the profile predict needs 1000000000\.0 GB.*IMAGETODEM_HOME"
    ):
        make_environment(
            tmp_path / "home" / "environment", profile, wheels / "requirements.txt", wheels=wheels
        )
    assert not (tmp_path / "home" / "environment").exists()


def test_two_runs_at_a_time_do_not_mix(made, wheels):
    ready = threading.Event()
    done = threading.Event()

    def hold() -> None:
        with exclusive(made.with_name("environment.lock"), lambda: False):
            ready.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    ready.wait(5)
    try:
        with pytest.raises(SetupError, match="Another QGIS is setting up"):
            make(made, wheels)
    finally:
        done.set()
        holder.join()


def test_a_folder_of_something_else_is_left_alone(tmp_path, wheels):
    (tmp_path / "environment").mkdir()
    (tmp_path / "environment" / "thesis.txt").write_text("years of work")
    with pytest.raises(SetupError, match="is left alone"):
        make(tmp_path / "environment", wheels)
    assert (tmp_path / "environment" / "thesis.txt").read_text() == "years of work"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written_is_told(tmp_path, wheels):
    tmp_path.chmod(0o500)
    with pytest.raises(SetupError, match="cannot be written"):
        make(tmp_path / "environment", wheels)


@pytest.fixture
def unreachable_index(monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.invalid/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    for name in (
        "PIP_FIND_LINKS",
        "PIP_EXTRA_INDEX_URL",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)


def test_without_a_connection_the_message_says_what_to_do(made, tmp_path, unreachable_index):
    (tmp_path / "requirements.txt").write_text("numpy==7.7\n")
    with pytest.raises(
        SetupError, match="index cannot be reached.*Network; without a connection, use WHEELS"
    ):
        make_environment(made, SMALL["predict"], tmp_path / "requirements.txt")
    assert is_whole(made, "predict")


def test_a_proxy_is_handed_to_pip(made, tmp_path, unreachable_index):
    (tmp_path / "requirements.txt").write_text("numpy==7.7\n")
    with pytest.raises(SetupError, match="The proxy refused"):
        make_environment(
            made,
            SMALL["predict"],
            tmp_path / "requirements.txt",
            variables={"HTTPS_PROXY": "http://127.0.0.1:9"},
        )
