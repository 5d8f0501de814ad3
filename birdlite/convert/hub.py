"""Where a SavedModel comes from: a TensorFlow Hub handle or URL, an archive, a folder. `module` asks here.

The Hub has moved more than once (tfhub.dev redirects to Kaggle since 2024), and its stores have answered 403 at times
(tensorflow/hub#922, #931, #932): every address that a module is known to have is tried in turn.
"""

from __future__ import annotations

import os
import re

from birdlite import local_file, log
from birdlite.convert.archive import looks_packed, module_folder, unpack
from birdlite.errors import InvalidModel, ModelUnavailable, PictureError, UnknownModel
from birdlite.http.fetcher import Fetcher
from birdlite.models.store import DOWNLOAD_SECONDS

DEFAULT_HANDLE = "google/aiy/vision/classifier/birds_V1/1"

KNOWN_SHA256 = "7245ed08e6f9c6de13a7ae5c98565a6138e6b14475fafc17f3fc15fb5bd14904"
"""Of birds_V1/1's saved_model.pb, as a third party states it."""

ARCHIVE_MAX_BYTES = 256 << 20
"""20 times the birds model."""

_KAGGLE = "https://www.kaggle.com/api/v1/models/{}/download"
_TFHUB = "https://tfhub.dev/{}?tf-hub-format=compressed"
_STORAGE = "https://storage.googleapis.com/tfhub-modules/{}.tar.gz"

# What Kaggle calls the modules that tfhub.dev has under another name.
_ON_KAGGLE = {DEFAULT_HANDLE: "google/aiy/tensorFlow1/vision-classifier-birds-v1/1"}
_ON_TFHUB = {kaggle: handle for handle, kaggle in _ON_KAGGLE.items()}

_HANDLE = re.compile(r"\w[\w.-]*(/\w[\w.-]*)+/\d+")
_TFHUB_PAGE = re.compile(r"(?i:https?)://(?:www\.)?tfhub\.dev/([^?#]+?)/?(?:[?#].*)?")
_KAGGLE_PAGE = re.compile(
    r"(?i:https?)://(?:www\.)?kaggle\.com/(?:api/v1/)?models/([^?#]+?)(?:/download)?/?(?:[?#].*)?"
)
_KAGGLE_WORDS = re.compile(r"/(?:frameworks|variations|versions)(?=/)")  # in the pages' newer addresses
_SECRETS = re.compile(r"(?<=://)[^/?#]*@|[?#].*")  # of a URL: a password; a query, which may be a signature


def addresses_of(source: str) -> tuple[str, ...] | None:
    """The URLs of a module's archive, best first; None for what is no Hub handle and no URL."""
    if page := _TFHUB_PAGE.fullmatch(source):
        return _on_hub(page[1])
    if page := _KAGGLE_PAGE.fullmatch(source):
        model = _on_kaggle(page[1])
        return _on_hub(_ON_TFHUB[model]) if model in _ON_TFHUB else (_KAGGLE.format(model),)
    if source.lower().startswith(("https://", "http://")):
        return (source,)
    return _on_hub(source) if _HANDLE.fullmatch(source) and not os.path.exists(source) else None


def _on_kaggle(page: str) -> str:
    """A model as the download address spells it: publisher/model/framework/variation/version.

    Pages call the framework TensorFlow1, TensorFlow2, TfLite as well as tensorFlow1, tensorFlow2, tfLite.
    """
    parts = _KAGGLE_WORDS.sub("", page).split("/")
    return "/".join(part[:1].lower() + part[1:] if place == 2 else part for place, part in enumerate(parts))


def _on_hub(handle: str) -> tuple[str, ...]:
    kaggle = [_KAGGLE.format(_ON_KAGGLE[handle])] if handle in _ON_KAGGLE else []
    return (*kaggle, _TFHUB.format(handle), _STORAGE.format(handle))


def shown(source: str) -> str:
    """A source as messages and cards may have it: a URL without password and query, which may be a signature."""
    return _SECRETS.sub("", source) if "://" in source else source


def is_archive(path: str) -> bool:
    """Whether a file begins as an archive does."""
    if not os.path.isfile(path):  # a pipe without a writer would be waited for
        return False
    try:
        with open(path, "rb") as file:
            return looks_packed(file.read(512))
    except OSError:
        return False


def open_source(source: str, fetcher: Fetcher, folder: str) -> str:
    """The folder of the SavedModel that `source` names; archives are unpacked into `folder`, which is empty.

    Raises:
        UnknownModel: it names nothing.
        ModelUnavailable: no address gave an archive.
        InvalidModel: it is no archive, or none of a SavedModel.
    """
    if os.path.isdir(source):
        return source
    addresses = addresses_of(source)
    if os.path.exists(source):
        archive = _read(source)
    elif addresses is not None:
        source = shown(source)
        archive = _fetch(source, addresses, fetcher)
    else:
        raise UnknownModel(f"{source}: no such file or folder, and no handle of a model on TensorFlow Hub")
    try:
        unpack(archive, folder)
        return module_folder(folder)
    except InvalidModel as error:
        raise InvalidModel(f"{source}: {error}") from None


def _read(path: str) -> bytes:
    try:
        return local_file.read(path, ARCHIVE_MAX_BYTES)
    except PictureError as error:
        raise InvalidModel(f"{path}: {error}") from None


def _fetch(source: str, addresses: tuple[str, ...], fetcher: Fetcher) -> bytes:
    reasons = []
    for url in addresses:
        host = shown(url).split("/", 3)[2]
        try:
            data = fetcher.get(url, max_bytes=ARCHIVE_MAX_BYTES, timeout=DOWNLOAD_SECONDS)
        except PictureError as error:
            if error.kind == "cancelled":
                raise ModelUnavailable(f"{source}: {error}") from None
            reasons.append(f"{host}: {error}")
            log.debug(f"no module from {shown(url)}: {error}")
            continue
        if looks_packed(data):
            log.info(f"fetched {source}: {len(data) / 1e6:.1f} MB from {host}")
            return data
        reasons.append(f"{host}: what it sent is no .tar.gz")
    raise ModelUnavailable(
        f"{source} cannot be had: {'; '.join(reasons)}; a .tar.gz or a folder of it can be given instead"
    )
