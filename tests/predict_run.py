"""Runs the course of Predict DEM in a process of its own, to be killed: ``python predict_run.py <JSON>``.

The JSON holds ``image``, ``model``, ``output``, ``overlap`` and ``batch_size``. Prints a line each time that
progress is told.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from imagetodem_qgis.prediction.predict import predict_dem  # noqa: E402
from imagetodem_qgis.prediction.request import Request  # noqa: E402
from imagetodem_qgis.raster.image import Image  # noqa: E402
from imagetodem_qgis.runtime.interpreter import find_interpreter  # noqa: E402
from imagetodem_qgis.runtime.models import open_model_file  # noqa: E402


class Printing:
    def progress(self, percent: float) -> None:
        print(f"{percent:.3f}", flush=True)

    def say(self, text: str) -> None:
        print(text, flush=True)

    warn = log = say

    def is_cancelled(self) -> bool:
        return False


def main() -> None:
    order = json.loads(sys.argv[1])
    image = Image(order["image"])
    with tempfile.TemporaryDirectory() as scratch:
        request = Request(
            image=image,
            window=image.grid.window(),
            model=open_model_file(Path(order["model"]), Path(scratch)),
            interpreter=find_interpreter(None).path,
            engine="onnxruntime",
            device="cpu",
            overlap=order["overlap"],
            batch_size=order["batch_size"],
            sun_azimuth=None,
            output=Path(order["output"]),
            confidence=None,
            scratch=Path(scratch),
        )
        predict_dem(request, Printing())
    print("whole", flush=True)


if __name__ == "__main__":
    main()
