"""Who else can change a file: real owners, real permission bits, real mounts."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from birdlite.models.trust import Doubt, doubt_about, is_strange_link

STRANGER = 12_345  # nobody here has this number
NOBODY = 65_534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`above/models/magpie/model.tflite`, all of it the user's own. Returns `magpie`."""
    folder = tmp_path / "above" / "models" / "magpie"
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(b"model")
    for place in (folder.parent.parent, folder.parent, folder):
        place.chmod(0o755)
    (folder / "model.tflite").chmod(0o644)
    return folder


def doubt(*paths: Path) -> Doubt | None:
    return doubt_about(map(str, paths))


FINE: dict[str, Callable[[Path], object]] = {
    "as it is": lambda folder: None,
    "private": lambda folder: folder.chmod(0o700),
    "read-only": lambda folder: folder.chmod(0o555),
    "a missing file": lambda folder: (folder / "model.tflite").unlink(),
    "a parent like /tmp": lambda folder: folder.parent.chmod(0o1777),
    "itself like /tmp": lambda folder: folder.chmod(0o1777),
    "a link of the user's own": lambda folder: relink(folder),
    "links that lead back": lambda folder: circle(folder),
    "a second name": lambda folder: os.link(folder / "model.tflite", folder / "other"),
}

OTHERS: dict[str, tuple[str, int, str, bool]] = {  # which part, its mode, what is said, whether that can be on purpose
    "everybody": ("magpie", 0o777, "can be written by anyone", False),
    "everybody, above": ("above", 0o777, "can be written by anyone", False),
    "everybody, the file": ("magpie/model.tflite", 0o666, "can be written by anyone", False),
    "the sticky bit of a file": ("magpie/model.tflite", 0o1666, "can be written by anyone", False),
}


def relink(folder: Path) -> None:
    folder.rename(folder.with_name("real"))
    folder.symlink_to("real")


def circle(folder: Path) -> None:
    (folder / "model.tflite").unlink()
    (folder / "model.tflite").symlink_to("model.tflite")


def part(folder: Path, which: str) -> Path:
    return next(place for place in (folder / "model.tflite", *folder.parents, folder) if str(place).endswith(which))


@pytest.mark.parametrize("how", FINE)
def test_what_only_the_user_can_change_is_in_no_doubt(folder: Path, how: str) -> None:
    FINE[how](folder)

    assert doubt(folder, folder / "model.tflite") is None


@pytest.mark.parametrize("who", OTHERS)
def test_what_anybody_can_change_is_named_with_the_remedy(folder: Path, who: str) -> None:
    which, mode, what, shared = OTHERS[who]
    place = part(folder, which)
    place.chmod(mode)

    assert doubt(folder / "model.tflite") == Doubt(str(place), what, shared, f"run `chmod o-w {place}`")


