"""`python -m birdlite`: the same as `birdlite`."""

from birdlite.cli import end_at_signals, fill_descriptors, finish, main

if __name__ == "__main__":
    end_at_signals()
    fill_descriptors()
    import sys
    import threading

    code = main()
    if threading.active_count() > 1:
        finish(code)
    sys.exit(code)
