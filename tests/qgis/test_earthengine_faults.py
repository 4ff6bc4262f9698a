"""What goes wrong between here and Earth Engine, and what a user reads of it."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from tests.services.earthengine import faults
from tests.services.earthengine.grids import Grid
from tests.services.earthengine.server import EarthEngineServer

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from imagetodem_qgis.core.retry import BackOff
from imagetodem_qgis.pairs.earthengine_source import EarthEngineSource
from imagetodem_qgis.pairs.source import (
    AW3D30,
    LEAST_CLOUDY,
    FetchCancelled,
    Query,
    SourceError,
    Tile,
)

ONE_DAY = Query(date(2021, 6, 15), date(2021, 6, 15), tuple(range(1, 13)), 100.0, LEAST_CLOUDY, AW3D30)
TILE = Tile("one", "area", "train", "EPSG:32633", 500_600.0, 4_999_400.0, 30.0, 16)
QUICK = BackOff(attempts=3, first=0.02, longest=0.3)
SourceMaker = Callable[..., EarthEngineSource]

# Kind, request that it meets, how often at most it may come before three attempts are not enough.
PASSING = [
    *(
        (faults.STATUS, at, {"status": code})
        for at in (faults.VALUE, faults.PIXELS)
        for code in (429, 500, 502, 503)
    ),
    *(
        (kind, at, {})
        for at in (faults.VALUE, faults.PIXELS)
        for kind in (faults.CUT, faults.TRUNCATED, faults.EXPIRED, faults.HTML, faults.RESET, faults.GARBLED)
    ),
    (faults.SLOW, faults.PIXELS, {"seconds": 2.5}),
    (faults.SLOW, faults.VALUE, {"seconds": 2.5}),
    (faults.STATUS, faults.PIXELS, {"status": 429, "retry_after": "0"}),
    (faults.STATUS, faults.PIXELS, {"status": 403, "message": "Rate Limit Exceeded"}),
    (faults.STATUS, faults.PIXELS, {"status": 429, "message": "Too many concurrent aggregations."}),
]

LASTING = [
    (faults.STATUS, {"status": 500}, False, "Earth Engine answers 500 .*Internal error"),
    (
        faults.STATUS,
        {"status": 429, "message": "Quota exceeded for quota metric 'Requests per minute'"},
        False,
        "429",
    ),
    (
        faults.STATUS,
        {"status": 429, "message": "Quota of 150 EECU-hours per month is exhausted."},
        True,
        "quota of the Earth Engine project is used up .*kept.*run this again",
    ),
    (
        faults.STATUS,
        {"status": 403, "message": "Earth Engine API has not been used in project 1 before"},
        True,
        "^PROJECT: Earth Engine refuses the project .*Register it at https://console",
    ),
    (
        faults.STATUS,
        {"status": 400, "message": "Image.select: Band pattern 'B4' did not match."},
        False,
        "400: Image.select",
    ),
    (
        faults.STATUS,
        {"status": 404, "message": "Asset not found."},
        True,
        "does not know .*PROJECT and SERVER",
    ),
    (faults.EXPIRED, {}, True, "does not accept the sign-in"),
    (faults.HTML, {}, False, "web page"),
    (faults.TRUNCATED, {}, False, "broke off"),
    (faults.CUT, {}, False, "the answer broke off"),
    (faults.RESET, {}, False, "connection to the server broke"),
    (faults.GARBLED, {}, False, "no pixels but something else"),
    (faults.STATUS, {"status": 400, "message": "User memory limit exceeded."}, False, "memory limit"),
]


def fill(server: EarthEngineServer) -> None:
    """One scene and its heights."""
    server.forget()
    ramp = lambda x, y: 1000 + (x - 500_000) / 10  # noqa: E731
    server.world.add_scene(
        "one", Grid("EPSG:32633", 500_000, 5_000_000, 10, -10, 300, 300), (ramp, ramp, ramp)
    )
    server.world.add_heights(14.9, 45.2, 1000, 1000, lambda x, y: np.full(np.shape(x), 100.0))


@pytest.fixture(scope="module")
def make_source(
    earth_engine: EarthEngineServer, earth_engine_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SourceMaker]:
    key_file = earth_engine.write_key(tmp_path_factory.mktemp("key") / "key.json")
    made: list[EarthEngineSource] = []

    def make(log: Callable[[str], None] = print, **changes: Any) -> EarthEngineSource:
        details = {"project": "", "key_file": key_file, "address": earth_engine.address, **changes}
        made.append(
            EarthEngineSource(
                ONE_DAY,
                earth_engine_python,
                simultaneous=4,
                log=log,
                **{"answer_seconds": 1.5, "back_off": QUICK, **details},
            )
        )
        return made[-1]

    yield make
    for source in made:
        source.close()


@pytest.fixture(scope="module")
def source(make_source: SourceMaker) -> EarthEngineSource:
    return make_source()


@pytest.fixture
def server(earth_engine: EarthEngineServer) -> EarthEngineServer:
    fill(earth_engine)
    return earth_engine


@pytest.fixture(scope="module")
def right(earth_engine: EarthEngineServer, source: EarthEngineSource) -> np.ndarray:
    """What the tile's image is when all goes well."""
    fill(earth_engine)
    return source.fetch(TILE, lambda: False).image


