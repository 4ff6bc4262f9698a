"""The note that an environment carries about itself: what it was made for, and whether it is whole."""

from __future__ import annotations

import enum
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

_FILE = "imagetodem.json"


class State(enum.Enum):
    """How far the making of an environment has come."""

    ABSENT = "absent"
    UNFINISHED = "unfinished"
    WHOLE = "whole"


@dataclass(frozen=True)
class Marker:
    """What an environment says of itself.

    Attributes:
        state: only a whole environment may be used.
        requirements: hash of the requirements that were installed, by profile.
        base: the interpreter that it was made from.
        version: version of that interpreter.
    """

    state: State
    requirements: dict[str, str] = field(default_factory=dict)
    base: str = ""
    version: str = ""


def environment_python(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / "Scripts" / "python.exe" if sys.platform == "win32" else folder / "bin" / "python"


def read_marker(folder: Path) -> Marker:
    """What the environment in a folder says of itself; one without a readable note is unfinished."""
    try:
        stored = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return Marker(
            State(stored["state"]), dict(stored["requirements"]), str(stored["base"]), str(stored["version"])
        )
    except FileNotFoundError:
        return Marker(State.UNFINISHED if folder.exists() else State.ABSENT)
    except (OSError, ValueError, KeyError, TypeError):
        return Marker(State.UNFINISHED)


def write_marker(folder: Path, marker: Marker) -> None:
    """Write the note, whole or not at all."""
    stored = {**asdict(marker), "state": marker.state.value}
    unfinished = folder / (_FILE + ".new")
    unfinished.write_text(json.dumps(stored, indent=2), encoding="utf-8")
    os.replace(unfinished, folder / _FILE)
