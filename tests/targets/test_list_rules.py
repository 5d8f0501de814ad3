"""Lists from strangers: what their lines may name, and that nothing outside is read, listed or told."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from birdlite import ListRules, Settings, UsageError
from birdlite.errors import PictureError
from birdlite.local_file import read
from birdlite.models.catalog import DEMO_MODEL
from birdlite.results import Failure
from birdlite.run.classifier import Classifier
from birdlite.targets import BadTarget, Target
from birdlite.targets.expand import expand
from birdlite.targets.list_rules import open_inside
from tests.demo_world import PICTURES

ONLY_URLS = "a list may name only URLs here; --allow-files DIR opens a folder"
OUTSIDE = "a list may name only URLs and what --allow-files opens"
LEADS_OUT = "a link that leads out of what --allow-files opens"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an open folder `album`, a closed one beside it, and links in and out.

    album/a.jpg, album/sub/b.jpg, and links: in.jpg -> sub/b.jpg, out.jpg -> ../private/c.jpg, out -> ../private,
    sub/up -> .., gone.jpg -> nothing, loop -> loop; and private/link -> /etc/ssl
    """
    here = tmp_path / "here"
    for name in ("album/a.jpg", "album/sub/b.jpg", "private/c.jpg", "album2/d.jpg", "private/.hidden/e.jpg"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PICTURES[0], here / name)
    for link, to in {
        "album/in.jpg": "sub/b.jpg",
        "album/out.jpg": "../private/c.jpg",
        "album/out": "../private",
        "album/sub/up": "..",
        "album/gone.jpg": "nothing.jpg",
        "album/gone-out.jpg": "../private/nothing.jpg",
        "album/loop": "loop",
        "to-album": "album",
        "private/link": "/etc/ssl",
    }.items():
        (here / link).symlink_to(to)
    monkeypatch.chdir(here)
    return here


def targets_of(*lines: str, rules: ListRules | None) -> list[Target | BadTarget]:
    """The targets of a list on standard input."""
    text = "".join(f"{line}\n" for line in lines)
    return list(expand([], ["-"], stdin=io.BytesIO(text.encode("utf-8", "surrogateescape")), rules=rules))


def failure_of(line: str, rules: ListRules) -> Failure:
    (target,) = targets_of(line, rules=rules)
    assert isinstance(target, BadTarget), target
    return target.failure


@pytest.mark.parametrize(
    "line",
    [
        "album/a.jpg",
        "/etc/passwd",
        "/etc/no-such-file",
        "../here/album/a.jpg",
        "album",
        "album/",
        "/",
        "album/*.jpg",
        "/**",
        "~/a.jpg",
        r"C:\birds\a.jpg",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "file:/etc/passwd",
        "file://localhost",
        "file://nas/etc/passwd",
        "file:a.jpg",
        "-",
        ".",
        "a:b",
        "x" * 5000,
        "/proc/self/environ",
        "/dev/stdin",
    ],
)
def test_a_list_that_may_name_only_urls_reaches_no_file(here: Path, line: str) -> None:
    assert failure_of(line, ListRules()) == Failure("blocked", f"{line}: {ONLY_URLS}")


@pytest.mark.parametrize(
    "line",
    ["s3://bucket/a.jpg", "S3://bucket/", "gs://bucket/a.jpg", "az://container/a.jpg", "s3://", "s3://b/../a.jpg"],
)
def test_a_list_that_may_name_only_urls_reaches_no_bucket(line: str) -> None:
    scheme = line[:2].lower()
    said = f"a list may name only URLs here; --allow-bucket {scheme}://BUCKET opens a bucket"

    assert failure_of(line, ListRules()) == Failure("blocked", f"{line}: {said}")


@pytest.mark.parametrize(
    ("line", "location"),
    [
        ("https://example.org/a.jpg", "https://example.org/a.jpg"),
        (" HTTP://example.org/my bird.jpg", "http://example.org/my%20bird.jpg"),
        ("https://bucket.s3.amazonaws.com/a.jpg", "https://bucket.s3.amazonaws.com/a.jpg"),
    ],
)
def test_a_url_is_a_target_under_any_rules(line: str, location: str) -> None:
    assert targets_of(line, rules=ListRules()) == [Target(line.strip(), "url", location)]


