"""What a run learns from and is judged by, put together from all folders that it was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagetodem_qgis.core.card import ModelCard
from imagetodem_qgis.core.stretch import EACH, StretchRecipe
from training.data.batches import Batch, Batches, pair_count
from training.data.cache import PairCache
from training.data.checks import check_sources
from training.data.ground import held_out_ground
from training.data.pair import Pair
from training.data.relative import height_range, relative_task
from training.data.sampling import TILE_SIZE, Augmentation
from training.data.sources import Group, Source, open_source, rendered_group, shared_out
from training.data.tasks import Task, make_task
from training.evaluation.predictor import HEIGHTS
from training.recipe import Recipe, Stage
from training.request import Listener, Request
from training.validation import HeldOut, held_out


@dataclass(frozen=True)
class Material:
    """Training and held-out pairs.

    Attributes:
        groups: of training pairs; their shares sum to 1.
        validation: held-out pairs of real images.
        gsd: least and largest ground sampling distance of the training pairs in metres.
        heights: least and largest height in metres, where the target is relative to them.
        folders: of real images, whose held-out splits can be reported on.
        description: for a model's card.
    """

    groups: tuple[Group, ...]
    validation: Sequence[Pair]
    gsd: tuple[float, float]
    heights: tuple[float, float] | None
    folders: tuple[Path, ...]
    description: Mapping[str, Any]

    @property
    def pairs(self) -> int:
        """Training pairs."""
        return pair_count(self.groups)

    def batches(
        self, recipe: Recipe, stage: Stage, seed: tuple[int, ...]
    ) -> Callable[[int], Callable[[int], Batch]]:
        """What makes the batches of a stage, given their size."""
        task = self._task(recipe, stage, recipe.image_dropped)
        augmentation = Augmentation(**recipe.augmentation)

        def of_size(batch_size: int) -> Batches:
            return Batches(
                self.groups,
                task,
                stage.tile_size,
                batch_size,
                seed,
                augmentation,
                stretch_of(recipe),
                passes=stage.order == "passes",
            )

        return of_size

    def held_out(self, recipe: Recipe, stage: Stage) -> HeldOut:
        """The tiles that a stage is judged by."""
        metres = None if self.heights is None else (self.heights[1] - self.heights[0]) / 2.0
        # A network that never sees an image is judged without one.
        task = self._task(recipe, stage, 1.0 if recipe.image_dropped == 1.0 else 0.0)
        return held_out(self.validation, recipe, task, stage.tile_size, stretch_of(recipe), metres)

    def _task(self, recipe: Recipe, stage: Stage, image_dropped: float) -> Task:
        reduction = max(1, TILE_SIZE // stage.tile_size) if stage is not recipe.stages[-1] else 1
        task = make_task(recipe.direction, recipe.inputs, reduction, image_dropped)
        return task if self.heights is None else relative_task(task, self.heights)


def gather(request: Request, recipe: Recipe, card: ModelCard | None, listener: Listener) -> Material:
    """Open and check all data of a run.

    Args:
        request: names the folders.
        recipe: of the run.
        card: of the model to go on with, if there is one.
        listener: who is told what was found.

    Raises:
        DataError: the data cannot be trained on.
    """
    cache = PairCache()
    # Where windows are to be the pairs themselves, as published, what lies beside them has no place.
    join = any(recipe.augmentation.values())
    sources = [open_source(folder, cache, join) for folder in request.datasets]
    checked = check_sources(sources, None if card is None else card.gsd_range)
    for warning in checked.warnings:
        listener.warn(warning)
    groups = [group for source in sources for group in source.train]
    described = [dict(source.description) for source in sources]
    if request.terrains is not None and recipe.rendered_share > 0.0:
        group, description = rendered_group(request.terrains, request.seed, cache, held_out_ground(sources))
        groups.append(group)
        described.append(dict(description))
    shared = shared_out(groups, recipe.rendered_share)
    for group in shared:
        listener.note(f"{group.name}: {len(group.pairs)} training pairs, {group.share:.0%} of the samples.")
    real = [source for source in sources if not _all_rendered(source)]
    return Material(
        shared,
        Joined([source.validation for source in real or sources]),
        checked.gsd,
        _heights(recipe, card, shared),
        tuple(source.folder for source in real),
        _joined_descriptions(described),
    )


class Joined(Sequence[Pair]):
    """Several sequences of pairs as one."""

    def __init__(self, parts: Sequence[Sequence[Pair]]) -> None:
        self._places = [(part, number) for part in parts for number in range(len(part))]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> Pair:  # type: ignore[override]
        """The pair of this number."""
        part, place = self._places[number]
        return part[place]


def stretch_of(recipe: Recipe) -> StretchRecipe:
    """The recipe's stretch as the card's parser gives it."""
    stretch = recipe.stretch
    lower, upper, clip = (float(stretch[key]) for key in ("lower", "upper", "clip"))
    return StretchRecipe(lower, upper, clip, stretch.get("bands", EACH))


def _all_rendered(source: Source) -> bool:
    return bool(source.train) and all(group.rendered for group in source.train)


def _heights(recipe: Recipe, card: ModelCard | None, groups: Sequence[Group]) -> tuple[float, float] | None:
    if recipe.target != "relative" or recipe.direction == "dem_to_image":
        return None
    known = {} if card is None else card.content.get(HEIGHTS, {})
    if known:
        return float(known["minimum"]), float(known["maximum"])
    return height_range(pair for group in groups for pair in group.pairs)


def _joined_descriptions(described: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One description of several folders: what is a list is put together, pairs are counted."""
    joined: dict[str, Any] = {"pairs": 0, "sources": []}
    for description in described:
        for key, value in description.items():
            if key == "pairs":
                joined["pairs"] += value
            elif isinstance(value, list):
                joined[key] = [*joined.get(key, []), *value]
            else:
                joined.setdefault(key, value)
    return joined
