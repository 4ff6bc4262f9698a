"""Landscapes of snow, scree and moss."""

from __future__ import annotations

from training.rendering.biome import Biome, Cover

_SNOW = Cover(
    ("snow", "snow", "old snow"),
    (0.05, 0.6),
    height=(0.8, 3.0),
    slope=(-0.8, 0.0),
    sunny=(-1.0, 0.0),
    ridge=(-0.3, 0.3),
    noise=(0.2, 0.7),
    chance=0.7,
    sharp=(2, 8),
)

COLD = (
    Biome(
        "high mountains",
        ("granite", "gneiss", "slate", "limestone", "scree"),
        (
            Cover(
                ("scree", "gravel", "granite"), (0.1, 0.5), slope=(-0.2, 0.8), ridge=(-0.6, 0.2), chance=0.7
            ),
            Cover(("alpine grass", "meadow", "moss"), (0.2, 0.7), height=(-1.6, -0.4), slope=(-1.2, 0.0)),
            Cover(
                ("conifer",),
                (0.1, 0.5),
                height=(-2.2, -0.8),
                slope=(-0.3, 0.5),
                sunny=(-0.8, 0.1),
                noise=(0.3, 0.8),
                sharp=(2, 6),
                chance=0.8,
            ),
            Cover(("meadow", "pasture"), (0.05, 0.25), slope=(-2.0, -0.8), wet=(0.2, 1.0), chance=0.6),
            _SNOW,
        ),
        water=("turquoise water", "clear water", "deep water"),
        farmland=0.2,
        gravel=0.3,
    ),
    Biome(
        # Above the timber line it is brighter than the forest between, green in summer and pale in autumn.
        "alpine pastures",
        ("alpine grass", "alpine grass", "dry alpine grass", "dry alpine grass", "pasture", "heath", "scree"),
        (
            Cover(
                ("granite", "gneiss", "limestone", "scree", "slate"),
                (0.05, 0.4),
                height=(0.5, 2.0),
                slope=(0.0, 1.0),
                ridge=(0.0, 1.0),
                chance=0.8,
            ),
            Cover(
                ("conifer",),
                (0.15, 0.45),
                height=(-2.2, -0.7),
                slope=(0.2, 1.2),
                sunny=(-0.8, 0.1),
                noise=(0.2, 0.7),
                sharp=(2, 7),
            ),
            Cover(
                ("meadow", "pasture", "pasture", "stubble"),
                (0.05, 0.25),
                height=(-2.5, -1.0),
                slope=(-2.5, -1.0),
                wet=(0.2, 1.0),
                sharp=(3, 8),
            ),
            Cover(
                ("snow", "old snow"),
                (0.01, 0.1),
                height=(1.5, 3.0),
                sunny=(-1.5, -0.3),
                chance=0.3,
                sharp=(3, 8),
            ),
        ),
        water=("turquoise water", "clear water"),
        farmland=0.4,
        gravel=0.3,
        common=2.0,
    ),
    Biome(
        "tundra",
        ("heath", "moss", "lichen", "gneiss", "alpine grass"),
        (
            Cover(("moss", "heath"), (0.2, 0.7), wet=(0.0, 0.8), slope=(-0.6, 0.2)),
            Cover(("lichen", "scree", "gneiss"), (0.1, 0.5), ridge=(0.2, 1.2)),
            Cover(
                ("old snow", "snow"),
                (0.01, 0.2),
                sunny=(-1.5, -0.3),
                ridge=(-1.2, 0.0),
                chance=0.5,
                sharp=(4, 9),
            ),
        ),
        rivers=0.8,
        gravel=0.5,
        common=0.4,
    ),
    Biome(
        "snowy mountains",
        ("snow", "snow", "old snow"),
        (
            Cover(
                ("granite", "gneiss", "slate"), (0.05, 0.4), slope=(0.8, 2.2), sunny=(0.0, 1.2), sharp=(3, 8)
            ),
            Cover(
                ("conifer", "bare forest"),
                (0.1, 0.6),
                height=(-2.5, -0.8),
                slope=(0.0, 0.8),
                chance=0.7,
                sharp=(2, 7),
            ),
            Cover(("ice",), (0.03, 0.15), slope=(-1.5, -0.5), wet=(0.3, 1.0), chance=0.4),
        ),
        water=("deep water", "clear water"),
        common=0.5,
    ),
)
