"""Known heights: a reference DEM or control points, and what they make of a predicted or another surface."""
