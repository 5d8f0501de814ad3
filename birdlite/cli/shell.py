"""What shells know of birdlite: its name, and the variable by which completion scripts ask it for words."""

from __future__ import annotations

PROGRAM = "birdlite"
COMPLETE_VARIABLE = "_BIRDLITE_COMPLETE"
