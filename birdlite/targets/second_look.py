r"""A name that no file has, looked at again: as lists from other machines and programs write paths. `expand` calls it.

    ~/birds/a.jpg          the home folder, which only a shell replaces
    birds\a.jpg           the separator of Windows; C:\birds\a.jpg is /mnt/c/birds/a.jpg in WSL
    b\xfccher.jpg         Windows-1252, what Excel means by CSV, where UTF-8 is expected
    e + U+0301             accents apart, as macOS writes them, or together, as all others

Beside it, `file:` URLs as file managers and browsers give them.

The target keeps the name that the list has, so that positions and digests do not depend on the machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator


def existing(name: str) -> str | None:
    """The path of a file or folder that `name` means; None if there is none."""
    for path in meant(name):
        try:
            if path != name and os.path.exists(path):
                return path
        except ValueError:
            continue
    return None


def meant(name: str) -> Iterator[str]:
    """The paths that `name` may mean, whether or not there is such a file."""
    if name.startswith("~"):
        yield os.path.expanduser(name)
    text = _decoded(name)
    drive = re.match(r"([A-Za-z]):[\\/]", text)
    slashed = text.replace("\\", "/")
    if drive:
        slashed = f"/mnt/{drive[1].lower()}/{slashed[3:]}"
    for path in (text, slashed):
        yield path
        if not path.isascii():
            from unicodedata import normalize

            yield normalize("NFC", path)
            yield normalize("NFD", path)


def _decoded(name: str) -> str:
    """The name with its bytes that are not UTF-8 read as Windows-1252, if they are that."""
    try:
        return name if name.isascii() else os.fsencode(name).decode()
    except UnicodeDecodeError:
        return os.fsencode(name).decode("cp1252", "replace")
    except UnicodeEncodeError:  # half of a surrogate pair, from JSON
        return name


def is_address(name: str) -> bool:
    """Whether a name that nothing has looks like a web address without https://, or one with a password."""
    address = r"(?://)?(?:www\.|(?:localhost|(?:[\w-]+\.)+[a-z]{2,})(?::\d+)?/)|(?://)?[^\s/\\?#@:]*:[^\s/\\?#@]+@"
    return re.match(address, name, re.IGNORECASE) is not None


def advice(name: str) -> str:
    """What may be wrong with a name that nothing has: a clause, or nothing."""
    if re.match(r"(?:[A-Za-z]:|\\)\\", name):
        return "this is a path of Windows"
    if is_address(name):
        return "a web address begins with https://"
    if any("\udc80" <= sign <= "\udcff" for sign in name):
        return "it is not UTF-8: save the list as UTF-8"
    return ""


def file_path(url: str) -> str:
    """The path of a `file:` URL of this machine, as file managers and browsers give it.

    Raises:
        ValueError: it is of another machine; a clause for the user.
    """
    from urllib.parse import unquote_to_bytes

    rest = url.partition(":")[2]
    if rest.startswith("//"):
        host, slash, rest = rest[2:].partition("/")
        if host.lower() not in ("", "localhost", "127.0.0.1"):
            raise ValueError(f"the file is on another machine, {host}")
        rest = slash + rest
    try:
        return os.fsdecode(unquote_to_bytes(rest.encode("utf-8", "surrogateescape")))
    except UnicodeEncodeError:
        raise ValueError("broken characters in this URL") from None
