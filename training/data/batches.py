"""Batches of samples: which samples a step gets, and making them ahead of the step.

The samples of a step follow from the seed, the stage and the step's number alone. A run that was interrupted
therefore goes on with the very batches that it would have had, and threads can make several at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.stretch import StretchRecipe
from training.data.pair import Pair
from training.data.sampling import Augmentation, Sample, random_sample
from training.data.sources import Group
from training.data.tasks import Task
from training.request import DataError

FloatArray = NDArray[np.float32]
Batch = tuple[FloatArray, FloatArray]
Made = TypeVar("Made")

_LEAST_KNOWN = 0.3
"""Share of a sample's pixels whose height must be known."""
_TRIES = 30


@dataclass(frozen=True)
class Batches:
    """Batches by the number of their step.

    Attributes:
        groups: what samples are drawn from; their shares sum to 1.
        task: turns a sample into input and target.
        size: side of the samples in pixels.
        batch_size: samples a batch.
        seed: of the run, and what else tells one series of batches from another.
        augmentation: how samples are varied.
        stretch: of the images.
        passes: whether each pair comes once before any comes again.
    """

    groups: tuple[Group, ...]
    task: Task
    size: int
    batch_size: int
    seed: tuple[int, ...]
    augmentation: Augmentation
    stretch: StretchRecipe
    passes: bool = False

    def __call__(self, step: int) -> Batch:
        """The input (batch_size, size, size, planes) and target (batch_size, size, size, bands + 1) of a step
        counted from 0, float32."""
        samples = [self._sample(step, place) for place in range(self.batch_size)]
        return np.stack([sample[0] for sample in samples]), np.stack([sample[1] for sample in samples])

    def _sample(self, step: int, place: int) -> Batch:
        random = np.random.default_rng((*self.seed, step, place))
        for _ in range(_TRIES):
            pair = self._next(step * self.batch_size + place) if self.passes else self._draw(random)
            sample = random_sample(pair, self.size, random, self.augmentation, self.stretch)
            if _usable(sample):
                return self.task(sample, random)
        raise DataError(
            f"{pair.name}: hardly any window of it has known heights: fill the DEM's voids or leave it out"
        )

    def _draw(self, random: np.random.Generator) -> Pair:
        group = self.groups[int(random.choice(len(self.groups), p=[g.share for g in self.groups]))]
        if group.weights is None:
            return group.pairs[int(random.integers(len(group.pairs)))]
        weights = np.asarray(group.weights)
        return group.pairs[int(random.choice(len(weights), p=weights / weights.sum()))]

    def _next(self, number: int) -> Pair:
        """The pair of the sample of this number: each pass has an order of its own."""
        count = pair_count(self.groups)
        order = np.random.default_rng((*self.seed, number // count)).permutation(count)
        chosen = int(order[number % count])
        for group in self.groups:
            if chosen < len(group.pairs):
                return group.pairs[chosen]
            chosen -= len(group.pairs)
        raise IndexError(number)


def _usable(sample: Sample) -> bool:
    return bool(sample.target[..., 1].mean() > _LEAST_KNOWN)


def pair_count(groups: Sequence[Group]) -> int:
    """Pairs of all groups together."""
    return sum(len(group.pairs) for group in groups)


def ahead(
    make: Callable[[int], Made], steps: range, workers: int = 2, depth: int = 6
) -> Generator[tuple[int, Made], None, None]:
    """What ``make`` makes of each step in turn, made ahead of its use by several threads.

    Args:
        make: called with a step's number, from any thread.
        steps: numbers of the steps.
        workers: threads.
        depth: how many are made ahead.

    Yields:
        The step and what was made, in the order of the steps.
    """
    waiting: deque[tuple[int, Future[Made]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        try:
            for step in steps:
                waiting.append((step, pool.submit(make, step)))
                if len(waiting) > depth:
                    first, made = waiting.popleft()
                    yield first, made.result()
            while waiting:
                first, made = waiting.popleft()
                yield first, made.result()
        finally:
            # Whoever stops early does not wait for what nobody will use.
            for _, made in waiting:
                made.cancel()
