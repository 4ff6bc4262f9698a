"""What runs in the machine-learning environment; imports neither QGIS nor GDAL."""
