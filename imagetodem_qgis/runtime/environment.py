"""Making, mending and extending the plugin's machine-learning environment.

The environment carries a note (`runtime.marker`) that calls it unfinished from before the first change until
every file has been checked and the engines have been imported, so that a run that was interrupted is seen
and taken up again.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable

from imagetodem_qgis.runtime import pip
from imagetodem_qgis.runtime.base_python import find_base, problem_as_base
from imagetodem_qgis.runtime.child import ChildCancelled, bound_module, clean_environment, run_streaming
from imagetodem_qgis.runtime.clearing import drop_broken, is_environment, remove
from imagetodem_qgis.runtime.errors import SetupError
from imagetodem_qgis.runtime.inspection import (
    InspectionError,
    PythonFacts,
    broken_distributions,
    import_errors,
    inspect,
)
from imagetodem_qgis.runtime.lock import LockedError, exclusive
from imagetodem_qgis.runtime.marker import Marker, State, environment_python, read_marker, write_marker
from imagetodem_qgis.runtime.profiles import (
    PROFILES,
    Profile,
    requirements_count,
    requirements_hash,
    room_needed,
    unavailable_reason,
)
from imagetodem_qgis.runtime.windows_libraries import let_find_libraries


@dataclass(frozen=True)
class Listener:
    """Who hears of the work.

    Attributes:
        on_line: given what is done, line by line.
        on_progress: given the share that is done, in percent.
        is_cancelled: asked about ten times a second.
    """

    on_line: Callable[[str], None] = lambda line: None
    on_progress: Callable[[float], None] = lambda percent: None
    is_cancelled: Callable[[], bool] = lambda: False


def make_environment(
    folder: Path,
    profile: Profile,
    requirements: Path,
    base: Path | None = None,
    wheels: Path | None = None,
    listener: Listener | None = None,
    variables: Mapping[str, str] | None = None,
) -> Path:
    """Make an environment, or mend or extend the one that is there; quick where it is whole already.

    What worked before is put back when the work fails or is cancelled.

    Args:
        folder: of the environment.
        profile: what it is for; what it is for already stays.
        requirements: pinned requirements of the profile.
        base: interpreter to make it from; None for the one it has, else the best on this computer.
        wheels: folder of wheels to install from without a network; None for the network.
        listener: who hears of the work.
        variables: further environment variables for pip, such as those of a proxy.

    Returns:
        The environment's interpreter.

    Raises:
        ChildCancelled: it was cancelled.
        SetupError: it cannot be made; the message says why and what to do.
    """
    work = _Work(folder, profile, requirements, base, wheels, listener or Listener(), dict(variables or {}))
    try:
        with exclusive(folder.parent / f"{folder.name}.lock", work.listener.is_cancelled):
            return _make(work)
    except LockedError as error:
        if work.listener.is_cancelled():
            raise ChildCancelled("cancelled") from error
        raise SetupError(
            f"Another QGIS is setting up the environment in {folder}. Wait until it is done, then run this "
            "again."
        ) from error
    except OSError as error:
        raise SetupError(
            f"The environment in {folder} cannot be written: {error}. Set the environment variable "
            "IMAGETODEM_HOME to a folder that you may write to, and see that no other QGIS uses the "
            "environment."
        ) from error


@dataclass(frozen=True)
class _Work:
    folder: Path
    profile: Profile
    requirements: Path
    base: Path | None
    wheels: Path | None
    listener: Listener
    variables: dict[str, str]

    @property
    def python(self) -> Path:
        return environment_python(self.folder)

    @property
    def aside(self) -> Path:
        """Where the former environment waits while another is made in its place."""
        return self.folder.with_name(self.folder.name + ".former")

    @property
    def temporary(self) -> Path:
        return self.folder.with_name(self.folder.name + ".temporary")


def _make(work: _Work) -> Path:
    say = work.listener.on_line
    reason = unavailable_reason(work.profile)
    if reason:
        raise SetupError(f"The profile {work.profile.name} cannot be set up here: {reason}.")
    remove(work.temporary)
    _take_back_former(work)
    marker = read_marker(work.folder)
    present = _present(work)
    if present is not None and _is_whole(work, marker, present):
        say(f"The environment in {work.folder} is whole: nothing to do.")
        work.listener.on_progress(100.0)
        return work.python

    # Found before anything is touched: where no Python fits, what is there stays as it is.
    stays = present is not None and _may_stay(work, marker, present) and _pip_is_whole(work)
    base = None if stays else find_base(work.profile, work.base)
    _check_room(work)
    if base is None:
        with _former_note_put_back(work, marker):
            _fill(work, replace(marker, state=State.UNFINISHED))
    else:
        say(f"Making an environment in {work.folder} from {base.path} (Python {base.version_text}).")
        with _former_folder_put_back(work):
            _create(work, base)
            _fill(work, Marker(State.UNFINISHED, {}, str(base.path), base.version_text))
    say(f"The environment in {work.folder} is ready for the profile {work.profile.name}.")
    work.listener.on_progress(100.0)
    return work.python


def _present(work: _Work) -> PythonFacts | None:
    """The environment's interpreter, where it runs and has a pip."""
    try:
        facts = inspect(work.python)
    except InspectionError:
        return None
    return facts if "pip" in facts.packages else None


def _is_whole(work: _Work, marker: Marker, present: PythonFacts) -> bool:
    return (
        marker.state is State.WHOLE
        and marker.requirements.get(work.profile.name) == requirements_hash(work.requirements)
        and _may_stay(work, marker, present)
        and not work.profile.missing(present)
        and not broken_distributions(work.python)
    )


