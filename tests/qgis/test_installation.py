"""The plugin as a user gets it: assembled, put into a profile, loaded by QGIS from there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

from scripts import install, package

ALGORITHMS = ("environmentreport", "predictdem", "setupenvironment")
RunQgis = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def new_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of somebody who has never started QGIS."""
    for variable in ("QGIS_CUSTOM_CONFIG_PATH", "QGIS_PLUGINPATH", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    return tmp_path


def test_the_assembled_plugin_has_its_algorithms(qgis_process: RunQgis) -> None:
    listed = qgis_process("list")
    words = listed.stdout.split()
    assert [name for name in ALGORITHMS if f"imagetodem:{name}" not in words] == [], listed.stderr


def test_installed_it_is_there_in_any_folder_and_may_be_installed_again(new_user: Path) -> None:
    command = install.find_qgis_process(None)
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "scripts.install"],
            cwd=package.ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    profile = new_user / ".local/share/QGIS/QGIS3/profiles/default"
    assert done.stdout.strip() == f"installed and enabled: {profile / 'python/plugins/imagetodem_qgis'}"
    for folder in ("/", str(new_user)):
        helped = subprocess.run(
            [command, "help", "imagetodem:predictdem"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert helped.returncode == 0, helped.stderr
        assert "Predict DEM" in helped.stdout


def test_a_plugin_that_does_not_start_is_reported_with_its_reason(
    new_user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = package.assemble(package.ROOT, tmp_path / "tree" / package.PLUGIN)
    (tree / "__init__.py").write_text(
        "def classFactory(iface):\n    raise RuntimeError('broken on purpose')\n"
    )
    monkeypatch.setattr(install, "assemble", lambda: tree)
    with pytest.raises(install.InstallError, match="broken on purpose"):
        install.install(install.find_qgis_process(None))


def test_a_qgis_process_that_is_not_there_is_named() -> None:
    with pytest.raises(install.InstallError, match="no_such_qgis was not found"):
        install.find_qgis_process("no_such_qgis")
