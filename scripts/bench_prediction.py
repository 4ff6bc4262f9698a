"""One prediction in a QGIS process of its own: ``python -m scripts.bench_prediction IMAGE DEM BATCH``.

Prints as JSON the seconds of the call, the tiles, and this process's peak memory in MB, the worker's left
out.
"""

from __future__ import annotations

import json
import resource
import sys
import time

from qgis.core import QgsApplication


def main() -> None:
    """Predict and measure."""
    image, dem, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
    application = QgsApplication([], False)
    application.initQgis()
    sys.path.append("/usr/share/qgis/python/plugins")
    import processing
    from processing.core.Processing import Processing

    from imagetodem_qgis.provider import ImageToDemProvider

    Processing.initialize()
    provider = ImageToDemProvider()
    QgsApplication.processingRegistry().addProvider(provider)
    before = _peak()
    start = time.perf_counter()
    result = processing.run("imagetodem:predictdem", {"INPUT": image, "OUTPUT": dem, "BATCH_SIZE": batch})
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "tiles": result["TILES"], "peak_mb": _peak(), "before_mb": before}))
    application.exitQgis()


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


if __name__ == "__main__":
    main()
