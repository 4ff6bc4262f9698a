from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from imagetodem_qgis.worker.protocol import Message, ProtocolError, read_message, write_message

ROOT = Path(__file__).resolve().parents[2]

DTYPES = st.sampled_from(["float32", "float64", "int64", "uint8"])
ARRAYS = DTYPES.flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)
TEXTS = st.text(max_size=20)
HEADERS = st.dictionaries(
    TEXTS.filter(lambda key: key != "arrays"),
    st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, st.lists, max_leaves=5),
    max_size=4,
)


def sent(message: Message) -> bytes:
    stream = io.BytesIO()
    write_message(stream, message)
    return stream.getvalue()


def raw(header: Any, rest: bytes = b"", magic: bytes = b"I2D1") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<4sI", magic, len(text)) + text + rest


class Dripping(io.RawIOBase):
    """Hands out what it holds a few bytes at a time, as a pipe may."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readinto(self, buffer: Any) -> int:
        part = self._content.read(min(3, len(buffer)))
        buffer[: len(part)] = part
        return len(part)


@given(st.lists(st.tuples(HEADERS, st.lists(ARRAYS, max_size=3)), min_size=1, max_size=3))
def test_messages_come_back_as_they_were_sent(messages):
    stream = Dripping(b"".join(sent(Message(header, values)) for header, values in messages))
    for header, values in messages:
        received = read_message(stream)
        assert received.header == header
        assert len(received.arrays) == len(values)
        for array, value in zip(received.arrays, values):
            assert array.dtype == value.dtype
            np.testing.assert_array_equal(array, value)
            assert array.shape == value.shape
            assert array.flags.writeable
    with pytest.raises(EOFError):
        read_message(stream)


def test_the_bytes_are_those_of_the_description():
    array = np.array([[1.0, 2.0]], np.float32)
    expected = raw({"type": "x", "arrays": [{"dtype": "float32", "shape": [1, 2]}]}, struct.pack("<2f", 1, 2))
    assert sent(Message({"type": "x"}, [array])) == expected


def test_arrays_are_sent_in_row_order_however_they_lie_in_memory():
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for view in (array.T, array[:, ::-1], array[:, :, 1:3], np.asfortranarray(array)):
        received = read_message(io.BytesIO(sent(Message({}, [view])))).arrays[0]
        np.testing.assert_array_equal(received, view)


@pytest.mark.parametrize("dtype", ["float16", "int32", "complex64", "bool", "U3"])
def test_other_dtypes_are_not_sent_and_nothing_goes_out(dtype):
    stream = io.BytesIO()
    with pytest.raises(ProtocolError, match="cannot send an array of"):
        write_message(stream, Message({}, [np.zeros(2, np.float32), np.zeros(2, dtype)]))
    assert stream.getvalue() == b""


@given(st.data())
def test_a_message_cut_off_anywhere_is_an_end(data):
    whole = sent(Message({"type": "predict"}, [np.ones((2, 3), np.float32), np.ones(4, np.int64)]))
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(EOFError):
        read_message(io.BytesIO(part))


@given(st.binary(min_size=8, max_size=60).filter(lambda content: content[:4] != b"I2D1"))
def test_other_bytes_are_refused(content):
    with pytest.raises(ProtocolError, match="expected a message"):
        read_message(io.BytesIO(content))


@given(st.binary(max_size=60))
def test_other_bytes_after_the_magic_are_refused_or_an_end(content):
    with pytest.raises((ProtocolError, EOFError)):
        read_message(io.BytesIO(b"I2D1" + content))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"\xff\xfe",
        [1, 2],
        None,
        "text",
        {},
        {"arrays": None},
        {"arrays": [1]},
        {"arrays": ["float32"]},
        {"arrays": [{"dtype": "float32"}]},
        {"arrays": [{"shape": [1]}]},
        {"arrays": [{"dtype": "object", "shape": [1]}]},
        {"arrays": [{"dtype": ["float32"], "shape": [1]}]},
        {"arrays": [{"dtype": "float32", "shape": [-1]}]},
        {"arrays": [{"dtype": "float32", "shape": 5}]},
        {"arrays": [{"dtype": "float32", "shape": ["x"]}]},
        {"arrays": [{"dtype": "float32", "shape": [2**70]}]},
        {"arrays": [{"dtype": "float32", "shape": [2**45, 2**5]}]},
    ],
    ids=str,
)
def test_broken_headers_are_refused(header):
    with pytest.raises(ProtocolError):
        read_message(io.BytesIO(raw(header, bytes(64))))


def test_a_header_longer_than_any_is_refused_before_it_is_read():
    stream = io.BytesIO(struct.pack("<4sI", b"I2D1", 2**31) + b"{}")
    with pytest.raises(ProtocolError, match="expected a message"):
        read_message(stream)
    assert stream.tell() == 8


@pytest.fixture
def worker() -> Any:
    """A worker behind real pipes, started as QGIS's process starts it."""
    start = "import sys; sys.path.append(sys.argv[1]); from imagetodem_qgis.worker.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", start, str(ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(OSError):
            stream.close()


def test_the_worker_answers_and_goes_on_after_an_error(worker):
    overlap = np.array([[0.0, 4.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    nothing_known = [np.zeros(0, np.int64), np.zeros((0, 3))]
    solve = Message(
        {"type": "solve", "gains": False},
        [np.array([[0, 1]], np.int64), overlap, *nothing_known, np.array([1.0, 3.0])],
    )
    for request in (
        Message({"type": "predict"}, [np.zeros((1, 2, 2, 3), np.float32)]),
        solve,
        Message({}),
        solve,
    ):
        write_message(worker.stdin, request)
    answers = [read_message(worker.stdout) for _ in range(4)]
    assert [answer.header["type"] for answer in answers] == ["error", "solved", "error", "solved"]
    assert answers[0].header["message"] == "predict was asked before open"
    assert answers[0].header["error"] == "RuntimeError"
    for number in (1, 3):
        # o0 - o1 = 4 with o0 + 3 o1 = 0
        np.testing.assert_allclose(answers[number].arrays[0], [3.0, -1.0], atol=1e-9)
    worker.stdin.close()
    assert worker.wait(10) == 0
    assert worker.stdout.read() == b""


def test_the_worker_ends_when_it_is_sent_what_it_cannot_read(worker):
    worker.stdin.write(b"hello, is anybody there?")
    worker.stdin.flush()
    assert worker.wait(20) == 0
    assert b"the connection to QGIS broke" in worker.stderr.read()


def test_opening_what_is_no_model_is_an_error_in_words(worker, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    model = {"kind": "onnx", "path": os.fspath(tmp_path / "bad.onnx")}
    write_message(
        worker.stdin, Message({"type": "open", "engine": "onnxruntime", "model": model, "device": "cpu"})
    )
    answer = read_message(worker.stdout)
    assert answer.header["error"] == "EngineError"
    assert "bad.onnx" in answer.header["message"]
