"""Where the cache is: the folder that each system sets aside for what can be had again.

The rule of `platformdirs.user_cache_dir`, which a test compares this with; importing that takes longer than decoding
a picture.
"""

from __future__ import annotations

import os
import sys


def default_cache_dir() -> str | None:
    """An absolute path, which need not exist yet; None for a user without a home, as in some containers."""
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
        return os.path.join(base, "birdlite", "Cache")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Caches", "birdlite")
    # XDG Base Directory Specification: a relative path is invalid and must be ignored
    xdg = os.environ.get("XDG_CACHE_HOME", "").strip()
    base = xdg if os.path.isabs(xdg) else os.path.join(home, ".cache")
    return os.path.join(base, "birdlite") if os.path.isabs(base) else None
