"""Landscapes of forest and farmland."""

from __future__ import annotations

from training.rendering.biome import RIPARIAN, Biome, Cover

GREEN = (
    Biome(
        "mountain forest",
        ("loam", "alpine grass", "meadow", "granite"),
        (
            Cover(
                ("conifer", "conifer", "broadleaf"),
                (0.4, 0.9),
                height=(-0.1, 1.2),
                slope=(0.3, 1.6),
                sunny=(-1.0, 0.1),
                ridge=(-0.2, 0.8),
                sharp=(2, 7),
            ),
            Cover(
                ("broadleaf", "autumn forest"), (0.1, 0.5), height=(-0.6, 0.4), slope=(0.2, 1.0), chance=0.6
            ),
            Cover(
                ("alpine grass", "scree", "gneiss"),
                (0.02, 0.2),
                height=(0.8, 2.5),
                ridge=(0.2, 1.0),
                chance=0.3,
            ),
            Cover(
                ("pasture", "stubble", "gravel", "loam", "wheat"),
                (0.05, 0.3),
                height=(-1.5, -0.3),
                slope=(-2.5, -1.0),
                chance=0.8,
                sharp=(3, 8),
            ),
        ),
        farmland=0.7,
        water=("clear water", "green water", "turquoise water"),
        gravel=0.3,
        common=1.5,
    ),
    Biome(
        # Much of Asia and Europe: what is too steep to build on or to till is wood, greener than all below.
        "wooded hills above towns",
        ("loam", "stubble", "ploughed", "asphalt", "pasture", "wheat"),
        (
            Cover(
                ("broadleaf", "broadleaf", "conifer", "macchia", "rainforest"),
                (0.35, 0.85),
                height=(0.2, 1.2),
                slope=(0.8, 2.5),
                ridge=(0.0, 0.8),
                noise=(0.1, 0.5),
                sharp=(4, 9),
            ),
            Cover(("broadleaf", "conifer"), (0.1, 0.4), height=(0.0, 1.0), slope=(0.0, 1.0), chance=0.6),
            Cover(("dry grass", "crop", "loam"), (0.03, 0.12), slope=(0.0, 1.0), chance=0.3, sharp=(4, 9)),
        ),
        farmland=0.95,
        rivers=0.7,
        gravel=0.2,
        towns=0.9,
        common=2.0,
    ),
    Biome(
        "mediterranean",
        ("limestone", "dry grass", "red soil", "loam", "ochre"),
        (
            Cover(("dry grass", "steppe"), (0.2, 0.7), height=(-1.0, 0.0), slope=(-0.8, 0.3)),
            Cover(
                ("macchia", "macchia", "juniper", "conifer"),
                (0.3, 0.8),
                slope=(0.1, 1.6),
                sunny=(-1.2, 0.0),
                height=(-0.1, 1.2),
            ),
            Cover(("limestone", "granite"), (0.03, 0.2), ridge=(0.3, 1.2), slope=(0.2, 1.0), chance=0.35),
            RIPARIAN,
        ),
        strata=(0.0, 0.35),
        farmland=0.85,
        dry_washes=True,
        gravel=0.4,
        common=1.5,
    ),
    Biome(
        "rain forest",
        ("red soil", "loam", "pasture"),
        (
            Cover(
                ("rainforest", "broadleaf"), (0.75, 0.99), slope=(0.0, 0.8), ridge=(-0.2, 0.8), sharp=(2, 8)
            ),
            Cover(("broadleaf", "conifer"), (0.2, 0.6), ridge=(-0.6, 0.6), wet=(0.0, 0.8), chance=0.7),
            Cover(
                ("pasture", "crop", "red soil"), (0.01, 0.15), slope=(-1.5, -0.5), chance=0.5, sharp=(4, 9)
            ),
        ),
        farmland=0.2,
        water=("muddy water", "green water"),
        rivers=0.7,
    ),
    Biome(
        "temperate farmland",
        ("pasture", "loam", "stubble", "wheat"),
        (
            Cover(
                ("broadleaf", "conifer", "autumn forest", "bare forest"),
                (0.2, 0.7),
                height=(0.0, 1.0),
                slope=(0.3, 2.0),
                ridge=(-0.2, 1.0),
                sharp=(3, 9),
            ),
            Cover(("meadow", "pasture"), (0.1, 0.3), wet=(0.4, 1.2), chance=0.6),
        ),
        farmland=0.95,
        rivers=0.7,
        towns=0.5,
        common=1.5,
    ),
    Biome(
        "ridges and valleys in winter",
        ("bare forest", "loam", "dry grass"),
        (
            Cover(
                ("bare forest", "autumn forest", "broadleaf"),
                (0.4, 0.8),
                height=(0.0, 1.0),
                slope=(0.4, 1.6),
                ridge=(0.0, 1.2),
                sharp=(2, 6),
            ),
            Cover(("conifer",), (0.05, 0.3), sunny=(-1.2, 0.3), chance=0.6),
            Cover(("snow", "old snow"), (0.1, 0.5), height=(0.2, 1.2), sunny=(-1.5, -0.3), chance=0.15),
        ),
        farmland=0.85,
    ),
)
