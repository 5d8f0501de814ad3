"""`python -m birdlite`: the same as `birdlite`."""

from birdlite.cli import end_at_signals, main

if __name__ == "__main__":
    end_at_signals()
    import sys

    sys.exit(main())
