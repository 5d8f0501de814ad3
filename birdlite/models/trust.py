"""Who can change a file or folder besides its user: told from owners and permission bits, all the way from the root.

The store asks about the cache, `ModelLoader` about a model folder, `trial` about its records. An `lstat` for each part
of the path answers where all is well; more is asked only about a part that is in doubt. On Windows, which has no such
owners and bits, nothing is checked.

Nobody but the user, and root, who can do anything, may own a part of the path or write to it. These are fine too:

- a folder with the sticky bit, such as /tmp, in which everybody may write but nobody may touch what others made;
- a file system that is mounted read-only, such as a ConfigMap of Kubernetes, whatever its bits say;
- write permission for a group that has nobody else in it: root's, or the one that has the user's own name.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator

from birdlite.namedtuple import NamedTuple

NOBODY = (65_534, 4_294_967_294)
"""The owners that Linux and macOS show where the real one is not known here: network disks, user namespaces."""

OWN_FOLDER = "use a folder of your own"
LINKS_MAX = 40  # symbolic links on the way of one path, as Linux allows


class Doubt(NamedTuple):
    """Somebody else can change what is at a path."""

    path: str  # the part of it that lets them
    what: str  # the rest of a sentence about `path`
    shared: bool  # with a group or a machine that its owner chose; else with anyone, or it is a stranger's
    remedy: str = OWN_FOLDER

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


def doubt_about(paths: Iterable[str]) -> Doubt | None:
    """The worst that lets others change one of these files and folders, None if nothing does. Missing ones are fine."""
    if sys.platform == "win32":
        return None
    mild: Doubt | None = None
    seen: set[str] = set()
    for path in paths:
        for step, facts in _steps(path, seen):
            doubt = _doubt(step, facts)
            if doubt is not None and not doubt.shared:
                return doubt
            mild = mild or doubt
    return mild


def is_strange_link(path: str) -> bool:
    """Whether it is a symbolic link that another user made: who writes through it, writes where that user wants."""
    try:
        facts = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISLNK(facts.st_mode) and sys.platform != "win32" and not _trusted(facts.st_uid)


def _steps(path: str, seen: set[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Every folder and symbolic link that leads to a path, and what it leads to; without those in `seen`."""
    if not os.path.isabs(path):
        try:
            path = os.path.join(os.getcwd(), path)
        except OSError:
            return  # the current folder was deleted
    rest = path.split(os.sep)[::-1]
    at, links = os.sep, 0
    while rest:
        name = rest.pop()
        if name == "..":
            at = os.path.dirname(at)
        if name in ("", ".", ".."):
            continue
        step = os.path.join(at, name)
        if step not in seen:
            try:
                facts = os.lstat(step)
                target = os.readlink(step) if stat.S_ISLNK(facts.st_mode) else None
            except (OSError, ValueError):
                return  # nothing there, or nothing that this user can get at
            yield step, facts
            if target is not None:
                links += 1
                if links > LINKS_MAX:
                    return
                rest.extend(target.split(os.sep)[::-1])
                at = os.sep if os.path.isabs(target) else at
                continue
            seen.add(step)
        at = step


def _doubt(path: str, facts: os.stat_result) -> Doubt | None:
    mode = facts.st_mode
    link = stat.S_ISLNK(mode)
    guarded = link or (stat.S_ISDIR(mode) and bool(mode & stat.S_ISVTX))  # whatever the bits for others say
    strange = not _trusted(facts.st_uid)
    if not strange and (guarded or not mode & (stat.S_IWGRP | stat.S_IWOTH)):
        return None
    if not link and _is_read_only(path):
        return None
    if strange and facts.st_uid not in NOBODY:
        on_purpose = bool(mode & stat.S_ISGID) and facts.st_gid in (os.getegid(), *os.getgroups())
        return Doubt(path, f"belongs to another user (uid {facts.st_uid})", on_purpose)
    own = facts.st_uid == os.geteuid()
    if mode & stat.S_IWOTH and not guarded:
        return Doubt(path, "can be written by anyone", _is_volume(path, facts), _closing("o-w", path, own=own))
    if mode & stat.S_IWGRP and not guarded and not _is_private(path, facts.st_gid):
        what = f"can be written by its group (gid {facts.st_gid})"
        return Doubt(path, what, shared=True, remedy=_closing("g-w", path, own=own))
    return Doubt(path, "belongs to a user who is not known here", shared=True) if strange else None


def _trusted(user: int) -> bool:
    return user in (0, os.geteuid())


def _is_read_only(path: str) -> bool:
    """Whether its file system is mounted so here: then nobody writes to it here, whatever its bits say."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _is_volume(path: str, facts: os.stat_result) -> bool:
    """Whether it is the root of a volume that root made, such as an emptyDir of Kubernetes, which anyone may write."""
    return facts.st_uid == 0 and os.lstat(os.path.dirname(path)).st_dev != facts.st_dev


def _is_private(path: str, group: int) -> bool:
    """Whether nobody else gets in by the group's bits: it is root's, or the one that many systems make for each user.

    The latter has the user's name, or in containers at least the number. Where there is a list of further users (an
    ACL), the same bits speak for them.
    """
    if _has_acl(path):
        return False
    if group == 0:
        return True
    import grp
    import pwd

    try:
        entry = grp.getgrgid(group)
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return group == os.geteuid()
    return entry.gr_name == user and set(entry.gr_mem) <= {user}


def _has_acl(path: str) -> bool:
    if sys.platform != "linux":
        return False
    try:
        return bool(os.getxattr(path, "system.posix_acl_access"))
    except OSError:
        return False


def _closing(change: str, path: str, *, own: bool) -> str:
    """What to do about permissions: change them, if one may."""
    if not own:
        return OWN_FOLDER
    import shlex

    return f"run `chmod {change} {shlex.quote(path)}`"