def test_other_urls_are_unsupported_as_ever() -> None:
    assert failure_of("ftp://example.org/a.jpg", ListRules()).kind == "unsupported"


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("album/a.jpg", "album/a.jpg"),
        ("./album//a.jpg", "album/a.jpg"),
        ("private/../album/a.jpg", "album/a.jpg"),
        ("{here}/album/a.jpg", "album/a.jpg"),
        ("file://{here}/album/a.jpg", "album/a.jpg"),
        ("//{here}/album/a.jpg", "album/a.jpg"),
        ("album/sub/../a.jpg", "album/a.jpg"),
        ("album/in.jpg", "album/sub/b.jpg"),
        ("album/sub/up/a.jpg", "album/a.jpg"),
        ("to-album/a.jpg", "album/a.jpg"),
        ("album/out/../album/a.jpg", "album/a.jpg"),  # `..` of where the link leads
        ("nothing/../album/a.jpg", "album/a.jpg"),
        ("private/link/../../album/a.jpg", "album/a.jpg"),  # `..` of nothing that is outside looks at a link
        ("album/out/link/../../album/sub/up/a.jpg", "album/a.jpg"),
        (r"album\sub\b.jpg", "album/sub/b.jpg"),
    ],
)
@pytest.mark.parametrize("folder", ["album", "album/", "./private/../album", "to-album", "{here}/album"])
def test_a_file_in_an_open_folder_is_read(here: Path, line: str, file: str, folder: str) -> None:
    line = line.replace("{here}", str(here))

    (target,) = targets_of(line, rules=ListRules([folder.replace("{here}", str(here))]))

    assert isinstance(target, Target)
    assert (target.name, target.location, target.inside) == (line, str(here / file), str(here / "album"))


@pytest.mark.parametrize(
    "line",
    [
        "private/c.jpg",
        "private/nothing.jpg",
        "private",
        "album2/d.jpg",
        "album2",
        "Album/a.jpg",
        "album/../private/c.jpg",
        "album/out.jpg",
        "album/gone-out.jpg",
        "album/out/c.jpg",
        "album/out",
        "album/out/",
        "album/sub/up/../private/c.jpg",
        "album/..",
        "/",
        "..",
        "~",
        "file://localhost",
        "/dev/fd/0",
        "album/" + "a/" * 30_000,
    ],
)
def test_what_is_outside_the_open_folders_is_blocked(here: Path, line: str) -> None:
    assert failure_of(line, ListRules(["album"])) == Failure("blocked", f"{line}: {OUTSIDE}")


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("album/nothing.jpg", "not_found", "no such file"),
        ("album/a.jpg/", "not_found", "a part of the path is not a folder"),
        ("album/gone.jpg", "not_found", "no such file"),
        ("album/loop", "not_found", "a symbolic link that leads back to itself"),
        ("album/" + "x" * 300, "not_found", "the name is too long"),
        (
            "album/*.jpg",
            "not_found",
            "no such file (a glob is not allowed in this list; name the folder)",
        ),
    ],
)
def test_what_is_missing_in_an_open_folder_is_told(here: Path, line: str, kind: str, said: str) -> None:
    assert failure_of(line, ListRules(["album"])) == Failure(kind, f"{line}: {said}")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "between", ["private/{}/..", "album/out/{}/..", "private/{}/x/../..", "album/../private/{}/.."]
)
@pytest.mark.parametrize("rest", ["album/a.jpg", "../album/a.jpg", "album", "../album/nothing.jpg", "c.jpg"])
def test_a_way_out_and_back_in_does_not_tell_what_it_passes(here: Path, between: str, rest: str) -> None:
    (here / "private" / "folder").mkdir()
    rules = ListRules(["album"])

    def what_becomes_of(name: str) -> list[str]:
        line = f"{between.format(name)}/{rest}"
        return [str(one).replace(between.format(name), "") for one in targets_of(line, rules=rules)]

    answers = [what_becomes_of(name) for name in ("nothing", "link", "folder", "c.jpg")]

    assert answers == [answers[0]] * 4


@pytest.mark.parametrize("line", ["album/a\0.jpg", "/etc/passwd\0.jpg", "album/a.jpg\0"])
def test_a_name_with_a_nul_is_no_file(here: Path, line: str) -> None:
    data = json.dumps({"path": line}).encode() + b"\n"

    (target,) = expand([], ["-"], stdin=io.BytesIO(data), rules=ListRules(["album"]))

    assert isinstance(target, BadTarget)
    assert target.failure.kind == "not_found"
    assert target.failure.message.endswith("no file can have this name")


def test_an_open_folder_is_searched_and_links_out_of_it_are_blocked(here: Path) -> None:
    targets = targets_of("album", "https://example.org/a.jpg", rules=ListRules(["album"]))

    assert [(target.index, target.name) for target in targets] == [
        (0, "album/a.jpg"),
        (1, "album/gone-out.jpg"),
        (2, "album/gone.jpg"),
        (3, "album/in.jpg"),
        (4, "album/out.jpg"),
        (5, "album/sub/b.jpg"),
        (6, "https://example.org/a.jpg"),
    ]
    assert [target.failure.message for target in targets if isinstance(target, BadTarget)] == [
        f"album/gone-out.jpg: {LEADS_OUT}",
        f"album/out.jpg: {LEADS_OUT}",
    ]


