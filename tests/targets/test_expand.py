"""Every way to name pictures, and names that lead to no picture."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from PIL import Image

from birdlite.errors import UsageError
from birdlite.http.address import address
from birdlite.redaction import redacted
from birdlite.results import Failure
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import SAMPLES, expand, listed, single
from tests.demo_world import PICTURES
from tests.targeting import failure_of, only, without_rights

REPO = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, so that names in the tests are as short as what a user types."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestUrls:
    @pytest.mark.parametrize(
        ("given", "location"),
        [
            ("https://example.org/a.jpg", "https://example.org/a.jpg"),
            ("https://example.org/a%2Cb.jpg?x=1&y=%20", "https://example.org/a%2Cb.jpg?x=1&y=%20"),
            ("https://example.org/my bird.jpg", "https://example.org/my%20bird.jpg"),
            ("https://example.org/Möwe.jpg?wo=Föhr", "https://example.org/M%C3%B6we.jpg?wo=F%C3%B6hr"),
            ("https://example.org/100%.jpg", "https://example.org/100%25.jpg"),
            ("https://example.org/%zz%4", "https://example.org/%25zz%254"),
            ("https://example.org/a[1].jpg", "https://example.org/a[1].jpg"),
            ('https://example.org/a|b\\c"<>^`{}\t.jpg', "https://example.org/a%7Cb%5Cc%22%3C%3E%5E%60%7B%7D%09.jpg"),
            ("https://example.org/a.jpg#the-head", "https://example.org/a.jpg"),
            ("https://example.org", "https://example.org/"),
            ("https://example.org?id=5", "https://example.org/?id=5"),
            ("HTTP://example.org/a.jpg", "http://example.org/a.jpg"),
            ("http://localhost:8080/a.jpg", "http://localhost:8080/a.jpg"),
            ("http://[::1]:8080/a.jpg", "http://[::1]:8080/a.jpg"),
            ("http://me:se cret@example.org/a.jpg", "http://me:se%20cret@example.org/a.jpg"),
            ("https://vögel.example/a.jpg", "https://vögel.example/a.jpg"),
            ("https://example.org/\udcf6.jpg", "https://example.org/%F6.jpg"),
        ],
    )
    def test_only_illegal_characters_of_a_url_are_encoded(self, given: str, location: str) -> None:
        assert single(given, reveal_targets=True) == Target(given, "url", location)
        assert only(given) == Target(redacted(given), "url", location)

    @pytest.mark.parametrize(
        ("given", "location"),
        [
            ("s3://bucket/a b%20c?d#e.jpg", "s3://bucket/a b%20c?d#e.jpg"),
            ("GS://bucket/a.jpg", "gs://bucket/a.jpg"),
            (" az://container/a.jpg\n", "az://container/a.jpg"),
        ],
    )
    def test_the_key_of_an_object_is_not_changed(self, given: str, location: str) -> None:
        assert only(given) == single(given) == Target(given.strip(), "object", location)

    def test_whitespace_around_a_url_is_dropped(self) -> None:
        assert only(" \thttps://example.org/a.jpg\r\n") == Target(
            "https://example.org/a.jpg", "url", "https://example.org/a.jpg"
        )

    @pytest.mark.parametrize("path", ["/a%2Cb%20c.jpg?x=%C3%B6&y=1", "/100%25.jpg", "/(a)+b,c;d=e!$'*.jpg"])
    def test_the_http_client_sends_what_was_encoded_here_unchanged(self, path: str) -> None:
        target = only("https://example.org" + path)
        assert isinstance(target, Target)
        assert address(target.location).target == path

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ("file://nas/birds/a.jpg", "file://nas/birds/a.jpg: the file is on another machine, nas"),
            ("file:///half\ud83d.jpg", "file:///half\ud83d.jpg: broken characters in this URL"),
            (
                "ftp://example.org/a.jpg",
                "ftp://example.org/a.jpg: ftp: is not supported, only http, https, s3, gs and az",
            ),
            ("s3a://bucket/a.jpg", "s3a://bucket/a.jpg: s3a: is not supported, only http, https, s3, gs and az"),
            ("git+ssh://host/a", "git+ssh://host/a: git+ssh: is not supported, only http, https, s3, gs and az"),
            (
                "data:image/png;base64,AAAA",
                "data:image/png;base64,AAAA: data: is not supported, only http, https, s3, gs and az",
            ),
            ("http://", "http://: no usable host in this URL"),
            ("http:///a.jpg", "http:///a.jpg: no usable host in this URL"),
            ("http:a.jpg", "http:a.jpg: no usable host in this URL"),
            ("http://?a.jpg", "http://?a.jpg: no usable host in this URL"),
            ("http://two words/a.jpg", "http://two words/a.jpg: no usable host in this URL"),
            ("http://host:abc/a.jpg", "http://host:abc/a.jpg: no usable host in this URL"),
            ("http://ho\x07st/a.jpg", "http://ho\x07st/a.jpg: no usable host in this URL"),
            ("http://[::1/a.jpg", "http://[::1/a.jpg: no usable host in this URL"),
            ("http://host:0/a.jpg", "http://host:0/a.jpg: no such port"),
            ("http://host:65536/a.jpg", "http://host:65536/a.jpg: no such port"),
            ("http://host/\ud83d.jpg", "http://host/\ud83d.jpg: broken characters in this URL"),
        ],
    )
    def test_a_url_that_no_server_can_be_asked_for_is_unsupported(self, given: str, message: str) -> None:
        assert failure_of(given) == Failure("unsupported", message)

    def test_a_path_with_a_colon_is_a_path(self, here: Path) -> None:
        (here / "a:").mkdir()
        (here / "a:" / "b.jpg").touch()
        assert only("./a://b.jpg") == Target("./a://b.jpg", "file", "./a://b.jpg")


class TestFiles:
    def test_a_file_is_a_target_whatever_its_suffix(self, here: Path) -> None:
        (here / "picture.dat").touch()
        assert only("picture.dat") == Target("picture.dat", "file", "picture.dat")

    def test_spaces_are_a_part_of_a_file_name(self, here: Path) -> None:
        (here / " a.jpg ").touch()
        assert only(" a.jpg ") == Target(" a.jpg ", "file", " a.jpg ")

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("missing.jpg", "missing.jpg: no such file"),
            ("file.jpg/inside.jpg", "file.jpg/inside.jpg: a part of the path is not a folder"),
            ("", "an empty name"),
            ("nul\0.jpg", "nul\0.jpg: no file can have this name"),
            ("half\ud83d.jpg", "half\ud83d.jpg: no file can have this name"),
            ("x" * 300, "x" * 300 + ": the name is too long"),
            ("circle.jpg", "circle.jpg: a symbolic link that leads back to itself"),
        ],
    )
    def test_a_name_that_no_file_has_is_not_found(self, here: Path, name: str, message: str) -> None:
        (here / "file.jpg").touch()
        (here / "circle.jpg").symlink_to("circle.jpg")
        assert failure_of(name) == Failure("not_found", message)

    def test_a_file_in_a_locked_folder_says_so(self, here: Path) -> None:
        (here / "locked").mkdir(mode=0)
        with without_rights(here):
            assert failure_of("locked/a.jpg") == Failure("blocked", "locked/a.jpg: permission denied")


class TestOrder:
    def test_arguments_come_first_and_then_the_lists_and_failures_keep_their_place(self, here: Path) -> None:
        (here / "one.txt").write_text("https://example.org/3.jpg\n")
        (here / "two.txt").write_text("https://example.org/4.jpg\n")
        found = expand(
            ["https://example.org/1.jpg", "missing.jpg", "https://example.org/2.jpg"], ["one.txt", "two.txt"]
        )
        assert [target.name for target in found] == [
            "https://example.org/1.jpg",
            "missing.jpg",
            "https://example.org/2.jpg",
            "https://example.org/3.jpg",
            "https://example.org/4.jpg",
        ]

    def test_no_target_is_looked_up_before_its_turn(self, here: Path) -> None:
        found = expand(["late.jpg"])
        (here / "late.jpg").touch()
        assert next(found) == Target("late.jpg", "file", "late.jpg")

    def test_a_folder_is_read_only_when_its_turn_comes(self, here: Path) -> None:
        (here / "birds" / "sub").mkdir(parents=True)
        (here / "birds" / "a.jpg").touch()
        found = expand(["birds"])
        assert next(found).name == "birds/a.jpg"
        (here / "birds" / "sub" / "late.jpg").touch()
        assert [target.name for target in found] == ["birds/sub/late.jpg"]

    def test_an_endless_stream_of_arguments_works(self) -> None:
        def endless() -> Iterator[str]:
            while True:
                yield "https://example.org/a.jpg"

        assert next(expand(endless())).name == "https://example.org/a.jpg"


class TestLists:
    def test_a_minus_is_standard_input_at_its_place(self) -> None:
        stdin = io.BytesIO(b"https://example.org/2.jpg\n")
        found = expand(["https://example.org/1.jpg", "-", "https://example.org/3.jpg"], stdin=stdin)
        assert [target.name[-5:] for target in found] == ["1.jpg", "2.jpg", "3.jpg"]

    def test_a_minus_among_the_lists_is_standard_input_too(self) -> None:
        stdin = io.BytesIO(b"https://example.org/1.jpg\n")
        assert [target.name for target in expand([], ["-"], stdin=stdin)] == ["https://example.org/1.jpg"]

    @pytest.mark.parametrize(("arguments", "lists"), [(["-", "-"], []), (["-"], ["-"]), ([], ["-", "-"])])
    def test_standard_input_is_read_once(self, arguments: list[str], lists: list[str]) -> None:
        first, second = expand(arguments, lists, stdin=io.BytesIO(b"https://example.org/1.jpg"))
        assert first.name == "https://example.org/1.jpg"
        failure = Failure("unsupported", "-: there is no standard input, or it was read before")
        assert second == BadTarget("-", failure, 1)

    def test_a_missing_list_is_wrong_usage_before_any_target_is_taken(self, here: Path) -> None:
        with pytest.raises(UsageError, match=r"^gone\.txt: the list cannot be read: no such file$"):
            expand(["https://example.org/1.jpg"], ["gone.txt"])

    def test_a_list_without_a_column_of_targets_is_wrong_usage_before_any_target_is_taken(self, here: Path) -> None:
        (here / "a.csv").write_text("id,Species\n1,robin\n")
        with pytest.raises(UsageError, match=r"^a\.csv: no column url, path or target; found: id, Species "):
            expand(["https://example.org/1.jpg"], ["a.csv"])

    def test_lines_are_files_folders_patterns_and_urls(self, here: Path) -> None:
        (here / "birds").mkdir()
        for name in ("a.jpg", "birds/b.jpg", "c1.jpg", "c2.jpg"):
            (here / name).touch()
        (here / "list").write_text("a.jpg\nbirds\nc*.jpg\nhttp://example.org/d e.jpg\nmissing.jpg\n-\n")
        assert list(expand([], ["list"])) == [
            Target("a.jpg", "file", "a.jpg"),
            Target("birds/b.jpg", "file", "birds/b.jpg", 1),
            Target("c1.jpg", "file", "c1.jpg", 2),
            Target("c2.jpg", "file", "c2.jpg", 3),
            Target("http://example.org/d e.jpg", "url", "http://example.org/d%20e.jpg", 4),
            BadTarget("missing.jpg", Failure("not_found", "missing.jpg: no such file"), 5),
            BadTarget("-", Failure("not_found", "-: no such file"), 6),
        ]

    def test_targets_of_every_origin_are_numbered_in_one_series(self, here: Path) -> None:
        (here / "birds").mkdir()
        for name in ("birds/a.jpg", "birds/b.jpg", "c1.jpg", "c2.jpg"):
            (here / name).touch()
        stdin = io.BytesIO(b"https://example.org/d.jpg\nmissing.jpg\n")
        targets = list(expand(["birds", "missing.jpg", "c*.jpg", "ftp://x/", "-"], ["-"], stdin=stdin))
        assert [target.index for target in targets] == list(range(9))

    def test_a_path_in_a_list_is_relative_to_the_current_folder(self, here: Path) -> None:
        (here / "lists").mkdir()
        (here / "lists" / "a.txt").write_text("a.jpg\n")
        (here / "a.jpg").touch()
        assert list(expand([], ["lists/a.txt"])) == [Target("a.jpg", "file", "a.jpg")]

    def test_a_list_on_standard_input_costs_no_memory(self) -> None:
        class Lines(io.RawIOBase):
            left = 200_000

            def readable(self) -> bool:
                return True

            def read(self, size: int = -1, /) -> bytes:
                self.left -= 1000
                return b"".join(b"https://example.org/%d.jpg\n" % at for at in range(1000)) if self.left >= 0 else b""

        list(expand(["-"], stdin=io.BytesIO(b"https://example.org/a.jpg\n")))  # imports
        tracemalloc.start()
        try:
            count = sum(1 for _ in expand(["-"], stdin=cast("BinaryIO", Lines())))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert count == 200_000
        assert peak < 1_000_000, f"{peak} bytes"  # the targets together have about 60 MB

    def test_a_list_can_come_through_a_pipe_that_is_read_once(self, here: Path) -> None:
        read_end, write_end = os.pipe()
        os.write(write_end, b"url\nhttps://example.org/1.jpg\n")
        os.close(write_end)
        try:
            found = [target.name for target in expand([], [f"/dev/fd/{read_end}"])]
        finally:
            os.close(read_end)
        assert found == ["https://example.org/1.jpg"]


class TestPicturesOnStandardInput:
    @pytest.mark.parametrize("picture", [*PICTURES[:2], "png", "bmp", "webp", "heic"])
    def test_a_picture_is_the_target_and_no_list(self, picture: str | Path) -> None:
        data = picture.read_bytes() if isinstance(picture, Path) else made(picture)
        found = list(expand(["a:", "-", "b:"], stdin=io.BytesIO(data)))
        assert found[1] == Target("-", "file", "-", 1, data)
        assert [target.index for target in found] == [0, 1, 2]

    def test_a_picture_comes_in_pieces(self) -> None:
        class Trickle(io.BytesIO):
            def read1(self, size: int | None = -1, /) -> bytes:
                return super().read1(7)

        data = PICTURES[0].read_bytes()
        assert list(expand(["-"], stdin=Trickle(data))) == [Target("-", "file", "-", 0, data)]

    def test_a_picture_larger_than_allowed_is_not_read_to_its_end(self) -> None:
        stdin = io.BytesIO(PICTURES[0].read_bytes() + bytes(10_000_000))
        (found,) = expand(["-"], stdin=stdin, max_bytes=200_000)
        assert found == BadTarget("-", Failure("too_large", "-: more than 200000 bytes"))
        assert stdin.tell() < 400_000

    def test_where_a_list_is_wanted_a_picture_is_refused(self) -> None:
        with pytest.raises(UsageError, match=r"^stdin: this is a JPEG picture, not a list of pictures$"):
            list(expand([], ["-"], stdin=io.BytesIO(PICTURES[0].read_bytes())))

    def test_other_data_is_refused_in_one_line(self) -> None:
        with pytest.raises(UsageError, match=r"^stdin: this is binary data, not a list of pictures$"):
            list(expand(["-"], stdin=io.BytesIO(bytes(range(256)) * 50)))


def made(format_: str) -> bytes:
    if format_ == "heic":  # no more than its beginning: the decoder will say that it is not supported
        return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(600)
    stream = io.BytesIO()
    Image.effect_noise((32, 32), 50).convert("RGB").save(stream, format_)
    return stream.getvalue()


class TestPathsOfOthers:
    """Names in lists that come from another machine or program; the target keeps the name."""

    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("~/a.jpg", "home/a.jpg"),
            ("pics\\a.jpg", "pics/a.jpg"),
            (".\\pics\\a.jpg", "./pics/a.jpg"),
            ("pics/Z\udcfcrich.jpg", "pics/Zürich.jpg"),  # Windows-1252
            ("pics/\udc93a\udc94.jpg", "pics/“a”.jpg"),
            ("pics/Zu\u0308rich.jpg", "pics/Zürich.jpg"),  # as macOS writes it
            ("pics\\Z\udcfcrich.jpg", "pics/Zürich.jpg"),
            ("file://{here}/pics/Z%C3%BCrich.jpg", "{here}/pics/Zürich.jpg"),
            ("file://localhost{here}/pics/a.jpg", "{here}/pics/a.jpg"),
            ("FILE:{here}/pics/a.jpg", "{here}/pics/a.jpg"),
            ("file://{here}/pics/a#1 b?.jpg", "{here}/pics/a#1 b?.jpg"),
        ],
    )
    def test_a_path_is_found_as_it_is_meant(
        self, here: Path, monkeypatch: pytest.MonkeyPatch, name: str, path: str
    ) -> None:
        monkeypatch.setenv("HOME", "home")
        for file in ("home/a.jpg", "pics/a.jpg", "pics/Zürich.jpg", "pics/“a”.jpg", "pics/a#1 b?.jpg"):
            (here / file).parent.mkdir(exist_ok=True)
            (here / file).touch()
        name, path = name.format(here=here), path.format(here=here)
        assert only(name) == Target(name, "file", path)
        assert listed(name) == Target(name, "file", path)

    def test_accents_apart_are_found_too(self, here: Path) -> None:
        (here / "Zu\u0308rich.jpg").touch()
        assert only("Zürich.jpg") == Target("Zürich.jpg", "file", "Zu\u0308rich.jpg")

    @pytest.mark.parametrize("name", ["~/a", "file://{here}/home/a", "home\\a"])
    def test_a_folder_is_searched_and_its_pictures_have_their_paths(
        self, here: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv("HOME", str(here / "home"))
        (here / "home" / "a").mkdir(parents=True)
        (here / "home" / "a" / "b.jpg").touch()
        (found,) = expand([name.format(here=here)])
        assert isinstance(found, Target)
        assert found.name == found.location
        assert os.path.samefile(found.location, here / "home" / "a" / "b.jpg")

    @pytest.mark.parametrize("name", ["a\\b.jpg", "~", "m\udcf6we.jpg", "Zu\u0308rich.jpg"])
    def test_a_file_that_is_really_called_so_comes_first(self, here: Path, name: str) -> None:
        for file in (name, "a/b.jpg", "möwe.jpg", "Zürich.jpg"):
            (here / file).parent.mkdir(exist_ok=True)
            (here / file).touch()
        assert only(name) == Target(name, "file", name)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("nofolder/", "no such folder"),
            ("www.example.org/a.jpg", "no such file (a web address begins with https://)"),
            ("upload.wikimedia.org/a/b.jpg", "no such file (a web address begins with https://)"),
            ("localhost:8000/a.jpg", "no such file (a web address begins with https://)"),
            ("//example.org/a.jpg", "no such file (a web address begins with https://)"),
            ("C:\\birds\\a.jpg", "no such file (this is a path of Windows)"),
            ("\\\\nas\\birds\\a.jpg", "no such file (this is a path of Windows)"),
            ("Z\udcfcrich.jpg", "no such file (it is not UTF-8: save the list as UTF-8)"),
            ("~nobody-of-this-name/a.jpg", "no such file"),
            ("birds/a.jpg", "no such file"),
            ("file:///no/such.jpg", "no such file"),
        ],
    )
    def test_a_name_that_nothing_has_gets_a_hint(self, here: Path, name: str, message: str) -> None:
        assert failure_of(name) == Failure("not_found", f"{name}: {message}")


def test_local_files_need_no_module_that_urls_and_lists_need(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    code = (
        "import sys; from birdlite.targets import expand; list(expand.expand(sys.argv[1:]));"
        "print([m for m in ('urllib.parse', 'birdlite.targets.list_file', 'json', 'csv', 'fnmatch', 'glob',"
        " 'birdlite.targets.second_look',"
        " 'pathlib', 'dataclasses', 'logging', 'tempfile') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code, str(tmp_path), str(tmp_path / "a.jpg")],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "[]\n"


@pytest.mark.birds
def test_the_samples_are_those_whose_scores_are_published() -> None:
    expected = REPO.parent / "shared" / "birds" / "expected.json"
    if not expected.exists():
        pytest.skip("../shared/birds is not here")
    assert list(SAMPLES) == [image["url"] for image in json.loads(expected.read_text())["images"]]
    assert [target.location for target in expand(SAMPLES) if isinstance(target, Target)] == list(SAMPLES)


def test_lists_may_be_paths(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.jpg\n")

    assert [target.name for target in expand([], [tmp_path / "list.txt"])] == ["a.jpg"]
