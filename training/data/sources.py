"""Where training pairs come from: data set folders, the Blue Marble and scene layout, and images rendered
over DEMs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.data.arrays import array_file, read_arrays
from training.data.bluemarble import Mosaics, read_bluemarble, read_tiles
from training.data.cache import PairCache
from training.data.dataset import DATASET_FILE, DataSet, read_dataset
from training.data.pair import Pair
from training.data.scene_list import SCENES
from training.data.scenes import read_scene
from training.request import DataError

_SCENE_SHARE = 0.12
"""Share of samples cut from the few 10-31 m scenes; the rest comes from Blue Marble."""
_RENDERED_SIDE = 384
_RENDERED_PAIRS = 600
"""Rendered images of a run: each is rendered once, then cut, mirrored and changed in contrast many times."""


@dataclass(frozen=True)
class Group:
    """Pairs that are drawn with one chance.

    Attributes:
        name: for the log.
        pairs: read or made when asked for.
        share: of samples, relative to the other groups'.
        weights: chance of each pair, relative to the others'; ``None``: all alike.
        rendered: whether the images are synthetic.
    """

    name: str
    pairs: Sequence[Pair]
    share: float
    weights: tuple[float, ...] | None = None
    rendered: bool = False


@dataclass(frozen=True)
class Source:
    """What a folder holds.

    Attributes:
        folder: the folder.
        train: groups of training pairs.
        validation: held-out pairs to choose by.
        test: held-out pairs to report on.
        description: for a model's card: ``sources``, ``licences``, ``pairs`` and what else the folder says.
        dataset: its files, where they can be checked one by one.
    """

    folder: Path
    train: tuple[Group, ...]
    validation: Sequence[Pair]
    test: Sequence[Pair]
    description: Mapping[str, Any] = field(default_factory=dict)
    dataset: DataSet | None = None


def open_source(folder: Path, cache: PairCache, join: bool = False) -> Source:
    """Open a folder of pairs, whatever its layout.

    Args:
        folder: with ``dataset.json``; or with the original project's ``.npz`` file; or with ``bluemarble/``
            and ``scenes/`` or one of them.
        cache: what keeps pairs that are read when asked for.
        join: whether training pairs of a data set folder are joined with what lies beside them.

    Raises:
        DataError: it is none of these.
    """
    arrays = array_file(folder)
    if arrays is not None:
        return _open_arrays(folder, arrays)
    if (folder / DATASET_FILE).exists():
        return _open_dataset(folder, cache, join)
    if (folder / "bluemarble" / "index.csv").exists() or (folder / "scenes").is_dir():
        return _open_collection(folder)
    raise DataError(f"{folder} is no data set: it has no {DATASET_FILE}, which describes the pairs")


def _open_dataset(folder: Path, cache: PairCache, join: bool) -> Source:
    dataset = read_dataset(folder)
    training = dataset.pairs("train", cache, join)
    described = ("sources", "licences", "licence", "resolution", "stretch", "version")
    description = {key: dataset.content[key] for key in described if key in dataset.content}
    return Source(
        folder,
        (Group(folder.name, training, 1.0, rendered=dataset.rendered),) if training else (),
        dataset.pairs("validation", cache),
        dataset.pairs("test", cache),
        {**description, "pairs": len(training)},
        dataset,
    )


def _open_arrays(folder: Path, path: Path) -> Source:
    """A file of arrays, all in memory."""
    read = read_arrays(path)
    train, validation, test = (read.splits[split] for split in ("train", "validation", "test"))
    groups = (Group(path.stem, train, 1.0),) if train else ()
    return Source(folder, groups, validation, test, read.description)


def _open_collection(folder: Path) -> Source:
    """Blue Marble tiles and scenes, all in memory."""
    tiles, scenes = folder / "bluemarble", folder / "scenes"
    groups = []
    if (tiles / "index.csv").exists():
        mosaics = Mosaics(list(read_tiles(tiles, "train")))
        groups.append(Group("Blue Marble", mosaics, 1.0 - _SCENE_SHARE))
    read = [s for s in SCENES if (scenes / f"{s.file}_dem.tif").exists()]
    learned = [read_scene(scenes, scene) for scene in read if scene.split == "train"]
    if learned:
        weights = tuple(float(np.sqrt(pair.valid.sum())) for pair in learned)
        groups.append(Group("scenes", learned, _SCENE_SHARE, weights))
    held_out = {
        split: (list(read_bluemarble(tiles, split)) if (tiles / "index.csv").exists() else [])
        + [read_scene(scenes, scene) for scene in read if scene.split == split]
        for split in ("validation", "test")
    }
    description = {
        "sources": [
            "NASA Blue Marble Next Generation (NASA Earth Observatory) with DEMs from jaanga/terrain-plus "
            "(Viewfinder Panoramas by J. de Ferranti, SRTM), 300-600 m",
            *(f"scene {pair.name}, {pair.gsd:.0f} m" for pair in learned),
        ],
        "pairs": sum(len(group.pairs) for group in groups),
        "footprints": "held out by blocks of 20 degrees with a buffer of one tile (Blue Marble), by scene",
    }
    return Source(folder, tuple(groups), held_out["validation"], held_out["test"], description)


class RenderedPairs(Sequence[Pair]):
    """Images rendered over DEMs, the same for the same seed, each made when it is first asked for.

    Args:
        count: how many.
        render: makes a pair from random numbers.
        seed: of the random numbers.
        cache: what keeps them; one that was dropped is rendered again, the same.
    """

    def __init__(
        self, count: int, render: Callable[[np.random.Generator], Pair], seed: int, cache: PairCache
    ) -> None:
        self._count, self._render, self._seed, self._cache = count, render, seed, cache

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Pair:  # type: ignore[override]
        """The pair of this number."""

        def make() -> Pair:
            return self._render(np.random.default_rng((self._seed, number)))

        return self._cache.get(f"rendered {self._seed} {number}", make)


def rendered_group(
    folder: Path, seed: int, cache: PairCache, apart: Sequence[tuple[float, float, float, float]] = ()
) -> tuple[Group, Mapping[str, Any]]:
    """Images rendered over a folder of DEMs, and their description for a model's card.

    Args:
        folder: of GeoTIFFs.
        seed: of the images.
        cache: what keeps them.
        apart: west, south, east and north in degrees of ground that nothing is rendered over.

    Raises:
        DataError: the folder holds no DEM, or one cannot be read.
    """
    from training.rendering import read_terrains, render_pair

    terrains = read_terrains(folder, apart)

    def render(random: np.random.Generator) -> Pair:
        return render_pair(terrains[int(random.integers(len(terrains)))], _RENDERED_SIDE, random)

    group = Group("rendered", RenderedPairs(_RENDERED_PAIRS, render, seed, cache), 1.0, rendered=True)
    return group, {"rendered_over": [terrain.name for terrain in terrains], "pairs": _RENDERED_PAIRS}


def shared_out(groups: Sequence[Group], rendered_share: float) -> tuple[Group, ...]:
    """The groups with shares that sum to 1, ``rendered_share`` of it for the rendered ones if there are both
    kinds."""
    shared = []
    for rendered, share in ((False, 1.0 - rendered_share), (True, rendered_share)):
        kind = [group for group in groups if group.rendered is rendered]
        alone = len(kind) == len(groups)
        total = sum(group.share for group in kind)
        shared += [replace(g, share=g.share / total * (1.0 if alone else share)) for g in kind]
    return tuple(group for group in shared if group.share > 0.0)
