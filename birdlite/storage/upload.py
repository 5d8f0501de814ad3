"""An output for object storage: a file in the scratch folder, put when it is complete. Made by `writers.output`.

What cannot or shall not be put is lost only if there is another copy: the journal of a part, the parts of a merge.
Anything else is kept, and the user is told where.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from birdlite import log
from birdlite.errors import OutputError, StorageError

if TYPE_CHECKING:
    from birdlite.storage.store import Storage


class Upload:
    """The file at `temporary`, which is to become the object at `url`."""

    def __init__(self, temporary: str, url: str, storage: Storage, *, precious: bool, lines: bool) -> None:
        """`precious`: there is no other copy; `lines`: even of half of it, the lines are worth something."""
        self.temporary = temporary
        self._url = url
        self._storage = storage
        self._precious = precious
        self._lines = lines

    def land(self) -> None:
        """Put it.

        Raises:
            OutputError: nothing appears under its name; the file is kept if it is precious.
        """
        try:
            self._storage.put(self.temporary, self._url)
        except StorageError as error:
            kept = f"; they are kept in {self._keep()}" if self._precious else ""
            raise OutputError(f"{self._url}: the results cannot be written: {error}{kept}") from error
        os.unlink(self.temporary)

    def hold(self) -> None:
        """The run was interrupted: half a result gets no name that stands for all of it."""
        log.warning(f"{self._url}: not put there, for it is not complete; what there is, is in {self._keep()}")

    def discard(self) -> None:
        """The run has failed."""
        if self._precious and self._lines and os.path.exists(self.temporary) and os.path.getsize(self.temporary):
            self.hold()
        else:
            os.unlink(self.temporary)

    def _keep(self) -> str:
        """Give the file a name to find it by."""
        folder, name = os.path.split(self.temporary)
        kept = os.path.join(folder, name.removeprefix("."))
        os.replace(self.temporary, kept)
        return kept
