"""Predicting a DEM: from the image's windows through the worker to one surface on disk."""
