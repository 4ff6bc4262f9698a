"""What all tests share: the checkout on the path, a QGIS of their own, the pairs of real data."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

# A slow machine is no failure, and a test must say the same twice.
settings.register_profile("project", deadline=None, derandomize=True, database=None)
settings.load_profile("project")

_qgis_was_started: list[bool] = []
_status: list[int] = []


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep what the tests came to."""
    _status.append(int(exitstatus))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End without QGIS's own release: it can crash there while Python still holds objects of its."""
    if _qgis_was_started and _status:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_status[0])


QgisProcess = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pairs, ``bluemarble/``, ``scenes/`` and ``dems/``."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "scenes").is_dir():
        pytest.skip(f"needs the real pairs, which are not part of the project: no {folder}")
    return folder


@pytest.fixture(scope="session")
def qgis_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A running QGIS with Processing and this checkout's provider, whose settings are in a folder of its own.

    Yields:
        The ``QgsApplication``.
    """
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    core = pytest.importorskip("qgis.core", reason="needs QGIS's Python")
    from qgis.PyQt.QtCore import QCoreApplication, QSettings

    profile = tmp_path_factory.mktemp("profile")
    ini = QSettings.Format.IniFormat
    QSettings.setDefaultFormat(ini)
    QSettings.setPath(ini, QSettings.Scope.UserScope, str(profile))
    QCoreApplication.setOrganizationName("imagetodem")
    QCoreApplication.setApplicationName("tests")
    application = core.QgsApplication([], True, str(profile))
    application.initQgis()
    # As in QGIS itself: else PyQt ends the process with an error that comes out of what Qt calls.
    sys.excepthook = lambda *error: sys.__excepthook__(*error)
    sys.path.append(str(Path(core.QgsApplication.pkgDataPath()) / "python" / "plugins"))
    from processing.core.Processing import Processing

    from imagetodem_qgis.provider import ImageToDemProvider

    Processing.initialize()
    registry = core.QgsApplication.processingRegistry()
    if not registry.addProvider(ImageToDemProvider()):
        pytest.fail("QGIS does not take the provider")
    yield application
    core.QgsProject.instance().clear()
    gc.collect()
    _qgis_was_started.append(True)


@pytest.fixture(scope="session")
def qgis_process(tmp_path_factory: pytest.TempPathFactory) -> QgisProcess:
    """The command ``qgis_process`` with the assembled plugin enabled, in a profile of its own.

    Returns:
        ``run(*arguments, timeout=600, **variables)``, which gives the finished process with its output as
        text.
    """
    # Debian's wrapper of that name can be broken by /etc/default/qgis; the program behind it is not.
    names = (os.environ.get("QGIS_PROCESS"), "qgis_process.bin", "qgis_process")
    command = next((found for name in names if name and (found := shutil.which(name))), None)
    if command is None:
        pytest.skip("needs qgis_process")
    from scripts.package import PLUGIN, assemble

    folder = tmp_path_factory.mktemp("qgis_process")
    assemble(ROOT, folder / "plugins" / PLUGIN)
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "QGIS_CUSTOM_CONFIG_PATH": str(folder / "config"),
        "QGIS_PLUGINPATH": str(folder / "plugins"),
    }

    def run(*arguments: str, timeout: float = 600.0, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, *arguments],
            cwd=folder,
            env={**environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )

    enabled = run("plugins", "enable", PLUGIN)
    if enabled.returncode != 0:
        pytest.fail(f"the plugin cannot be enabled: {enabled.stdout}{enabled.stderr}")
    return run
