"""Trying again: which pauses, how often, and how soon a cancel is heard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagetodem_qgis.core.retry import (
    BackOff,
    RetryableError,
    RetryCancelled,
    retrying,
    seconds_of_retry_after,
)


class Server:
    """Fails some times, then answers; keeps the pauses in between."""

    def __init__(self, failures: int, retry_after: float | None = None) -> None:
        self.left = failures
        self.retry_after = retry_after
        self.calls = 0
        self.waited: list[float] = []

    def call(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise RetryableError("busy", self.retry_after)
        return "answer"


def test_an_answer_after_failures_of_less_than_all_attempts():
    server = Server(3)
    said: list[str] = []
    answer = retrying(server.call, back_off=BackOff(4), wait=server.waited.append, tell=said.append)
    assert (answer, server.calls) == ("answer", 4)
    assert [text.split(" in ")[0] for text in said] == [f"busy: attempt {n} of 4" for n in (2, 3, 4)]


def test_the_last_failure_is_raised():
    server = Server(9)
    with pytest.raises(RetryableError, match="busy"):
        retrying(server.call, back_off=BackOff(3), wait=server.waited.append)
    assert server.calls == 3


def test_another_error_is_not_tried_again():
    def call() -> None:
        raise KeyError("no such thing")

    with pytest.raises(KeyError):
        retrying(call, wait=lambda seconds: pytest.fail("it waited"))


@given(st.integers(1, 30), st.floats(0, 1), st.none() | st.floats(0, 1e4))
def test_pauses_grow_up_to_the_longest(failures, jitter, retry_after):
    back_off = BackOff(8, 0.5, 2.0, 20.0)
    pause = back_off.pause(failures, retry_after, jitter)
    own = min(20.0, 0.5 * 2.0 ** (failures - 1))
    if retry_after is None:
        assert own / 2 <= pause <= own
    else:
        assert min(20.0, retry_after) <= pause <= 20.0


def test_pauses_add_up_to_what_the_server_asks_for():
    server = Server(1, retry_after=7.0)
    retrying(server.call, back_off=BackOff(2, 0.1), wait=server.waited.append)
    assert sum(server.waited) == pytest.approx(7.0)
    assert max(server.waited) <= 0.1 + 1e-9


def test_a_cancel_ends_the_wait_at_the_next_look():
    server = Server(5, retry_after=60.0)
    with pytest.raises(RetryCancelled):
        retrying(server.call, lambda: len(server.waited) >= 3, wait=server.waited.append)
    assert (server.calls, len(server.waited)) == (1, 3)


def test_nothing_is_asked_once_it_is_cancelled():
    server = Server(0)
    with pytest.raises(RetryCancelled):
        retrying(server.call, lambda: True)
    assert server.calls == 0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 3 ", 3.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("Thu, 99 Jan 1970", None),
    ],
)
def test_the_header_of_a_server_out_of_breath(header, seconds):
    assert seconds_of_retry_after(header, now=60.0) == seconds


@given(st.text())
def test_no_header_is_too_odd(header):
    seconds = seconds_of_retry_after(header)
    assert seconds is None or seconds >= 0.0
