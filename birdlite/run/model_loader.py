"""Turns `--model` and `--engine` into a verified model and its engines. `Classifier` makes one for the engine pool."""

from __future__ import annotations

import os
import threading
import time

from birdlite import engines, log
from birdlite.engines.contract import Engine
from birdlite.errors import EngineError, InvalidModel, ModelUnavailable, UnknownModel, UsageError
from birdlite.models import bundle, catalog
from birdlite.models.bundle import Model, model_of, sha256
from birdlite.models.cache import default_cache_dir, own_folder
from birdlite.models.card import MODEL_MAX_BYTES, Card, FileFact, ModelFormat, check_ends, read_file
from birdlite.models.labels import read_label_file
from birdlite.models.store import Store
from birdlite.models.trust import doubt_about
from birdlite.run.remote import Remote
from birdlite.settings import Settings
from birdlite.timing import Timeline

LAST_TRY_S = 0.3  # beyond --startup-timeout: the last try then says what is wrong, rather than that no time is left


class ModelLoader:
    """Opens the model that the settings name, and loads engines on it."""

    def __init__(self, settings: Settings, remote: Remote, timeline: Timeline) -> None:
        """Nothing is opened yet. `remote` downloads missing model files.

        Raises:
            UsageError: the settings' label map and model do not fit together.
        """
        check_labels(settings.model, settings.labels)
        self._settings = settings
        self._remote = remote
        self._timeline = timeline
        self._cache_dir = cache_dir = None if settings.no_cache else settings.cache_dir or default_cache_dir()
        if cache_dir is None and not settings.no_cache:
            log.warning(
                "this user has no home folder for a cache; keeping the model in memory (--cache-dir names a place)"
            )
        self._store = Store(cache_dir, remote, offline=settings.fetch.offline, timeline=timeline)
        self._entry = catalog.CATALOG.get(settings.model)
        self._opening = threading.Lock()
        self._model: Model | None = None

    @property
    def side(self) -> int | None:
        """The model's side in px, if it is known before the model is open: that of a model of the catalogue."""
        return None if self._entry is None else self._entry.card.side

    def preload(self) -> None:
        """Import the engine's runtime before the model is open, if it is known which one.

        Raises:
            EngineMissing: it is not installed.
        """
        if self._entry is not None and self._settings.engine == "auto":
            with self._timeline.span("imports"):
                engines.preload(self._entry.card.format)

    @property
    def model(self) -> Model:
        """The model, verified. The first thread that asks opens it, and the others wait.

        Raises:
            ModelError: as for `open`. The next call tries again.
        """
        with self._opening:
            if self._model is None:
                self._model = self.open()
            return self._model

    def open(self) -> Model:
        """Open and verify the model.

        A folder with the name of a catalogue model must be written as a path, `./birds-v1-lite`: the content of the
        current folder must not change what a command does.

        Raises:
            ModelError: there is no such model, it cannot be downloaded, or it is damaged.
        """
        name, labels = self._settings.model, self._settings.labels
        if self._entry is not None:
            if self._settings.model_sha256 is not None:
                digest = self._entry.card.files[bundle.MODEL_FILES[self._entry.card.format]].sha256
                bundle.check_pinned(f"{name} of the catalogue", digest, self._settings.model_sha256)
            return self._from_catalog(self._entry)
        if os.path.isdir(name):
            return self._open_bundle(name)
        if os.path.exists(name) and labels is not None:
            return self._open_file(name, labels)
        if os.sep in name or name.endswith(tuple(bundle.MODEL_FILES)):
            raise UnknownModel(f"{name}: no such model file or folder")
        return self._from_catalog(catalog.find(name))

    def _from_catalog(self, entry: catalog.Entry) -> Model:
        """Open it, and try again while its sources are away, for as long as the settings say in all."""
        fetch = self._settings.fetch
        folder = own_folder(self._cache_dir, entry, None if fetch.offline else fetch.mirror)
        if folder is not None:
            return self._read(folder, entry.card)
        seconds, began = fetch.startup_timeout, time.monotonic()
        self._remote.model_by = began + seconds + LAST_TRY_S if seconds > 0 else None
        try:
            return self._store.open(entry)
        except ModelUnavailable as error:
            if not error.temporary:
                raise
            from birdlite.retries import Retries

            retries = Retries(seconds, self._remote.cancelled, since=began)
            retries.wait(error)
        return retries.call(lambda: self._store.open(entry))

    def load(self, threads: int = 1) -> Engine:
        """An engine on the model; `threads` work on one picture.

        Raises:
            ModelError: the model cannot be opened.
            EngineError: no runtime can run it.
        """
        model = self.model
        with self._timeline.span("imports"):
            engines.preload(model.card.format, self._settings.engine)
        with self._timeline.span("model load"):
            engine = engines.load(model.data, model.card, engine=self._settings.engine, threads=threads)
            return engines.checked(engine, model.card)

    def close(self) -> None:
        """Finish writing to the cache."""
        self._store.close()

    def _open_bundle(self, folder: str) -> Model:
        pinned = self._settings.model_sha256
        card = bundle.read_card(folder, pinned)
        model = self._read(folder, card)
        trusted = pinned is not None or catalog.vouches_for(card) or _only_ours(folder, card)
        if not (trusted and "birdlite" in card.made_with) and not catalog.is_known(model.sha256):
            with self._timeline.span("model load"):
                self._try(bytes(model.data), model.sha256, os.path.join(folder, bundle.MODEL_FILES[card.format]))
        return model

    def _read(self, folder: str, card: Card) -> Model:
        """The model of a card from the files of a folder, which are checked against it."""
        with self._timeline.span("model load"):
            files, problems = bundle.look_in(folder, card)
        for name in card.files:
            if name not in files:
                raise InvalidModel(f"{os.path.join(folder, name)} {problems.get(name, 'is missing')}")
        with self._timeline.span("labels"):
            return model_of(card, files, folder)

    def _try(self, data: bytes, digest: str, path: str) -> None:
        """Load and run a model without a trusted checksum in another process, unless that was done before."""
        from birdlite.engines.trial import try_once

        format_: ModelFormat = "onnx" if path.endswith(".onnx") else "tflite"
        try_once(data, digest, path, (format_, self._settings.engine), self._cache_dir)

    def _open_file(self, path: str, labels_path: str) -> Model:
        """A model file without a card: its own tensors make one."""
        format_: ModelFormat = "onnx" if path.endswith(".onnx") else "tflite"
        with self._timeline.span("model load"):
            data = read_file(path, MODEL_MAX_BYTES, "a model")
            digest = sha256(data)
            if self._settings.model_sha256 is not None:
                bundle.check_pinned(path, digest, self._settings.model_sha256)
            self._try(data, digest, path)
            try:
                input_, output = engines.describe(data, format_)
                check_ends(input_, output)
            except (InvalidModel, EngineError) as error:
                raise type(error)(f"{path}: {error}") from None
        card = Card(
            name=os.path.basename(path),
            format=format_,
            input=input_,
            output=output,
            files={bundle.MODEL_FILES[format_]: FileFact(len(data), digest)},
            source=path,
        )
        log.debug("bare model file", path=path, sha256=digest)
        with self._timeline.span("labels"):
            return Model(card, data, read_label_file(labels_path, card.classes), None)


