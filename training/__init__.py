"""Training of the generators; runs in the machine-learning environment, never inside QGIS."""
