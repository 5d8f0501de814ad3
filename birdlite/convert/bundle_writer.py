"""Writes a bundle whole or not at all: into a folder beside its place, which is renamed when it is complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from birdlite import atomic_file
from birdlite.errors import OutputError, UsageError
from birdlite.local_file import reason
from birdlite.models.bundle import CARD_FILE, card_to_json
from birdlite.models.card import Card, ModelBytes


def check_place(folder: str, *, replace: bool) -> None:
    """Check before the work that a bundle can be written there.

    Raises:
        UsageError: something that is no bundle is there, or a bundle that must not be replaced.
    """
    if not os.path.lexists(folder):
        return
    if not os.path.isdir(folder) or (os.listdir(folder) and not os.path.exists(os.path.join(folder, CARD_FILE))):
        raise UsageError(f"{folder} exists and is not a model bundle; it will not be touched")
    if os.listdir(folder) and not replace:
        raise UsageError(f"{folder} holds a model bundle already; --force replaces it")


def write_bundle(folder: str, card: Card, files: Mapping[str, ModelBytes]) -> None:
    """Write the card and `files`, which are those that the card lists.

    Raises:
        OutputError: the system refused. The folder is as it was before.
    """
    folder = os.path.abspath(folder)
    partial = atomic_file.unfinished_name(folder)
    try:
        for left in atomic_file.leftovers(folder):
            shutil.rmtree(left)
        os.makedirs(partial)
        try:
            for name, data in files.items():
                atomic_file.write(os.path.join(partial, name), data)
            atomic_file.write(os.path.join(partial, CARD_FILE), card_to_json(card).encode())
            if os.path.isdir(folder):
                shutil.rmtree(folder)  # a folder cannot be renamed over one that is not empty
            os.rename(partial, folder)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except OSError as error:
        raise OutputError(f"{folder}: the bundle cannot be written: {reason(error)}") from None