def _only_ours(folder: str, card: Card) -> bool:
    """Whether nobody else can have changed a model folder. If somebody can, say that nothing vouches for it."""
    doubt = doubt_about(os.path.join(folder, name) for name in (bundle.CARD_FILE, *card.files))
    if doubt is not None:
        log.warning(
            f"{doubt}, so nothing vouches for the model there: {bundle.CARD_FILE} can change with the files that it is "
            f"about; {doubt.remedy}, or name the sha256 of {bundle.CARD_FILE} with --model-sha256"
        )
    return doubt is None


def check_labels(name: str, labels: str | None) -> None:
    """Check that label map and model fit together, before anything is opened.

    Raises:
        UsageError: `labels` is missing for a bare file, or given for a model that has its own.
        InvalidModel: a bare file without them is no model at all.
    """
    if name not in catalog.CATALOG and not os.path.exists(name):
        return  # `open` says what is wrong with it
    has_its_own = name in catalog.CATALOG or os.path.isdir(name)
    if has_its_own and labels is not None:
        raise UsageError(f"{name} brings its own labels; --labels is for bare model files")
    if not has_its_own and labels is None:
        if _is_something_else(name):
            raise InvalidModel(f"{name} is no model: neither a .tflite file, nor an .onnx file, nor a model folder")
        raise UsageError(f"{name} is a bare model file: name its label map with --labels")


def _is_something_else(path: str) -> bool:
    """True if a file is no model, by its name and its first bytes."""
    from birdlite.tflite.schema import IDENTIFIER

    if path.endswith((".onnx", ".tflite")) or not os.path.isfile(path):  # opening a pipe without a writer would wait
        return False
    try:
        with open(path, "rb") as file:
            return file.read(8)[4:] != IDENTIFIER
    except OSError:
        return False
