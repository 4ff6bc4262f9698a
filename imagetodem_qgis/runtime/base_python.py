"""The Python that the plugin's environment is made from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from imagetodem_qgis.runtime.child import clean_environment, hidden_window_flags
from imagetodem_qgis.runtime.errors import SetupError
from imagetodem_qgis.runtime.inspection import InspectionError, PythonFacts, inspect
from imagetodem_qgis.runtime.interpreter import qgis_python
from imagetodem_qgis.runtime.profiles import Profile

_PREFERRED_MINORS = (12, 11, 13, 10, 14, 9)
_LAUNCHER_LINE = re.compile(r"^\s*-\S+\s+(?:\*\s+)?(?P<path>\S.*\.exe)\s*$", re.IGNORECASE)
_MAC_FOLDERS = (
    "/opt/homebrew/bin",
    "/usr/local/bin",
    "/Library/Frameworks/Python.framework/Versions/3.{minor}/bin",
)


def find_base(profile: Profile, named: Path | None = None) -> PythonFacts:
    """The Python to make an environment from: the one that is named, else the first here that fits.

    Raises:
        SetupError: none fits; the message says which versions do and what was found.
    """
    if named is not None:
        problem, facts = _tried(profile, named)
        if facts is None:
            raise SetupError(problem)
        return facts
    problems = []
    for path in base_candidates():
        problem, facts = _tried(profile, path)
        if facts is not None:
            return facts
        problems.append(problem)
    raise SetupError(
        f"No Python was found to make the environment from: the profile {profile.name} needs "
        f"{profile.versions_text} (64 bit). {_installation_advice(profile)} Then run this again, or name "
        "that interpreter in PYTHON.\n"
        "Looked at:\n" + "\n".join(f"- {problem}" for problem in problems)
    )


def problem_as_base(profile: Profile, facts: PythonFacts) -> str:
    """Why an environment for a profile cannot be made from an interpreter; empty where it can."""
    if not profile.fits(facts):
        return (
            f"{facts.path} is Python {facts.version_text} ({facts.bits} bit): the profile {profile.name} "
            f"needs {profile.versions_text} (64 bit)"
        )
    if not facts.can_make_environments:
        advice = "install it again with all of its standard library"
        if sys.platform == "linux":
            major, minor = facts.version[:2]
            advice = f"on Debian and Ubuntu: sudo apt install python{major}.{minor}-venv (or python3-venv)"
        return (
            f"{facts.path} lacks the modules venv and ensurepip, which environments are made with; {advice}"
        )
    return ""


def base_candidates() -> Iterator[Path]:
    """Interpreters on this computer, best first, each once; they may turn out not to work."""
    seen = set()
    for path in _all_candidates():
        key = os.path.normcase(os.path.realpath(path))
        if key not in seen and path.is_file():
            seen.add(key)
            yield path


def _all_candidates() -> Iterator[Path]:
    own = qgis_python()
    # Elsewhere the Python inside QGIS's bundle finds its libraries with QGIS's help only: it comes last
    # there.
    if own is not None and sys.platform == "linux":
        yield own
    yield from _on_search_path()
    if sys.platform == "win32":
        yield from _from_launcher()
    elif sys.platform == "darwin":
        for minor in _PREFERRED_MINORS:
            for folder in _MAC_FOLDERS:
                yield Path(folder.format(minor=minor)) / f"python3.{minor}"
    if own is not None and sys.platform != "linux":
        yield own


def _on_search_path() -> Iterator[Path]:
    search_path = clean_environment().get("PATH", "")
    for name in [f"python3.{minor}" for minor in _PREFERRED_MINORS] + ["python3", "python"]:
        found = shutil.which(name, path=search_path)
        if found:
            # Apple's own is a stand-in that opens a window where the developer tools are missing.
            if sys.platform == "darwin" and found.startswith("/usr/bin/"):
                continue
            yield Path(found)


def _from_launcher() -> Iterator[Path]:
    """The interpreters that the ``py`` launcher of Windows knows, preferred versions first."""
    try:
        answer = subprocess.run(
            ["py", "-0p"],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
            **hidden_window_flags(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    yield from launcher_paths(answer.stdout.decode("utf-8", "replace"))


def launcher_paths(listing: str) -> list[Path]:
    """The interpreters in what ``py -0p`` prints, preferred versions first."""
    found = []
    for line in listing.splitlines():
        match = _LAUNCHER_LINE.match(line)
        if match:
            minor = re.search(r"3\.(\d+)", line)
            known = minor is not None and int(minor.group(1)) in _PREFERRED_MINORS
            rank = _PREFERRED_MINORS.index(int(minor.group(1))) if minor and known else len(_PREFERRED_MINORS)
            found.append((rank, Path(match.group("path"))))
    return [path for _, path in sorted(found, key=lambda item: item[0])]


def _tried(profile: Profile, path: Path) -> tuple[str, PythonFacts | None]:
    try:
        facts = inspect(path)
    except InspectionError as error:
        return f"{error}; {profile.versions_text} work", None
    problem = problem_as_base(profile, facts)
    return problem, None if problem else facts


def _installation_advice(profile: Profile) -> str:
    if sys.platform == "win32":
        return "Install Python 3.12 (64 bit) from python.org; nothing needs to be ticked in its installer."
    if sys.platform == "darwin":
        return "Install Python 3.12 from python.org, or with: brew install python@3.12."
    return (
        f"Install one of {profile.versions_text} with its venv module (Debian, Ubuntu: sudo apt install "
        "python3-venv)."
    )
