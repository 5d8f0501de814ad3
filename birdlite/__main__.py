"""`python -m birdlite`: the same as `birdlite`."""

import sys

from birdlite.cli import main

if __name__ == "__main__":
    sys.exit(main())
