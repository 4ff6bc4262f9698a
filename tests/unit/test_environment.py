from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from imagetodem_qgis.runtime.base_python import launcher_paths, problem_as_base
from imagetodem_qgis.runtime.child import ChildCancelled
from imagetodem_qgis.runtime.environment import Listener, make_environment
from imagetodem_qgis.runtime.errors import SetupError
from imagetodem_qgis.runtime.inspection import inspect
from imagetodem_qgis.runtime.lock import exclusive
from imagetodem_qgis.runtime.marker import Marker, State, environment_python, read_marker, write_marker
from imagetodem_qgis.runtime.profiles import (
    PREDICT,
    PROFILES,
    TRAIN,
    requirements_count,
    requirements_file,
    requirements_hash,
    unavailable_reason,
)
from imagetodem_qgis.runtime.windows_libraries import let_find_libraries
from tests.tiny_wheels import PREDICT_MODULES, TRAIN_MODULES, build_wheel, build_wheels

ROOT = Path(__file__).resolve().parents[2]
SMALL = {name: replace(profile, room=50_000_000) for name, profile in PROFILES.items()}


class Heard:
    """A listener that remembers, and cancels at a line that contains some words."""

    def __init__(self, cancel_at: str = "\0") -> None:
        self.lines: list[str] = []
        self.percents: list[float] = []
        self._cancel_at = cancel_at
        self.cancelled_at = 0.0

    @property
    def listener(self) -> Listener:
        return Listener(self._hear, self.percents.append, lambda: self.cancelled_at > 0)

    def _hear(self, line: str) -> None:
        self.lines.append(line)
        if self._cancel_at in line:
            self.cancelled_at = time.monotonic()

    def says(self, words: str) -> bool:
        return any(words in line for line in self.lines)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    build_wheels(folder, PREDICT_MODULES)
    return folder


@pytest.fixture(scope="session")
def train_wheels(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("train_wheels")
    build_wheels(folder, TRAIN_MODULES)
    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, wheels) -> Path:
    folder = tmp_path_factory.mktemp("made") / "environment"
    make(folder, wheels)
    return folder


@pytest.fixture
def made(tmp_path, made_once) -> Path:
    """A whole environment for predicting, to be spoilt."""
    shutil.copytree(made_once, tmp_path / "environment", symlinks=True)
    return tmp_path / "environment"


def make(folder: Path, wheels: Path, profile: str = "predict", heard: Heard | None = None, **options) -> Path:
    return make_environment(
        folder,
        SMALL[profile],
        wheels / "requirements.txt",
        wheels=wheels,
        listener=(heard or Heard()).listener,
        **options,
    )


def packages_folder(folder: Path) -> Path:
    return inspect(environment_python(folder)).packages_folders[0]


