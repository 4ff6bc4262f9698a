"""Predict DEM without QGIS: ``python -m imagetodem_qgis.headless predict IMAGE DEM [--scheduler ADDRESS]``.

Runs in the machine-learning environment, on one machine or on a Dask cluster.
"""

from __future__ import annotations

import sys


def run() -> int:
    """Run the command line; returns the exit status."""
    try:
        from imagetodem_qgis.worker.headless.main import main

        return main()
    except ModuleNotFoundError as error:
        print(
            f"{sys.executable} has no {error.name}, which predicting without QGIS needs: use the interpreter "
            "of the machine-learning environment, set up with PROFILE=train",
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    sys.exit(run())
