from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pytest

from tests.tiny_wheels import build_wheel

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

IMPORT_NAMES = {"pillow": "PIL", "onnxruntime-directml": "onnxruntime"}


def build_pinned_wheels(folder: Path, profile: str, without: str = "") -> Path:
    """A folder with a tiny wheel of each package, in the version, that a profile pins for this computer."""
    from packaging.requirements import Requirement

    from imagetodem_qgis.runtime.profiles import PROFILES, requirements_file

    for line in requirements_file(PROFILES[profile]).read_text(encoding="utf-8").splitlines():
        requirement = Requirement(line)
        if requirement.name != without and (requirement.marker is None or requirement.marker.evaluate()):
            version = str(requirement.specifier).lstrip("=")
            module = IMPORT_NAMES.get(requirement.name, requirement.name.replace("-", "_"))
            build_wheel(folder, requirement.name, version, module)
    return folder


@pytest.fixture(scope="session")
def wheels(tmp_path_factory) -> Path:
    return build_pinned_wheels(tmp_path_factory.mktemp("pinned"), "predict")


@pytest.fixture
def home(qgis_app, tmp_path, monkeypatch) -> Path:
    """A user who has set up nothing yet."""
    from imagetodem_qgis.runtime.settings import set_python_setting

    monkeypatch.setenv("IMAGETODEM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("IMAGETODEM_PYTHON", raising=False)
    set_python_setting("")
    yield tmp_path / "home"
    set_python_setting("")


@pytest.fixture(scope="session")
def made_once(qgis_app, tmp_path_factory, wheels) -> Path:
    home = tmp_path_factory.mktemp("made_once")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGETODEM_HOME", str(home))
        run({"WHEELS": str(wheels)})
    return home


@pytest.fixture
def made(home, made_once) -> Path:
    shutil.copytree(made_once, home, symlinks=True)
    return home


def run(parameters, feedback=None):
    import processing

    return processing.run("imagetodem:setupenvironment", parameters, feedback=feedback)


def refusal(parameters) -> str:
    from qgis.core import QgsProcessingException

    with pytest.raises(QgsProcessingException) as caught:
        run(parameters)
    return str(caught.value)


def make_feedback(cancel_at: str = "\0"):
    from qgis.core import QgsProcessingFeedback

    class Feedback(QgsProcessingFeedback):
        def __init__(self):
            super().__init__(False)
            self.lines = []
            self.cancelled_at = 0.0

        def pushInfo(self, line):
            self.lines.append(line)
            if cancel_at in line:
                self.cancelled_at = time.monotonic()
                self.cancel()

        def pushWarning(self, line):
            self.lines.append(line)

        def text(self) -> str:
            return "\n".join(self.lines)

    return Feedback()


def test_the_environment_is_made_offline_and_can_predict(home, wheels):
    from imagetodem_qgis.runtime.interpreter import find_interpreter

    feedback = make_feedback()
    results = run({"PROFILE": "predict", "WHEELS": str(wheels)}, feedback)
    assert results == {"ENVIRONMENT": str(home / "environment")}
    found = find_interpreter(None)
    assert found.path.is_relative_to(home / "environment")
    assert found.engines == ("onnxruntime",)
    assert feedback.progress() == 100.0
    assert "Installing collected packages" in feedback.text()
    assert "Installing collected packages" in (home / "setup.log").read_text()


def test_running_it_again_is_quick_and_installs_nothing(made, wheels):
    # A copy of a whole environment is whole.
    feedback = make_feedback()
    started = time.monotonic()
    results = run({"PROFILE": "predict"}, feedback)
    assert time.monotonic() - started < 3.0
    assert results == {"ENVIRONMENT": str(made / "environment")}
    assert "is whole: nothing to do" in feedback.text()
    assert "pip" not in feedback.text()


def test_nothing_is_installed_into_the_python_inside_qgis(made_once):
    before = {
        name for name in sys.modules if name.split(".")[0] in {"onnxruntime", "tensorflow", "keras", "torch"}
    }
    assert before == set()
    assert not any("imagetodem" in path and "environment" in path for path in sys.path)


def test_cancel_answers_within_a_second_and_the_next_run_finishes(home, wheels):
    from imagetodem_qgis.runtime.marker import State, read_marker

    feedback = make_feedback(cancel_at="Processing")
    assert run({"WHEELS": str(wheels)}, feedback) == {}
    assert time.monotonic() - feedback.cancelled_at < 1.0
    assert read_marker(home / "environment").state is State.UNFINISHED
    assert "Cancelled. Run this again to go on." in feedback.text()
    run({"WHEELS": str(wheels)})
    assert read_marker(home / "environment").state is State.WHOLE


def test_an_interpreter_that_has_all_is_used_as_it_is(made, home, tmp_path, monkeypatch):
    from imagetodem_qgis.runtime.marker import environment_python
    from imagetodem_qgis.runtime.settings import python_setting

    existing = environment_python(made / "environment")
    monkeypatch.setenv("IMAGETODEM_HOME", str(tmp_path / "other"))
    before = sorted(path for path in (made / "environment").rglob("*"))
    results = run({"PYTHON": str(existing)})
    assert results == {"ENVIRONMENT": str(made / "environment")}
    assert python_setting() == str(existing)
    assert sorted(path for path in (made / "environment").rglob("*")) == before
    assert not (tmp_path / "other").exists()


def test_an_interpreter_whose_engine_does_not_work_is_refused(made, tmp_path, monkeypatch):
    from imagetodem_qgis.runtime.inspection import inspect
    from imagetodem_qgis.runtime.marker import environment_python
    from imagetodem_qgis.runtime.settings import python_setting

    existing = environment_python(made / "environment")
    (inspect(existing).packages_folders[0] / "onnxruntime" / "__init__.py").write_text(
        "raise ImportError('no DLL')"
    )
    message = refusal({"PYTHON": str(existing)})
    assert "PYTHON" in message
    assert "onnxruntime cannot be imported: ImportError: no DLL" in message
    assert python_setting() == ""


def test_an_interpreter_that_lacks_something_becomes_the_base(home, wheels):
    from imagetodem_qgis.runtime.marker import read_marker
    from imagetodem_qgis.runtime.settings import python_setting

    results = run({"PYTHON": sys.executable, "WHEELS": str(wheels)})
    assert results == {"ENVIRONMENT": str(home / "environment")}
    assert read_marker(home / "environment").base == sys.executable
    assert python_setting() == ""


def test_setting_up_takes_the_place_of_the_interpreter_in_the_settings(made):
    from imagetodem_qgis.runtime.interpreter import find_interpreter
    from imagetodem_qgis.runtime.settings import python_setting, set_python_setting

    set_python_setting("/gone/python")
    feedback = make_feedback()
    run({}, feedback)
    assert python_setting() == ""
    assert "The setting that named /gone/python is cleared" in feedback.text()
    assert find_interpreter(python_setting()).path.is_relative_to(made)


def test_a_variable_that_overrules_the_environment_is_told(made, monkeypatch):
    monkeypatch.setenv("IMAGETODEM_PYTHON", "/elsewhere/python")
    feedback = make_feedback()
    run({}, feedback)
    assert "IMAGETODEM_PYTHON names /elsewhere/python" in feedback.text()


def test_bad_values_are_refused_by_the_parameters_name_before_any_work(home, tmp_path):
    (tmp_path / "empty").mkdir()
    text = tmp_path / "notes.txt"
    text.write_text("no interpreter")
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\ncase "$2" in "import sys"*) printf 3.8.18;; *) exit 1;; esac\n')
    old.chmod(0o755)
    assert "PYTHON: /missing/python does not exist" in refusal({"PYTHON": "/missing/python"})
    assert "PYTHON: " in refusal({"PYTHON": str(text)})
    message = refusal({"PYTHON": str(old), "PROFILE": "train"})
    assert "PYTHON: " in message
    assert "is Python 3.8.18, which is too old. Python 3.9 to 3.13 work" in message
    assert "WHEELS: the folder /missing does not exist" in refusal({"WHEELS": "/missing"})
    assert "holds no wheel" in refusal({"WHEELS": str(tmp_path / "empty")})
    assert "PROFILE" in refusal({"PROFILE": "everything"})
    assert not home.exists()


