"""QGIS's feedback as the listener of a prediction."""

from __future__ import annotations

from qgis.core import QgsProcessingFeedback


class FeedbackListener:
    """Passes what a prediction says on to QGIS; see :class:`imagetodem_qgis.prediction.request.Listener`."""

    def __init__(self, feedback: QgsProcessingFeedback) -> None:
        self._feedback = feedback
        self.progress = feedback.setProgress
        self.say = feedback.pushInfo
        self.warn = feedback.pushWarning
        self.log = feedback.pushDebugInfo
        self.is_cancelled = feedback.isCanceled