def test_names_and_positions_are_those_of_a_run_without_rules(here: Path) -> None:
    lines = ["album/", "album/nothing.jpg", "album/in.jpg"]

    free, held = targets_of(*lines, rules=None), targets_of(*lines, rules=ListRules(["/"]))

    assert [(target.name, target.index) for target in held] == [(target.name, target.index) for target in free]


def test_several_folders_may_be_open_and_one_may_be_a_link(here: Path) -> None:
    rules = ListRules(["album", "private/.hidden"])

    assert [type(one) for one in targets_of("album/a.jpg", "private/.hidden/e.jpg", "private/c.jpg", rules=rules)] == [
        Target,
        Target,
        BadTarget,
    ]


def test_a_chain_of_a_thousand_links_is_no_fault_of_the_run(here: Path) -> None:
    for number in range(1500):
        (here / "album" / f"{number}").symlink_to(f"{number + 1}")

    assert failure_of("album/0", ListRules(["album"])).kind in ("not_found", "blocked")


@pytest.mark.parametrize(
    ("folder", "said"), [("nowhere", "no such folder"), ("album/a.jpg", "not a folder"), ("a\0", "no such folder")]
)
def test_a_folder_that_cannot_be_opened_to_lists_is_named(here: Path, folder: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"^--allow-files {folder}: {said}$"):
        ListRules([folder])


class TestLinksThatAppearLater:
    """Between the look at a name and the reading of the file, somebody puts a link in its place."""

    def swap(self, path: Path, to: Path) -> None:
        path.rename(path.with_name("moved"))
        path.symlink_to(to)

    def read(self, target: Target | BadTarget) -> bytes:
        assert isinstance(target, Target)
        root = target.inside
        assert root is not None
        return read(target.location, 1 << 20, opener=lambda path, flags: open_inside(root, path, flags))

    def test_in_place_of_the_file(self, here: Path) -> None:
        (target,) = targets_of("album/a.jpg", rules=ListRules(["album"]))
        assert self.read(target) == PICTURES[0].read_bytes()
        self.swap(here / "album" / "a.jpg", here / "private" / "c.jpg")

        with pytest.raises(PictureError, match="permission denied") as caught:
            self.read(target)
        assert caught.value.kind == "blocked"

    def test_in_place_of_a_folder_above_it(self, here: Path) -> None:
        (here / "private" / "b.jpg").write_bytes(b"secret")
        (target,) = targets_of("album/sub/b.jpg", rules=ListRules(["album"]))
        self.swap(here / "album" / "sub", here / "private")

        with pytest.raises(PictureError):
            self.read(target)

    def test_in_place_of_a_folder_that_is_being_searched(self, here: Path) -> None:
        (here / "private" / "secret-name.jpg").touch()
        targets = expand([], ["-"], stdin=io.BytesIO(b"album\n"), rules=ListRules(["album"]))
        assert next(targets).name == "album/a.jpg"
        self.swap(here / "album" / "sub", here / "private")

        assert not [target for target in targets if "secret" in target.name]

    def test_the_pipeline_opens_what_was_allowed_and_nothing_else(self, here: Path, warm_cache: Path) -> None:
        targets = targets_of("album/sub/b.jpg", "album/a.jpg", rules=ListRules(["album"]))
        self.swap(here / "album" / "a.jpg", here / "private" / "c.jpg")

        with Classifier(Settings(model=DEMO_MODEL, cache_dir=str(warm_cache))) as birds:
            fine, swapped = birds.stream(targets)

        assert fine.ok
        assert swapped.outcome == Failure("blocked", "album/a.jpg: permission denied")


@pytest.mark.parametrize(
    ("opened", "allowed", "blocked"),
    [
        (
            "s3://birds",
            ["s3://birds/a.jpg", "S3://birds/x/y.jpg", "s3://birds/x/", "s3://birds", "s3://birds/"],
            ["s3://birds2/a.jpg", "s3://Birds/a.jpg", "s3://bird/s/a.jpg", "gs://birds/a.jpg", "az://birds/a.jpg"],
        ),
        (
            "s3://birds/may",
            ["s3://birds/may/a.jpg", "s3://birds/may/", "s3://birds/may"],
            ["s3://birds/mayfly/a.jpg", "s3://birds/a.jpg", "s3://birds/", "s3://birds/may/../a.jpg", "s3://birds/ma"],
        ),
        ("gs://birds/may/", ["gs://birds/may/a.jpg"], ["gs://birds/may", "gs://birds/May/a.jpg"]),
        ("az://birds/%2e", ["az://birds/%2e/a.jpg"], ["az://birds/./a.jpg", "az://birds//a.jpg"]),
    ],
)
def test_an_open_bucket_is_exact_on_the_bucket_and_on_whole_parts_of_keys(
    opened: str, allowed: list[str], blocked: list[str]
) -> None:
    rules = ListRules(buckets=["s3://other", opened])

    assert [url for url in [*allowed, *blocked] if rules.allows_object(url)] == allowed
    for url in blocked:
        assert failure_of(url, rules).message == f"{url}: a list may name only URLs and what --allow-bucket opens"


