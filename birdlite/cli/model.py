"""`birdlite model ACTION [NAME]`: download, list, show, check, find and remove models."""

from __future__ import annotations

import os
from types import SimpleNamespace

from birdlite import log
from birdlite.cli.console import open_console, say
from birdlite.cli.declare import Argument, Command, Option, Value
from birdlite.cli.exit_codes import EXIT_OK
from birdlite.cli.options import CACHE_DIR, FILE, MESSAGES, MODEL, NETWORK
from birdlite.cli.values import choice, classifier_settings
from birdlite.errors import InvalidModel, ModelUnavailable, OutputError, UsageError
from birdlite.models import bundle, catalog
from birdlite.models.cache import default_cache_dir, entry_folder, own_folder, remove
from birdlite.models.trust import doubt_about
from birdlite.run.classifier import Classifier
from birdlite.settings import DEFAULT_MODEL

ACTIONS = {
    "fetch": "download a model into the cache, or make it there, unless it is there already",
    "list": "list all models and say which are in the cache",
    "show": "print the card of a model: tensors, files, checksums, origin",
    "verify": "check every byte of a model in the cache or in a folder",
    "path": "print the folder of a model, in the cache or in birdlite itself",
    "remove": "delete a model from the cache",
}


def main(values: SimpleNamespace, started: float) -> int:
    """Run the command."""
    open_console(values)
    values.cache_dir = values.cache_dir or default_cache_dir()
    if values.cache_dir is None:
        raise UsageError("there is no cache directory, because this user has no home directory; use --cache-dir DIR")
    if values.action == "list":
        if values.name is not None:
            raise UsageError("birdlite model list takes no NAME; use birdlite model show NAME")
        _list(values)
        return EXIT_OK
    if values.action != "verify" and (values.against is not None or values.pictures):
        raise UsageError("--against and --pictures are options of birdlite model verify")
    values.name = values.name or DEFAULT_MODEL
    is_own = values.name not in catalog.CATALOG and os.path.exists(values.name)
    if is_own and values.action in ("fetch", "path", "remove"):
        raise UsageError(f"{values.name}: birdlite model {values.action} takes the name of a model that birdlite knows")
    actions = {"fetch": _fetch, "show": _show, "verify": _verify, "path": _path, "remove": _remove}
    actions[values.action](values)
    return EXIT_OK


def _fetch(values: SimpleNamespace) -> None:
    entry = catalog.find(values.name)
    with Classifier(classifier_settings(values)._replace(model=values.name)) as classifier:
        folder = classifier.model.folder
    if folder != entry.folder and bundle.faults_in(entry_folder(values.cache_dir, values.name), entry.card):
        raise OutputError(f"{values.name}: could not be kept in {folder}; --cache-dir names another place")
    say(f"{values.name}: in {folder}")


def _list(values: SimpleNamespace) -> None:
    for name, entry in catalog.CATALOG.items():
        total = sum(fact.bytes for fact in entry.card.files.values())
        place = _place(values, entry)
        state = "not in the cache" if bundle.faults_in(place, entry.card) else "in the cache"
        state = "a part of birdlite" if place == entry.folder else state
        say(f"{name}  {total / 1e6:.1f} MB  {entry.card.licence}  {state}\n  {entry.description}", lines=True)
    _tell_of_others([entry_folder(values.cache_dir, name) for name in catalog.CATALOG])


def _show(values: SimpleNamespace) -> None:
    card = bundle.read_card(values.name) if os.path.isdir(values.name) else catalog.find(values.name).card
    say(bundle.card_to_json(card).rstrip("\n"), lines=True)


