"""What goes wrong between the STAC source and its servers: passing faults pass, lasting ones are named."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from typing import Any, Callable

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from osgeo import gdal

from imagetodem_qgis.core.retry import BackOff
from imagetodem_qgis.pairs import stac_network
from imagetodem_qgis.pairs.source import AW3D30, LEAST_CLOUDY, FetchCancelled, FetchedPair, Query, SourceError
from imagetodem_qgis.pairs.stac_catalogue import CATALOGUES
from imagetodem_qgis.pairs.stac_source import StacSource
from tests.services.stac_ground import Ground
from tests.services.stac_server import StacServer
from tests.services.stac_world import World

EARTH_SEARCH, PLANETARY = CATALOGUES
GROUND = Ground(15.2, 47.2)
UTM = "EPSG:32633"
TILE = GROUND.tile(UTM, 32, 20.0)
PLACES = ("/search", "/token/sentinel-2-l2a", "_scl.tif", "_green.tif", "alos-dem_")
FILES = ("_scl.tif", "_green.tif", "alos-dem_")
LASTING = 1000


@pytest.fixture(scope="module")
def world(qgis_app: object, tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("world"))
    GROUND.add_to(made, UTM)
    GROUND.add_heights(made, "alos-dem")
    return made


@pytest.fixture
def server(world: World) -> Iterator[StacServer]:
    with StacServer(world) as running:
        yield running


@pytest.fixture(scope="module")
def whole(world: World) -> FetchedPair:
    """The pair as it is fetched where nothing goes wrong."""
    with StacServer(world) as running:
        return source(running, []).fetch(TILE, lambda: False)


def source(
    server: StacServer, said: list[str], attempts: int = 4, first: float = 0.01, **changes: Any
) -> StacSource:
    query = {
        "start": date(2021, 6, 1),
        "end": date(2021, 6, 30),
        "months": (6,),
        "cloud": 90.0,
        "composite": LEAST_CLOUDY,
        "elevation": AW3D30,
        **changes,
    }
    return StacSource(
        Query(**query),
        PLANETARY,
        server.root(PLANETARY),
        1,
        said.append,
        BackOff(attempts=attempts, first=first),
    )


PASSING = [
    *[(kind, where, 0) for kind in ("429", "500", "502", "503", "cut", "truncated") for where in PLACES],
    # Of a file, the first request is for its size, the second for its header, the third for its pixels.
    *[
        (kind, where, after)
        for kind in ("429", "503", "cut", "truncated", "html")
        for where in FILES
        for after in (1, 2)
    ],
    *[(kind, where, 0) for kind in ("html", "nonsense") for where in PLACES[:2]],
    *[("403", where, after) for where in FILES for after in (0, 2)],
    *[("slow", where, 0) for where in PLACES],
]


@pytest.mark.parametrize(("kind", "where", "after"), PASSING, ids=lambda value: str(value))
def test_a_passing_fault_leaves_no_trace(
    kind: str, where: str, after: int, server: StacServer, whole: FetchedPair
) -> None:
    fault = server.fail(kind, where, after=after, seconds=0.3)
    said: list[str] = []
    pair = source(server, said).fetch(TILE, lambda: False)
    np.testing.assert_array_equal(pair.image, whole.image)
    np.testing.assert_array_equal(pair.dem, whole.dem)
    assert pair.provenance == whole.provenance
    # A file that comes whole with its first answer is not asked for a third time.
    assert fault.times == 0 or after == 2
    # Qt and curl ask once more by themselves where a connection that they kept open is closed.
    assert len(said) <= 1


@pytest.mark.parametrize("where", [PLACES[0], "_green.tif"])
def test_a_stalled_connection_is_given_up(
    where: str, server: StacServer, whole: FetchedPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stac_network, "STALLED_SECONDS", 1)
    server.fail("stalled", where, method="" if where == PLACES[0] else "GET", seconds=600.0)
    pair = source(server, []).fetch(TILE, lambda: False)
    np.testing.assert_array_equal(pair.image, whole.image)


def test_three_faults_in_a_row_pass(server: StacServer, whole: FetchedPair) -> None:
    for kind in ("500", "503", "429"):
        server.fail(kind, "_green.tif")
    said: list[str] = []
    pair = source(server, said).fetch(TILE, lambda: False)
    np.testing.assert_array_equal(pair.image, whole.image)
    assert [line.rpartition(": ")[2].partition(" in ")[0] for line in said] == [
        "attempt 2 of 4",
        "attempt 3 of 4",
        "attempt 4 of 4",
    ]


def test_the_servers_own_wish_is_kept(server: StacServer) -> None:
    server.fail("429", "/search", retry_after="2")
    said: list[str] = []
    source(server, said).fetch(TILE, lambda: False)
    assert "in 2.0 s" in said[0]


LASTS = [
    ("429", "/search", "too many requests"),
    ("500", "/search", "HTTP 500"),
    ("503", "_green.tif", "HTTP 503"),
    ("cut", "/search", "connection to 127"),
    ("cut", "alos-dem_", "connection to 127"),
    ("truncated", "/search", "connection to 127"),
    ("truncated", "_green.tif", "cut short"),
    ("html", "/search", "web page"),
    ("html", "_green.tif", "no GeoTIFF"),
    ("nonsense", "/search", "no items"),
    ("nonsense", "/token/", "without one"),
    ("404", "_green.tif", "does not have it"),
    ("404", "_scl.tif", "does not have it"),
    ("404", "/search", "does not have it"),
    ("400", "/search", "told to fail with 400"),
    ("403", "/token/", "refuses"),
    ("403", "_green.tif", "refuses"),
]


@pytest.mark.parametrize(("kind", "where", "named"), LASTS)
def test_a_lasting_fault_is_named(kind: str, where: str, named: str, server: StacServer) -> None:
    server.fail(kind, where, times=LASTING)
    with pytest.raises(SourceError, match=named) as caught:
        source(server, [], attempts=2).fetch(TILE, lambda: False)
    # Nothing of this kind gets better with the next tile.
    assert caught.value.fatal is (kind in ("400", "403") and where != "_green.tif")


@pytest.mark.parametrize(("kind", "where", "named"), [LASTS[index] for index in (2, 4, 6, 8, 11, 15)])
def test_a_fault_is_named_also_where_gdal_raises(
    kind: str,
    where: str,
    named: str,
    server: StacServer,
    whole: FetchedPair,
    gdal_raises: Callable[[bool], None],
) -> None:
    gdal_raises(True)
    fault = server.fail(kind, where, times=LASTING)
    with pytest.raises(SourceError, match=named):
        source(server, [], attempts=2).fetch(TILE, lambda: False)
    fault.times = 0
    pair = source(server, []).fetch(TILE, lambda: False)
    np.testing.assert_array_equal(pair.image, whole.image)


def test_a_server_that_is_not_there_is_named(world: World, qgis_app: object) -> None:
    with StacServer(world) as gone:
        made = source(gone, [], attempts=2)
    with pytest.raises(SourceError, match=r"search in sentinel-2-l2a: the connection to 127\.0\.0\.1"):
        made.fetch(TILE, lambda: False)


def test_a_token_that_ends_is_renewed(world: World, qgis_app: object, whole: FetchedPair) -> None:
    with StacServer(world, token_seconds=-30.0) as server:
        made = source(server, [], attempts=2)
        with pytest.raises(SourceError, match="refuses"):
            made.fetch(TILE, lambda: False)
        asked = server.count("/token/sentinel-2-l2a")
        assert asked == 2
        server.token_seconds = 3600.0
        said: list[str] = []
        pair = source(server, said).fetch(TILE, lambda: False)
        assert said == []
        np.testing.assert_array_equal(pair.image, whole.image)
        # One for all files of a collection.
        assert server.count("/token/sentinel-2-l2a") == asked + 1


def test_a_token_ends_between_two_tiles(world: World, qgis_app: object, whole: FetchedPair) -> None:
    with StacServer(world, token_seconds=1.0) as server:
        said: list[str] = []
        made = source(server, said)
        made.fetch(GROUND.tile(UTM, 20, 20.0), lambda: False)
        time.sleep(2.1)
        server.token_seconds = 3600.0
        made._files.close()
        pair = made.fetch(TILE, lambda: False)
        np.testing.assert_array_equal(pair.image, whole.image)


@pytest.mark.parametrize("where", PLACES)
def test_a_cancel_is_heard_while_waiting_for_a_server(where: str, server: StacServer) -> None:
    """The server would answer after ten minutes."""
    server.fail("slow", where, times=LASTING, seconds=600.0)
    with pytest.raises(FetchCancelled):
        source(server, []).fetch(TILE, reached(server, where))


def test_a_cancel_is_heard_between_attempts(server: StacServer) -> None:
    """The next one would come after ten minutes."""
    server.fail("500", "/search", times=LASTING)
    made = source(server, [], first=1200.0)
    with pytest.raises(FetchCancelled):
        made.fetch(TILE, reached(server, "/search"))


def test_closing_ends_a_fetch(server: StacServer) -> None:
    server.fail("slow", "/search", times=LASTING, seconds=600.0)
    made = source(server, [])

    def close_when_reached() -> bool:
        if server.count("/search"):
            made.close()
        return False

    with pytest.raises(FetchCancelled):
        made.fetch(TILE, close_when_reached)


def reached(server: StacServer, where: str) -> Callable[[], bool]:
    """Whether a request for something has come."""
    return lambda: server.count(where) > 0


@pytest.fixture
def debugging() -> Iterator[None]:
    """GDAL tells all that it does, as a user may want it to."""
    gdal.SetConfigOption("CPL_DEBUG", "ON")
    yield
    gdal.SetConfigOption("CPL_DEBUG", None)


@pytest.mark.parametrize("raises", [False, True], ids=["gdal tells", "gdal raises"])
def test_no_secret_is_told(
    raises: bool,
    server: StacServer,
    capfd: pytest.CaptureFixture[str],
    logged: Callable[[], list[str]],
    gdal_raises: Callable[[bool], None],
    debugging: None,
) -> None:
    """Neither in messages nor in errors, in none of QGIS's logs, on no stream."""
    gdal_raises(raises)
    said: list[str] = []
    for kind in ("429", "cut", "truncated", "html", "403", "404"):
        for where, after in (("_green.tif", 0), ("_green.tif", 2), ("/token/", 0)):
            server.faults.clear()
            server.fail(kind, where, after=after, times=LASTING)
            made = source(server, said, attempts=2)
            with closing(made), pytest.raises(SourceError) as caught:
                made.fetch(TILE, lambda: False)
            said += all_of(caught.value)
    server.faults.clear()
    made = source(server, said)
    with closing(made):
        pair = made.fetch(TILE, lambda: False)
    said += [repr(pair.provenance), repr(made.describe())]
    # One that nobody closes.
    source(server, said).fetch(TILE, lambda: False)
    gc.collect()
    # QGIS itself logs the addresses of requests for JSON that fail.
    assert any(line.startswith("Network: ") and "/token/" in line for line in logged())
    told = "\n".join([*said, *logged(), *capfd.readouterr()])
    assert "B03 of S2A_one" in told
    for secret in ("sig=", "sig%3D", "se=20", "sv=2024", "se%3D"):
        assert secret not in told


def all_of(error: BaseException) -> list[str]:
    """An error as it is printed, with those that it holds, and the same less its traceback."""
    said = ["".join(traceback.format_exception(type(error), error, error.__traceback__))]
    held: list[BaseException | None] = [error]
    while held:
        one = held.pop()
        if one is not None:
            said.append(repr(one))
            held += [one.__cause__, one.__context__]
    return said
