"""The numeric core: plain functions on NumPy arrays, without QGIS and without GDAL."""
