"""The bare engine's time for a number of tiles; runs in the machine-learning environment.

``python bench_engine.py MODEL TILES BATCH LANES`` prints seconds: no reading, no worker, no blending, the
model loaded. With one lane, batches are run one after the other on all cores, as ONNX Runtime does by itself;
with several, as many tiles are run at once with a core for each.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime


def main() -> None:
    """Time the tiles."""
    model, tiles, batch, lanes = sys.argv[1], *(int(number) for number in sys.argv[2:])
    options = onnxruntime.SessionOptions()
    if lanes > 1:
        options.intra_op_num_threads, batch = 1, 1
    session = onnxruntime.InferenceSession(model, options)
    source = session.get_inputs()[0]
    shape = [batch, *source.shape[1:]]
    planes = np.random.default_rng(0).uniform(-1.0, 1.0, shape).astype(np.float32)

    def run(first: int) -> None:
        session.run(None, {source.name: planes[: min(batch, tiles - first)]})

    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(run, [0] * lanes))
        start = time.perf_counter()
        list(pool.map(run, range(0, tiles, batch)))
        print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
