"""Put the plugin into the default QGIS profile and enable it, for QGIS and for ``qgis_process``."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from scripts.package import PLUGIN, PackageError, assemble

_ALGORITHM = "imagetodem:predictdem"


class InstallError(Exception):
    """The plugin could not be installed; the message says what to do."""


def profiles_folder(environment: Mapping[str, str], platform: str, major: int) -> Path:
    """Where QGIS keeps its user profiles.

    Args:
        environment: environment variables; ``QGIS_CUSTOM_CONFIG_PATH`` comes before the system's place.
        platform: as ``sys.platform``.
        major: QGIS's major version, 3 or 4.
    """
    custom = environment.get("QGIS_CUSTOM_CONFIG_PATH")
    if custom:
        return Path(custom) / "profiles"
    home = Path(environment["USERPROFILE" if platform == "win32" else "HOME"])
    if platform == "win32":
        base = Path(environment.get("APPDATA") or home / "AppData" / "Roaming")
    elif platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "QGIS" / f"QGIS{major}" / "profiles"


def put_in_place(tree: Path, target: Path) -> None:
    """Copy ``tree`` to ``target`` and only then exchange it for what was there: never is there half a plugin.

    The copy is made beside the ``plugins`` folder and not in it: QGIS takes every folder in there for a
    plugin.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{PLUGIN}-", dir=target.parent.parent) as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        shutil.copytree(tree, new)
        if target.exists() or target.is_symlink():
            target.rename(old)
        try:
            new.rename(target)
        except BaseException:
            if old.exists() or old.is_symlink():
                old.rename(target)
            raise


def find_qgis_process(name: str | None) -> str:
    """The command ``qgis_process``, by ``name`` or where this system usually has it.

    Raises:
        InstallError: there is none.
    """
    # Debian's wrapper of that name fails until its settings are mended; the program that it calls does not.
    for candidate in (
        [name] if name else ["qgis_process.bin", "qgis_process", "qgis_process-qgis", "qgis_process-qgis-ltr"]
    ):
        found = shutil.which(candidate)
        if found:
            return found
    raise InstallError(f"{name or 'qgis_process'} was not found; name it with --qgis-process")


def run_qgis_process(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``qgis_process`` away from this folder and without other plugin paths; its output is text."""
    environment = {key: value for key, value in os.environ.items() if key != "QGIS_PLUGINPATH"}
    environment.setdefault("QT_QPA_PLATFORM", "offscreen")
    return subprocess.run(
        [command, *arguments],
        cwd=tempfile.gettempdir(),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def install(command: str) -> Path:
    """Install into the default profile, the one that ``qgis_process`` reads, enable, and see it loaded.

    Returns:
        The folder of the installed plugin.

    Raises:
        InstallError: QGIS does not load the plugin.
    """
    version = re.search(r"QGIS (\d+)\.", run_qgis_process(command, "--version").stdout)
    if version is None:
        raise InstallError(f"{command} --version names no version of QGIS")
    folder = profiles_folder(os.environ, sys.platform, int(version.group(1)))
    target = folder / "default" / "python" / "plugins" / PLUGIN
    put_in_place(assemble(), target)
    run_qgis_process(command, "plugins", "enable", PLUGIN)
    # Enabling itself says nothing: it fails for a plugin already enabled and succeeds for one that cannot be
    # started.
    seen = run_qgis_process(command, "help", _ALGORITHM)
    if seen.returncode != 0:
        # QGIS 3.40 gives the reason only to who enables a plugin that was not enabled.
        run_qgis_process(command, "plugins", "disable", PLUGIN)
        again = run_qgis_process(command, "plugins", "enable", PLUGIN)
        raise InstallError(f"QGIS does not load the plugin in {target}:\n{again.stderr}{seen.stderr}")
    return target


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--qgis-process", help="the qgis_process to use, where it is not found by itself")
    options = parser.parse_args()
    try:
        target = install(find_qgis_process(options.qgis_process))
    except (InstallError, PackageError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"installed and enabled: {target}")


if __name__ == "__main__":
    main()
