"""What an interpreter is and holds, asked of the interpreter itself in a child process."""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from imagetodem_qgis.runtime.child import clean_environment, hidden_window_flags, run_streaming
from imagetodem_qgis.runtime.locations import PLUGIN_FOLDER

ENGINES = ("onnxruntime", "tensorflow")
"""Engines that predict, the one to prefer first; each is the name of the package to import."""

_PROBE = PLUGIN_FOLDER / "worker" / "probe.py"
_ANSWER_SECONDS = 30.0
_VERSION_QUESTION = "import sys; sys.stdout.write('%d.%d.%d' % tuple(sys.version_info[:3]))"


class InspectionError(Exception):
    """The file is not a Python interpreter that runs; the message says why."""


class TooOldError(InspectionError):
    """A Python interpreter that is older than anything here can use."""


@dataclass(frozen=True)
class PythonFacts:
    """An interpreter and what can be imported in it.

    Attributes:
        path: the interpreter.
        version: major, minor, micro.
        prefix: folder of the interpreter or of its virtual environment.
        base_prefix: folder of the Python that a virtual environment was made from; else the same.
        machine: processor architecture, as the interpreter names it.
        bits: 32 or 64.
        packages: version by name to import; empty where the version is unknown.
        distributions: name of the installed distribution by name to import.
        packages_folders: where packages are installed.
        can_make_environments: whether it has what virtual environments are made with.
        can_download: whether it has what secure connections need.
    """

    path: Path
    version: tuple[int, int, int]
    prefix: Path
    base_prefix: Path
    machine: str = ""
    bits: int = 64
    packages: dict[str, str] = field(default_factory=dict)
    distributions: dict[str, str] = field(default_factory=dict)
    packages_folders: tuple[Path, ...] = ()
    can_make_environments: bool = True
    can_download: bool = True

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that are installed, the one to prefer first."""
        return tuple(engine for engine in ENGINES if engine in self.packages)

    @property
    def version_text(self) -> str:
        """The version with dots."""
        return ".".join(map(str, self.version))


_known: dict[Path, tuple[tuple[int, ...], PythonFacts]] = {}
_known_lock = threading.Lock()


def inspect(path: Path) -> PythonFacts:
    """Ask an interpreter what it is; remembered until its packages change.

    Raises:
        TooOldError: it is a Python that is too old to answer.
        InspectionError: the file is missing, cannot be started, or is no Python.
    """
    path = path.expanduser().absolute()
    with _known_lock:
        known = _known.get(path)
    if known and known[0] == _stamp(path, known[1].packages_folders):
        return known[1]
    facts = _facts(path, _answer(path))
    with _known_lock:
        _known[path] = (_stamp(path, facts.packages_folders), facts)
    return facts


def broken_distributions(python: Path) -> list[dict[str, str]]:
    """Distributions in an environment whose files are not whole: name, reason, metadata_folder of each.

    Raises:
        InspectionError: the interpreter does not answer.
    """
    broken: list[dict[str, str]] = _answer(python, "--verify", timeout=300.0)["broken"]
    return broken


def import_errors(
    python: Path, modules: tuple[str, ...], is_cancelled: Callable[[], bool] = lambda: False
) -> dict[str, str]:
    """Import modules for real in a child; what went wrong, by module.

    Raises:
        ChildCancelled: it was cancelled.
        InspectionError: the interpreter crashed.
    """
    errors: dict[str, str] = _streamed(python, ("--import", *modules), is_cancelled)["import_errors"]
    return errors


def devices(python: Path, is_cancelled: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """What can compute: ``cards`` (a list of names) and, by engine, ``devices`` or ``error``.

    Raises:
        ChildCancelled: it was cancelled.
        InspectionError: the interpreter crashed.
    """
    found: dict[str, Any] = _streamed(python, ("--devices",), is_cancelled)["devices"]
    return found


def _stamp(path: Path, folders: tuple[Path, ...]) -> tuple[int, ...]:
    """Changes when the interpreter or the list of its installed packages does."""
    stamps = []
    for item in (path, path.parent.parent / "pyvenv.cfg", *folders):
        try:
            stamps.append(item.stat().st_mtime_ns)
        except OSError:
            stamps.append(0)
    return tuple(stamps)


def _answer(path: Path, *options: str, timeout: float = _ANSWER_SECONDS) -> dict[str, Any]:
    if not path.is_file():
        raise InspectionError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    status, output, log = _ask(path, ["-I", "-X", "utf8", str(_PROBE), *options], timeout)
    answer = _parsed(output)
    if status == 0 and answer:
        return answer
    raise _explanation(path, log or output)


def _streamed(path: Path, options: tuple[str, ...], is_cancelled: Callable[[], bool]) -> dict[str, Any]:
    lines: list[str] = []
    try:
        status = run_streaming(
            [str(path), "-I", "-X", "utf8", str(_PROBE), *options], lines.append, is_cancelled
        )
    except OSError as error:
        raise InspectionError(f"{path} cannot be started: {error}") from error
    answer = _parsed("\n".join(lines))
    if status != 0 or not answer:
        raise InspectionError(f"{path} ended with exit status {status}: " + "\n".join(lines[-5:]))
    return answer


def _ask(path: Path, arguments: list[str], timeout: float) -> tuple[int, str, str]:
    try:
        done = subprocess.run(
            [str(path), *arguments],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            **hidden_window_flags(),
        )
    except subprocess.TimeoutExpired as error:
        raise InspectionError(f"{path} did not answer within {timeout:.0f} seconds") from error
    except OSError as error:
        raise InspectionError(f"{path} cannot be started: {error.strerror or error}") from error
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def _parsed(output: str) -> dict[str, Any]:
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            try:
                answer = json.loads(line)
            except ValueError:
                continue
            if isinstance(answer, dict) and "version" in answer:
                return answer
    return {}


def _explanation(path: Path, log: str) -> InspectionError:
    """Why an interpreter did not answer: a Python too old for the question, a broken one, or none at all."""
    status, version, _ = _ask(path, ["-c", _VERSION_QUESTION], _ANSWER_SECONDS)
    numbers = version.strip().split(".")
    is_python = status == 0 and len(numbers) == 3 and all(number.isdigit() for number in numbers)
    if is_python and tuple(map(int, numbers)) < (3, 9):
        return TooOldError(f"{path} is Python {version.strip()}, which is too old")
    if not is_python:
        return InspectionError(f"{path} is not a Python interpreter")
    last_line = (log.strip().splitlines() or [""])[-1][:300]
    return InspectionError(f"{path} is a Python that does not work: {last_line}")


def _facts(path: Path, answer: dict[str, Any]) -> PythonFacts:
    major, minor, micro = answer["version"]
    facts = PythonFacts(
        path=path,
        version=(major, minor, micro),
        prefix=Path(answer["prefix"]),
        base_prefix=Path(answer["base_prefix"]),
        machine=answer["machine"],
        bits=answer["bits"],
        packages={module: found["version"] for module, found in answer["packages"].items()},
        distributions={module: found["distribution"] for module, found in answer["packages"].items()},
        packages_folders=tuple(map(Path, answer["packages_folders"])),
        can_make_environments=answer["can_make_environments"],
        can_download=answer["can_download"],
    )
    if facts.version < (3, 9):
        raise TooOldError(f"{path} is Python {facts.version_text}, which is too old")
    return facts
