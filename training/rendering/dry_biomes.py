"""Landscapes of rock, sand and grass."""

from __future__ import annotations

from training.rendering.biome import RIPARIAN, Biome, Cover

DRY = (
    Biome(
        "canyonland",
        ("red sandstone", "orange sandstone", "pale sandstone", "red soil", "ochre", "violet shale"),
        (
            Cover(("sage", "steppe"), (0.1, 0.6), slope=(-1.5, 0.0), chance=0.7),
            Cover(
                ("juniper", "juniper", "conifer", "macchia"),
                (0.1, 0.6),
                height=(0.0, 1.5),
                slope=(-0.6, 0.5),
                sunny=(-1.2, 0.0),
                ridge=(-0.4, 0.5),
                chance=0.8,
            ),
            RIPARIAN,
        ),
        strata=(0.2, 1.0),
        water=("muddy water", "green water"),
        rivers=0.5,
        dry_washes=True,
    ),
    Biome(
        "desert",
        ("ochre", "sand", "mudstone", "red soil", "basalt", "limestone", "grey shale"),
        (
            Cover(
                ("basalt", "slate", "cinder", "granite", "juniper"),
                (0.2, 0.6),
                height=(0.0, 1.2),
                slope=(0.2, 1.8),
                chance=0.85,
            ),
            Cover(
                ("sand", "gravel", "salt"),
                (0.05, 0.5),
                height=(-1.5, -0.2),
                slope=(-1.8, -0.5),
                wet=(0.0, 0.8),
                chance=0.8,
            ),
            Cover(("sage", "juniper"), (0.1, 0.5), height=(0.0, 1.2), sunny=(-0.8, 0.0), chance=0.6),
            RIPARIAN,
        ),
        strata=(0.0, 0.5),
        rivers=0.5,
        dry_washes=True,
        gravel=0.3,
    ),
    Biome(
        # The other way round than most forests: plants where water is, bare and washed-out ground above.
        "bare uplands",
        ("limestone", "ochre", "mudstone", "loam", "red soil", "grey shale", "dry grass"),
        (
            Cover(("dry grass", "steppe"), (0.1, 0.4), height=(-0.5, 1.0), chance=0.8),
            Cover(
                ("macchia", "broadleaf", "juniper", "conifer"),
                (0.2, 0.6),
                height=(-1.6, -0.3),
                slope=(-0.5, 0.8),
                sunny=(-1.2, 0.0),
                wet=(0.0, 0.8),
            ),
            Cover(
                ("limestone", "mudstone", "gravel", "pale sandstone"),
                (0.03, 0.25),
                height=(0.3, 1.5),
                slope=(0.0, 1.0),
                ridge=(-0.2, 1.0),
            ),
            Cover(
                ("meadow", "crop", "macchia", "broadleaf"),
                (0.05, 0.25),
                height=(-2.0, -0.8),
                slope=(-2.0, -0.6),
                wet=(0.2, 1.0),
                chance=0.7,
            ),
            RIPARIAN,
        ),
        strata=(0.0, 0.4),
        farmland=0.6,
        dry_washes=True,
        gravel=0.6,
    ),
    Biome(
        "badlands",
        ("mudstone", "violet shale", "limestone", "ochre", "grey shale", "pale sandstone"),
        (
            Cover(("dry grass", "steppe", "sage"), (0.1, 0.6), slope=(-2.0, -0.6), ridge=(-0.2, 0.8)),
            RIPARIAN,
        ),
        strata=(0.5, 1.0),
        dry_washes=True,
        common=0.5,
    ),
    Biome(
        "steppe",
        ("steppe", "dry grass", "sage", "loam", "mudstone"),
        (
            Cover(("sage", "heath", "macchia"), (0.2, 0.6), height=(0.0, 1.2), sunny=(-0.8, 0.3)),
            Cover(("dry grass", "salt", "stubble"), (0.1, 0.4), height=(-1.5, -0.3), slope=(-1.2, 0.0)),
            Cover(
                ("meadow", "pasture", "macchia"), (0.05, 0.3), wet=(0.4, 1.5), sunny=(-1.0, 0.0), chance=0.7
            ),
            Cover(
                ("conifer", "juniper"),
                (0.05, 0.4),
                height=(0.4, 1.6),
                sunny=(-1.8, -0.3),
                chance=0.7,
                sharp=(3, 8),
            ),
        ),
        strata=(0.0, 0.3),
        farmland=0.4,
        dry_washes=True,
        gravel=0.3,
    ),
    Biome(
        "volcano",
        ("basalt", "cinder", "slate", "grey shale"),
        (
            Cover(("cinder", "grey shale", "gravel"), (0.1, 0.5), ridge=(-0.4, 0.4), wet=(-0.2, 0.6)),
            Cover(("broadleaf", "conifer", "rainforest"), (0.3, 0.8), height=(-1.2, 0.6), sharp=(2, 6)),
            Cover(
                ("pasture", "meadow", "stubble"),
                (0.1, 0.35),
                height=(-1.8, -0.4),
                slope=(-1.5, -0.3),
                chance=0.7,
            ),
            Cover(
                ("snow", "old snow"), (0.02, 0.2), height=(1.5, 3.0), wet=(0.0, 0.4), chance=0.3, sharp=(3, 8)
            ),
        ),
        farmland=0.5,
        common=0.5,
    ),
)
