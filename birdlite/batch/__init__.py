"""Runs of any size: a list divided among machines, resumed after a kill, merged, and repeated for new pictures.

    shard.py    which targets of a list belong to which machine
    header.py   the first line of a part: its run, and at the end what it holds
    journal.py  a part that is being made, safe to kill at any moment
    part.py     from the journal to the complete part
    files.py    outputs of earlier runs found and read back, in files or in object storage; the targets that they have
    merge.py    parts into one output

`run.selection` applies this to the stream of targets. The command line imports these modules only for the options that
need them.
"""