def _verify(values: SimpleNamespace) -> None:
    if os.path.isdir(values.name):
        card = bundle.read_card(values.name)
        problems = bundle.faults_in(values.name, card)
        remedy = "convert or copy it again"
        against = f"{os.path.join(values.name, bundle.CARD_FILE)}, whose sha256 is {_card_digest(values.name)}"
        paths = [os.path.join(values.name, name) for name in (bundle.CARD_FILE, *card.files)]
    else:
        entry = catalog.find(values.name)
        place = _place(values, entry)
        card, problems = entry.card, bundle.faults_in(place, entry.card)
        remedy = f"run `{_fetching(values.name)}` to repair it"
        against, paths = "birdlite's own catalogue", [place]
    for name in card.files:
        say(f"{name}: {problems.get(name, 'ok')}")
    if problems and not os.path.isdir(values.name) and list(problems.values()) == ["missing"] * len(card.files):
        raise ModelUnavailable(_not_there(values))
    if problems:
        raise ModelUnavailable(f"{values.name} is damaged or incomplete; {remedy}")
    log.info(f"checked against {against}")
    _tell_of_others(paths)
    if values.against is not None:
        _compare(values)


def _card_digest(folder: str) -> str:
    return bundle.sha256(bundle.card_bytes(folder))


def _tell_of_others(paths: list[str]) -> None:
    """Say who else can change these files and folders."""
    doubt = doubt_about(paths)
    if doubt is not None:
        log.warning(f"{doubt} ({doubt.remedy})")


def _compare(values: SimpleNamespace) -> None:
    from birdlite.convert.module import Reading, is_module, open_module
    from birdlite.convert.pictures import choose
    from birdlite.convert.proof import beyond, bounds_of, spell
    from birdlite.convert.proven import distance_to

    settings = classifier_settings(values)
    with Classifier(settings._replace(model=values.name)) as one:
        result = one.model
    pictures = choose(values.pictures, result.card.side, settings.fetch, birds=catalog.is_birds(result.card))
    if is_module(values.against):
        own_labels = None if result.folder is None else os.path.join(result.folder, bundle.LABELS_FILE)
        module = open_module(values.against, Reading(labels=own_labels), settings)
        distance = distance_to(module, result, pictures)
    else:
        with Classifier(settings._replace(model=values.against)) as other:
            distance = distance_to(other.model, result, pictures)
    say(f"against {values.against}, {spell(distance)}")
    bounds = bounds_of(result.card)
    problem = beyond(distance, bounds) if bounds else None
    if problem:
        raise InvalidModel(f"the answers of {values.name} differ too much from those of {values.against}: {problem}")


def _place(values: SimpleNamespace, entry: catalog.Entry) -> str:
    """Where the entry is or will be: in the cache, or in birdlite itself."""
    return own_folder(values.cache_dir, entry, values.mirror) or entry_folder(values.cache_dir, entry.card.name)


def _not_there(values: SimpleNamespace) -> str:
    return f"{values.name} is not in the cache {values.cache_dir}; fetch it with `{_fetching(values.name)}`"


def _fetching(name: str) -> str:
    return "birdlite model fetch" + ("" if name == DEFAULT_MODEL else f" {name}")


def _path(values: SimpleNamespace) -> None:
    entry = catalog.find(values.name)
    place = _place(values, entry)
    if bundle.faults_in(place, entry.card):
        raise ModelUnavailable(_not_there(values))
    say(place)


def _remove(values: SimpleNamespace) -> None:
    catalog.find(values.name)
    gone = remove(values.cache_dir, values.name)
    log.info(f"{values.name} {'removed from' if gone else 'was not in'} {values.cache_dir}")


COMMAND = Command(
    "model",
    "Look after models, in the cache and in folders.",
    "\b\nActions:\n" + "\n".join(f"  {action:<8}{does}" for action, does in ACTIONS.items()),
    arguments=[
        Argument("action", "ACTION", ", ".join(ACTIONS) + ".", type=Value(choice, *ACTIONS)),
        Argument(
            "name",
            "[NAME]",
            f"A model; show and verify also take a model folder. Without one: {DEFAULT_MODEL}.",
            type=MODEL,
        ),
    ],
    options={
        "Check against another model (verify)": [
            Option(
                "--against MODEL",
                "Also compare the answers with those of MODEL, from which the model was made.",
                type=MODEL,
            ),
            Option(
                "--pictures PATH",
                "Compare on these pictures: files or folders. May be repeated.",
                type=FILE,
                multiple=True,
                shown="the five samples (birds models) or the demo's drawings",
            ),
        ],
        "Cache": [CACHE_DIR],
        **NETWORK,
        **MESSAGES,
    },
)