@pytest.mark.parametrize(("kind", "at", "details"), PASSING)
def test_what_passes_is_tried_again(
    source: EarthEngineSource, right: np.ndarray, server: EarthEngineServer, kind: str, at: str, details: dict
) -> None:
    server.fail(kind, at=at, times=1, **details)
    np.testing.assert_array_equal(source.fetch(TILE, lambda: False).image, right)
    assert 2 <= len(server.asked(at)) <= 3


@pytest.mark.parametrize(("kind", "details", "fatal", "words"), LASTING)
def test_what_lasts_is_told(
    source: EarthEngineSource,
    right: np.ndarray,
    server: EarthEngineServer,
    kind: str,
    details: dict,
    fatal: bool,
    words: str,
) -> None:
    server.fail(kind, times=-1, **details)
    with pytest.raises(SourceError, match=words) as told:
        source.fetch(TILE, lambda: False)
    assert told.value.fatal == fatal
    assert "<" not in str(told.value)
    # The worker lives on, and so does the source.
    server.faults.clear()
    np.testing.assert_array_equal(source.fetch(TILE, lambda: False).image, right)


def test_attempts_are_bounded_and_wait_as_long_as_the_server_wishes(
    make_source: SourceMaker, server: EarthEngineServer
) -> None:
    lines: list[str] = []
    source = make_source(lines.append, back_off=BackOff(attempts=3, first=0.01, longest=5.0))
    source.fetch(TILE, lambda: False)
    server.requests.clear()
    server.fail(faults.STATUS, times=-1, status=429, retry_after="1")
    started = time.monotonic()
    with pytest.raises(SourceError):
        source.fetch(TILE, lambda: False)
    assert time.monotonic() - started >= 2.0
    assert len(server.asked(faults.PIXELS)) == 3
    told = [line for line in lines if "attempt" in line]
    assert [line.partition(": ")[2] for line in told] == [
        "attempt 2 of 3 in 1.0 s",
        "attempt 3 of 3 in 1.0 s",
    ]


def test_tiles_are_fetched_at_once_and_no_more_than_are_allowed(
    source: EarthEngineSource, right: np.ndarray, server: EarthEngineServer
) -> None:
    server.delay = 0.2
    try:
        with ThreadPoolExecutor(10) as pool:
            images = list(pool.map(lambda _: source.fetch(TILE, lambda: False).image, range(10)))
    finally:
        server.delay = 0.0
    for image in images:
        np.testing.assert_array_equal(image, right)
    assert 2 <= server.most_at_once <= source.simultaneous == 4


def test_a_fault_of_one_tile_is_not_one_of_another(
    source: EarthEngineSource, right: np.ndarray, server: EarthEngineServer
) -> None:
    server.fail(faults.STATUS, times=1, status=400, message="Computed value is too deep.")

    def fetched(_: int) -> np.ndarray | str:
        try:
            return source.fetch(TILE, lambda: False).image
        except SourceError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(fetched, range(8)))
    assert [item for item in found if isinstance(item, str)] == [
        "Earth Engine answers 400: Computed value is too deep"
    ]
    assert sum(np.array_equal(item, right) for item in found if not isinstance(item, str)) == 7


