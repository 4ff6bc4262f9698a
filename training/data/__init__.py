"""Training pairs: reading them, cutting and changing samples from them."""
