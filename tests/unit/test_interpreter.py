from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from imagetodem_qgis.runtime import inspection, interpreter, report
from imagetodem_qgis.runtime.base_python import find_base
from imagetodem_qgis.runtime.environment import make_environment
from imagetodem_qgis.runtime.errors import SetupError
from imagetodem_qgis.runtime.inspection import InspectionError, TooOldError, inspect
from imagetodem_qgis.runtime.interpreter import (
    InterpreterError,
    find_interpreter,
    qgis_python,
    require_engine,
)
from imagetodem_qgis.runtime.marker import State, environment_python, read_marker, write_marker
from imagetodem_qgis.runtime.profiles import PREDICT, TRAIN
from imagetodem_qgis.runtime.report_page import report_lines, report_page
from tests.tiny_wheels import PREDICT_MODULES, build_wheel, build_wheels


@pytest.fixture(scope="session")
def environment_once(tmp_path_factory) -> Path:
    """An environment with tiny packages for predicting; its ONNX Runtime tells of a graphics card."""
    folder = tmp_path_factory.mktemp("interpreter")
    requirements = build_wheels(folder / "wheels", PREDICT_MODULES)
    code = "def get_available_providers():\n    return ['CUDAExecutionProvider', 'CPUExecutionProvider']\n"
    build_wheel(folder / "wheels", "onnxruntime", "1.0", "onnxruntime", code)
    profile = replace(PREDICT, room=50_000_000)
    make_environment(folder / "environment", profile, requirements, wheels=folder / "wheels")
    return folder / "environment"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A user without any environment, whose QGIS has no engine of its own."""
    bare = tmp_path / "bare" / "python"
    bare.parent.mkdir()
    # Isolated as the worker is, but without what this machine's Python has installed.
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setattr(interpreter, "qgis_python", lambda: bare)
    monkeypatch.setenv("IMAGETODEM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("IMAGETODEM_PYTHON", raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def environment(home, environment_once) -> Path:
    """The environment that the plugin has made for that user."""
    shutil.copytree(environment_once, home / "environment", symlinks=True)
    return home / "environment"


def script(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_with_nothing_installed_the_message_says_what_to_run(home):
    with pytest.raises(
        InterpreterError, match=r"Set up machine-learning environment.*imagetodem:setupenvironment"
    ):
        find_interpreter(None)


def test_the_plugins_environment_is_found(environment):
    found = find_interpreter("")
    assert found.path == environment_python(environment)
    assert found.source == "environment made by the plugin"
    assert found.version == tuple(sys.version_info[:3])
    assert found.engines == ("onnxruntime",)
    assert {name: found.packages[name] for name in PREDICT_MODULES} == dict.fromkeys(PREDICT_MODULES, "1.0")


def test_an_unfinished_environment_is_not_used_and_the_message_says_so(environment):
    write_marker(environment, replace(read_marker(environment), state=State.UNFINISHED))
    with pytest.raises(InterpreterError, match="was interrupted, run it again"):
        find_interpreter(None)


def test_the_setting_comes_before_the_variable_and_that_before_the_plugins(
    environment, tmp_path, monkeypatch
):
    by_setting, by_variable = tmp_path / "by_setting", tmp_path / "by_variable"
    for copy in (by_setting, by_variable):
        shutil.copytree(environment, copy, symlinks=True)
    monkeypatch.setenv("IMAGETODEM_PYTHON", str(environment_python(by_variable)))
    found = find_interpreter(str(environment_python(by_setting)))
    assert (found.path, found.source) == (environment_python(by_setting), "setting imagetodem/python")
    found = find_interpreter(None)
    assert (found.path, found.source) == (
        environment_python(by_variable),
        "environment variable IMAGETODEM_PYTHON",
    )


def test_qgis_own_python_is_used_where_an_engine_is_installed_there(home, environment_once, monkeypatch):
    monkeypatch.setattr(interpreter, "qgis_python", lambda: environment_python(environment_once))
    assert find_interpreter(None).source == "QGIS's own Python"


@pytest.mark.parametrize("place", ["setting", "variable"])
def test_one_that_is_named_is_never_passed_over(environment, tmp_path, monkeypatch, place):
    named = {
        str(tmp_path / "missing"): "does not exist",
        str(tmp_path): "is not a file",
        str(script(tmp_path, "impostor", "echo hello\n")): "is not a Python interpreter",
        str(script(tmp_path, "old", 'case "$2" in "import sys"*) printf 3.8.18;; *) exit 1;; esac\n')): (
            r"is Python 3\.8\.18, which is too old; Python 3\.9 to 3\.14 work"
        ),
        str(interpreter.qgis_python()): r"lacks numpy, scipy, onnxruntime or tensorflow",
    }
    origin = {"setting": "setting imagetodem/python", "variable": "environment variable IMAGETODEM_PYTHON"}[
        place
    ]
    for path, problem in named.items():
        if place == "variable":
            monkeypatch.setenv("IMAGETODEM_PYTHON", path)
        with pytest.raises(InterpreterError, match=problem) as caught:
            find_interpreter(path if place == "setting" else None)
        assert origin in str(caught.value)
        assert "imagetodem:setupenvironment" in str(caught.value)


def test_an_interpreter_with_an_engine_but_without_scipy_is_refused(environment):
    shutil.rmtree(inspect(environment_python(environment)).packages_folders[0] / "scipy")
    with pytest.raises(InterpreterError, match="lacks scipy"):
        find_interpreter(str(environment_python(environment)))


def test_a_missing_engine_names_the_profile_to_set_up(environment):
    found = find_interpreter(None)
    require_engine(found, "onnxruntime")
    with pytest.raises(InterpreterError, match="has no tensorflow.*PROFILE=train"):
        require_engine(found, "tensorflow")
    with pytest.raises(InterpreterError, match="has no onnxruntime.*PROFILE=predict"):
        require_engine(replace(found, engines=("tensorflow",)), "onnxruntime")
    with pytest.raises(InterpreterError, match="or install tensorflow into that interpreter"):
        require_engine(replace(found, source=interpreter.SETTING), "tensorflow")


def test_an_answer_is_remembered_until_the_packages_change(environment, tmp_path, monkeypatch):
    asked = []
    ask = inspection._ask
    monkeypatch.setattr(inspection, "_ask", lambda *arguments: asked.append(1) or ask(*arguments))
    find_interpreter(None)
    started = time.perf_counter()
    for _ in range(20):
        find_interpreter(None)
    assert time.perf_counter() - started < 1.0
    assert len(asked) == 1
    build_wheel(tmp_path, "keras", "3.0", "keras")
    command = [
        str(environment_python(environment)),
        "-m",
        "pip",
        "install",
        "--no-index",
        str(next(tmp_path.glob("*.whl"))),
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert find_interpreter(None).packages["keras"] == "3.0"
    assert len(asked) == 2


def test_asking_imports_no_package(environment):
    packages = inspect(environment_python(environment)).packages_folders[0]
    (packages / "onnxruntime" / "__init__.py").write_text("raise SystemExit('imported')\n")
    (packages / "added").mkdir()
    assert find_interpreter(None).engines == ("onnxruntime",)


def test_a_folder_without_code_is_no_package(environment):
    packages = inspect(environment_python(environment)).packages_folders[0]
    (packages / "tensorflow").mkdir()
    assert find_interpreter(None).engines == ("onnxruntime",)


def test_an_interpreter_that_hangs_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(inspection, "_ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(inspection._answer, "__kwdefaults__", {"timeout": 0.3})
    with pytest.raises(InspectionError, match="did not answer"):
        inspect(script(tmp_path, "hangs", "exec sleep 20\n"))


def test_too_old_is_told_from_broken(tmp_path):
    with pytest.raises(TooOldError):
        inspect(script(tmp_path, "old", 'case "$2" in "import sys"*) printf 2.7.18;; *) exit 1;; esac\n'))
    broken = (
        'case "$2" in "import sys"*) printf 3.12.1;; *) echo "No module named encodings" >&2; exit 1;; esac\n'
    )
    with pytest.raises(InspectionError, match="does not work: No module named encodings"):
        inspect(script(tmp_path, "broken", broken))


def test_qgis_own_python_lies_beside_qgis_on_windows_and_macos(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    mac, windows = tmp_path / "bin" / "python3", tmp_path / "python.exe"
    mac.touch()
    windows.touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "QGIS"))
    monkeypatch.setattr(sys, "exec_prefix", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert qgis_python() == mac
    monkeypatch.setattr(sys, "platform", "win32")
    assert qgis_python() == windows


def test_where_no_python_fits_the_message_lists_what_was_looked_at(tmp_path, monkeypatch):
    newest = script(
        tmp_path,
        "python3.14",
        f'{sys.executable} "$@" | sed \'s/"version": \\[[0-9, ]*\\]/"version": [3, 14, 0]/\'\n',
    )
    monkeypatch.setattr("imagetodem_qgis.runtime.base_python.base_candidates", lambda: iter([newest]))
    assert find_base(PREDICT).version == (3, 14, 0)
    with pytest.raises(
        SetupError, match=r"(?s)train needs Python 3\.9 to 3\.13 \(64 bit\).*python3-venv.*3\.14\.0"
    ):
        find_base(TRAIN)


def test_the_report_on_nothing_says_what_to_run(home):
    made = report.make_report(None)
    assert not made.ready
    assert report_lines(made)[0] == "Not ready."
    assert "imagetodem:setupenvironment" in report_lines(made)[-1]
    page = report_page(made, {"QGIS": "3.22 <script>"})
    assert "imagetodem:setupenvironment" in page
    assert "3.22 &lt;script&gt;" in page


def test_the_report_on_an_environment_names_engine_card_and_reason(environment):
    made = report.make_report(None)
    assert made.ready
    lines = report_lines(made)
    assert lines[0] == "Ready: Predict DEM runs with onnxruntime."
    assert "onnxruntime 1.0: CUDAExecutionProvider and the processor" in lines
    assert any("PROFILE=train" in line for line in lines)
    page = report_page(made, {})
    assert "used: the first that can predict" in page
    assert str(environment_python(environment)) in page


def test_the_report_tells_of_an_engine_that_does_not_work(environment):
    packages = inspect(environment_python(environment)).packages_folders[0]
    (packages / "onnxruntime" / "__init__.py").write_text("raise ImportError('DLL load failed')\n")
    made = report.make_report(None)
    assert not made.ready
    assert made.verdict == "Not ready: no engine works."
    assert any("DLL load failed" in advice for advice in made.advice)


def test_the_report_shows_the_end_of_the_last_log(home):
    (home / "setup.log").write_text("".join(f"line {number}\n" for number in range(100)))
    page = report_page(report.make_report(None), {})
    assert "line 99" in page
    assert "line 10\n" not in page
