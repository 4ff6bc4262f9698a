"""A grandchild in a group of its own outlives its parent and holds the pipes that it inherited, as a service
does that a package starts: nobody may wait for it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagetodem_qgis.runtime import client, training
from imagetodem_qgis.runtime.child import run_streaming
from imagetodem_qgis.runtime.client import WorkerClient, WorkerError
from imagetodem_qgis.runtime.training import TrainingError, run_training

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sessions are POSIX's")

LIFE = 60


@dataclass
class Grandchild:
    """What a child runs to start it, and its process id once it has."""

    file: Path

    @property
    def start(self) -> str:
        return (
            "import subprocess, sys; "
            f"sleep = [sys.executable, '-c', 'import time; time.sleep({LIFE})']; "
            f"open({str(self.file)!r}, 'w').write(str(subprocess.Popen(sleep, start_new_session=True).pid))"
        )

    @property
    def is_alive(self) -> bool:
        try:
            os.kill(int(self.file.read_text()), 0)
        except ProcessLookupError:
            return False
        return True


@pytest.fixture
def grandchild(tmp_path: Path) -> Iterator[Grandchild]:
    made = Grandchild(tmp_path / "pid")
    yield made
    os.kill(int(made.file.read_text()), signal.SIGKILL)


def test_a_streaming_child(grandchild: Grandchild) -> None:
    lines: list[str] = []
    command = [sys.executable, "-c", f"{grandchild.start}; print('done')"]
    assert run_streaming(command, lines.append, lambda: False) == 0
    assert lines == ["done"]
    assert grandchild.is_alive


def test_a_worker(grandchild: Grandchild, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_START", f"{grandchild.start}; print('no message', flush=True)")
    with WorkerClient(Path(sys.executable)) as worker, pytest.raises(WorkerError, match="cannot be read"):
        worker.receive()
    assert grandchild.is_alive


def test_a_training(grandchild: Grandchild, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = '{"event": "error", "message": "no data"}'
    monkeypatch.setattr(
        training,
        "_START",
        f"{grandchild.start}; print({failure!r}, flush=True)".replace("{", "{{").replace("}", "}}"),
    )
    with pytest.raises(TrainingError, match="no data"):
        run_training(Path(sys.executable), {}, _Silent())
    assert grandchild.is_alive


class _Silent:
    """Hears nothing, and goes on."""

    def progress(self, percent: float) -> None: ...

    def text(self, text: str) -> None: ...

    def say(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def log(self, text: str) -> None: ...

    def is_cancelled(self) -> bool:
        return False
