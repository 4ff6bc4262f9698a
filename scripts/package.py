"""Assemble the plugin as QGIS loads it, and pack it for the plugin repository.

A checkout keeps ``training/``, ``model_weights/``, ``metadata.txt`` and ``LICENSE`` beside
``imagetodem_qgis/``; QGIS wants all of it inside one folder. This script makes that folder,
``build/imagetodem_qgis``, and from it the zip.
"""

from __future__ import annotations

import argparse
import configparser
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

PLUGIN = "imagetodem_qgis"
ROOT = Path(__file__).resolve().parents[1]
TREE = ROOT / "build" / PLUGIN
SIZE_LIMIT = 25_000_000
"""The plugin repository's limit in bytes."""

_INSIDE = ("training", "model_weights", "metadata.txt", "LICENSE")
_SUFFIXES = frozenset(
    (
        *(".py", ".txt", ".md", ".svg", ".png", ".json", ".onnx", ".h5", ".keras", ".qml"),
        *(".html", ".css", ".js", ".model3", ".ts", ".qm"),
    )
)
_LEFT_OUT = ("*.in", "training/ablation*.md", "training/ablation*.json")
"""What requirements are pinned from, and what was measured: of use to who reads the source."""
_MANDATORY = (
    "name",
    "description",
    "about",
    "version",
    "qgisMinimumVersion",
    "author",
    "email",
    "tracker",
    "repository",
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


class PackageError(Exception):
    """The plugin cannot be packed as it is; the message says why."""


def project_files(root: Path) -> list[PurePosixPath]:
    """The project's own files relative to ``root``: what git tracks or would track, else all but caches."""
    if (root / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        names = [PurePosixPath(os.fsdecode(name)) for name in listed.split(b"\0") if name]
    else:
        names = [PurePosixPath(path.relative_to(root).as_posix()) for path in root.rglob("*")]
    return sorted({name for name in names if (root / name).is_file() and not _is_cache(name)})


def plugin_files(root: Path) -> dict[PurePosixPath, Path]:
    """What the plugin holds: its path inside the zip, and the file that it comes from.

    Raises:
        PackageError: a file of a kind that no plugin needs lies among the plugin's files.
    """
    files = {}
    for name in project_files(root):
        if name.parts[0] == PLUGIN:
            target = name
        elif name.parts[0] in _INSIDE:
            target = PLUGIN / name
        else:
            continue
        if any(name.match(pattern) for pattern in _LEFT_OUT):
            continue
        if name.suffix not in _SUFFIXES and name.name != "LICENSE":
            raise PackageError(
                f"{name} is of no kind that belongs into the plugin; remove it or add it to .gitignore"
            )
        files[target] = root / name
    return files


def read_metadata(path: Path) -> configparser.SectionProxy:
    """The plugin's metadata.

    Raises:
        PackageError: a field that the plugin repository asks for is missing.
    """
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(path, encoding="utf-8")
    missing = [key for key in _MANDATORY if not parser.get("general", key, fallback="").strip()]
    if missing:
        raise PackageError(f"{path.name} lacks {', '.join(missing)}")
    return parser["general"]


def assemble(root: Path = ROOT, tree: Path = TREE) -> Path:
    """Make the plugin's folder anew; the previous one stays until the new one is whole.

    Returns:
        ``tree``, whose last part must be the plugin's name.
    """
    files = plugin_files(root)
    tree.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="assemble-", dir=tree.parent) as scratch:
        new = Path(scratch) / "new"
        for target, source in files.items():
            copy = new / target.relative_to(PLUGIN)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        read_metadata(new / "metadata.txt")
        if tree.exists():
            tree.rename(Path(scratch) / "old")
        new.rename(tree)
    return tree


def archive(tree: Path, folder: Path, size_limit: int = SIZE_LIMIT) -> Path:
    """Write ``<folder>/<plugin>-<version>.zip``; the same tree gives the same bytes.

    Raises:
        PackageError: the zip is larger than ``size_limit`` bytes; no zip is left behind.
    """
    version = read_metadata(tree / "metadata.txt")["version"]
    result = folder / f"{PLUGIN}-{version}.zip"
    unfinished = result.with_suffix(".zip.part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for path in sorted(path for path in tree.rglob("*") if path.is_file() and not _is_cache(path)):
            entry = zipfile.ZipInfo(f"{PLUGIN}/{path.relative_to(tree).as_posix()}", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            package.writestr(entry, path.read_bytes())
        largest = sorted(package.infolist(), key=lambda entry: -entry.compress_size)[:3]
    size = unfinished.stat().st_size
    if size > size_limit:
        unfinished.unlink()
        names = ", ".join(f"{entry.filename} {entry.compress_size:,}" for entry in largest)
        raise PackageError(f"the zip has {size:,} bytes, more than {size_limit:,}; largest: {names}")
    unfinished.replace(result)
    return result


def _is_cache(path: PurePosixPath) -> bool:
    return path.suffix == ".pyc" or any(part == "__pycache__" or part.startswith(".") for part in path.parts)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree-only", action="store_true", help="make the folder without the zip")
    options = parser.parse_args()
    try:
        tree = assemble()
        if options.tree_only:
            return
        result = archive(tree, tree.parent)
    except PackageError as error:
        sys.exit(f"error: {error}")
    print(f"{result} ({result.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
