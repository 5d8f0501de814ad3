"""Runs of any size: a list divided among machines, taken up again after a kill, put together, and repeated.

    shard.py      which targets of a list belong to which machine
    header.py     the first line of a part: which run it is of, and at the end what it holds
    journal.py    a part that is being made: its records as they finish, safe to kill at any moment
    part.py       from the journal to the part under its final name
    earlier.py    what earlier runs have classified already
    selection.py  all of this applied to the stream of targets, between `targets` and the pipeline
    files.py     parts found and read, in files or in object storage
    record_file.py  records read back from a part
    merge.py      parts into one output

The CLI imports these rooms only for the options that need them; a plain run pays nothing for them.
"""
