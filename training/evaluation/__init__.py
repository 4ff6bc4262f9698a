"""How good a model is on ground that it has not seen, beside what needs no network."""