def imported(folder: Path, code: str) -> str:
    command = [str(environment_python(folder)), "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def is_whole(folder: Path, *profiles: str) -> bool:
    marker = read_marker(folder)
    return marker.state is State.WHOLE and sorted(marker.requirements) == sorted(profiles)


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


def kill_while_making(folder: Path, wheels: Path, words: str) -> None:
    """Make an environment in another process, which kills itself at a line that contains some words."""
    code = (
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from imagetodem_qgis.runtime.environment import Listener, make_environment\n"
        "from imagetodem_qgis.runtime.profiles import PREDICT\n"
        "def hear(line):\n"
        f"    if {words!r} in line: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"wheels = Path({str(wheels)!r})\n"
        f"make_environment(Path({str(folder)!r}), PREDICT, wheels / 'requirements.txt', wheels=wheels,\n"
        "    listener=Listener(hear))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9


def test_a_killed_run_leaves_nothing_that_passes_for_whole_and_the_next_finishes_it(tmp_path, wheels):
    folder = tmp_path / "environment"
    kill_while_making(folder, wheels, "Installing collected")
    assert read_marker(folder).state is State.UNFINISHED
    make(folder, wheels)
    assert is_whole(folder, "predict")
    assert imported(folder, "import numpy, scipy, onnxruntime; print(scipy.__version__)") == "1.0"


@pytest.mark.parametrize("words", ["Processing", "Installing collected", "Checking the packages"])
def test_a_killed_update_leaves_nothing_that_passes_for_whole_and_the_next_finishes_it(made, tmp_path, words):
    newer = tmp_path / "newer"
    build_wheels(newer, PREDICT_MODULES, "2.0")
    kill_while_making(made, newer, words)
    assert read_marker(made).state is State.UNFINISHED
    make(made, newer)
    assert is_whole(made, "predict")
    assert imported(made, "import numpy, scipy, onnxruntime; print(scipy.__version__)") == "2.0"


def test_a_run_killed_while_venv_works_is_finished_by_the_next(tmp_path, wheels):
    folder = tmp_path / "environment"
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    make(folder, wheels)
    assert is_whole(folder, "predict")


def test_cancel_stops_within_a_second_and_is_not_taken_for_whole(tmp_path, wheels):
    heard = Heard(cancel_at="Processing")
    with pytest.raises(ChildCancelled):
        make(tmp_path / "environment", wheels, heard=heard)
    assert time.monotonic() - heard.cancelled_at < 1.0
    assert read_marker(tmp_path / "environment").state is State.UNFINISHED
    assert not (tmp_path / "environment.temporary").exists()


def test_predict_becomes_train_in_place(made, train_wheels):
    numpy = packages_folder(made) / "numpy" / "__init__.py"
    before = numpy.stat().st_mtime_ns
    make(made, train_wheels, "train")
    assert is_whole(made, "predict", "train")
    assert imported(made, "import keras, tensorflow, PIL; print(keras.__version__)") == "1.0"
    assert numpy.stat().st_mtime_ns == before


def test_what_predicted_still_predicts_when_train_cannot_be_added(made, wheels, tmp_path):
    requirements = tmp_path / "train.txt"
    requirements.write_text((wheels / "requirements.txt").read_text() + "keras==9.9\n")
    with pytest.raises(SetupError, match=r"no wheel of keras==9\.9") as caught:
        make_environment(made, SMALL["train"], requirements, wheels=wheels)
    assert str(wheels) in str(caught.value)
    assert is_whole(made, "predict")


def test_what_predicted_still_predicts_when_adding_train_is_cancelled(made, train_wheels):
    with pytest.raises(ChildCancelled):
        make(made, train_wheels, "train", Heard(cancel_at="Processing"))
    assert is_whole(made, "predict")


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


def test_the_former_environment_comes_back_after_a_kill(made, tmp_path, wheels):
    aside = made.with_name("environment.former")
    made.rename(aside)
    made.mkdir()
    (made / "pyvenv.cfg").write_text("home = /usr/bin\n")
    heard = Heard()
    make(made, wheels, heard=heard)
    assert heard.lines == [f"The environment in {made} is whole: nothing to do."]
    assert not aside.exists()


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


def test_a_users_configuration_of_pip_does_not_lead_packages_elsewhere(tmp_path, wheels, monkeypatch):
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PIP_USER", "1")
    make(tmp_path / "environment", wheels)
    assert not (tmp_path / "elsewhere").exists()
    assert is_whole(tmp_path / "environment", "predict")


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


def test_a_marker_that_was_cut_off_is_no_whole_environment(made):
    stored = (made / "imagetodem.json").read_text()
    for length in (0, 1, len(stored) // 2, len(stored) - 1):
        (made / "imagetodem.json").write_text(stored[:length])
        assert read_marker(made).state is State.UNFINISHED
    (made / "imagetodem.json").write_text(json.dumps({"state": "whole"}))
    assert read_marker(made) == Marker(State.UNFINISHED)
    assert read_marker(made / "missing").state is State.ABSENT


def test_a_base_of_an_unfit_version_or_without_venv_is_told():
    facts = inspect(Path(sys.executable))
    assert problem_as_base(PREDICT, facts) == ""
    assert "Python 3.14.0 (64 bit): the profile train needs Python 3.9 to 3.13 (64 bit)" in problem_as_base(
        TRAIN, replace(facts, version=(3, 14, 0))
    )
    assert problem_as_base(PREDICT, replace(facts, version=(3, 14, 0))) == ""
    assert "(32 bit)" in problem_as_base(PREDICT, replace(facts, bits=32))
    without = problem_as_base(PREDICT, replace(facts, version=(3, 11, 2), can_make_environments=False))
    assert "sudo apt install python3.11-venv" in without


def test_the_launcher_of_windows_is_read_in_order_of_preference():
    listing = (
        " -V:3.14 *        C:\\Program Files\\Python314\\python.exe\r\n"
        " -V:3.9-32        C:\\Python39-32\\python.exe\r\n"
        " -V:3.12          C:\\Users\\Ana Díaz\\AppData\\Local\\Programs\\Python\\Python312\\python.exe\r\n"
        " -V:Continuum/Anaconda37-64 C:\\Anaconda\\python.exe\r\n"
        "Installed Pythons found by py Launcher\r\n"
    )
    assert [str(path) for path in launcher_paths(listing)] == [
        "C:\\Users\\Ana Díaz\\AppData\\Local\\Programs\\Python\\Python312\\python.exe",
        "C:\\Program Files\\Python314\\python.exe",
        "C:\\Python39-32\\python.exe",
        "C:\\Anaconda\\python.exe",
    ]


def test_an_environment_from_qgis_own_python_on_windows_finds_its_libraries(tmp_path):
    base = tmp_path / "OSGeo4W" / "apps" / "Python312"
    packages = tmp_path / "environment" / "Lib" / "site-packages"
    for folder in (base, tmp_path / "OSGeo4W" / "bin", packages):
        folder.mkdir(parents=True)
    assert let_find_libraries(tmp_path / "environment", base)
    added: list[str] = []
    code = (packages / "sitecustomize.py").read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "add_dll_directory", added.append, raising=False)
        exec(compile(code, "sitecustomize.py", "exec"), {})  # noqa: S102 - what the interpreter does with it
    assert added == [str(tmp_path / "OSGeo4W" / "bin")]
    assert not let_find_libraries(tmp_path / "environment", Path("/usr"))


def test_every_platform_has_pins_for_every_package_a_profile_needs():
    files = {"predict.txt": set(), "train.txt": set(), "train-nvidia-linux.txt": set()}
    folder = ROOT / "imagetodem_qgis" / "runtime" / "requirements"
    for name, pinned in files.items():
        for line in (folder / name).read_text().splitlines():
            requirement = line.split(" ;")[0]
            assert "==" in requirement, line
            pinned.add(requirement.split("==")[0])
    assert {"numpy", "scipy", "onnxruntime", "onnxruntime-directml"} <= files["predict.txt"]
    assert files["predict.txt"] < files["train.txt"]
    assert {"keras", "tensorflow-cpu", "torch", "onnx", "rasterio", "pillow", "tensorboard"} <= files[
        "train.txt"
    ]
    assert {"earthengine-api", "xdem", "geoutils", "dask", "distributed"} <= files["train.txt"]
    assert files["train.txt"] - {"tensorflow-cpu"} <= files["train-nvidia-linux.txt"]
    assert "nvidia-cudnn-cu12" in files["train-nvidia-linux.txt"]
    shared = set((folder / "predict.txt").read_text().splitlines())
    assert shared <= set((folder / "train.txt").read_text().splitlines())


def test_requirements_follow_the_system_and_its_card(monkeypatch):
    module = "imagetodem_qgis.runtime.profiles"
    monkeypatch.setattr(f"{module}.has_nvidia_card", lambda: True)
    monkeypatch.setattr(f"{module}.platform.machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "win32")
    windows = requirements_file(TRAIN)
    monkeypatch.setattr(sys, "platform", "linux")
    linux = requirements_file(TRAIN)
    monkeypatch.setattr(f"{module}.has_nvidia_card", lambda: False)
    assert [windows.name, linux.name] == ["train-nvidia-windows.txt", "train-nvidia-linux.txt"]
    assert requirements_file(TRAIN).name == "train.txt"
    assert requirements_file(PREDICT).name == "predict.txt"
    assert requirements_count(windows) == requirements_count(requirements_file(TRAIN)) > 40
    assert requirements_hash(windows) != requirements_hash(requirements_file(TRAIN))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Intel" in unavailable_reason(TRAIN)
    assert unavailable_reason(PREDICT) == ""
