"""The Earth Engine client: what to ask for, asking for it, and what its failures mean."""
