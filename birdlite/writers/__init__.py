"""Results into text, JSON, JSON lines and CSV."""
