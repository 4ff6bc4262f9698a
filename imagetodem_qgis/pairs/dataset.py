"""Making a data set: what is not in its folder yet is fetched, and what is there is described."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from imagetodem_qgis.pairs.description import LeftOutCount, write_description
from imagetodem_qgis.pairs.estimate import (
    check_room,
    disk_bytes,
    in_words,
    size_in_words,
    time_in_words,
)
from imagetodem_qgis.pairs.examine import Limits
from imagetodem_qgis.pairs.fetch import Failed, Outcome, TileFetcher
from imagetodem_qgis.pairs.footprints import write_footprints
from imagetodem_qgis.pairs.journal import Journal, Kept, LeftOut
from imagetodem_qgis.pairs.order import neighbours_together
from imagetodem_qgis.pairs.plan import Plan
from imagetodem_qgis.pairs.source import REASONS, PairSource, Tile
from imagetodem_qgis.pairs.splits import SPLITS
from imagetodem_qgis.pairs.writer import PairWriter
from imagetodem_qgis.raster.cache import small_block_cache
from imagetodem_qgis.runtime.lock import LockedError, exclusive

_LOCK_FILE = ".lock"
_FAILURES_IN_A_ROW = 12
"""Tiles that fail one after the other before the source is taken to be gone."""


class Listener(Protocol):
    """Is told of a run's progress, and asked whether to go on."""

    def progress(self, percent: float) -> None:
        """How much is done, 0 to 100."""

    def text(self, text: str) -> None:
        """What is being done now."""

    def say(self, text: str) -> None:
        """Something a user wants to read."""

    def warn(self, text: str) -> None:
        """Something a user should not miss."""

    def is_cancelled(self) -> bool:
        """Whether the user wants to stop."""


class IncompleteError(RuntimeError):
    """Some tiles could not be had; the message names the cause, and what was fetched is kept."""


@dataclass(frozen=True)
class Job:
    """A data set to make.

    Attributes:
        folder: of the data set.
        plan: its tiles.
        resolution: side of a pixel in metres.
        size: of a tile in pixels.
        limits: of what is kept.
        parameters: that change what a tile holds, JSON values by the names that a user knows them by.
        image_type: of the images' values.
        description: further keys of ``dataset.json``.
    """

    folder: Path
    plan: Plan
    resolution: float
    size: int
    limits: Limits
    parameters: Mapping[str, Any]
    image_type: str = "float32"
    description: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """What a run came to.

    Attributes:
        pairs: in the folder.
        left_out: tiles by reason.
        footprints: the file.
    """

    pairs: int
    left_out: Mapping[str, int]
    footprints: Path


