"""What goes wrong when the machine-learning environment is set up."""

from __future__ import annotations


class SetupError(Exception):
    """The environment cannot be made; the message says why and what to do."""
