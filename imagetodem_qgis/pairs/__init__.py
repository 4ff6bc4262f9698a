"""Pairs of images and DEMs: where they come from, how they are cut into tiles, and the folder they make."""