def test_where_a_link_leads_counts_too(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    (folder / "model.tflite").rename(elsewhere / "model.tflite")
    (folder / "model.tflite").symlink_to("../../../elsewhere/model.tflite")

    found = doubt(folder / "model.tflite")

    assert found is not None
    assert found.path == str(elsewhere)


def test_a_path_may_be_relative_and_have_dots(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert doubt(Path("magpie/../magpie/./model.tflite")) is None

    folder.parent.chmod(0o777)
    found = doubt(Path("magpie"))
    assert found is not None
    assert found.path == str(folder.parent)


@as_root
@pytest.mark.parametrize("which", ["above", "models", "magpie", "magpie/model.tflite"])
def test_what_belongs_to_a_stranger_is_the_strangers(folder: Path, which: str) -> None:
    place = part(folder, which)
    os.chown(place, STRANGER, -1)

    found = doubt(folder / "model.tflite")

    assert found == Doubt(str(place), "belongs to another user (uid 12345)", False, "use a folder of your own")


@as_root
def test_a_link_that_a_stranger_made_is_the_strangers(folder: Path) -> None:
    relink(folder)
    assert not is_strange_link(str(folder))

    os.lchown(folder, STRANGER, -1)

    found = doubt(folder)
    assert is_strange_link(str(folder))
    assert found is not None
    assert (found.path, found.shared) == (str(folder), False)


@as_root
def test_a_hard_link_to_the_file_of_a_stranger_is_the_strangers(folder: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"model")
    os.chown(theirs, STRANGER, STRANGER)
    (folder / "model.tflite").unlink()
    os.link(theirs, folder / "model.tflite")

    assert doubt(folder) is None
    assert doubt(folder / "model.tflite") is not None


SHARED: dict[str, tuple[int, int, int, str | None]] = {  # owner, group, mode, what is said
    "a group": (0, STRANGER, 0o2775, "can be written by its group (gid 12345)"),
    "root's group": (0, 0, 0o2775, None),
    "the volume of a pod with fsGroup": (STRANGER, 0, 0o2775, "belongs to another user (uid 12345)"),
    "an owner that a network disk hides": (NOBODY, NOBODY, 0o755, "belongs to a user who is not known here"),
}


@as_root
@pytest.mark.parametrize("how", SHARED)
def test_what_is_shared_on_purpose_is_told_apart(folder: Path, how: str) -> None:
    owner, group, mode, what = SHARED[how]
    os.chown(folder, owner, group)
    folder.chmod(mode)

    found = doubt(folder)

    assert (found and found.what) == what
    assert found is None or found.shared


@as_root
@pytest.mark.parametrize(
    ("group", "what"), [(0, None), (STRANGER, None), (STRANGER + 1, "can be written by its group (gid 12346)")]
)
def test_a_container_with_any_user_may_share_with_the_group_of_root_or_of_the_same_number(
    group: int, what: str | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # where that user can get at, unlike `tmp_path`
        os.chown(folder, STRANGER, group)
        os.chmod(folder, 0o775)
        os.seteuid(STRANGER)
        try:
            found = doubt(Path(folder))
        finally:
            os.seteuid(0)

    assert (found and found.what) == what


@as_root
def test_the_worst_doubt_is_named(folder: Path) -> None:
    os.chown(folder.parent, 0, STRANGER)
    folder.parent.chmod(0o2775)
    folder.chmod(0o777)

    found = doubt(folder)

    assert found is not None
    assert found.path == str(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="lists of further users are kept in another way here")
def test_a_list_of_further_users_speaks_through_the_bits_of_the_group(folder: Path) -> None:
    everybody, nobody = 7, 0xFFFF_FFFF
    entries = [(1, 7, nobody), (2, everybody, STRANGER), (4, 5, nobody), (16, 7, nobody), (32, 5, nobody)]
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(folder, "system.posix_acl_access", packed)
    except OSError:
        pytest.skip("this file system keeps no such lists")

    found = doubt(folder)

    assert found is not None
    assert found.what.startswith("can be written by its group")


@as_root
@pytest.mark.parametrize(
    ("how", "said"), [("remount,ro", "None"), ("remount,rw", "can be written by anyone, on purpose")]
)
def test_a_volume_that_anyone_may_write_is_meant_so_and_fine_where_it_is_read_only(
    tmp_path: Path, how: str, said: str
) -> None:
    code = (
        "import sys; from birdlite.models.trust import doubt_about; found = doubt_about(sys.argv[1:]);"
        "print(found and f'{found.what}{\", on purpose\" * found.shared}')"
    )
    script = 'mount -t tmpfs -o mode=777 volume "$1" && mount -o "$2" "$1" && exec "$3" -c "$4" "$1"'
    words = ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), how, sys.executable, code]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    if done.returncode and "birdlite" not in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")

    assert done.stdout == said + "\n"


def test_where_all_is_well_each_part_of_the_paths_is_looked_at_once_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    lstat = os.lstat

    def counted(path: str) -> os.stat_result:
        looked.append(path)
        return lstat(path)

    monkeypatch.setattr(os, "lstat", counted)
    for other in ("statvfs", "readlink", "getxattr", "getgroups"):
        monkeypatch.delattr(os, other, raising=False)

    assert doubt(folder, folder / "model.tflite") is None

    assert len(looked) == len(set(looked)) == len((folder / "model.tflite").parts) - 1


def test_on_windows_nothing_is_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.chmod(0o777)
    monkeypatch.setattr("sys.platform", "win32")

    assert doubt(folder) is None
