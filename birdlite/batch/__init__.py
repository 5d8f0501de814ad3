"""Runs of any size: a list divided among machines, resumed after a kill, merged, and repeated for new pictures.

`run.selection` applies this to the stream of targets. The command line imports these modules only for the options that
need them.
"""
