"""Starting the worker, talking to it, and ending it."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Callable, cast

from numpy.typing import NDArray

from imagetodem_qgis.runtime.child import ChildStartError, end, start_worker
from imagetodem_qgis.runtime.locations import PLUGIN_FOLDER
from imagetodem_qgis.runtime.obituary import reason_of_end
from imagetodem_qgis.runtime.pipes import close_pipes
from imagetodem_qgis.worker.protocol import Message, ProtocolError, read_message, write_message

_START = "import sys; sys.path.append({path!r}); from {module} import main; main()"
_LOG_LINES = 12
_LOOK_UP_SECONDS = 0.1
_MEMORY_ADVICE = "Lower BATCH_SIZE, close other programs, or predict a smaller EXTENT."


class WorkerError(RuntimeError):
    """The worker died or refused; the message tells why, with the last lines of its log."""


class WorkerCancelled(RuntimeError):
    """The user cancelled; the worker was ended."""


class WorkerClient:
    """A running worker. Requests may be sent ahead of their answers, which come in order.

    Use it as a context manager: the worker is ended when the block is left.

    Args:
        interpreter: of the machine-learning environment.
        is_cancelled: asked while waiting.
        log: given each line of the worker's log.
        module: whose ``main`` is the worker.
        variables: of its environment, beside this process's.
    """

    def __init__(
        self,
        interpreter: Path,
        is_cancelled: Callable[[], bool] = lambda: False,
        log: Callable[[str], None] = lambda line: None,
        module: str = "imagetodem_qgis.worker.main",
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._is_cancelled = is_cancelled
        self._log = log
        self._last_lines: deque[str] = deque(maxlen=_LOG_LINES)
        self._answers: queue.Queue[Message | Exception] = queue.Queue()
        self._requests: queue.Queue[Message | None] = queue.Queue()
        try:
            start = _START.format(path=str(PLUGIN_FOLDER.parent), module=module)
            self._process = start_worker(interpreter, start, variables)
        except ChildStartError as error:
            raise WorkerError(str(error)) from error
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._read, self._listen, self._write)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def send(self, header: dict[str, Any], arrays: list[NDArray[Any]] | None = None) -> None:
        """Send a request without waiting for its answer."""
        self._requests.put(Message(header, arrays or []))

    def receive(self) -> Message:
        """Wait for the next answer.

        Raises:
            WorkerCancelled: the user cancelled while it was waited for; the worker is ended.
            WorkerError: the worker died, or answered that it failed.
        """
        while True:
            if self._is_cancelled():
                self.close()
                raise WorkerCancelled("cancelled")
            try:
                answer = self._answers.get(timeout=_LOOK_UP_SECONDS)
                break
            except queue.Empty:
                continue
        if isinstance(answer, Exception):
            raise WorkerError(self._obituary(answer))
        if answer.header["type"] == "error":
            raise WorkerError(answer.header["message"])
        return answer

    def ask(self, header: dict[str, Any], arrays: list[NDArray[Any]] | None = None) -> Message:
        """Send a request and wait for its answer; raises as :meth:`receive` does."""
        self.send(header, arrays)
        return self.receive()

    def close(self) -> None:
        """End the worker, within half a second."""
        self._requests.put(None)
        end(self._process)
        streams = (self._process.stdout, self._process.stderr, self._process.stdin)
        close_pipes(*zip(streams, self._threads))

    def _write(self) -> None:
        stream = cast(BinaryIO, self._process.stdin)
        try:
            for request in iter(self._requests.get, None):
                write_message(stream, request)
        except OSError:
            # The worker is gone; the reading thread tells so.
            return
        except ProtocolError as error:
            self._answers.put(error)

    def _read(self) -> None:
        stream = cast(BinaryIO, self._process.stdout)
        try:
            while True:
                self._answers.put(read_message(stream))
        except (EOFError, ProtocolError, OSError, ValueError) as error:
            self._answers.put(error)

    def _listen(self) -> None:
        stream = cast(BinaryIO, self._process.stderr)
        for raw in stream:
            line = raw.decode(errors="replace").rstrip()
            if line:
                self._last_lines.append(line)
                self._log(line)

    def _obituary(self, error: Exception) -> str:
        """Why the worker ended, in words, with the end of its log."""
        if isinstance(error, ProtocolError):
            reason = f"the worker sent something that cannot be read ({error})"
        else:
            reason = reason_of_end(self._exit_code(), "The worker", _MEMORY_ADVICE)
        self.close()
        log = "\n".join(self._last_lines)
        return f"{reason}\nLast lines of its log:\n{log}" if log else f"{reason}\nIts log is empty."

    def _exit_code(self) -> int | None:
        deadline = time.monotonic() + 1.0
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return self._process.poll()
