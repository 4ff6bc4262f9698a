"""What fetching a pair costs besides the server: ``python -m scripts.bench_pairs``, in QGIS's Python.

The stand-in servers of the tests run in a process of their own and give 500 tiles. What is left of a run's
time without the server's is the client's own: asking, decoding, warping, looking, compressing, checksums,
journal. It is measured twice over, a tile:

``client``
    Time on the clock, less what the server spent on its answers. Waiting and whatever else the machine does
    count in.
``CPU``
    Seconds of processor time, in user and system mode, of QGIS's process and of the worker that it started,
    whose start and sign-in count in; the server's process does not. What else the machine does stretches it
    little.

Beside them stand the memory of QGIS's process and what it grew by after the first 350 tiles, when GDAL's
caches (48 MB) are full; with ``--tiles 1500`` one sees it come to rest.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROOT = Path(__file__).resolve().parents[1]
_UTM = "EPSG:32633"
_STEP = 10.0
_WARM = 350
"""Tiles after which memory must no longer grow."""
_SOURCES = ("STAC", "Earth Engine")


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=500)
    parser.add_argument("--size", type=int, default=256, help="pixels of 10 m along a tile's side")
    parser.add_argument(
        "--simultaneous", type=int, default=1, help="tiles at once; the server's times overlap"
    )
    parser.add_argument("--source", choices=_SOURCES, action="append", help="one or more; all if left out")
    parser.add_argument("--serve", nargs=2, metavar=("SOURCE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(options)
        return
    print("        source  tiles  wall ms   server   client   CPU ms     MB  growth")
    for source in options.source or _SOURCES:
        with tempfile.TemporaryDirectory() as folder:
            found = _measured(source, options, Path(folder))
        print(
            f"{source:>14} {found['tiles']:6} {found['wall']:8.1f} {found['server']:8.1f} "
            f"{found['wall'] - found['server']:8.1f} {found['processor']:8.1f} {found['memory']:6.0f} "
            f"{found['growth']:+7.1f}"
        )


def _across(tiles: int) -> int:
    """Columns of tiles, as many as rows or one more."""
    return int(np.ceil(np.sqrt(tiles)))


def _waves(x: NDArray[np.float64], y: NDArray[np.float64], band: int) -> NDArray[np.float64]:
    """Reflectance times 10,000."""
    return np.rint(3000.0 + 900.0 * np.sin(x / 170.0 + band) * np.cos(y / 230.0))


def _serve(options: argparse.Namespace) -> None:
    """Be the server: print where it is, then, for each line read, how long it has been at work."""
    source, folder = options.serve[0], Path(options.serve[1])
    side = _across(options.tiles) * options.size
    left, top = 500_000.0, 5_200_000.0
    server: Any
    if source == "STAC":
        from tests.services.stac_server import StacServer
        from tests.services.stac_world import Lattice, World

        world = World(folder / "world")
        lattice = Lattice(_UTM, left, top, _STEP, side, side)
        x, y = left + (np.arange(side)[None] + 0.5) * _STEP, top - (np.arange(side)[:, None] + 0.5) * _STEP
        numbers = np.stack([(_waves(x, y, band) + 1000).astype(np.uint16) for band in range(3)])
        world.add_scene("scene", lattice, numbers)
        world.add_heights("cop-dem-glo-30", 15, 46, _heights)
        server = StacServer(world)
        about = {"key_file": ""}
    else:
        server, about = _earth_engine(folder, left, top, side)
    with server:
        address = server.root("Earth Search") if source == "STAC" else server.address
        if source != "STAC":
            about["key_file"] = str(server.write_key(folder / "key.json"))
        print(json.dumps({"address": address, **about}), flush=True)
        for _ in sys.stdin:
            print(json.dumps({"busy": server.busy}), flush=True)


def _heights(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    return 700.0 + 100.0 * np.sin(longitude * 300.0) * np.cos(latitude * 400.0)


def _earth_engine(folder: Path, left: float, top: float, side: int) -> tuple[Any, dict[str, Any]]:
    from imagetodem_qgis.runtime.interpreter import find_interpreter
    from tests.services.earthengine.grids import Grid
    from tests.services.earthengine.keys import Key
    from tests.services.earthengine.server import EarthEngineServer, interface_of
    from tests.services.earthengine.world import World

    class Timed(EarthEngineServer):
        """A server that knows how long it has been at work."""

        busy = 0.0

        def answer(self, *details: Any) -> tuple[str, bytes]:
            began = time.perf_counter()
            try:
                return super().answer(*details)
            finally:
                self.busy += time.perf_counter() - began

    interpreter = find_interpreter(None).path
    world = World()
    grid = Grid(_UTM, left, top, _STEP, -_STEP, side, side)
    bands = tuple(lambda x, y, band=band: _waves(x, y, band) for band in range(3))
    world.add_scene("scene", grid, bands)
    world.add_heights(14.9, 47.1, 4000, 4000, _heights)
    return Timed(world, interface_of(interpreter), Key.made_by(interpreter)), {}


def _measured(source_name: str, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """One run against a server in a process of its own."""
    from qgis.core import QgsApplication

    application = QgsApplication.instance() or _started(folder)
    command = [sys.executable, "-m", "scripts.bench_pairs", "--tiles", str(options.tiles)]
    command += ["--size", str(options.size), "--serve", source_name, str(folder)]
    server = subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        about = json.loads(server.stdout.readline())
        return _run(source_name, options, folder, about, server)
    finally:
        server.kill()
        server.wait()
        application.processEvents()


def _started(folder: Path) -> Any:
    from qgis.core import QgsApplication

    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    application = QgsApplication([], False, str(folder))
    application.initQgis()
    return application


def _run(
    source_name: str,
    options: argparse.Namespace,
    folder: Path,
    about: dict[str, str],
    server: subprocess.Popen[str],
) -> dict[str, float]:
    from imagetodem_qgis.pairs.dataset import Job, make_dataset
    from imagetodem_qgis.pairs.examine import Limits

    plan, source = _plan(options), _source(source_name, options, about)
    job = Job(folder / "data", plan, _STEP, options.size, Limits(0.5, 1.0), {})
    listener = _Listener()
    before, began = _busy(server), time.perf_counter()
    used = _processor()
    made = make_dataset(job, source, listener)
    wall = time.perf_counter() - began
    worked = _busy(server) - before
    source.close()
    # The worker's time counts once it has ended.
    processor = _processor() - used
    tiles = len(plan.tiles)
    if made.pairs != tiles:
        raise SystemExit(f"{made.pairs} pairs of {tiles} tiles came: {made.left_out}")
    return {
        "tiles": tiles,
        "wall": 1000.0 * wall / tiles,
        "server": 1000.0 * worked / tiles,
        "processor": 1000.0 * processor / tiles,
        "memory": listener.most,
        "growth": listener.most - listener.warm,
    }


def _plan(options: argparse.Namespace) -> Any:
    from imagetodem_qgis.pairs.plan import Plan
    from imagetodem_qgis.pairs.source import Tile

    side, across = options.size * _STEP, _across(options.tiles)
    places = [divmod(number, across) for number in range(options.tiles)]
    tiles = [
        Tile(f"t{row:03}_{column:03}", "area", "train", _UTM, 500_000.0 + column * side,
             5_200_000.0 - row * side, _STEP, options.size)
        for row, column in places
    ]  # fmt: skip
    return Plan(tuple(tiles), 0, ())


def _source(name: str, options: argparse.Namespace, about: dict[str, str]) -> Any:
    from imagetodem_qgis.pairs.earthengine_source import EarthEngineSource
    from imagetodem_qgis.pairs.source import AW3D30, GLO30, LEAST_CLOUDY, Query
    from imagetodem_qgis.pairs.stac_source import StacSource
    from imagetodem_qgis.runtime.interpreter import find_interpreter

    months = tuple(range(1, 13))
    query = Query(
        date(2021, 1, 1), date(2021, 12, 31), months, 50.0, LEAST_CLOUDY, GLO30 if name == "STAC" else AW3D30
    )
    address, simultaneous = about["address"], options.simultaneous
    if name == "STAC":
        return StacSource(query, "Earth Search", address, simultaneous, _drop)
    key_file = Path(about["key_file"])
    interpreter = find_interpreter(None).path
    return EarthEngineSource(query, interpreter, "", key_file, address, simultaneous, _drop)


def _drop(line: str) -> None:
    """A line of the source's log that nobody reads."""
    del line


def _busy(server: subprocess.Popen[str]) -> float:
    server.stdin.write("\n")
    server.stdin.flush()
    return float(json.loads(server.stdout.readline())["busy"])


def _processor() -> float:
    """Seconds of processor time of this process and of its children that have ended; the server lives."""
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in times)


def _memory() -> float:
    """MB that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


class _Listener:
    """Watches memory while tiles come in."""

    def __init__(self) -> None:
        self._tiles = 0
        self.warm = self.most = 0.0

    def progress(self, percent: float) -> None:
        self._tiles += 1
        # To look costs as much as a hundredth of a tile.
        if self._tiles % 10:
            return
        self.most = max(self.most, _memory())
        if self._tiles <= _WARM:
            self.warm = self.most

    def text(self, text: str) -> None:
        _drop(text)

    say = warn = text

    def is_cancelled(self) -> bool:
        return False


if __name__ == "__main__":
    main()
