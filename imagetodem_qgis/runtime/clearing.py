"""Clearing away what is broken in an environment, and nothing else."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import Callable

from imagetodem_qgis.runtime.errors import SetupError
from imagetodem_qgis.runtime.inspection import broken_distributions, inspect


def drop_broken(python: Path, folder: Path, say: Callable[[str], None]) -> None:
    """Make pip forget what is half there: it takes a package for installed by its metadata alone.

    Args:
        python: interpreter of the environment.
        folder: of the environment.
        say: told what is dropped.
    """
    for item in broken_distributions(python):
        say(f"{item['name']} is not whole ({item['reason']}): installing it again.")
        _remove_below(folder, Path(item["metadata_folder"]))
    for packages_folder in inspect(python).packages_folders:
        # What pip had set aside to remove when it was interrupted.
        for leftover in packages_folder.glob("~*"):
            _remove_below(folder, leftover)


def is_environment(folder: Path) -> bool:
    """Whether a folder is absent, empty of files, or a virtual environment, be it half made."""
    return (folder / "pyvenv.cfg").exists() or not any(item.is_file() for item in folder.rglob("*"))


def remove(item: Path) -> None:
    """Remove a file or a folder, if it is there; a scanner on Windows may hold a new file for a moment.

    Raises:
        OSError: it is still there.
    """
    for pause in (0.0, 0.2, 0.8):
        time.sleep(pause)
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item, ignore_errors=True)
        else:
            with contextlib.suppress(PermissionError):
                item.unlink(missing_ok=True)
        if not item.exists():
            return
    raise OSError(f"{item} cannot be removed")


def _remove_below(folder: Path, item: Path) -> None:
    if folder.resolve() not in item.resolve().parents:
        raise SetupError(
            f"{item} is not a part of the environment in {folder}: it is left alone. Remove it by hand."
        )
    remove(item)
