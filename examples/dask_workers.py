"""Count the species in a folder of pictures, on the worker processes of a Dask cluster.

    python3 examples/dask_workers.py album

Here the cluster is this machine (`pip install distributed`). For another, give `Client` its address. The settings go to
each worker, which loads the model with its first pictures, and keeps it.
"""

import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster, as_completed, get_worker

from birdlite import Classifier, Settings


def species(settings: Settings, pictures: list[str]) -> list[str]:
    """The best candidates, in a worker."""
    worker: Any = get_worker()
    if not hasattr(worker, "birds"):
        worker.birds = Classifier(settings)
    results = worker.birds.classify_many(pictures)
    return [result.predictions[0].common_name or result.predictions[0].name for result in results if result.ok]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python3 {sys.argv[0]} FOLDER")

    album = sorted(str(path.resolve()) for path in Path(sys.argv[1]).iterdir())
    batches = [album[start : start + 50] for start in range(0, len(album), 50)]
    task = partial(species, Settings(workers=1))  # Dask has a process for each processor
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        found: Counter[str] = Counter()
        for _, names in as_completed(client.map(task, batches), with_results=True):
            found.update(names)
    for name, count in found.most_common():
        print(f"{count:5}  {name}")
