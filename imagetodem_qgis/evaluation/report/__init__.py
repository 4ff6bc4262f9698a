"""The page that tells how good a DEM is."""
