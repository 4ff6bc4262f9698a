"""Landscapes: which covers occur together, and what each of them follows."""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[float, float]
ZERO: Span = (0.0, 0.0)


@dataclass(frozen=True)
class Cover:
    """A kind of cover and where it likes to be.

    Attributes:
        names: of the palette; one is drawn.
        amount: span of the share of the ground.
        height: span of its liking for height, from which one is drawn, as are the next ones.
        slope: for steep ground.
        sunny: for the side to the noon sun.
        ridge: for ridges rather than hollows.
        wet: for drainage lines.
        noise: for places that the terrain does not explain.
        chance: of occurring at all.
        sharp: how abrupt its edges are: 1 gradual, 6 a line.
    """

    names: tuple[str, ...]
    amount: Span = (0.2, 0.7)
    height: Span = ZERO
    slope: Span = ZERO
    sunny: Span = ZERO
    ridge: Span = ZERO
    wet: Span = ZERO
    noise: Span = (0.1, 0.8)
    chance: float = 1.0
    sharp: Span = (1.2, 4.0)


@dataclass(frozen=True)
class Biome:
    """A landscape.

    Attributes:
        name: what a geographer calls it.
        grounds: of the palette; two or three are drawn and mixed.
        covers: laid over the ground in turn.
        strata: span of how strongly layers of rock show.
        farmland: chance of fields.
        water: of the palette, for lakes and rivers.
        rivers: chance of rivers.
        dry_washes: whether rivers are beds of sand.
        gravel: chance of rivers that wander in wide beds of gravel.
        towns: largest share of the settled ground that is built on.
        common: how often it is drawn, against 1 of most landscapes: as often as a user is likely to have an
            image of it.
    """

    name: str
    grounds: tuple[str, ...]
    covers: tuple[Cover, ...]
    strata: Span = ZERO
    farmland: float = 0.0
    water: tuple[str, ...] = ("clear water", "green water", "deep water")
    rivers: float = 0.6
    dry_washes: bool = False
    gravel: float = 0.0
    towns: float = 0.3
    common: float = 1.0


RIPARIAN = Cover(
    ("broadleaf", "meadow", "macchia"),
    (0.03, 0.12),
    wet=(1.0, 2.5),
    noise=(0.1, 0.5),
    chance=0.6,
    sharp=(2, 6),
)
"""What grows along streams."""
