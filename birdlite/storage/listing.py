"""The objects of one folder: all below it, or those directly in it. `store` lists with it.

obstore lists. If it refuses the whole folder because of one odd key, S3 is asked without obstore (`s3_listing`), and
Google and Azure by obstore through a `relay`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from birdlite.errors import StorageError
from birdlite.storage import Listed, Place

if TYPE_CHECKING:
    from birdlite.storage.bucket import Bucket
    from birdlite.storage.relay import Relay

PAGE = 1000  # keys of a listing in memory; the stores list as many at once


class Listing:
    """A folder to list."""

    def __init__(self, bucket: Bucket, place: Place) -> None:
        self._bucket = bucket
        self._place = place

    def below(self) -> Iterator[tuple[str, int | None]]:
        """The keys below the folder, page by page, and the size of each if it is known.

        Raises:
            StorageError: while iterating: the bucket does not exist or may not be listed.
        """
        last: str | None = None
        try:
            for meta in self._metas():
                yield (last := meta["path"]), meta["size"]
        except StorageError as error:
            if error.cause != "odd_key":
                raise
        else:
            return
        if self._place.scheme == "s3":
            for key in self._keys({"start-after": last} if last else {}):
                yield key, None
            return
        with closing(self._bucket.relay()) as relay:
            for meta in self._metas(relay):
                key, is_odd = relay.key(meta["path"])
                if last is None or key > last:  # else it was listed before
                    yield (last := key), None if is_odd else meta["size"]

    def directly(self) -> set[Listed]:
        """The objects in the folder, without those in folders below it; also those with odd keys.

        Raises:
            StorageError: the bucket does not exist or may not be listed.
        """
        try:
            return self._at_once()
        except StorageError as error:
            if error.cause != "odd_key":
                raise
        root = self._place.root
        if self._place.scheme == "s3":
            return {Listed(f"{root}/{key}") for key in self._keys({"delimiter": "/"}) if not key.endswith("/")}
        with closing(self._bucket.relay()) as relay:
            renamed = self._at_once(relay)
        keys = ((one, relay.key(one.name.removeprefix(f"{root}/"))[0]) for one in renamed)
        return {one._replace(name=f"{root}/{key}") for one, key in keys if not key.endswith("/")}

    def _at_once(self, relay: Relay | None = None) -> set[Listed]:
        def look(store: Any) -> set[Listed]:
            import obstore

            found = obstore.list_with_delimiter(relay.store if relay else store, self._prefix)
            return {_listed(self._place, meta) for meta in found["objects"]}

        return self._bucket.retries.call(lambda: self._bucket.ask(look))

    def _metas(self, relay: Relay | None = None) -> Iterator[Any]:
        """What obstore says of each object below the folder, page by page. After a fault, a relay begins anew.

        Raises:
            StorageError: while iterating; `odd_key` if obstore refuses a key.
        """
        last: str | None = None

        def begin(store: Any) -> Iterator[Any]:
            import obstore

            source, offset = (store, last) if relay is None else (relay.store, None)
            return iter(obstore.list(source, self._prefix, offset=offset, chunk_size=PAGE))

        bucket = self._bucket
        while True:
            try:
                pages = bucket.ask(begin)
                while (page := bucket.ask(lambda _: next(pages, None))) is not None:  # noqa: B023
                    bucket.retries.worked()
                    for meta in page:
                        last = meta["path"]
                        yield meta
            except StorageError as error:
                if error.cause == "odd_key":
                    raise
                bucket.retries.wait(error)  # and then go on behind the last key: a broken listing has no next page
            else:
                return

    def _keys(self, query: dict[str, str]) -> Iterator[str]:
        """The keys of a listing of S3, page by page, also those that obstore refuses."""
        token: str | None = ""
        bucket = self._bucket
        while token is not None:
            more = {"continuation-token": token} if token else {}
            asked = {"prefix": self._place.key, **query, **more}
            page = bucket.retries.call(lambda: bucket.page(asked))  # noqa: B023
            yield from page.keys
            token = page.token

    @property
    def _prefix(self) -> str | None:
        return self._place.key.rstrip("/") or None


def _listed(place: Place, meta: Any) -> Listed:
    url = f"{place.root}/{meta['path']}"
    return Listed(url, meta["size"], meta["e_tag"] or "", meta["last_modified"].timestamp())
