"""birdlite: what bird is this? Any number of photographs, from a cold start, in a fraction of a second."""

__version__ = "0.1.0"
