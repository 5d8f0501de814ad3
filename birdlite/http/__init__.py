"""Fetching over HTTP: `fetcher` is what the rest of birdlite uses; the other modules are its parts."""