@pytest.mark.parametrize("url", ["birds", "https://example.org/birds", "s3://", "s3://b/../a", "/etc"])
def test_what_is_no_bucket_is_named(url: str) -> None:
    with pytest.raises(UsageError, match=f"^--allow-bucket {url}: "):
        ListRules(buckets=[url])


def test_an_open_folder_opens_no_bucket_and_an_open_bucket_no_folder(here: Path) -> None:
    assert failure_of("s3://birds/a.jpg", ListRules(["album"])).kind == "blocked"
    assert failure_of("album/a.jpg", ListRules(buckets=["s3://birds"])).message == f"album/a.jpg: {ONLY_URLS}"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.txt", "/etc/passwd\n"),
        ("list.txt", '"/etc/passwd"\n'),
        ("list.csv", "url,note\n/etc/passwd,x\n"),
        ("list.tsv", "path\tnote\n/etc/passwd\tx\n"),
        ("list.csv", "RelativePath,File\n/etc,passwd\n"),
        ("list.jsonl", '{"path": "/etc/passwd"}\n'),
        ("list.json", '[{"url": "/etc/passwd"}]'),
        ("list.json", '{"images": [{"file": "/etc/passwd"}]}'),
        ("list", "/etc/passwd\0"),
        ("list.utf16", "\ufeff/etc/passwd\n"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_lists_of_every_format_are_held(tmp_path: Path, name: str, content: str, *, packed: bool) -> None:
    data = content.encode("utf-16" if name.endswith("utf16") else "utf-8")
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(data) if packed else data)

    found = list(expand([], [str(path)], rules=ListRules()))
    if name in (
        "list.txt",
        "list.jsonl",
        "list.json",
        "list",
    ):  # what is known without the suffix, on standard input too
        found += expand(["-"], stdin=io.BytesIO(path.read_bytes()), rules=ListRules())
        found += expand([], ["-"], stdin=io.BytesIO(path.read_bytes()), rules=ListRules())
        assert len(found) == 3

    assert found
    for target in found:
        assert isinstance(target, BadTarget)
        assert target.failure == Failure("blocked", f"/etc/passwd: {ONLY_URLS}")


def test_the_command_line_is_not_held(here: Path) -> None:
    given = ["album/a.jpg", "album2", "private/*.jpg", "s3://bucket/a.jpg", f"file://{here}/album/a.jpg"]

    assert list(expand(given, rules=ListRules())) == list(expand(given))
    assert not any(isinstance(target, BadTarget) for target in expand(given, rules=ListRules()))


def test_a_picture_on_standard_input_is_not_held() -> None:
    data = PICTURES[0].read_bytes()

    assert list(expand(["-"], stdin=io.BytesIO(data), rules=ListRules())) == [Target("-", "file", "-", 0, data)]


def test_a_folder_that_only_lets_pass_is_passed(here: Path) -> None:
    """The folders above a file need no right to be listed."""
    (here / "album" / "sub").chmod(0o311)
    path = here / "album" / "sub" / "b.jpg"
    with open(open_inside(str(here / "album"), str(path), os.O_RDONLY), "rb") as opened:
        assert opened.read() == path.read_bytes()


@pytest.mark.parametrize("scheme", ["", "//", "s3://"])
def test_a_blocked_line_shows_no_password(scheme: str) -> None:
    for target in targets_of(f"{scheme}me:secret@example.org/a.jpg?sig=secret", rules=ListRules()):
        assert isinstance(target, BadTarget)
        assert target.failure.kind == "blocked"
        assert "secret" not in target.name + target.failure.message


@pytest.mark.parametrize("around", ["<{}>", "\u200b{}", "7,{}", "1. {}", "a\t{}", "![bird]({})", "URL={}"])
@pytest.mark.parametrize("rules", [None, ListRules()])
def test_a_line_with_a_url_in_it_shows_no_secret(here: Path, around: str, rules: ListRules | None) -> None:
    line = "x.jpg\n" + around.format("https://ann:hunter2@example.org/a.jpg?token=hunter2")
    _, target = targets_of(line, rules=rules)

    assert isinstance(target, BadTarget)
    assert "hunter2" not in str(target)
    assert "example.org/a.jpg" in target.name


def test_a_link_outside_that_may_not_be_read_is_as_if_it_were_not_there(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: object) -> str:
        raise PermissionError(13, "permission denied", path)

    rules = ListRules(["album"])
    monkeypatch.setattr(os, "readlink", refused)
    assert failure_of("private/link/x.jpg", rules) == Failure("blocked", f"private/link/x.jpg: {OUTSIDE}")
