"""Runs one algorithm in a QGIS of its own: ``python qgis_run.py <folder for settings> <id> <JSON>``.

The JSON holds the parameters. Prints, as JSON too, the results and the modules in QGIS's process.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    profile, algorithm, parameters = sys.argv[1:]
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from qgis.core import QgsApplication

    application = QgsApplication([], False, profile)
    application.initQgis()
    sys.path += [str(Path(QgsApplication.pkgDataPath()) / "python" / "plugins"), str(ROOT)]
    import processing
    from processing.core.Processing import Processing

    from imagetodem_qgis.provider import ImageToDemProvider

    Processing.initialize()
    # Kept by name: the registry keeps its C++ half alone.
    provider = ImageToDemProvider()
    QgsApplication.processingRegistry().addProvider(provider)
    results = processing.run(algorithm, json.loads(parameters))
    print(json.dumps({"results": results, "modules": sorted(sys.modules)}))
    sys.stdout.flush()
    # Leaving QGIS in order is not what is looked at here, and takes its time.
    os._exit(0)


if __name__ == "__main__":
    main()
