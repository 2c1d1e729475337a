"""A stand-in for a training package."""
