"""toolret."""

__version__ = "0.1.0"
