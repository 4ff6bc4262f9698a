"""A worker's ends of the connection to QGIS's process."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

from imagetodem_qgis.worker.protocol import Message, ProtocolError, read_message


def own_answers() -> BinaryIO:
    """The real standard output, for the protocol alone: what libraries print goes to the log from now on."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(0, os.O_BINARY)
        msvcrt.setmode(answers.fileno(), os.O_BINARY)
    return answers


def read_ahead(requests: BinaryIO) -> Iterator[Message]:
    """Requests as they come; the process ends when there can be no more.

    They are read in a thread: the next batch arrives while this one is worked on.
    """
    waiting: queue.Queue[Message] = queue.Queue()

    def read() -> None:
        try:
            while True:
                waiting.put(read_message(requests))
        except EOFError:
            pass
        except (ProtocolError, OSError) as error:
            print(f"the connection to QGIS broke: {error}", file=sys.stderr, flush=True)
        # QGIS closed the connection or died: nobody waits for what may still be under way.
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()
