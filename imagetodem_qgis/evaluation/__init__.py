"""Comparing a DEM with a reference DEM and with control points, and the report of it."""
