"""TensorBoard logs without TensorFlow, so that they come from PyTorch's training step just the same."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from PIL import Image

try:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter
except ImportError as error:
    raise ImportError(
        "TensorBoard is not installed in the machine-learning environment, so no log is written for it; "
        "training does without"
    ) from error


class TensorBoardLog:
    """An event file in a folder, to be looked at with ``tensorboard --logdir FOLDER``.

    A run that goes on adds a file; TensorBoard joins them by step.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard knows its files by the part before the first number, and reads them in order of name.
        name = f"events.out.tfevents.{time.time_ns() // 1_000_000_000:010d}.{time.time_ns() % 10**9:09d}"
        self.path = folder / f"{name}.{os.getpid()}"
        self._records = RecordWriter(open(self.path, "xb"))  # noqa: SIM115 (closed by close)
        self._write(Event(file_version="brain.Event:2"))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers of a step by their names; a name's part before ``/`` groups curves."""
        summary = Summary(
            value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        )
        self._write(Event(step=step, summary=summary))

    def picture(self, step: int, name: str, path: Path) -> None:
        """Write a PNG file as the picture of that name at a step."""
        with Image.open(path) as picture:
            wide, high = picture.size
        content = Summary.Image(height=high, width=wide, colorspace=3, encoded_image_string=path.read_bytes())
        self._write(Event(step=step, summary=Summary(value=[Summary.Value(tag=name, image=content)])))

    def close(self) -> None:
        """Close the file; further calls do nothing."""
        if not self._records.closed:
            self._records.close()

    def __enter__(self) -> TensorBoardLog:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        # Whoever watches a run sees each step, and a killed run keeps all that it said.
        self._records.flush()
