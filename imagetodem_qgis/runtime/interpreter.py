"""The interpreter that the worker runs in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imagetodem_qgis.runtime.inspection import ENGINES, InspectionError, PythonFacts, TooOldError, inspect
from imagetodem_qgis.runtime.locations import environment_folder
from imagetodem_qgis.runtime.marker import State, environment_python, read_marker
from imagetodem_qgis.runtime.profiles import PREDICT, TRAIN

SETUP_ADVICE = "Run 'Set up machine-learning environment' (imagetodem:setupenvironment)"

SETTING = "setting imagetodem/python"
VARIABLE = "environment variable IMAGETODEM_PYTHON"
OWN_ENVIRONMENT = "environment made by the plugin"
QGIS_PYTHON = "QGIS's own Python"

_PROFILE_OF_ENGINE = {"onnxruntime": PREDICT, "tensorflow": TRAIN}


class InterpreterError(Exception):
    """No interpreter can be used; the message says why and what to run next."""


@dataclass(frozen=True)
class Interpreter:
    """An interpreter that can predict.

    Attributes:
        path: of the interpreter.
        version: major, minor, micro.
        source: where it was named or found, in words.
        packages: version by name to import; empty where the version is unknown.
        engines: installed engines, the one to prefer first.
    """

    path: Path
    version: tuple[int, ...]
    source: str
    packages: dict[str, str]
    engines: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """A place where an interpreter was looked for, and what was there.

    Attributes:
        source: the place, in words.
        path: the interpreter there; None where there is none.
        facts: what it is; None where it does not run.
        problem: why it cannot be used; empty where it can.
        is_named: whether somebody named it, so that it may not be passed over in silence.
    """

    source: str
    path: Path | None
    facts: PythonFacts | None
    problem: str
    is_named: bool


def find_interpreter(setting: str | None) -> Interpreter:
    """The interpreter to run the worker in.

    In order: the setting, the environment variable ``IMAGETODEM_PYTHON``, the environment that the plugin
    made, QGIS's own interpreter if an engine is installed there.

    Args:
        setting: value of the setting ``imagetodem/python``; None or empty for none.

    Raises:
        InterpreterError: the one that is named cannot be used, or none is named and none is found.
    """
    problems = []
    for candidate in candidates(setting):
        if not candidate.problem and candidate.facts is not None:
            return _interpreter(candidate.source, candidate.facts)
        if candidate.is_named:
            raise InterpreterError(
                f"The interpreter that the {candidate.source} names cannot be used: {candidate.problem}. "
                f"{_advice_for_named(candidate.source)}"
            )
        problems.append(f"{candidate.source}: {candidate.problem}")
    raise InterpreterError(
        f"There is no machine-learning environment yet. {SETUP_ADVICE}, then run this again. "
        f"({'; '.join(problems)}.)"
    )


def candidates(setting: str | None) -> Iterator[Candidate]:
    """Where an interpreter is looked for, in order, and what is there; each is examined when asked for."""
    if setting:
        yield _examined(SETTING, Path(setting), is_named=True)
    variable = named_by_variable()
    if variable:
        yield _examined(VARIABLE, Path(variable), is_named=True)
    yield _own_environment()
    own = qgis_python()
    if own is None:
        yield Candidate(QGIS_PYTHON, None, None, "not found", is_named=False)
    else:
        yield _examined(QGIS_PYTHON, own, is_named=False)


def named_by_variable() -> str:
    """The interpreter that the environment variable names; empty for none."""
    return os.environ.get("IMAGETODEM_PYTHON", "").strip()


def require_engine(interpreter: Interpreter, engine: str) -> None:
    """Check that an interpreter has an engine.

    Raises:
        InterpreterError: it has not; the message names the profile to set up.
    """
    if engine in interpreter.engines:
        return
    profile = _PROFILE_OF_ENGINE[engine]
    message = (
        f"{interpreter.path} ({interpreter.source}) has no {engine}. {SETUP_ADVICE} with "
        f"PROFILE={profile.name}"
    )
    if interpreter.source != OWN_ENVIRONMENT:
        message += f", or install {engine} into that interpreter"
    raise InterpreterError(f"{message}, then run this again.")


def problem_of(facts: PythonFacts) -> str:
    """Why an interpreter cannot predict; empty where it can."""
    missing = [name for name in ("numpy", "scipy") if name not in facts.packages]
    if not facts.engines:
        missing.append(" or ".join(ENGINES))
    return f"Python {facts.version_text} at {facts.path} lacks {', '.join(missing)}" if missing else ""


def qgis_python() -> Path | None:
    """The interpreter of the Python inside QGIS; ``sys.executable`` is QGIS itself on Windows and macOS."""
    if Path(sys.executable or "").name.lower().startswith("python"):
        return Path(sys.executable)
    names = ("python.exe", "python3.exe") if sys.platform == "win32" else ("bin/python3", "python3")
    for prefix in (sys.exec_prefix, sys.base_exec_prefix):
        for name in names:
            path = Path(prefix) / name
            if path.is_file():
                return path
    return None


def _examined(source: str, path: Path, is_named: bool) -> Candidate:
    try:
        facts = inspect(path)
    except TooOldError as error:
        return Candidate(source, path, None, f"{error}; {PREDICT.versions_text} work", is_named)
    except InspectionError as error:
        return Candidate(source, path, None, str(error), is_named)
    return Candidate(source, path, facts, problem_of(facts), is_named)


def _own_environment() -> Candidate:
    folder = environment_folder()
    state = read_marker(folder).state
    if state is State.ABSENT:
        return Candidate(OWN_ENVIRONMENT, None, None, f"there is none in {folder}", is_named=False)
    if state is State.UNFINISHED:
        problem = f"setting up {folder} was interrupted, run it again to finish it"
        return Candidate(OWN_ENVIRONMENT, environment_python(folder), None, problem, is_named=False)
    return _examined(OWN_ENVIRONMENT, environment_python(folder), is_named=False)


def _interpreter(source: str, facts: PythonFacts) -> Interpreter:
    return Interpreter(facts.path, facts.version, source, dict(facts.packages), facts.engines)


def _advice_for_named(source: str) -> str:
    if source == SETTING:
        return (
            f"{SETUP_ADVICE}, which puts its own in place of it, or name another in Settings > Options > "
            "Image to DEM."
        )
    return "Name another in that variable, or remove the variable and run imagetodem:setupenvironment."
