"""GDAL: windowed reading and writing, and grids."""
