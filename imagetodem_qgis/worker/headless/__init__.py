"""Predicting a DEM without QGIS: rasterio reads and writes, this process or a cluster's run the network."""
