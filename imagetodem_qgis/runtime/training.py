"""Running a training in the machine-learning environment, in a child process of its own.

The child is told one order, a line of JSON on its standard input, and tells what happens, a line of JSON each
on its standard output; its standard error is the log. See :mod:`imagetodem_qgis.worker.train`.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Callable, Protocol, cast

from imagetodem_qgis.runtime.child import ChildStartError, end, start_worker
from imagetodem_qgis.runtime.inspection import inspect
from imagetodem_qgis.runtime.interpreter import OWN_ENVIRONMENT, SETUP_ADVICE, Interpreter, InterpreterError
from imagetodem_qgis.runtime.locations import PLUGIN_FOLDER
from imagetodem_qgis.runtime.obituary import reason_of_end
from imagetodem_qgis.runtime.pipes import close_pipes
from imagetodem_qgis.runtime.profiles import TRAIN

_START = "import sys; sys.path.append({path!r}); from imagetodem_qgis.worker.train import main; main()"
_LOG_LINES = 12
_LOOK_UP_SECONDS = 0.1
_LAST_STEP_SECONDS = 0.6
"""What a cancelled training has to come to the end of its step and keep it, before it is ended."""
_MEMORY_ADVICE = "Lower BATCH_SIZE or close other programs, and run this again with RESUME to go on."


class TrainingError(RuntimeError):
    """The training failed; the message tells why, where it died with the last lines of its log."""


class TrainingCancelled(RuntimeError):
    """The user cancelled; the child has ended."""


class Listener(Protocol):
    """Is told of a training's progress, and asked whether to go on."""

    def progress(self, percent: float) -> None:
        """How much is done, 0 to 100."""

    def text(self, text: str) -> None:
        """What is being done now."""

    def say(self, text: str) -> None:
        """Something a user wants to read."""

    def warn(self, text: str) -> None:
        """Something a user should not miss."""

    def log(self, text: str) -> None:
        """A line of the child's log."""

    def is_cancelled(self) -> bool:
        """Whether the user wants to stop."""


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        model: folder of the trained model, inside the run's.
        report: the page of HTML about it.
        epochs_done: how many epochs were trained, those before a resumption included.
        best_epoch: the one whose weights the model has.
        validation_rmse: of that epoch on the held-out areas, in metres where the model's heights have a unit.
    """

    model: Path
    report: Path
    epochs_done: int
    best_epoch: int
    validation_rmse: float


def require_training(interpreter: Interpreter) -> None:
    """Check that an interpreter can train.

    Raises:
        InterpreterError: it lacks something; the message names the profile to set up.
    """
    missing = TRAIN.missing(inspect(interpreter.path))
    if not missing:
        return
    message = (
        f"{interpreter.path} ({interpreter.source}) lacks {', '.join(missing)}, which training needs. "
        f"{SETUP_ADVICE} with PROFILE={TRAIN.name}"
    )
    if interpreter.source != OWN_ENVIRONMENT:
        message += ", or install them into that interpreter"
    raise InterpreterError(f"{message}, then run this again.")


def run_training(interpreter: Path, order: Mapping[str, Any], listener: Listener) -> Outcome:
    """Train a generator, until it is done or the user cancels.

    Args:
        interpreter: of the machine-learning environment.
        order: the fields of ``training.request.Request`` by name, paths as text.
        listener: is told what happens.

    Raises:
        TrainingCancelled: the user cancelled. What was learned is in the run's folder, up to the last step
            or, where that took too long to keep, up to the last checkpoint.
        TrainingError: the training failed, or its process died.
    """
    try:
        process = start_worker(interpreter, _START.format(path=str(PLUGIN_FOLDER.parent)))
    except ChildStartError as error:
        raise TrainingError(str(error)) from error
    child = _Child(process)
    try:
        child.tell(order)
        return _heard(child, listener)
    finally:
        child.close()


def _heard(child: _Child, listener: Listener) -> Outcome:
    """Hand on what the child tells, until it tells how it ended."""
    while True:
        if listener.is_cancelled():
            child.ask_to_stop(_LAST_STEP_SECONDS)
            raise TrainingCancelled("cancelled")
        kind, content = child.next(_LOOK_UP_SECONDS)
        if kind == "log":
            listener.log(content)
        elif kind == "note":
            listener.say(content["text"])
        elif kind == "warning":
            listener.warn(content["text"])
        elif kind == "progress":
            listener.progress(content["percent"])
            listener.text(content["text"])
        elif kind == "done":
            return Outcome(
                Path(content["model"]),
                Path(content["report"]),
                content["epochs_done"],
                content["best_epoch"],
                content["validation_rmse"],
            )
        elif kind == "error":
            raise TrainingError(content["message"])
        elif kind == "end":
            raise TrainingError(child.obituary())


class _Child:
    """A running child, the lines that it writes in the order in which they come."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._last_lines: deque[str] = deque(maxlen=_LOG_LINES)
        works: tuple[Callable[[], None], ...] = (self._read, self._listen)
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def tell(self, order: Mapping[str, Any]) -> None:
        """Give the order."""
        self._write(json.dumps(dict(order)).encode() + b"\n")

    def next(self, seconds: float) -> tuple[str, Any]:
        """The next event's kind and content; ``("", None)`` where none came in time."""
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            return "", None

    def ask_to_stop(self, seconds: float) -> None:
        """Have the child keep what it learned, and wait for its end for as long."""
        self._write(b"stop\n")
        deadline = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)

    def obituary(self) -> str:
        """Why the child ended before its work was done, with the end of its log."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        code = self._process.poll()
        self.close()
        reason = reason_of_end(code, "The training", _MEMORY_ADVICE)
        log = "\n".join(self._last_lines)
        return f"{reason}\nLast lines of its log:\n{log}" if log else f"{reason}\nIts log is empty."

    def close(self) -> None:
        """End the child if it has not ended."""
        end(self._process)
        streams = (self._process.stdout, self._process.stderr)
        close_pipes((self._process.stdin, None), *zip(streams, self._threads))

    def _write(self, line: bytes) -> None:
        stream = cast(BinaryIO, self._process.stdin)
        # A child that is gone tells so by the end of its output.
        with contextlib.suppress(OSError, ValueError):
            stream.write(line)
            stream.flush()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for raw in cast(BinaryIO, self._process.stdout):
                event = json.loads(raw)
                self._events.put((event.pop("event"), event))
        self._events.put(("end", None))

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for raw in cast(BinaryIO, self._process.stderr):
                line = raw.decode(errors="replace").rstrip()
                if line:
                    self._last_lines.append(line)
                    self._events.put(("log", line))
