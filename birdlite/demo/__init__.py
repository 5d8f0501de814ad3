"""A small world without a network."""
