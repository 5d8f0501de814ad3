"""Count the species in a folder of pictures.

    python3 examples/classify_folder.py album

Pictures that cannot be read are listed at the end. The others count for their best candidate if it scores at
least 0.5.
"""

import sys
from collections import Counter

from birdlite import Classifier

if len(sys.argv) != 2:
    sys.exit(f"usage: python3 {sys.argv[0]} FOLDER")

species: Counter[str] = Counter()
failures = []

with Classifier() as birds:
    for result in birds.classify_many([sys.argv[1]]):
        if result.failure is not None:
            failures.append(result.failure.message)
            continue
        best = result.predictions[0]
        if best.score >= 0.5:
            species[best.common_name or best.name] += 1

for name, count in species.most_common():
    print(f"{count:5}  {name}")
for message in failures:
    print(message, file=sys.stderr)
