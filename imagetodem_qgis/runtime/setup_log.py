"""What the last setting up of the environment wrote, kept for the report."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import IO, Callable

from imagetodem_qgis.runtime.locations import home


def setup_log_file() -> Path:
    """The log of the last setting up; it may not exist."""
    return home() / "setup.log"


def last_lines(count: int = 40) -> list[str]:
    """The end of the last setting up's log; empty where there is none."""
    try:
        return setup_log_file().read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    except OSError:
        return []


class SetupLog:
    """The log of a setting up, as a context manager; a folder that cannot be written is no reason to stop."""

    def __init__(self) -> None:
        self._stream: IO[str] | None = None

    def __enter__(self) -> SetupLog:
        try:
            setup_log_file().parent.mkdir(parents=True, exist_ok=True)
            # One line at a time: the log is wanted most where the process was killed.
            self._stream = open(setup_log_file(), "w", encoding="utf-8", buffering=1)
        except OSError:
            self._stream = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def write(self, line: str) -> None:
        """Add a line."""
        if self._stream is not None:
            self._stream.write(line + "\n")

    def hearing(self, listener: Callable[[str], None]) -> Callable[[str], None]:
        """A listener that also writes what it hears into the log."""

        def heard(line: str) -> None:
            self.write(line)
            listener(line)

        return heard
