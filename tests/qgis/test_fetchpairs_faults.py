"""A hundred faults of servers and networks, each in a run of its own.

Whatever goes wrong, a run ends whole, or with an error that names the cause and keeps what was fetched; the
run after it asks for the rest alone, and gives the same data set, byte for byte in its rasters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")
from osgeo import gdal

from imagetodem_qgis.core.retry import BackOff
from imagetodem_qgis.pairs.dataset import IncompleteError
from imagetodem_qgis.pairs.earthengine_source import EarthEngineSource
from imagetodem_qgis.pairs.source import PairSource
from imagetodem_qgis.pairs.stac_source import CATALOGUES, StacSource
from tests.qgis.fetching import QUERY, Recording, fetch_few, fill_earth_engine, fill_stac, rasters
from tests.services.earthengine import faults
from tests.services.earthengine.server import EarthEngineServer
from tests.services.stac_server import StacServer
from tests.services.stac_world import World

EARTH_SEARCH, PLANETARY = CATALOGUES
QUICK = BackOff(attempts=3, first=0.01, longest=0.05)
ALWAYS = 10_000


@dataclass(frozen=True)
class Row:
    """A fault: where it strikes, whether the run ends whole all the same (``None``: it may), and words of the
    error where it does not."""

    source: str
    kind: str
    at: str
    passes: bool | None
    words: str = ""
    details: dict[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        status = self.details.get("status", "")
        length = "once" if self.details.get("times", 1) == 1 else "for good"
        return f"{self.source}-{self.kind}{status}-{self.at.strip('/')}-{length}"


def _status(code: int, message: str = "Internal error.", **more: Any) -> dict[str, Any]:
    return {"status": code, "message": message, **more}


_BREAKS = "broke|closed|reset|cut|end"
EARTH_ENGINE = [
    (faults.STATUS, _status(429, "Too many requests."), True, "429|too many"),
    (faults.STATUS, _status(429, "Rate limit.", retry_after="0"), True, "429|limit"),
    (faults.STATUS, _status(500), True, "500"),
    (faults.STATUS, _status(502), True, "502"),
    (faults.STATUS, _status(503), True, "503"),
    (faults.STATUS, _status(400, "User memory limit exceeded."), None, "memory limit"),
    (faults.STATUS, _status(403, "Earth Engine API has not been used in project 1"), False, "PROJECT"),
    (faults.STATUS, _status(429, "Quota of EECU-hours per month is exhausted."), False, "quota"),
    (faults.SLOW, {"seconds": 0.2}, True, ""),
    (faults.CUT, {}, True, _BREAKS),
    (faults.TRUNCATED, {}, True, _BREAKS),
    (faults.EXPIRED, {}, True, "sign-in|token|credential"),
    (faults.HTML, {}, True, "web page"),
    (faults.RESET, {}, True, _BREAKS),
    (faults.GARBLED, {}, True, "something else|no pixels|makes no sense"),
]
"""Kind, details, whether one such answer is got over, and words of the error where it is not."""

STAC = [
    ("429", {"retry_after": "0"}, True, "429|too many"),
    ("429", {}, True, "429|too many"),
    ("500", {}, True, "500"),
    ("503", {}, True, "503"),
    ("404", {}, None, "404|not there|no such|does not"),
    ("cut", {}, True, f"{_BREAKS}|connection"),
    ("truncated", {}, True, f"{_BREAKS}|half|short|truncat"),
    ("html", {}, True, "web page|HTML|no GeoTIFF|not a TIFF|something else"),
    ("nonsense", {}, True, "understand|cannot be|something else|no GeoTIFF|unexpected|no items"),
]


def table() -> list[Row]:
    """All faults."""
    rows = []
    for kind, details, passes, words in EARTH_ENGINE:
        for at in (faults.VALUE, faults.PIXELS):
            rows.append(Row("earth-engine", kind, at, passes, words, {**details, "times": 1}))
            slow = kind == faults.SLOW
            rows.append(Row("earth-engine", kind, at, slow, words, {**details, "times": -1, "after": 2}))
    for kind, details, passes, words in STAC:
        for at in ("/search", "red", "scl", "cop-dem-glo-30_"):
            rows.append(Row(EARTH_SEARCH, kind, at, passes, words, {**details, "times": 1}))
        for at, after in (("/search", 1), ("red", 2)):
            rows.append(
                Row(EARTH_SEARCH, kind, at, False, words, {**details, "times": ALWAYS, "after": after})
            )
        rows.append(Row(PLANETARY, kind, "/token/", passes, words, {**details, "times": 1}))
    rows.append(Row(PLANETARY, "403", "red", True, "403|token|sign", {"times": 1}))
    return rows


TABLE = table()


def test_the_table_is_long_enough():
    assert len(TABLE) >= 100


@pytest.fixture(scope="module")
def earth_engine_source(
    earth_engine: EarthEngineServer, earth_engine_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PairSource]:
    key_file = earth_engine.write_key(tmp_path_factory.mktemp("key") / "key.json")
    source = EarthEngineSource(
        QUERY,
        earth_engine_python,
        "",
        key_file,
        earth_engine.address,
        2,
        print,
        answer_seconds=30.0,
        back_off=QUICK,
    )
    yield source
    source.close()


@pytest.fixture(scope="module")
def stac_server(qgis_app: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StacServer]:
    world = World(tmp_path_factory.mktemp("world"))
    fill_stac(world)
    with StacServer(world) as server:
        yield server


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Checksums of the data sets that come where nothing goes wrong, by source; filled on the way."""
    return {}


