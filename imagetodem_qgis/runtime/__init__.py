"""The machine-learning environment: find or create it, start its worker, talk to it, stop it."""
