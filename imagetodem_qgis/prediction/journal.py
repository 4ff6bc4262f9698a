"""What is done of a run, written down as it is done, so that a run that was cut off goes on where it was."""

from __future__ import annotations

import errno
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

JOURNAL_SUFFIX = ".journal"

_ENCODING = "utf-8"


class Journal:
    """Lines of JSON, each behind the checksum of its text.

    A line counts once it is whole: what a process that was killed left of its last one is cut off by the
    next. Lines reach the system one by one, so that they outlive the process.

    Args:
        path: of the file, made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = open(path, "a+b", buffering=0)  # noqa: SIM115 - it lives as long as the journal

    def close(self) -> None:
        """Close the file; what is in it stays."""
        self._file.close()

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write an entry down.

        Raises:
            OSError: the disk is full or gone.
        """
        text = json.dumps(entry, separators=(",", ":")).encode(_ENCODING)
        line = b"%08x %s\n" % (zlib.crc32(text), text)
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)

    def entries(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The whole entries in the order in which they were added, up to the first that is not whole, each
        behind the number of bytes up to its end."""
        end = 0
        with open(self._file.name, "rb") as lines:
            for line in lines:
                entry = _entry(line)
                if entry is None:
                    return
                end += len(line)
                yield end, entry

    def cut(self, place: int) -> None:
        """Forget all entries that come after so many bytes."""
        self._file.truncate(place)
        self._file.seek(0, os.SEEK_END)


def _entry(line: bytes) -> dict[str, Any] | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    try:
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
            return None
        entry = json.loads(text)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
