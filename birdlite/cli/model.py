"""`birdlite model ACTION [NAME]`: the models that birdlite knows, and those in the cache."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from birdlite import log
from birdlite.cli import EXIT_OK
from birdlite.cli.options import (
    add_cache_options,
    add_log_options,
    add_network_options,
    fetch_settings,
    open_console,
)
from birdlite.cli.parser import Parser
from birdlite.errors import InvalidModel, ModelUnavailable, UsageError
from birdlite.models import bundle, catalog
from birdlite.models.cache_dir import default_cache_dir
from birdlite.models.card import Card
from birdlite.models.store import entry_folder, remove
from birdlite.run.classifier import Classifier
from birdlite.settings import Settings

ACTIONS = {
    "fetch": "download or make it into the cache, unless it is there",
    "list": "all models, and which of them are in the cache",
    "show": "the card of one: tensors, files, checksums, origin",
    "verify": "check every byte of one in the cache, or of a bundle's folder",
    "path": "the folder of one in the cache, for --model or for copying",
    "remove": "delete one from the cache",
}


def main(argv: Sequence[str], started: float) -> int:  # noqa: ARG001 - every command has this shape
    """Run the command."""
    parser = Parser(
        "birdlite model",
        "Models: " + "; ".join(f"{action}: {what}" for action, what in ACTIONS.items()) + ".",
    )
    parser.add_argument("action", choices=tuple(ACTIONS), metavar="ACTION", help=", ".join(ACTIONS))
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help=f"a model (default: {catalog.DEFAULT_MODEL}); show and verify take a folder too",
    )
    group = parser.add_argument_group("verify")
    parser.option(
        "--against", metavar="MODEL", group=group, help="also compare its answers with those of this model, its source"
    )
    parser.options(
        "--pictures", metavar="PATH", group=group, help="compare on these files and folders; may be repeated"
    )
    add_cache_options(parser, may_go_without=False)
    add_network_options(parser)
    add_log_options(parser)
    values = parser.parse(argv)
    open_console(values)
    values.cache_dir = values.cache_dir or default_cache_dir()
    if values.cache_dir is None:
        raise UsageError("this user has no home for a cache: say with --cache-dir where it is")
    if values.action == "list":
        if values.name is not None:
            raise UsageError("birdlite model list takes no name; show does")
        return _list(values.cache_dir)
    if values.action != "verify" and (values.against is not None or values.pictures):
        raise UsageError("--against and --pictures belong to birdlite model verify")
    values.name = values.name or catalog.DEFAULT_MODEL
    actions = {"fetch": _fetch, "show": _show, "verify": _verify, "path": _path, "remove": _remove}
    return actions[values.action](values)


def _fetch(values: argparse.Namespace) -> int:
    catalog.find(values.name)  # a folder or file is nothing to fetch
    settings = Settings(model=values.name, cache_dir=values.cache_dir, fetch=fetch_settings(values))
    with Classifier(settings) as classifier:
        folder = classifier.model.folder
    _say(f"{values.name}: in {folder}")
    return EXIT_OK


def _list(cache_dir: str) -> int:
    for name, entry in catalog.CATALOG.items():
        if not entry.public:
            continue
        total = sum(fact.bytes for fact in entry.card.files.values())
        state = "not in the cache" if _problems(cache_dir, entry) else "in the cache"
        _say(f"{name}  {total / 1e6:.1f} MB  {entry.card.licence}  {state}\n  {entry.description}")
    return EXIT_OK


def _show(values: argparse.Namespace) -> int:
    _say(bundle.card_to_json(_card(values.name)).rstrip("\n"))
    return EXIT_OK


def _card(name: str) -> Card:
    return bundle.read_card(name) if os.path.isdir(name) else catalog.find(name).card


def _verify(values: argparse.Namespace) -> int:
    if os.path.isdir(values.name):
        card = bundle.read_card(values.name)
        problems = bundle.faults_in(values.name, card)
        remedy = "convert or copy it again"
    else:
        entry = catalog.find(values.name)
        card, problems = entry.card, _problems(values.cache_dir, entry)
        remedy = f"`{_fetching(values.name)}` mends it"
    for name in card.files:
        _say(f"{name}: {problems.get(name, 'ok')}")
    if problems:
        raise ModelUnavailable(f"{values.name} is not whole; {remedy}")
    if values.against is not None:
        _compare(values)
    return EXIT_OK


def _compare(values: argparse.Namespace) -> None:
    from birdlite.convert.bounds import bounds_of
    from birdlite.convert.compare import beyond, spell
    from birdlite.convert.from_module import distance_to
    from birdlite.convert.from_tflite import distance_between
    from birdlite.convert.module import Reading, is_module, open_module
    from birdlite.convert.pictures import choose

    settings = Settings(cache_dir=values.cache_dir, fetch=fetch_settings(values))
    with Classifier(settings._replace(model=values.name)) as one:
        result = one.model
    pictures = choose(values.pictures, result.card.side, settings.fetch, birds=catalog.is_birds(result.card))
    if is_module(values.against):
        own_labels = None if result.folder is None else os.path.join(result.folder, bundle.LABELS_FILE)
        module = open_module(values.against, Reading(labels=own_labels), settings)
        distance = distance_to(module, result, pictures)
    else:
        with Classifier(settings._replace(model=values.against)) as other:
            distance = distance_between(other.model, result, pictures)
    _say(f"against {values.against}, {spell(distance)}")
    bounds = bounds_of(result.card)
    problem = beyond(distance, bounds) if bounds else None
    if problem:
        raise InvalidModel(f"{values.name} is further from {values.against} than a conversion may be: {problem}")


def _problems(cache_dir: str, entry: catalog.Entry) -> dict[str, str]:
    """What is wrong with each file of the entry that is not in the cache as it must be."""
    return bundle.faults_in(entry_folder(cache_dir, entry.card.name), entry.card)


def _fetching(name: str) -> str:
    return "birdlite model fetch" + ("" if name == catalog.DEFAULT_MODEL else f" {name}")


def _path(values: argparse.Namespace) -> int:
    entry = catalog.find(values.name)
    if _problems(values.cache_dir, entry):
        raise ModelUnavailable(f"{values.name} is not in the cache {values.cache_dir}; run `{_fetching(values.name)}`")
    _say(entry_folder(values.cache_dir, values.name))
    return EXIT_OK


def _remove(values: argparse.Namespace) -> int:
    catalog.find(values.name)
    gone = remove(values.cache_dir, values.name)
    log.info(f"{values.name} {'removed from' if gone else 'was not in'} {values.cache_dir}")
    return EXIT_OK


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
