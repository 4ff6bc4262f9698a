"""Listeners without QGIS: one that prints, one that keeps quiet."""

from __future__ import annotations

import sys


class Silent:
    """Is told and says nothing; see :class:`imagetodem_qgis.prediction.request.Listener`."""

    def progress(self, percent: float) -> None:
        """See :class:`imagetodem_qgis.prediction.request.Listener`."""
        del percent

    def say(self, text: str) -> None:
        """See :class:`imagetodem_qgis.prediction.request.Listener`."""
        del text

    warn = log = say

    def is_cancelled(self) -> bool:
        """Never: who wants to stop ends the process."""
        return False


class Printing(Silent):
    """Prints what it is told to standard error."""

    def __init__(self) -> None:
        self._percent = -1

    def progress(self, percent: float) -> None:
        """See :class:`imagetodem_qgis.prediction.request.Listener`."""
        if int(percent) > self._percent:
            self._percent = int(percent)
            print(f"\r{self._percent} %", end="", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """See :class:`imagetodem_qgis.prediction.request.Listener`."""
        print(f"\r{text}", file=sys.stderr, flush=True)

    warn = log = say
