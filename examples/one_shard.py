"""Classify one part of a list, as `birdlite classify --shard` does, and go on where a killed run stopped.

    python3 examples/one_shard.py list.txt 0 1 part-{shard}.jsonl

The arguments are the list, the index of the part, the number of parts, and the output.
"""

import sys

from birdlite import BirdliteError, Runner, RunOptions, Settings, Shard, expand

if len(sys.argv) != 5:
    sys.exit(f"usage: python3 {sys.argv[0]} LIST INDEX COUNT OUTPUT")

path, index, count, output = sys.argv[1:]

try:
    options = RunOptions(output=output, shard=Shard(int(index), int(count)), resume=True, times=False)
    report = Runner(Settings(top=1), options).run(expand([], [path]))
except BirdliteError as error:
    sys.exit(f"one_shard: {error}")  # no such shard or model, another list than the first time, nowhere to write

summary = report.summary
print(f"{summary.ok} of {summary.targets} classified; {report.already} were there already; {report.output}")
for kind, number in report.failures.items():
    print(f"  failed: {number} {kind}")
