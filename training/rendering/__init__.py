"""Training images rendered over real elevation models under a known sun."""

from __future__ import annotations

from training.rendering.render import render_pair
from training.rendering.terrain import Terrain, read_terrains

__all__ = ["Terrain", "read_terrains", "render_pair"]