def test_a_folder_of_wheels_that_lacks_one_names_it(home, tmp_path):
    wheels = build_pinned_wheels(tmp_path / "wheels", "predict", without="scipy")
    message = refusal({"WHEELS": str(wheels)})
    assert "has no wheel of scipy==" in message
    assert "pip download" in message
    assert "has no wheel of scipy==" in (home / "setup.log").read_text()


def test_every_parameter_has_help_and_every_output_is_declared(qgis_app):
    from qgis.core import QgsApplication

    for name in ("setupenvironment", "environmentreport"):
        algorithm = QgsApplication.processingRegistry().algorithmById(f"imagetodem:{name}")
        assert all(parameter.help() for parameter in algorithm.parameterDefinitions())
        assert algorithm.shortHelpString()
        assert algorithm.group() == "Environment"
        assert not algorithm.icon().isNull()
        assert algorithm.tags()
    setup = QgsApplication.processingRegistry().algorithmById("imagetodem:setupenvironment")
    assert [output.name() for output in setup.outputDefinitions()] == ["ENVIRONMENT"]
    assert setup.parameterDefinition("PROFILE").options() == ["predict", "train"]
    assert setup.parameterDefinition("PROFILE").defaultValue() == "predict"


def test_qgis_own_proxy_reaches_pip(qgis_app):
    from qgis.core import QgsSettings

    from imagetodem_qgis.runtime.settings import proxy_variables

    settings = QgsSettings()
    assert proxy_variables() == {}
    values = {
        "proxyEnabled": True,
        "proxyType": "HttpProxy",
        "proxyHost": "proxy.example.org",
        "proxyPort": "3128",
        "proxyUser": "ana",
        "proxyPassword": "p@ss/word",
        "noProxyUrls": ["http://intranet.example.org/"],
    }
    for key, value in values.items():
        settings.setValue(f"proxy/{key}", value)
    try:
        address = "http://ana:p%40ss%2Fword@proxy.example.org:3128"
        assert proxy_variables() == {
            "HTTP_PROXY": address,
            "HTTPS_PROXY": address,
            "NO_PROXY": "intranet.example.org",
        }
        settings.setValue("proxy/proxyType", "DefaultProxy")
        assert proxy_variables() == {}
    finally:
        settings.remove("proxy")


def test_the_settings_page_checks_and_keeps_an_interpreter(made):
    from imagetodem_qgis.runtime.marker import environment_python
    from imagetodem_qgis.runtime.settings import python_setting
    from imagetodem_qgis.settings_page import SettingsPageFactory

    factory = SettingsPageFactory()
    assert not factory.icon().isNull()
    page = factory.createWidget(None)
    page.check_button.click()
    assert "environment made by the plugin" in page.finding.text()
    page.interpreter.setFilePath("/missing/python")
    assert page.finding.text() == ""
    page.check_button.click()
    assert "/missing/python does not exist" in page.finding.text()
    python = str(environment_python(made / "environment"))
    page.interpreter.setFilePath(python)
    page.check_button.click()
    assert "can predict with: onnxruntime" in page.finding.text()
    assert python_setting() == ""
    page.apply()
    assert python_setting() == python
    assert factory.createWidget(None).interpreter.filePath() == python
