"""What a data set's folder holds so far: a line of JSON for each tile that is done, in a file of its own.

The first line holds the parameters. A later line on a tile takes the place of an earlier one. A line that a
process did not come to write to its end is no JSON and counts for nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from imagetodem_qgis.pairs.source import REASONS, Provenance
from imagetodem_qgis.pairs.writer import Checksums

JOURNAL_FILE = "journal.jsonl"
_FORMAT = 1


class JournalError(ValueError):
    """A folder that cannot be gone on with; the message says why and what to do."""


@dataclass(frozen=True)
class Kept:
    """A tile whose files are on disk."""

    checksums: Checksums
    provenance: Provenance


@dataclass(frozen=True)
class LeftOut:
    """A tile that is left out, and one of :data:`~imagetodem_qgis.pairs.source.REASONS`."""

    reason: str


class Journal:
    """The journal of a folder; a context manager that closes its file.

    Args:
        folder: an existing one.
        parameters: of the run, JSON values by name; those that change what a tile holds.

    Attributes:
        done: what became of tiles so far, by id.

    Raises:
        JournalError: the folder holds pairs that were made with other parameters.
        OSError: it cannot be read or written to.
    """

    def __init__(self, folder: Path, parameters: Mapping[str, Any]) -> None:
        self._path = folder / JOURNAL_FILE
        wanted = json.loads(json.dumps(dict(parameters)))
        self.done: dict[str, Kept | LeftOut] = {}
        whole_bytes = 0
        if self._path.exists():
            content = self._path.read_bytes()
            whole_bytes = content.rfind(b"\n") + 1
            lines = content[:whole_bytes].splitlines()
            if lines:
                _check(folder, _object(lines[0]), wanted)
                self._read(lines[1:])
        self._lock = threading.Lock()
        self._file: IO[bytes] = open(self._path, "ab")  # noqa: SIM115 - closed when the block ends
        self._file.truncate(whole_bytes)
        if not whole_bytes:
            self._append({"format": _FORMAT, "parameters": wanted})

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *details: object) -> None:
        with self._lock:
            self._file.close()

    def note(self, name: str, outcome: Kept | LeftOut) -> None:
        """Note what became of a tile; may be called from several threads. Nothing is noted after the end."""
        if isinstance(outcome, Kept):
            content = {"checksums": asdict(outcome.checksums), **asdict(outcome.provenance)}
        else:
            content = {"left_out": outcome.reason}
        with self._lock:
            if not self._file.closed:
                self.done[name] = outcome
                self._append({"id": name, **content})

    def _append(self, content: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(content).encode() + b"\n")
        self._file.flush()

    def _read(self, lines: list[bytes]) -> None:
        for line in lines:
            content = _object(line)
            try:
                name = str(content["id"])
                if "left_out" in content:
                    if content["left_out"] in REASONS:
                        self.done[name] = LeftOut(content["left_out"])
                    continue
                checksums = Checksums(**content["checksums"])
                self.done[name] = Kept(
                    checksums,
                    Provenance(
                        tuple(content["scenes"]),
                        tuple(content["dates"]),
                        content["sun_azimuth"],
                        content["sun_zenith"],
                    ),
                )
            except (KeyError, TypeError):
                # What it was about is looked at again.
                continue


def check_folder(folder: Path, parameters: Mapping[str, Any]) -> None:
    """Check that a folder is empty, or holds part of the data set that some parameters make.

    Raises:
        JournalError: it does not.
        OSError: it cannot be read.
    """
    path = folder / JOURNAL_FILE
    if path.is_file():
        with open(path, "rb") as file:
            line = file.readline()
        # A process that died at once left no whole line: nothing is lost by beginning anew.
        if line.endswith(b"\n"):
            _check(folder, _object(line), json.loads(json.dumps(dict(parameters))))
    elif any(not path.name.startswith(".") for path in folder.iterdir()):
        raise JournalError(
            f"the folder {folder} holds something else than a data set that was made with this: give "
            "another, or an empty one"
        )


def _check(folder: Path, first: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    known = first.get("parameters")
    if first.get("format") != _FORMAT or not isinstance(known, dict):
        raise JournalError(f"{folder / JOURNAL_FILE} cannot be read: give another folder, or remove it")
    for name in sorted({*known, *wanted}):
        if known.get(name) != wanted.get(name):
            raise JournalError(
                f"the folder {folder} holds pairs that were made with {name} = {_short(known.get(name))}, "
                f"not {_short(wanted.get(name))}: give the same parameters to go on with it, or another "
                "folder"
            )


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(line)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
