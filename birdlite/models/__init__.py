"""Which models exist, where their bytes are, and what those bytes must be."""