@pytest.mark.parametrize("row", [row for row in TABLE if row.source != "earth-engine"], ids=str)
def test_a_fault_of_stac(row: Row, stac_server: StacServer, whole: dict, tmp_path: Path) -> None:
    def opened() -> PairSource:
        # GDAL keeps what it read for the whole process.
        gdal.VSICurlClearCache()
        return StacSource(QUERY, row.source, stac_server.root(row.source), 1, print, QUICK)

    def fail() -> Callable[[], bool]:
        fault = stac_server.fail(row.kind, where=row.at, **row.details)
        return lambda: fault.times < row.details["times"]

    _check(row, opened, fail, stac_server.faults.clear, whole, tmp_path)


@pytest.mark.parametrize("row", [row for row in TABLE if row.source == "earth-engine"], ids=str)
def test_a_fault_of_earth_engine(
    row: Row,
    earth_engine: EarthEngineServer,
    earth_engine_source: PairSource,
    whole: dict,
    tmp_path: Path,
) -> None:
    fill_earth_engine(earth_engine)

    def fail() -> Callable[[], bool]:
        before = len(earth_engine.asked(row.at))
        earth_engine.fail(row.kind, at=row.at, **row.details)
        return lambda: len(earth_engine.asked(row.at)) > before + row.details.get("after", 0)

    _check(row, lambda: earth_engine_source, fail, earth_engine.faults.clear, whole, tmp_path)


def _check(
    row: Row,
    opened: Callable[[], PairSource],
    fail: Callable[[], Callable[[], bool]],
    mend: Callable[[], None],
    whole: dict,
    folder: Path,
) -> None:
    """A run with the fault, then one without."""
    if row.source not in whole:
        fetch_few(folder / "whole", Recording(opened()))
        whole[row.source] = rasters(folder / "whole")
        assert len(whole[row.source]) == 8
    first, second = Recording(opened()), Recording(opened())
    has_struck = fail()
    message = ""
    try:
        fetch_few(folder / "data", first)
    except IncompleteError as error:
        message = str(error)
    finally:
        mend()
    assert has_struck()
    kept = rasters(folder / "data")
    assert kept.items() <= whole[row.source].items()
    assert row.passes is None or bool(message) != row.passes
    if message:
        assert len(kept) < 8
        assert re.search(row.words, message.splitlines()[0], re.IGNORECASE), message
        assert f"{len(kept) // 2} pairs of 4 tiles are whole" in message
    else:
        assert len(kept) == 8
    fetch_few(folder / "data", second)
    assert rasters(folder / "data") == whole[row.source]
    finished = {Path(name).stem for name in kept}
    assert not finished & set(second.asked)
