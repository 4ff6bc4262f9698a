"""The folder beside an output in which a run keeps what it has done until the output is whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imagetodem_qgis.prediction.journal import JOURNAL_SUFFIX
from imagetodem_qgis.runtime.lock import LockedError, exclusive

_RUN_FILE = "run.json"
_LOCK_FILE = "lock"
_SUFFIX = ".unfinished"


class Unfinished:
    """What is kept of a run that is not finished.

    Attributes:
        folder: where.
        goes_on: whether an earlier run with the same parameters left something there.
        replaced: whether an earlier run with other parameters did, which is gone.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any]) -> None:
        self.folder = folder
        described = json.dumps(run, sort_keys=True, indent=1)
        file = folder / _RUN_FILE
        earlier = file.read_text(encoding="utf-8") if file.is_file() else None
        self.goes_on = earlier == described
        self.replaced = earlier is not None and not self.goes_on
        if not self.goes_on:
            for left in folder.iterdir():
                if left.is_dir():
                    shutil.rmtree(left)
                elif left.name != _LOCK_FILE:
                    left.unlink()
            # Under another name first: a half description would be taken for another run's.
            half = folder / f"{_RUN_FILE}.part"
            half.write_text(described, encoding="utf-8")
            os.replace(half, file)


def unfinished_folder(output: Path) -> Path:
    """The folder beside an output."""
    return output.with_name(f"{output.stem}{_SUFFIX}")


@contextmanager
def unfinished(output: Path, run: Mapping[str, Any]) -> Iterator[Unfinished]:
    """Hold the folder beside an output while the block runs; it stays when the block is left by an error
    after a first tile was done, and is removed otherwise.

    Args:
        output: file that the run makes.
        run: all that its result depends on, as JSON can hold it.

    Raises:
        OSError: another process makes the same output, or the folder holds something else.
    """
    folder = unfinished_folder(output)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _LOCK_FILE).is_file():
        raise OSError(
            f"the folder {folder}, where this run would keep its tiles, holds something else: move it"
        )
    is_kept = False
    try:
        with exclusive(folder / _LOCK_FILE, lambda: True):
            try:
                yield Unfinished(folder, run)
            except BaseException:
                is_kept = any(journal.stat().st_size for journal in folder.rglob(f"*{JOURNAL_SUFFIX}"))
                raise
    except LockedError as error:
        is_kept = True
        raise OSError(
            f"another run is making {output} (OUTPUT) at this moment: choose another file"
        ) from error
    finally:
        if not is_kept:
            discard(output)


def discard(output: Path) -> None:
    """Remove what is kept for an output, if anything is."""
    shutil.rmtree(unfinished_folder(output), ignore_errors=True)
