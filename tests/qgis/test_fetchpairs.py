"""Fetch pairs as users run it: what comes of it, what it refuses, and what it never tells."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")
from osgeo import gdal

from tests.qgis.fetching import DAY, EXTENT, assert_is_the_ground, fill_earth_engine, fill_stac, rasters
from tests.qgis.processes import needs_proc, start_qgis, wait_for
from tests.services.earthengine.server import EarthEngineServer
from tests.services.stac_server import StacServer
from tests.services.stac_world import World

Fetch = Callable[..., "dict[str, Any]"]

COMMON = {
    "EXTENT": EXTENT,
    "START": "2021-06-01",
    "END": "2021-06-30",
    "MONTHS": [5],
    "RESOLUTION": 30.0,
    "TILE_SIZE": 64,
    "SEA": 90.0,
    "TEST": 0.0,
}


@pytest.fixture(scope="module")
def stac_server(qgis_app: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StacServer]:
    world = World(tmp_path_factory.mktemp("world"))
    fill_stac(world)
    with StacServer(world) as server:
        yield server


@pytest.fixture
def from_stac(stac_server: StacServer, tmp_path: Path) -> dict[str, Any]:
    stac_server.asked.clear()
    stac_server.faults.clear()
    return {**COMMON, "SOURCE": "STAC", "ELEVATION": "Copernicus GLO-30",
            "SERVER": stac_server.root("Earth Search"), "OUTPUT": str(tmp_path / "data")}  # fmt: skip


@pytest.fixture
def from_earth_engine(earth_engine: EarthEngineServer, tmp_path: Path) -> dict[str, Any]:
    fill_earth_engine(earth_engine)
    return {**COMMON, "SOURCE": "Earth Engine", "SERVER": earth_engine.address,
            "KEY_FILE": str(earth_engine.write_key(tmp_path / "key.json")),
            "OUTPUT": str(tmp_path / "data")}  # fmt: skip


@pytest.fixture
def fetch(qgis_app: object) -> Fetch:
    """Runs the algorithm: its results and, under ``said``, what it told."""
    import processing
    from qgis.core import QgsProcessingFeedback

    def run(feedback: Any = None, **parameters: Any) -> dict[str, Any]:
        feedback = feedback or QgsProcessingFeedback(False)
        results = processing.run("imagetodem:fetchpairs", parameters, feedback=feedback)
        return {**results, "said": feedback.textLog()}

    return run


@pytest.fixture
def refusal(qgis_app: object, tmp_path: Path) -> Callable[..., str]:
    """What the algorithm says of parameters that it refuses."""
    from qgis.core import QgsApplication, QgsProcessingContext

    def ask(**parameters: Any) -> str:
        algorithm = QgsApplication.processingRegistry().createAlgorithmById("imagetodem:fetchpairs")
        given = {**COMMON, "SOURCE": "STAC", "ELEVATION": "Copernicus GLO-30",
                 "OUTPUT": str(tmp_path / "data"), **parameters}  # fmt: skip
        accepted, message = algorithm.checkParameterValues(given, QgsProcessingContext())
        assert accepted == (message == "")
        return message

    return ask


SMALL = {"RESOLUTION": 10.0, "EXTENT": "502100,504800,5195000,5197700 [EPSG:32633]"}


@pytest.mark.parametrize("source", ["from_stac", "from_earth_engine"])
def test_pairs_are_the_ground(source: str, request: pytest.FixtureRequest, fetch: Fetch) -> None:
    parameters = {**request.getfixturevalue(source), **SMALL}
    made = fetch(**parameters)
    folder = Path(made["OUTPUT"])
    about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    names = [pair["id"] for pair in about["pairs"]]
    assert made["PAIRS"] == len(names) >= 4
    assert_is_the_ground(folder, names)
    for pair in about["pairs"]:
        assert pair["dates"] == [DAY]
        assert "scene_a" in pair["scenes"][0]
        assert pair["sun_azimuth"] == pytest.approx(150.0)
        assert pair["sun_zenith"] == pytest.approx(35.0)
    assert about["complete"] is True
    assert about["query"]["START"] == "2021-06-01"
    assert about["sources"]
    assert about["licences"]
    assert "Estimate: about" in made["said"]


@pytest.mark.parametrize("source", ["from_stac", "from_earth_engine"])
def test_a_training_takes_what_was_fetched(source: str, request: pytest.FixtureRequest, fetch: Fetch) -> None:
    from imagetodem_qgis.runtime.interpreter import find_interpreter
    from imagetodem_qgis.runtime.locations import training_folder

    made = fetch(**request.getfixturevalue(source))
    look = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from training.data.cache import PairCache\n"
        "from training.data.checks import check_sources\n"
        "from training.data.sources import open_source\n"
        "source = open_source(Path(sys.argv[2]), PairCache())\n"
        "checked = check_sources([source])\n"
        "pair = source.validation[0]\n"
        "print(len(source.train[0].pairs) + len(source.validation), checked.warnings, pair.gsd,"
        " bool(pair.valid.all()), pair.image.dtype)\n"
        "joined = open_source(Path(sys.argv[2]), PairCache(), join=True).train[0].pairs\n"
        "print([[*one.dem.shape, bool(one.valid.all())] for one in joined])"
    )
    interpreter = find_interpreter(None).path
    done = subprocess.run(
        [str(interpreter), "-I", "-c", look, str(training_folder().parent), made["OUTPUT"]],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == f"{made['PAIRS']} () 30.0 True float32"
    # Tiles of one day and area that share a side are joined: each has up to half a tile more on each side.
    shapes = ast.literal_eval(second)
    assert all(whole for _, _, whole in shapes)
    assert {side for rows, columns, _ in shapes for side in (rows, columns)} == {64, 96}
    folder = Path(made["OUTPUT"])
    about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    corners = {}
    for pair in about["pairs"]:
        if pair["split"] == "train":
            grid = gdal.Open(str(folder / "images" / f"{pair['id']}.tif")).GetGeoTransform()
            corners[pair["area"], grid[0], grid[3]] = pair["id"]
    side = 64 * 30.0
    beside = [
        any(
            (area, x + right, y + down) in corners
            for right, down in ((side, 0), (-side, 0), (0, side), (0, -side))
        )
        for area, x, y in corners
    ]
    assert any(beside)
    assert sum(rows * columns > 64 * 64 for rows, columns, _ in shapes) == sum(beside)


def test_footprints_are_coloured_by_split_wherever_they_are_opened(from_stac: dict, fetch: Fetch) -> None:
    from qgis.core import QgsVectorLayer

    made = fetch(**from_stac)
    layer = QgsVectorLayer(made["FOOTPRINTS"], "footprints", "ogr")
    assert layer.featureCount() == made["PAIRS"]
    assert layer.renderer().type() == "categorizedSymbol"
    assert layer.renderer().classAttribute() == "split"
    colours = {c.value(): c.symbol().color().rgb() for c in layer.renderer().categories()}
    assert set(colours) == {"train", "validation", "test"}
    assert len(set(colours.values())) == 3
    assert {feature["split"] for feature in layer.getFeatures()} <= set(colours)


def test_footprints_come_into_the_project(from_stac: dict, qgis_app: object) -> None:
    from qgis.core import QgsApplication, QgsProcessingContext, QgsProcessingFeedback, QgsProject

    project = QgsProject()
    context, feedback = QgsProcessingContext(), QgsProcessingFeedback(False)
    context.setProject(project)
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("imagetodem:fetchpairs")
    results, succeeded = algorithm.run(from_stac, context, feedback)
    assert succeeded, feedback.textLog()
    (source,) = context.layersToLoadOnCompletion()
    assert source == results["FOOTPRINTS"]
    details = context.layerToLoadOnCompletionDetails(source)
    assert details.outputName == "FOOTPRINTS"
    from qgis.core import QgsVectorLayer

    layer = QgsVectorLayer(source, "f", "ogr", QgsVectorLayer.LayerOptions(loadDefaultStyle=False))
    assert layer.renderer().type() == "singleSymbol"
    details.postProcessor().postProcessLayer(layer, context, feedback)
    assert layer.renderer().type() == "categorizedSymbol"


def test_the_same_again_asks_for_nothing(from_stac: dict, fetch: Fetch, stac_server: StacServer) -> None:
    made = fetch(**from_stac)
    before = rasters(Path(made["OUTPUT"]))
    stac_server.asked.clear()
    again = fetch(**from_stac)
    assert stac_server.asked == []
    assert rasters(Path(made["OUTPUT"])) == before
    assert again["PAIRS"] == made["PAIRS"]


def _noted(folder: Path) -> set[str]:
    """Tiles that the journal holds as done."""
    try:
        lines = (folder / "journal.jsonl").read_text().split("\n")[1:-1]
    except OSError:
        return set()
    return {json.loads(line)["id"] for line in lines}


@needs_proc
def test_killed_in_the_middle_and_run_again_from_earth_engine(
    from_earth_engine: dict, fetch: Fetch, earth_engine: EarthEngineServer, tmp_path: Path
) -> None:
    whole = fetch(**{**from_earth_engine, "OUTPUT": str(tmp_path / "whole")})
    folder = Path(from_earth_engine["OUTPUT"])
    (tmp_path / "profile").mkdir()
    earth_engine.fail("slow", at="pixels", after=3, times=-1, seconds=300.0)
    process = start_qgis(
        tmp_path / "profile", "imagetodem:fetchpairs", {**from_earth_engine, "SIMULTANEOUS": 1}
    )
    try:
        wait_for(lambda: len(_noted(folder)) >= 3)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    earth_engine.faults.clear()
    finished = _noted(folder)
    assert 3 <= len(finished) < whole["PAIRS"]
    earth_engine.requests.clear()
    made = fetch(**from_earth_engine)
    assert made["PAIRS"] == whole["PAIRS"]
    assert rasters(folder) == rasters(tmp_path / "whole")
    corners = {}
    for name in finished:
        transform = gdal.Open(str(folder / "images" / f"{name}.tif")).GetGeoTransform()
        corners[transform[0], transform[3]] = name
    affine = [json.loads(asked.body)["grid"]["affineTransform"] for asked in earth_engine.asked("pixels")]
    asked_for = {(step["translateX"], step["translateY"]) for step in affine}
    assert len(asked_for) == whole["PAIRS"] - len(finished)
    assert not asked_for & set(corners)


@needs_proc
def test_killed_in_the_middle_and_run_again_from_stac(
    from_stac: dict, fetch: Fetch, stac_server: StacServer, tmp_path: Path
) -> None:
    whole = fetch(**{**from_stac, "OUTPUT": str(tmp_path / "whole")})
    folder = Path(from_stac["OUTPUT"])
    stac_server.asked.clear()
    (tmp_path / "profile").mkdir()
    process = start_qgis(tmp_path / "profile", "imagetodem:fetchpairs", {**from_stac, "SIMULTANEOUS": 1})
    try:
        wait_for(lambda: len(_noted(folder)) >= 2)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    finished = _noted(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.tif") if path.stem in finished}
    made = fetch(**from_stac)
    assert made["PAIRS"] == whole["PAIRS"]
    assert rasters(folder) == rasters(tmp_path / "whole")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert f"{len(finished)} tiles are done already" in made["said"]


@pytest.mark.parametrize("source", ["from_stac", "from_earth_engine"])
def test_a_cancel_does_not_wait_for_the_server(
    source: str, request: pytest.FixtureRequest, fetch: Fetch, stac_server: StacServer
) -> None:
    import threading

    from qgis.core import QgsProcessingFeedback

    parameters = request.getfixturevalue(source)
    if source == "from_stac":
        stac_server.fail("stalled", where="red", times=1000, seconds=300.0)
        waiting = lambda: stac_server.count("red") > 0  # noqa: E731
    else:
        server = request.getfixturevalue("earth_engine")
        server.fail("slow", at="pixels", times=-1, seconds=300.0)
        waiting = lambda: bool(server.asked("pixels"))  # noqa: E731
    feedback = QgsProcessingFeedback(False)

    def cancel() -> None:
        wait_for(waiting)
        feedback.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    # It comes back, though the server would go on waiting for minutes.
    results = fetch(feedback, **parameters)
    canceller.join()
    assert "PAIRS" not in results
    assert "What was fetched is kept" in results["said"]
    assert not (Path(parameters["OUTPUT"]) / "dataset.json").exists()


def test_credentials_are_nowhere(
    from_earth_engine: dict, fetch: Fetch, earth_engine: EarthEngineServer, tmp_path: Path
) -> None:
    from qgis.core import QgsProcessingException

    key = json.loads(Path(from_earth_engine["KEY_FILE"]).read_text())
    made = fetch(**from_earth_engine)
    earth_engine.fail("status", at="pixels", times=-1, status=403, message="no")
    with pytest.raises(QgsProcessingException) as caught:
        fetch(**{**from_earth_engine, "OUTPUT": str(tmp_path / "other")})
    secrets = [key["private_key"].split("\n")[1], key["private_key_id"], *earth_engine.sign_in.given]
    told = [made["said"], str(caught.value), repr(made)]
    for folder in ("data", "other"):
        told += [
            path.read_bytes().decode("latin-1") for path in (tmp_path / folder).rglob("*") if path.is_file()
        ]
    assert len(secrets) >= 3
    assert not [secret for secret in secrets for text in told if secret in text]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [p.name for p in files if key["private_key"].split("\n")[1].encode() in p.read_bytes()] == [
        "key.json"
    ]


def test_where_is_to_be_said_once(refusal: Callable[..., str], tmp_path: Path) -> None:
    assert refusal() == ""
    assert refusal(EXTENT=None).startswith("EXTENT: say where")
    assert refusal(DEM=str(tmp_path / "dem.tif")) != ""
    assert refusal(EXTENT="0,1,85,86 [EPSG:4326]").startswith("EXTENT: ")
    assert "more than 100,000" in refusal(EXTENT="0,30,40,60 [EPSG:4326]")


def test_times_that_hold_no_day(refusal: Callable[..., str]) -> None:
    assert refusal(END="2021-05-31").startswith("END: 2021-05-31 lies before START")
    assert refusal(MONTHS=[0, 11]).startswith("MONTHS: none of them lies between")
    assert refusal(MONTHS=[]) != ""
    assert refusal(START="2020-12-15", END="2021-01-10", MONTHS=[0]) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RESOLUTION", 0.0),
        ("TILE_SIZE", 32),
        ("CLOUD", 101.0),
        ("SOURCE", "the moon"),
        ("COMPOSITE", "mode"),
        ("CATALOGUE", "nowhere"),
        ("VALIDATION", 60.0),
        ("BUFFER", -1.0),
        ("SIMULTANEOUS", 0),
    ],
)
def test_values_that_no_run_can_use(refusal: Callable[..., str], name: str, value: object) -> None:
    assert refusal(**{name: value}) != ""


def test_a_folder_of_something_else(refusal: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("words")
    assert refusal().startswith("OUTPUT: ")
    (tmp_path / "file").write_text("words")
    assert refusal(OUTPUT=str(tmp_path / "file")).startswith("OUTPUT: ")


def test_other_parameters_for_a_folder_that_is_begun(
    from_stac: dict, fetch: Fetch, refusal: Callable[..., str]
) -> None:
    fetch(**from_stac)
    assert refusal(**from_stac) == ""
    message = refusal(**{**from_stac, "CLOUD": 55.0})
    assert message.startswith("OUTPUT: ")
    assert "CLOUD = 20.0, not 55.0" in message
    assert "the tiles" in refusal(**{**from_stac, "SEED": 2, "BUFFER": 5000.0})


def test_earth_engine_without_a_sign_in(refusal: Callable[..., str], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    message = refusal(SOURCE="Earth Engine")
    assert message.split(":")[0] in ("PROJECT", "KEY_FILE", "SOURCE")
    assert "KEY_FILE" in message or "authenticate" in message
    assert refusal(SOURCE="Earth Engine", KEY_FILE=str(tmp_path / "no.json")).startswith("KEY_FILE: ")
