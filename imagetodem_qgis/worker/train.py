"""A training in a process of its own.

Reads one order from stdin, a line of JSON with the fields of ``training.request.Request``. Tells what happens
on stdout, a line of JSON each: ``note`` and ``warning`` (text), ``progress`` (percent, text), and in the end
``done`` (model, report, epochs_done, best_epoch, validation_rmse), ``stopped``, or ``error`` (message). Logs
to stderr. A further line on stdin, or its end, stops the training at the end of its step.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

from imagetodem_qgis.runtime.locations import home
from imagetodem_qgis.runtime.lock import LockedError, exclusive
from imagetodem_qgis.worker.training_package import import_training

_SECONDS_TO_KEEP = 20.0
"""What a training has to write a checkpoint once QGIS is gone."""
_PATHS = ("output", "start_from", "terrains")


class Events:
    """The training's listener: tells QGIS, and knows whether QGIS wants to stop."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._stop = threading.Event()

    def tell(self, event: str, **content: Any) -> None:
        """Write one event; where nobody reads any more, stop."""
        try:
            self._stream.write(json.dumps({"event": event, **content}).encode() + b"\n")
            self._stream.flush()
        except OSError:
            self._stop.set()

    def note(self, text: str) -> None:
        """Something a user wants to read."""
        self.tell("note", text=text)

    def warn(self, text: str) -> None:
        """Something a user should not miss."""
        self.tell("warning", text=text)

    def progress(self, progress: Any) -> None:
        """How far the training is."""
        self.tell("progress", percent=100.0 * progress.fraction, text=progress_text(progress))

    def cancelled(self) -> bool:
        """Whether to stop at the end of this step."""
        return self._stop.is_set()

    def obey(self, orders: io.RawIOBase) -> None:
        """Wait for the word to stop; once QGIS itself is gone, do not outlive it by long."""
        while orders.readline():
            self._stop.set()
        self._stop.set()
        time.sleep(_SECONDS_TO_KEEP)
        os._exit(3)


def progress_text(progress: Any) -> str:
    """A ``training.train.Progress`` in words: where the training is, its losses, the time left."""
    parts = [f"Epoch {progress.epoch} of {progress.epochs}, step {progress.step} of {progress.steps}"]
    parts += [f"{name.replace('_', ' ')} {value:.4g}" for name, value in progress.losses.items()]
    parts += [f"held-out {name.replace('_', ' ')} {value:.4g}" for name, value in progress.validation.items()]
    if progress.seconds_left is not None:
        parts.append(f"{_duration(progress.seconds_left)} left")
    return " · ".join(parts)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60.0)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60.0:.1f} h"


def follow(order: dict[str, Any], events: Events) -> None:
    """Train as ordered and tell how it ended."""
    request_module = import_training("request")
    request = request_module.Request(**_with_paths(order))
    try:
        with exclusive(_lock_file(request.output), events.cancelled, patience=0.0):
            result = import_training("train").train(request, events)
    except LockedError:
        events.tell(
            "error",
            message=f"OUTPUT: another training is at work in {request.output}: wait for it, or stop it",
        )
    except request_module.DataError as error:
        events.tell("error", message=f"DATASET: {error}")
    except request_module.TrainingError as error:
        events.tell("error", message=str(error))
    except request_module.Cancelled:
        events.tell("stopped")
    else:
        events.tell(
            "done",
            model=str(result.model),
            report=str(result.report),
            epochs_done=result.epochs_done,
            best_epoch=result.best_epoch,
            validation_rmse=float(result.validation_rmse),
        )


def _with_paths(order: dict[str, Any]) -> dict[str, Any]:
    fields = {name: Path(value) if name in _PATHS and value else value for name, value in order.items()}
    return {**fields, "datasets": tuple(map(Path, order["datasets"]))}


def _lock_file(run: Path) -> Path:
    """Not in the run's folder, which a training may begin by removing."""
    name = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:16]
    return home() / "locks" / f"training-{name}"


def main() -> None:
    """Serve the parent process."""
    # Libraries print to stdout as they please; the events keep the real one to themselves.
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    # Unbuffered: a thread that waits in a buffered reader would break the interpreter's end.
    orders = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115 - it lives as long as the process
    order = json.loads(orders.readline())
    events = Events(stream)
    threading.Thread(target=events.obey, args=(orders,), daemon=True).start()
    follow(order, events)