def _may_stay(work: _Work, marker: Marker, present: PythonFacts) -> bool:
    """Whether what is there can be worked on, or must be made anew from another Python."""
    if not marker.version or not work.profile.fits(present):
        return False
    # A system's upgrade replaces the Python below an environment, whose packages are another version's then.
    if marker.version.split(".")[:2] != present.version_text.split(".")[:2]:
        return False
    if work.base is None:
        return True
    try:
        named = inspect(work.base)
    except InspectionError as error:
        raise SetupError(f"{error}; {work.profile.versions_text} work") from error
    return named.base_prefix == present.base_prefix


def _pip_is_whole(work: _Work) -> bool:
    return all(item["name"].lower() != "pip" for item in broken_distributions(work.python))


def _check_room(work: _Work) -> None:
    existing = work.folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    needed = room_needed(work.profile, work.requirements)
    if free < needed:
        raise SetupError(
            f"The disk of {work.folder} has {free / 1e9:.1f} GB free; the profile {work.profile.name} needs "
            f"{needed / 1e9:.1f} GB. Free some room, or set the environment variable IMAGETODEM_HOME to a "
            "folder on another disk."
        )


def _create(work: _Work, base: PythonFacts) -> None:
    lines: list[str] = []
    command = bound_module(base.path, "venv", "--clear", str(work.folder))
    work.folder.mkdir(parents=True, exist_ok=True)
    status = run_streaming(command, lines.append, work.listener.is_cancelled, clean_environment())
    if status != 0:
        advice = problem_as_base(work.profile, replace(base, can_make_environments=False))
        raise SetupError(f"{base.path} could not make an environment. If {advice}\n" + "\n".join(lines[-10:]))
    let_find_libraries(work.folder, base.base_prefix)
    work.listener.on_progress(5.0)


def _fill(work: _Work, marker: Marker) -> None:
    """Install what is missing, check all of it, and call the environment whole."""
    write_marker(work.folder, marker)
    drop_broken(work.python, work.folder, work.listener.on_line)
    present = inspect(work.python)
    if work.wheels is None and not present.can_download:
        raise SetupError(
            f"The Python in {work.folder} cannot open secure connections. Install Python 3.12 from "
            "python.org and name it in PYTHON, or use WHEELS."
        )
    try:
        pip.install(
            work.python,
            work.requirements,
            work.wheels,
            requirements_count(work.requirements),
            work.listener.on_line,
            lambda share: work.listener.on_progress(5.0 + 85.0 * share),
            work.listener.is_cancelled,
            work.temporary,
            present.packages["pip"],
            work.variables,
        )
    finally:
        remove(work.temporary)
    work.listener.on_line("Checking the packages.")
    _check(work)
    done = {**marker.requirements, work.profile.name: requirements_hash(work.requirements)}
    write_marker(work.folder, replace(marker, state=State.WHOLE, requirements=done))


def _check(work: _Work) -> None:
    """That every file is there, and that what the profile needs can really be imported."""
    try:
        broken = broken_distributions(work.python)
        present = inspect(work.python)
        missing = work.profile.missing(present)
        errors = import_errors(work.python, work.profile.present(present), work.listener.is_cancelled)
    except InspectionError as error:
        raise SetupError(f"The environment does not work: {error}") from error
    problems = [f"{item['name']}: {item['reason']}" for item in broken]
    problems += [f"{name} is missing" for name in missing]
    problems += [f"{name} cannot be imported: {error}" for name, error in errors.items()]
    if problems:
        advice = "Run this again to mend it."
        if sys.platform == "win32" and any("DLL load failed" in error for error in errors.values()):
            advice = (
                "Install the Microsoft Visual C++ Redistributable (x64) from microsoft.com, then run this "
                "again."
            )
        raise SetupError(f"The environment is not whole. {advice}\n" + "\n".join(problems))


def _take_back_former(work: _Work) -> None:
    """A run that was interrupted while it made another environment has left the former one aside."""
    if not work.aside.exists():
        return
    if read_marker(work.folder).state is State.WHOLE:
        remove(work.aside)
    else:
        remove(work.folder)
        work.aside.rename(work.folder)


@contextlib.contextmanager
def _former_note_put_back(work: _Work, marker: Marker) -> Iterator[None]:
    """Where extending a whole environment fails without harm to what it held, it is whole still."""
    try:
        yield
    except (SetupError, ChildCancelled):
        if marker.state is State.WHOLE and _still_serves(work, marker):
            write_marker(work.folder, marker)
        raise


def _still_serves(work: _Work, marker: Marker) -> bool:
    try:
        present = inspect(work.python)
        return not broken_distributions(work.python) and not any(
            PROFILES[name].missing(present) for name in marker.requirements if name in PROFILES
        )
    except InspectionError:
        return False


@contextlib.contextmanager
def _former_folder_put_back(work: _Work) -> Iterator[None]:
    """Set a whole environment aside while another is made, and put it back where that fails."""
    if read_marker(work.folder).state is State.WHOLE:
        work.folder.rename(work.aside)
    elif is_environment(work.folder):
        remove(work.folder)
    else:
        raise SetupError(
            f"{work.folder} holds something that is no environment of the plugin: it is left alone. Move it "
            "away, or set the environment variable IMAGETODEM_HOME to another folder."
        )
    try:
        yield
    except (SetupError, ChildCancelled, OSError):
        if work.aside.exists():
            remove(work.folder)
            work.aside.rename(work.folder)
        raise
    remove(work.aside)
