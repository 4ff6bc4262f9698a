"""The bare engine's time for a number of tiles; runs in the machine-learning environment.

``python bench_engine.py MODEL TILES BATCH`` prints seconds: no reading, no worker, no blending, the model
loaded.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import onnxruntime


def main() -> None:
    """Time the tiles."""
    model, tiles, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    session = onnxruntime.InferenceSession(model)
    source = session.get_inputs()[0]
    shape = [batch, *source.shape[1:]]
    planes = np.random.default_rng(0).uniform(-1.0, 1.0, shape).astype(np.float32)
    session.run(None, {source.name: planes})
    start = time.perf_counter()
    for first in range(0, tiles, batch):
        session.run(None, {source.name: planes[: min(batch, tiles - first)]})
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
