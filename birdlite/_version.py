"""The version of birdlite, for the package, its build and everything that names it."""

__version__ = "0.1.0"
