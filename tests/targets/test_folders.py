"""Folders and patterns: their pictures, the order, and what is skipped."""

from __future__ import annotations

import os
from glob import glob
from pathlib import Path

import pytest

from birdlite.errors import installing
from birdlite.results import Failure
from birdlite.targets import BadTarget, Target, folders
from birdlite.targets.expand import expand
from birdlite.targets.folders import pictures_in
from birdlite.targets.patterns import matching
from tests.object_store import Bucket
from tests.targeting import failure_of, only, without_rights


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, so that names in the tests are as short as what a user types."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestFolders:
    def test_pictures_come_before_subfolders_and_both_by_name(self, here: Path) -> None:
        for name in ("b.jpg", "a.PNG", "z.tif", "B.jpg", "sub/c.webp", "Sub/d.gif", "a.b/e.jpeg", "sub/deep/f.bmp"):
            path = here / "birds" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        assert [target.name for target in expand(["birds"])] == [
            "birds/B.jpg",
            "birds/a.PNG",
            "birds/b.jpg",
            "birds/z.tif",
            "birds/Sub/d.gif",
            "birds/a.b/e.jpeg",
            "birds/sub/c.webp",
            "birds/sub/deep/f.bmp",
        ]

    def test_only_files_with_the_suffix_of_a_picture_are_found(self, here: Path) -> None:
        kept = [
            "a.MPO",
            "a.avif",
            "a.bmp",
            "a.dib",
            "a.gif",
            "a.jfif",
            "a.jpe",
            "a.jpeg",
            "a.jpg",
            "a.png",
            "a.tif",
            "a.tiff",
        ]
        kept.append("a.webp")
        for name in [*kept, "a.txt", "a.jpg.part", "jpg", "a.xmp", "a"]:
            (here / name).touch()
        assert [target.name for target in expand(["."])] == [f"./{name}" for name in kept]

    def test_hidden_files_and_folders_are_skipped(self, here: Path) -> None:
        (here / ".thumbnails").mkdir()
        for name in ("._a.jpg", ".jpg", ".thumbnails/a.jpg", "a.jpg"):
            (here / name).touch()
        assert only(".") == Target("./a.jpg", "file", "./a.jpg")

    def test_a_hidden_folder_that_the_user_named_is_searched(self, here: Path) -> None:
        (here / ".inbox").mkdir()
        (here / ".inbox" / "a.jpg").touch()
        assert only(".inbox") == Target(".inbox/a.jpg", "file", ".inbox/a.jpg")

    def test_a_folder_without_pictures_is_not_found(self, here: Path) -> None:
        (here / "notes" / "more").mkdir(parents=True)
        (here / "notes" / "more" / "a.txt").touch()
        assert failure_of("notes") == Failure("not_found", "notes: no pictures in this folder")

    def test_links_to_folders_are_not_followed(self, here: Path) -> None:
        (here / "birds").mkdir()
        (here / "birds" / "a.jpg").touch()
        (here / "birds" / "again").symlink_to(here / "birds")
        assert [target.name for target in expand(["birds"])] == ["birds/a.jpg"]

    def test_links_to_pictures_are_followed_and_broken_ones_are_reported(self, here: Path) -> None:
        (here / "birds").mkdir()
        (here / "a.jpg").touch()
        (here / "birds" / "good.jpg").symlink_to(here / "a.jpg")
        (here / "birds" / "stale.jpg").symlink_to(here / "gone.jpg")
        assert [target.name for target in expand(["birds"])] == ["birds/good.jpg", "birds/stale.jpg"]

    def test_a_link_to_a_folder_that_the_user_named_is_followed(self, here: Path) -> None:
        (here / "birds").mkdir()
        (here / "birds" / "a.jpg").touch()
        (here / "link").symlink_to("birds")
        assert only("link") == Target("link/a.jpg", "file", "link/a.jpg")

    def test_a_subfolder_that_cannot_be_read_fails_alone(self, here: Path) -> None:
        (here / "locked").mkdir(mode=0)
        (here / "open").mkdir()
        (here / "open" / "a.jpg").touch()
        with without_rights(here):
            found = list(expand(["."]))
        assert found == [
            BadTarget("./locked", Failure("blocked", "./locked: permission denied")),
            Target("./open/a.jpg", "file", "./open/a.jpg", 1),
        ]

    @pytest.mark.parametrize("name", ["@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "__MACOSX"])
    def test_folders_of_the_system_are_left_out_unless_the_user_names_them(self, here: Path, name: str) -> None:
        (here / "nas" / name / "a.jpg").mkdir(parents=True)
        (here / "nas" / name / "a.jpg" / "thumb.jpg").touch()
        (here / "nas" / "a.jpg").touch()
        assert only("nas") == Target("nas/a.jpg", "file", "nas/a.jpg")
        assert only("nas/**/*.jpg") == Target("nas/a.jpg", "file", "nas/a.jpg")
        for named in (f"nas/{name}", f"nas/{name}/*"):
            assert only(named).name == f"nas/{name}/a.jpg/thumb.jpg"

    def test_what_is_not_read_is_counted_by_kind(self, here: Path) -> None:
        (here / "birds" / "sub").mkdir(parents=True)
        (here / "elsewhere").mkdir()
        (here / "birds" / "link").symlink_to(here / "elsewhere")
        (here / "birds" / "link.jpg").symlink_to(here / "elsewhere")
        for name in ("a.jpg", "b.NEF", "c.cr3", "sub/d.mp4", "e.psd", "f.txt", "g.xmp", ".h.mov", "Thumbs.db"):
            (here / "birds" / name).touch()
        targets = expand(["birds", "birds/sub", "birds/*.jpg"])
        assert targets.skipped == {}
        assert len(list(targets)) == 4
        assert targets.skipped == {
            "linked folder": 2,
            "raw": 2,
            "video": 2,
            "other picture": 1,
        }  # `sub` was named twice

    @pytest.mark.parametrize("is_read", [True, False])
    def test_heic_is_a_picture_where_the_extra_is_installed(
        self, here: Path, is_read: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(folders, "_reads_heic", lambda: is_read)
        (here / "birds").mkdir()
        for name in ("a.jpg", "b.HEIC", "c.hif", "d.avif"):
            (here / "birds" / name).touch()

        targets = expand(["birds"])

        assert len(list(targets)) == (4 if is_read else 2)
        assert folders.described(targets.skipped) == ("" if is_read else "2 HEIC files (needs the extra heif)")
        on_terminal = folders.described(targets.skipped, on_terminal=True)
        assert on_terminal == ("" if is_read else f"2 HEIC files ({installing('heif')})")

    def test_a_folder_of_object_storage_leaves_out_and_counts_the_same(self, bucket: Bucket) -> None:
        url = bucket.put("birds/a.jpg", b"jpeg")
        for key in ("birds/b.nef", "birds/@eaDir/a.jpg/thumb.jpg", "birds/c.mp4", "birds/d.txt", "raw/e.nef"):
            bucket.put(key, b"x")

        targets = expand([bucket.url("birds/"), bucket.url("raw/")])

        one, other = targets
        assert one.name == url
        assert isinstance(other, BadTarget)
        assert other.failure.message.endswith("raw/: no pictures in this folder, but 1 raw file")
        assert targets.skipped == {"raw": 2, "video": 1}

    def test_a_folder_with_nothing_but_what_is_not_read_says_so(self, here: Path) -> None:
        (here / "birds").mkdir()
        (here / "birds" / "a.nef").touch()
        message = "birds: no pictures in this folder, but 1 raw file"
        assert failure_of("birds") == Failure("not_found", message)

    def test_undecodable_names_keep_their_bytes(self, here: Path) -> None:
        name = os.fsencode(here) + b"/m\xf6we.jpg"
        open(name, "wb").close()
        (target,) = expand([str(here)])
        assert os.fsencode(target.name) == name


class TestPatterns:
    @pytest.fixture(autouse=True)
    def _tree(self, here: Path) -> None:
        for name in (
            "a1.jpg",
            "a2.jpg",
            "b1.jpg",
            "notes.txt",
            ".hidden.jpg",
            "x/a1.jpg",
            "x/y/a1.jpg",
            "x/y/notes.txt",
            "z/a3.png",
            ".git/a1.jpg",
        ):
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).touch()
        (here / "empty").mkdir()

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("*.jpg", ["a1.jpg", "a2.jpg", "b1.jpg"]),
            ("./a?.jpg", ["./a1.jpg", "./a2.jpg"]),
            ("[!a]*.jpg", ["b1.jpg"]),
            ("*.JPG", None),
            (".h*.jpg", [".hidden.jpg"]),
            ("*/a1.jpg", ["x/a1.jpg"]),
            ("*/a[13].*", ["x/a1.jpg", "z/a3.png"]),
            ("x/*/a1.jpg", ["x/y/a1.jpg"]),
            ("x/y/*", ["x/y/a1.jpg", "x/y/notes.txt"]),
            ("**/a1.jpg", ["a1.jpg", "x/a1.jpg", "x/y/a1.jpg"]),
            ("**/y/**/a1.jpg", ["x/y/a1.jpg"]),
            ("**/**/a3.*", ["z/a3.png"]),
            ("x/**", ["x/a1.jpg", "x/y/a1.jpg", "x/y/notes.txt"]),
            ("[xz]/**/*.png", ["z/a3.png"]),
            ("[axz]*/", ["x/a1.jpg", "x/y/a1.jpg", "z/a3.png"]),
            ("**/*.txt", ["notes.txt", "x/y/notes.txt"]),
            ("missing/*.jpg", None),
            ("a1.jpg/*", None),
            ("[", None),
            ("*\0", None),
        ],
    )
    def test_a_pattern_finds_what_a_shell_would_find(self, pattern: str, names: list[str] | None) -> None:
        found = list(expand([pattern]))
        if names is None:
            assert [target.name for target in found] == [pattern]
            assert isinstance(found[0], BadTarget)
            assert found[0].failure.kind == "not_found"
        else:
            assert found == [Target(name, "file", name, index) for index, name in enumerate(names)]

    def test_an_absolute_pattern_gives_absolute_paths(self, here: Path) -> None:
        assert only(f"{here}/b*") == Target(f"{here}/b1.jpg", "file", f"{here}/b1.jpg")

    def test_a_folder_that_matches_is_searched_once(self) -> None:
        assert [target.name for target in expand(["**/*"])] == [
            "a1.jpg",
            "a2.jpg",
            "b1.jpg",
            "empty",  # a failure, as if it had been typed
            "notes.txt",
            "x/a1.jpg",
            "x/y/a1.jpg",
            "x/y/notes.txt",
            "z/a3.png",
        ]

    def test_a_pattern_without_a_match_says_so(self) -> None:
        assert failure_of("q*.jpg") == Failure("not_found", "q*.jpg: no such file, and nothing matches it as a pattern")

    def test_a_file_with_just_that_name_wins_over_the_pattern(self, here: Path) -> None:
        (here / "a[12].jpg").touch()
        assert only("a[12].jpg") == Target("a[12].jpg", "file", "a[12].jpg")

    def test_a_link_that_the_pattern_names_or_matches_is_followed(self, here: Path) -> None:
        (here / "x" / "up").symlink_to(here)
        for pattern in ("x/*/b1.jpg", "x/up/b1.jpg", "**/up/b1.jpg"):
            assert [target.name for target in expand([pattern])] == ["x/up/b1.jpg"]
        assert [target.name for target in expand(["x/up/**/b1.jpg"])] == ["x/up/b1.jpg"]

    def test_any_folders_are_walked_as_a_folder_is_without_links_and_the_user_is_told(self, here: Path) -> None:
        (here / "x" / "up").symlink_to(here)
        targets = expand(["x/**/*1.jpg"])
        assert [target.name for target in targets] == ["x/a1.jpg", "x/y/a1.jpg"]
        assert targets.skipped == {"linked folder": 1}
        for pattern, count in {"x/**": 1, "**/x": 1, "**/up/b1.jpg": 0}.items():
            assert [*(targets := expand([pattern]))]
            assert targets.skipped["linked folder"] == count, pattern
        assert isinstance(only("x/**/b1.jpg"), BadTarget)

    def test_circles_of_links_end(self, here: Path) -> None:
        for name in "pqr":
            (here / "x" / name).symlink_to(".")
            (here / "x" / "y" / name).symlink_to(here)
        for pattern in ("x/**/*.jpg", "x/**", "**/x/**/*.jpg", "x/**/**/y/../*/*.jpg", "x/**/"):
            names = [target.name for target in expand([pattern])]
            assert len(names) == len({os.path.realpath(name) for name in names})
        assert [target.name for target in expand(["x/**/a1.jpg"])] == ["x/a1.jpg", "x/y/a1.jpg"]

    @pytest.mark.parametrize(
        "pattern",
        [
            *(
                "**/*",
                "./**/a1.jpg",
                "x/**/",
                "**",
                "x/**",
                "**/y/**/*",
                "*/**/[an]*",
                "**/.*",
                ".git/**",
                "**/**/a3.*",
            ),
            *("[[]b]/**/*.jpg", "**/[[]b]/*", "**/y*/", "a**", "x//**//*.jpg", "**/x/../z/*"),
        ],
    )
    def test_without_links_to_folders_any_folders_are_those_of_the_standard_library(
        self, here: Path, pattern: str
    ) -> None:
        (here / "[b]" / "x").mkdir(parents=True)
        (here / "[b]" / "x" / "b.jpg").touch()
        (here / "broken.jpg").symlink_to("nothing")
        for one in (pattern, os.path.join(here, pattern)):
            assert matching(one) == sorted({*glob(one, recursive=True)})
            assert matching(one)


def test_a_link_that_leads_back_to_itself_does_not_hide_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")

    assert [path for path, _ in pictures_in(str(tmp_path))] == [str(tmp_path / "a.jpg"), str(tmp_path / "loop.jpg")]
