"""From targets to written results, for the command line and Python alike."""
