"""The two shell scripts that touch the system, with stand-ins for the system's commands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from scripts.package import ROOT

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder that is found before the system's commands; the caller is root there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    write(folder / "id", "echo 0")
    return folder


def write(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def run(commands: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", str(ROOT / "scripts" / script), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def apt(commands: Path, tmp_path: Path) -> Callable[[], list[str]]:
    """A system that has ``qgis`` and no more; gives the calls of apt-get so far."""
    log = tmp_path / "apt.log"
    write(
        commands / "dpkg-query",
        '[ "$4" = qgis ] && printf installed || { echo "no packages found" >&2; exit 1; }',
    )
    write(commands / "apt-get", f'echo "$DEBIAN_FRONTEND $*" >>{log}')
    return lambda: log.read_text().splitlines() if log.exists() else []


def test_apt_is_left_alone_when_nothing_is_missing(commands: Path, apt: Callable[[], list[str]]) -> None:
    done = run(commands, "system_packages.sh", "qgis")
    assert (done.returncode, done.stdout, apt()) == (0, "", [])


def test_what_is_missing_is_installed_without_a_question(
    commands: Path, apt: Callable[[], list[str]]
) -> None:
    done = run(commands, "system_packages.sh", "qgis", "gdal-bin", "python3-venv")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "installing: gdal-bin python3-venv\n"
    assert apt() == [
        "noninteractive update -q",
        "noninteractive install -q -y --no-install-recommends gdal-bin python3-venv",
    ]


def test_a_failing_apt_fails(commands: Path, apt: Callable[[], list[str]]) -> None:
    write(commands / "apt-get", "exit 100")
    assert run(commands, "system_packages.sh", "gdal-bin").returncode == 100


@pytest.fixture
def debian(commands: Path, tmp_path: Path) -> Path:
    """Debian's qgis_process, which hands on the options of a settings file; gives that file."""
    settings = tmp_path / "qgis"
    settings.write_text("QGIS_OPTS='--noversioncheck'\n")
    write(commands / "qgis_process", f'. {settings}; exec "$0.bin" $QGIS_OPTS "$@"')
    write(commands / "qgis_process.bin", '[ "$1" = --version ] || { echo "Command $1 not known!"; exit 1; }')
    return settings


def test_a_qgis_process_that_debians_settings_break_is_mended_once(commands: Path, debian: Path) -> None:
    def call() -> int:
        return subprocess.run([str(commands / "qgis_process"), "--version"], capture_output=True).returncode

    assert call() == 1
    first = run(commands, "mend_qgis_process.sh", str(debian))
    assert first.returncode == 0, first.stderr
    assert "mended" in first.stdout
    assert call() == 0
    mended = debian.read_text()
    assert run(commands, "mend_qgis_process.sh", str(debian)).stdout == ""
    assert debian.read_text() == mended
    desktop = subprocess.run(["sh", "-c", f'. {debian}; echo "$QGIS_OPTS"'], capture_output=True, text=True)
    assert desktop.stdout == "--noversioncheck\n"


def test_without_the_right_to_mend_it_says_what_to_do(commands: Path, debian: Path) -> None:
    write(commands / "id", "echo 1000")
    write(commands / "sudo", "exit 1")
    before = debian.read_text()
    done = run(commands, "mend_qgis_process.sh", str(debian))
    assert done.returncode == 0
    assert "qgis_process.bin" in done.stdout
    assert debian.read_text() == before


def test_a_qgis_process_that_works_is_left_alone(commands: Path, debian: Path) -> None:
    write(commands / "qgis_process", "exit 0")
    before = debian.read_text()
    assert run(commands, "mend_qgis_process.sh", str(debian)).stdout == ""
    assert debian.read_text() == before
