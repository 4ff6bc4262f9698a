"""Progress within a part of a run."""

from __future__ import annotations

from imagetodem_qgis.prediction.request import Listener


class Share:
    """A listener that is told of a part of a run, and tells another of the whole.

    Args:
        listener: to tell.
        start: of the part, as a share of the whole from 0 to 1.
        end: likewise.
    """

    def __init__(self, listener: Listener, start: float, end: float) -> None:
        self._listener, self._start, self._end = listener, start, end
        self.say, self.warn, self.log = listener.say, listener.warn, listener.log
        self.is_cancelled = listener.is_cancelled

    def progress(self, percent: float) -> None:
        """See :class:`imagetodem_qgis.prediction.request.Listener`."""
        self._listener.progress(100.0 * self._start + percent * (self._end - self._start))
