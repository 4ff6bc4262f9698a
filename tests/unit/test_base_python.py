"""Pythons that an environment can be made from, and what Windows needs for it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from imagetodem_qgis.runtime.base_python import launcher_paths, problem_as_base
from imagetodem_qgis.runtime.inspection import inspect
from imagetodem_qgis.runtime.profiles import PREDICT, TRAIN
from imagetodem_qgis.runtime.windows_libraries import let_find_libraries


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
