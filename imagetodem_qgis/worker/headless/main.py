"""The command line of a prediction without QGIS."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from imagetodem_qgis.prediction.disk import full_disks_told
from imagetodem_qgis.prediction.frame import frame_of
from imagetodem_qgis.prediction.record import identity
from imagetodem_qgis.prediction.request import Listener, Result
from imagetodem_qgis.prediction.run import run_prediction
from imagetodem_qgis.prediction.unfinished import unfinished
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.runtime.client import WorkerError
from imagetodem_qgis.runtime.models import ModelError
from imagetodem_qgis.worker.headless.in_process import InProcessWorker
from imagetodem_qgis.worker.headless.order import Order, request_of
from imagetodem_qgis.worker.headless.telling import Printing
from imagetodem_qgis.worker.headless.writing import RasterioRasters


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        result = predict(options, Printing())
    except (RasterError, ModelError, WorkerError, OSError, ValueError) as error:
        print(f"\r{error}", file=sys.stderr)
        return 1
    unit = f" {result.unit}" if result.unit else ""
    print(f"{options.dem}: {result.tiles} tiles, {result.minimum:.6g} to {result.maximum:.6g}{unit}")
    return 0


def predict(options: argparse.Namespace, listener: Listener) -> Result:
    """Predict as the command line asks.

    Raises:
        ModelError: the model cannot be used.
        OSError: the disk is too small, or the cluster does not answer.
        RasterError: the image cannot be read, or the output not be written.
        WorkerError: the engine cannot load the model.
    """
    with ExitStack() as stack:
        output = Path(options.dem).resolve()
        # Beside the output, where all processes of a cluster find it too.
        scratch = stack.enter_context(tempfile.TemporaryDirectory(dir=output.parent, prefix=".headless-"))
        order = _order(options, output, scratch)
        request = request_of(order)
        frame = frame_of(request, listener)
        stack.enter_context(full_disks_told(output.parent))
        run = {**identity(request, frame), "scheduled": options.scheduler is not None}
        kept = stack.enter_context(unfinished(output, run))
        if options.scheduler is None:
            return run_prediction(request, frame, kept, InProcessWorker(), RasterioRasters(), listener)
        from imagetodem_qgis.worker.headless.cluster import connect, predict_on_cluster

        client = stack.enter_context(connect(options.scheduler))
        return predict_on_cluster(order, request, frame, kept, client, options.threads, listener)


def _order(options: argparse.Namespace, output: Path, scratch: str) -> Order:
    return Order(
        image=_absolute(options.image),
        bands=tuple(options.bands or ()),
        window=tuple(options.window or ()),
        model=_absolute(options.model),
        engine=options.engine,
        device=options.device,
        overlap=options.overlap / 100.0,
        batch_size=options.batch_size,
        sun_azimuth=options.sun_azimuth,
        output=str(output),
        confidence=str(Path(options.confidence).resolve()) if options.confidence else "",
        reference=_absolute(options.reference or ""),
        points=_absolute(options.points or ""),
        height_field=options.height_field or "",
        points_crs=options.points_crs or "",
        scratch=scratch,
    )


def _absolute(path: str) -> str:
    """A file's whole path, for processes that run in other folders; anything else as it is."""
    return str(Path(path).resolve()) if path and Path(path).exists() else path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m imagetodem_qgis.headless", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("predict", help="predict a DEM from an image")
    command.add_argument("image", help="raster with red, green and blue")
    command.add_argument("dem", help="GeoTIFF to write; tiles are kept beside it until it is whole")
    command.add_argument(
        "--model",
        default="",
        help="name of an installed model, or its folder or file; else the one that suits what is known",
    )
    command.add_argument(
        "--reference",
        metavar="DEM",
        help="coarse DEM of any reference system and resolution, which may have holes: its heights are kept, "
        "what it does not show is added",
    )
    command.add_argument(
        "--points",
        help="points of known height: a table (.csv) with the columns x, y and height, or a file of points",
    )
    command.add_argument("--height-field", help="of the points' heights in metres; else 'height', or their Z")
    command.add_argument("--points-crs", help="of a table, such as EPSG:4326; the image's if not given")
    command.add_argument("--confidence", help="GeoTIFF of standard deviations to write as well")
    command.add_argument("--bands", type=int, nargs=3, metavar=("RED", "GREEN", "BLUE"))
    command.add_argument("--window", type=int, nargs=4, metavar=("ROW", "COLUMN", "ROWS", "COLUMNS"))
    command.add_argument("--sun-azimuth", type=float, help="degrees clockwise from north")
    command.add_argument("--overlap", type=int, default=25, help="of tiles, in percent")
    command.add_argument("--engine", default="automatic", choices=("automatic", "onnxruntime", "tensorflow"))
    command.add_argument("--device", default="automatic", choices=("automatic", "cpu", "gpu"))
    command.add_argument("--batch-size", type=int, default=0, help="0 for the quickest")
    command.add_argument("--threads", type=int, default=0, help="of the engine in each thread of a cluster")
    command.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a running Dask cluster (tcp://host:8786, or a scheduler file), whose workers find image, "
        "model and output under the same paths",
    )
    return parser
