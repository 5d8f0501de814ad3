"""Render a folder of manifests and check it with the rules of the tests, before it is applied.

    .venv/bin/python -m scripts.check_manifests k8s/overlays/cluster k8s/serve/overlays/cluster

Prints each fault in a line and ends with 1 if there is one: a list that is too large for a ConfigMap, a number of
shards that differs from the number of indexes, a service that is killed before it has finished, a name that is not
there, and so on. Says what is still to be filled in.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.k8s_rules import faults_in
from tests.manifests import render_folder

TO_FILL_IN = ("YOUR-BUCKET", "registry.example.com", "sha256:" + 64 * "0")
"""What the overlays have in the places of what only their user knows."""


def main(folders: list[str]) -> int:
    """Check each folder; return the exit code."""
    if not folders or folders[0].startswith("-"):
        print("usage: python -m scripts.check_manifests FOLDER...", file=sys.stderr)
        return 2
    faults = 0
    for folder in folders:
        try:
            documents = render_folder(Path(folder))
        except FileNotFoundError as error:
            print(error, file=sys.stderr)
            return 2
        except subprocess.CalledProcessError as error:
            print(f"{folder}: {error.stderr.strip()}", file=sys.stderr)
            return 2
        found = faults_in(documents)
        faults += len(found)
        print("\n".join(found) or f"{folder}: {len(documents)} documents, no fault")
        missing = [words for words in TO_FILL_IN if words in json.dumps(documents)]
        if missing:
            print(f"{folder}: still to be filled in: {', '.join(missing)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
