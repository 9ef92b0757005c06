"""The Compose model: frozen, canonical form only, no I/O. ``units`` is cheap; the classes import pydantic."""
