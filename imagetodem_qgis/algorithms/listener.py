"""QGIS's feedback as the listener of a prediction or a training."""

from __future__ import annotations

from qgis.core import QgsProcessingFeedback


class FeedbackListener:
    """Passes what is said on to QGIS; see the ``Listener`` of :mod:`imagetodem_qgis.prediction.request` and
    of :mod:`imagetodem_qgis.runtime.training`."""

    def __init__(self, feedback: QgsProcessingFeedback) -> None:
        self._feedback = feedback
        self.progress = feedback.setProgress
        self.text = feedback.setProgressText
        self.say = feedback.pushInfo
        self.warn = feedback.pushWarning
        self.log = feedback.pushDebugInfo
        self.is_cancelled = feedback.isCanceled