def make_dataset(job: Job, source: PairSource, listener: Listener) -> Made:
    """Bring a folder to hold all pairs of a plan.

    Raises:
        FetchCancelled: the user cancelled; what was fetched is kept.
        IncompleteError: some tiles could not be had; what was fetched is kept and described.
        JournalError: the folder holds pairs that were made with other parameters.
        OSError: the folder cannot be written to, or the disk is too small.
        SourceError: the source cannot be used.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(job.folder / _LOCK_FILE, listener.is_cancelled))
        except LockedError as error:
            raise OSError(f"another run is filling {job.folder}: wait for its end") from error
        stack.enter_context(small_block_cache())
        writer = PairWriter(job.folder, job.image_type)
        writer.sweep()
        journal = stack.enter_context(Journal(job.folder, job.parameters))
        missing = _missing(job, journal, writer, listener)
        failures = _Failures()
        if missing:
            _announce(job, source, missing, listener)
            progress = _Progress(job, journal, missing)
            with TileFetcher(source, writer, journal, job.limits) as fetcher:
                _fetch(fetcher, missing, progress, failures, listener)
        return _finished(job, source, journal, failures, listener)


class _Failures:
    """The tiles that could not be had in this run."""

    def __init__(self) -> None:
        self.count = 0
        self.in_a_row = 0
        self.first = ""
        self.is_fatal = False

    def note(self, outcome: Outcome) -> bool:
        """Take an outcome in; whether to give up."""
        if not isinstance(outcome, Failed):
            self.in_a_row = 0
            return False
        self.count += 1
        self.in_a_row += 1
        self.first = self.first or str(outcome.error)
        if outcome.error.fatal:
            self.first, self.is_fatal = str(outcome.error), True
        return self.is_fatal or self.in_a_row >= _FAILURES_IN_A_ROW


def _missing(job: Job, journal: Journal, writer: PairWriter, listener: Listener) -> list[Tile]:
    """The tiles that are not in the folder as they should be."""
    missing, broken = [], 0
    for tile in job.plan.tiles:
        known = journal.done.get(tile.id)
        if isinstance(known, LeftOut):
            continue
        if known is not None and writer.is_whole(tile.id, known.checksums):
            continue
        broken += known is not None
        writer.remove(tile.id)
        journal.done.pop(tile.id, None)
        missing.append(tile)
    if journal.done:
        listener.say(f"{len(journal.done)} tiles are done already and are not asked for again.")
    if broken:
        listener.warn(f"{broken} pairs in {job.folder} were broken or missing: they are fetched again.")
    return neighbours_together(missing)


def _announce(job: Job, source: PairSource, missing: Sequence[Tile], listener: Listener) -> None:
    room = disk_bytes(len(missing), job.size, 4 if job.image_type == "float32" else 2)
    check_room(job.folder, room)
    plan = job.plan
    counts = Counter(tile.split for tile in plan.tiles)
    shares = ", ".join(f"{counts[split]} {split}" for split in SPLITS)
    listener.say(
        f"{len(plan.tiles)} tiles of {job.size} x {job.size} pixels of {job.resolution:g} m in {plan.areas} "
        f"areas: {shares}; {plan.dropped} left out for the buffer between the splits."
    )
    estimate = source.estimate(missing)
    listener.say(f"Estimate: {in_words(estimate)}, {size_in_words(room)} on the disk.")


class _Progress:
    """How far a run is, for a user."""

    def __init__(self, job: Job, journal: Journal, missing: Sequence[Tile]) -> None:
        self._started = time.monotonic()
        self._total, self._missing = len(job.plan.tiles), len(missing)
        self._before = self._total - self._missing
        self._pairs = sum(isinstance(known, Kept) for known in journal.done.values())

    def tell(self, number: int, outcome: Outcome, listener: Listener) -> None:
        """Tell of this run's so manieth tile."""
        self._pairs += isinstance(outcome, Kept)
        listener.progress(100.0 * (self._before + number) / self._total)
        if number == self._missing:
            listener.text(f"{self._total} tiles, {self._pairs} pairs")
            return
        left = (time.monotonic() - self._started) / number * (self._missing - number)
        listener.text(
            f"{self._before + number} of {self._total} tiles, {self._pairs} pairs, about "
            f"{time_in_words(left)} left"
        )


def _fetch(
    fetcher: TileFetcher,
    missing: Sequence[Tile],
    progress: _Progress,
    failures: _Failures,
    listener: Listener,
) -> None:
    for number, (tile, outcome) in enumerate(fetcher.fetch(missing, listener.is_cancelled), 1):
        if isinstance(outcome, Failed):
            listener.warn(f"{tile.id}: {outcome.error}")
        progress.tell(number, outcome, listener)
        if failures.note(outcome):
            break


def _finished(
    job: Job, source: PairSource, journal: Journal, failures: _Failures, listener: Listener
) -> Made:
    done = [(tile, journal.done.get(tile.id)) for tile in job.plan.tiles]
    pairs = [(tile, known) for tile, known in done if isinstance(known, Kept)]
    left_out = Counter(known.reason for _, known in done if isinstance(known, LeftOut))
    for reason in REASONS:
        if left_out[reason]:
            listener.say(f"{left_out[reason]} tiles left out: too much {reason}.")
    footprints = write_footprints(job.folder, [(tile, known.provenance) for tile, known in pairs])
    count = LeftOutCount(left_out, job.plan.dropped, len(done) - len(pairs) - sum(left_out.values()))
    about = {**source.describe(), **job.description, "resolution": job.resolution, "tile_size": job.size}
    write_description(job.folder, about, pairs, count)
    if failures.count:
        raise IncompleteError(_incomplete(job, failures, len(pairs), len(done)))
    for split in SPLITS[:2]:
        if pairs and not any(tile.split == split for tile, _ in pairs):
            listener.warn(f"No pair is left for the split '{split}', which a training needs: add areas.")
    if not pairs:
        listener.warn("No tile was worth keeping: the folder holds no pair.")
    return Made(len(pairs), dict(left_out), footprints)


def _incomplete(job: Job, failures: _Failures, pairs: int, total: int) -> str:
    tiles = f"{failures.count} tile{'s' * (failures.count != 1)}"
    in_a_row = " in a row" if failures.in_a_row >= _FAILURES_IN_A_ROW else ""
    return (
        f"{failures.first}\n{tiles}{in_a_row} could not be fetched; {pairs} pairs of {total} tiles are whole "
        f"in {job.folder} and stay. Run this again with the same parameters to fetch the rest."
    )
