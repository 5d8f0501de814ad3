"""Lists, pictures, parts and outputs in object storage, through the client `obstore`.

A URL is `s3://bucket/key`, `gs://bucket/key` or `az://container/key`. Every module that takes a path or a URL asks
`is_storage`. A key is used as it is written, as by the stores' own tools: `%20` is three characters, and `?` and `#`
are part of it.

    store.py    objects read, listed and put
    bucket.py   one bucket's client: requests within the time limits, errors as kinds of failure
    listing.py  a folder's objects
    s3_listing.py   a folder in S3 with all its keys, if obstore refuses one of them
    relay.py    the same for Google and Azure
    upload.py   an output: made on this machine, then put, or kept where the user finds it

obstore is the extra `cloud`, and is imported when a bucket is first opened. A run without such a URL imports only this
module and `store`.
"""

from __future__ import annotations

from birdlite.namedtuple import NamedTuple

SCHEMES = ("s3", "gs", "az")
KEY_LIMIT = 1024  # bytes; of all three stores

_PREFIXES = tuple(f"{scheme}://" for scheme in SCHEMES)


class Place(NamedTuple):
    """An object, or a folder: all objects whose keys begin with its key."""

    scheme: str
    bucket: str  # on Azure the container; the account is in the environment
    key: str  # without a slash in front; a folder's key ends with one, and that of a whole bucket is empty

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder or a whole bucket."""
        return not self.key or self.key.endswith("/")

    @property
    def root(self) -> str:
        """The bucket's URL."""
        return f"{self.scheme}://{self.bucket}"

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.root}/{self.key}"


class Listed(NamedTuple):
    """An object of a listing, or a file."""

    name: str  # its URL or path
    size: int = 0  # bytes
    version: str = ""  # changes with its content: the ETag, or the time of a file; empty if it is not known
    modified: float = 0.0  # when it was written, in s since 1970; 0 if it is not known


def is_storage(name: str) -> bool:
    """Whether `name` is a URL of object storage."""
    return name[:5].lower().startswith(_PREFIXES)


def is_other_url(name: str) -> bool:
    """Whether `name` is a URL, and none of object storage: nothing is written to such a place."""
    scheme, mark, _ = name.partition("://")
    return bool(mark) and len(scheme) > 1 and scheme.replace("+", "").isalnum() and not is_storage(name)


def is_odd(url: str) -> bool:
    """Whether no object with this URL can be read; `parse` says why."""
    try:
        parse(url)
    except ValueError:
        return True
    return False


def parse(url: str) -> Place:
    """Parse a URL for which `is_storage` is true.

    Raises:
        ValueError: no object can have this name; a clause for the user.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if not bucket or not bucket.isascii() or not bucket.replace("-", "").replace(".", "").replace("_", "").isalnum():
        raise ValueError("no usable bucket in this URL")
    segments = key.removesuffix("/").split("/")
    if key and not {"", ".", ".."}.isdisjoint(segments):
        raise ValueError("a key with an empty segment, . or .. is not supported")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ValueError("broken characters in this URL") from None
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in key):
        raise ValueError("a key with control characters is not supported")
    if size > KEY_LIMIT:
        raise ValueError(f"longer than {KEY_LIMIT} bytes, the limit for keys")
    return Place(scheme.lower(), bucket, key)
