"""Letting an environment that was made from QGIS's own Python on Windows find that Python's libraries.

There OpenSSL and other libraries of the standard library's modules lie in QGIS's ``bin``, not beside the
modules, and Python has not looked for them on the search path since 3.8: without this, the environment has
no ``ssl``.
"""

from __future__ import annotations

from pathlib import Path

_TEMPLATE = """import os

if hasattr(os, "add_dll_directory") and os.path.isdir({folder!r}):
    os.add_dll_directory({folder!r})
"""


def let_find_libraries(environment: Path, base_prefix: Path) -> bool:
    """Add QGIS's folder of libraries to an environment whose Python is ``<QGIS>/apps/Python3x``.

    Returns:
        Whether it was such a Python.
    """
    libraries = base_prefix.parent.parent / "bin"
    packages = environment / "Lib" / "site-packages"
    if base_prefix.parent.name.lower() != "apps" or not libraries.is_dir() or not packages.is_dir():
        return False
    (packages / "sitecustomize.py").write_text(_TEMPLATE.format(folder=str(libraries)), encoding="utf-8")
    return True