def test_cancel_does_not_wait_for_the_server(
    source: EarthEngineSource, right: np.ndarray, server: EarthEngineServer
):
    server.fail(faults.SLOW, seconds=1.2)
    flag = threading.Event()
    threading.Timer(0.3, flag.set).start()
    started = time.monotonic()
    with pytest.raises(FetchCancelled):
        source.fetch(TILE, flag.is_set)
    assert time.monotonic() - started < 1.2
    # What comes late is for nobody, and disturbs nobody.
    np.testing.assert_array_equal(source.fetch(TILE, lambda: False).image, right)


def test_cancel_does_not_wait_for_the_sign_in(make_source: SourceMaker, server: EarthEngineServer) -> None:
    server.fail(faults.SLOW, at=faults.TOKEN, seconds=60.0)
    source = make_source(answer_seconds=60.0)
    while not server.asked(faults.TOKEN):
        time.sleep(0.02)
    with pytest.raises(FetchCancelled):
        source.fetch(TILE, lambda: True)
    pid = source._connection._client.pid
    source.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_closing_ends_the_worker_and_what_waits_for_it(
    make_source: SourceMaker, server: EarthEngineServer
) -> None:
    source = make_source(answer_seconds=60.0)
    source.fetch(TILE, lambda: False)
    server.fail(faults.SLOW, seconds=30.0)
    pid = source._connection._client.pid
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(source.fetch, TILE, lambda: False)
        while not server.asked(faults.PIXELS)[1:]:
            time.sleep(0.02)
        source.close()
        with pytest.raises((FetchCancelled, SourceError)):
            waiting.result(5.0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_worker_that_is_killed_is_told(make_source: SourceMaker, server: EarthEngineServer) -> None:
    source = make_source()
    source.fetch(TILE, lambda: False)
    os.kill(source._connection._client.pid, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(SourceError, match="killed by the system") as told:
            source.fetch(TILE, lambda: False)
        assert told.value.fatal


@pytest.mark.parametrize(
    ("kind", "at", "details"),
    [
        (faults.STATUS, faults.TOKEN, {"status": 503}),
        (faults.STATUS, faults.DISCOVERY, {"status": 429}),
        (faults.HTML, faults.DISCOVERY, {}),
        (faults.CUT, faults.DISCOVERY, {"after": 2}),
    ],
)
def test_a_sign_in_that_stumbles_gets_up(
    make_source: SourceMaker, right: np.ndarray, server: EarthEngineServer, kind: str, at: str, details: dict
) -> None:
    server.fail(kind, at=at, **details)
    source = make_source()
    np.testing.assert_array_equal(source.fetch(TILE, lambda: False).image, right)
    source.close()


@pytest.mark.parametrize(
    ("kind", "at", "details", "words"),
    [
        (faults.STATUS, faults.TOKEN, {"status": 400, "message": "invalid_grant"}, "refuses the sign-in"),
        (faults.HTML, faults.DISCOVERY, {}, "web page"),
    ],
)
def test_a_sign_in_that_fails_is_told_to_every_tile(
    make_source: SourceMaker, server: EarthEngineServer, kind: str, at: str, details: dict, words: str
) -> None:
    server.fail(kind, at=at, times=-1, **details)
    source = make_source()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(source.fetch, TILE, lambda: False) for _ in range(3)]
        errors = [one.exception() for one in waiting]
    for error in errors:
        assert isinstance(error, SourceError)
        assert error.fatal
        assert words in str(error)
    source.close()


def test_a_server_that_is_not_there_is_told(make_source: SourceMaker) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    source = make_source(address=address)
    with pytest.raises(SourceError, match="connection to the server broke, or there is none") as told:
        source.fetch(TILE, lambda: False)
    assert told.value.fatal
    source.close()


def test_a_project_that_is_not_registered_is_told(
    make_source: SourceMaker, server: EarthEngineServer
) -> None:
    source = make_source(project="another-project")
    with pytest.raises(SourceError, match="^PROJECT: .*another-project.*Register it at https") as told:
        source.fetch(TILE, lambda: False)
    assert told.value.fatal
    source.close()
