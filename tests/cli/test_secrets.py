"""No secret of a URL is in any output, message or file; and --reveal-targets names targets as they were given."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterator
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from birdlite import Classifier, FetchSettings, Settings, log, redacted
from birdlite.batch.done_index import Index, index_path, write_index
from birdlite.batch.earlier import Earlier
from birdlite.batch.shard import key_of
from birdlite.cli.declare import Option, Value
from birdlite.cli.group import COMMANDS
from tests.batch_runs import WITH_DEMO_MODEL, header_of, records_of
from tests.command_line import Run
from tests.demo_world import LABELS, MODEL, PICTURES
from tests.object_store import Bucket
from tests.origin import Exchange, Origin
from tests.planted import WORD, Planted, at_mirrors, found_in, found_on_disk, with_tokens, without_pictures

PICTURE = PICTURES[0].read_bytes()


@pytest.fixture
def mirror(origin: Origin) -> Origin:
    """A mirror that has a picture at every address, but where the address says 404."""
    for planted in (*at_mirrors(), *with_tokens()):
        rest = planted.url.partition("://")[2].partition("#")[0]
        host, slash, path = rest.partition("/")
        place = f"/{host.rpartition('@')[2].lower()}{slash}{path}".partition("?")[0]
        origin.serve(place, PICTURE)
    return origin


def write_list(path: Path, urls: list[str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{url}\n" for url in urls))
    return path


def good() -> list[Planted]:
    return [*at_mirrors(), *with_tokens()]


def classify(mirror: Origin) -> tuple[str, ...]:
    return ("classify", *WITH_DEMO_MODEL, "--mirror", mirror.base, "--retries", "0", "--per-host", "99")


@pytest.mark.parametrize("format_", ["text", "csv", "jsonl", "json"])
def test_no_output_shows_a_secret_whatever_becomes_of_its_picture(
    run: Run, mirror: Origin, free_port: int, tmp_path: Path, format_: str
) -> None:
    urls = [*(one.url for one in good()), *without_pictures(free_port)]
    given = write_list(tmp_path / "list.txt", urls)
    page = tmp_path / "out" / "page.html"

    code, out, err = run(*classify(mirror), "--from", given, "--format", format_, "--report", page)

    assert code == 1
    assert f"{len(good())} of {len(urls)} classified" in err
    assert found_in(out) == []
    assert found_in(err) == []
    assert found_on_disk(tmp_path, given) == {}


def test_the_server_gets_the_whole_address(run: Run, mirror: Origin, tmp_path: Path) -> None:
    given = write_list(tmp_path / "list.txt", [one.url for one in good()])

    code, _, err = run(*classify(mirror), "--from", given)

    assert code == 0, err
    asked = [seen.path for seen in mirror.requests]
    assert len(asked) == len(good())
    assert sum(WORD in path for path in asked) == sum(one.sent for one in good())


@pytest.mark.parametrize(
    "options", [("-v",), ("-v", "--log-format", "json"), ("--timing",), ("-q",), ("--unordered",), ("--renditions",)]
)
def test_no_message_shows_a_secret(
    run: Run, mirror: Origin, free_port: int, tmp_path: Path, options: tuple[str, ...]
) -> None:
    for planted in at_mirrors()[:4]:
        mirror.fail("/" + planted.url.partition("://")[2].partition("?")[0], [503])
    urls = [*(one.url for one in good()), *without_pictures(free_port)]

    code, out, err = run(
        *classify(mirror), "--retries", "1", *options, "--from", write_list(tmp_path / "list.txt", urls)
    )

    assert code == 1
    assert ("retry" in err) == ("-v" in options)
    assert found_in(out + err) == []


def test_no_failure_shows_a_secret_of_the_way_to_it(
    run: Run, origin: Origin, secure_origin: Origin, tmp_path: Path
) -> None:
    def echo(exchange: Exchange) -> None:
        exchange.hang_up()
        exchange.finish(f"GET {exchange.path} {exchange.headers['Authorization']}\r\n\r\n".encode())

    origin.hold("/held.jpg")
    origin.answer("/echo.jpg", echo)
    origin.serve("/page.jpg", f"<html>?token={WORD}</html>".encode())
    origin.redirect("/away.jpg", f"ftp://ann:{WORD}@example.org/a.jpg?token={WORD}")
    origin.redirect("/broken.jpg", f"https://ann:{WORD}@[::g/")
    origin.redirect("/odd.jpg", f"https://ann:{WORD}@ho\u2100st/")
    origin.redirect("/circle.jpg", f"/circle.jpg?X-Amz-Signature={WORD}")
    origin.serve("/401.jpg", f"?token={WORD}".encode(), status=401, headers={"WWW-Authenticate": f'NTLM "{WORD}"'})
    names = ("held", "echo", "page", "away", "broken", "odd", "circle", "401", "404")
    place = f"http://ann:{WORD}@127.0.0.1:{origin.port}"
    urls = [f"{place}/{name}.jpg?token={WORD}" for name in names]
    urls.append(f"https://ann:{WORD}@127.0.0.1:{secure_origin.port}/a.jpg?token={WORD}")

    given = write_list(tmp_path / "list.txt", urls)
    options = ("--timeout", "20", "--read-timeout", "2", "--retries", "0", "-v", "--per-host", "99")
    code, out, err = run("classify", *WITH_DEMO_MODEL, *options, "--from", given, "--format", "json")

    failures = {one["error"]["kind"] for one in json.loads(out)["results"]}
    assert code == 1
    assert failures == {"timeout", "network", "not_an_image", "unsupported", "http_status"}
    assert found_in(out + err) == []


def run_part(run: Run, mirror: Origin, folder: Path, name: str, urls: list[str], *options: object) -> int:
    """Classify a list, and check that nothing but the list has a secret."""
    given = write_list(folder / "list.txt", urls)
    code, out, err = run(*classify(mirror), "--from", given, "-o", folder / "runs" / name, *options)
    assert found_in(out + err) == []
    assert found_on_disk(folder, given) == {}
    return code


def test_parts_journals_indexes_and_what_is_made_of_them_have_no_secret(
    run: Run, mirror: Origin, free_port: int, tmp_path: Path
) -> None:
    urls = [*(one.url for one in good()), *without_pictures(free_port)]
    runs = tmp_path / "runs"
    for number in range(len(with_tokens())):
        mirror.fail(f"/example.org/by-{number}.jpg", [503])

    assert run_part(run, mirror, tmp_path, "{run}-{shard}.jsonl", urls, "--shard", "0/2", "--max-failures", "0") == 4
    assert len(list(runs.glob("*.partial"))) == 1
    for shard in ("0/2", "1/2"):
        assert run_part(run, mirror, tmp_path, "{run}-{shard}.jsonl", urls, "--shard", shard, "--resume") == 1
    for options in (
        ("-o", tmp_path / "all.jsonl", "--keep-header"),
        ("-o", tmp_path / "all.csv"),
        ("-o", tmp_path / "all.html"),
        ("-o", tmp_path / "newest.jsonl", "--newest"),
        ("--index",),
    ):
        code, _, err = run("merge", runs, *options)
        assert code in (0, 1), err
    assert run("report", tmp_path / "all.jsonl", "-o", tmp_path / "page.html")[0] == 1

    assert len(records_of(tmp_path / "all.jsonl")) == len(records_of(tmp_path / "newest.jsonl")) == len(urls)
    assert list(runs.glob("done-*.index"))
    assert found_on_disk(tmp_path, tmp_path / "list.txt") == {}


def test_a_list_that_is_signed_anew_is_the_same_list(run: Run, mirror: Origin, tmp_path: Path) -> None:
    tonight, tomorrow = ([one.url for one in at_mirrors(number)] for number in (1, 2))
    runs = tmp_path / "runs"
    runs.mkdir()

    assert run_part(run, mirror, tmp_path, "{run}.jsonl", tonight, "--resume") == 0
    asked = len(mirror.requests)
    assert run_part(run, mirror, tmp_path, "{run}.jsonl", tomorrow, "--resume") == 0
    assert run_part(run, mirror, tmp_path, "new.jsonl", tomorrow, "--since-output", runs, "--keep-index") == 0
    os.unlink(next(one for one in runs.glob("*.jsonl") if one.name != "new.jsonl"))
    assert run_part(run, mirror, tmp_path, "newer.jsonl", tonight, "--since-output", runs) == 0  # by the index

    assert len(mirror.requests) == asked
    assert [records_of(runs / name) for name in ("new.jsonl", "newer.jsonl")] == [[], []]


def test_what_failed_is_tried_again_at_its_whole_address(run: Run, mirror: Origin, tmp_path: Path) -> None:
    urls = [one.url for one in with_tokens()[:3]]
    for number in range(3):
        mirror.fail(f"/example.org/by-{number}.jpg", [503, 503])

    first = run_part(run, mirror, tmp_path, "a.jsonl", urls, "--resume", "--max-failures", "50%")
    assert first == 4  # after two tries of each
    assert run_part(run, mirror, tmp_path, "a.jsonl", urls, "--resume", "--retry-failed") == 0

    asked = [seen.path for seen in mirror.requests]
    assert all(WORD in path for path in asked)
    assert {asked.count(path) for path in asked} == {3}


def test_failures_of_an_earlier_start_are_tried_at_the_end_at_their_whole_address(
    run: Run, mirror: Origin, tmp_path: Path
) -> None:
    urls = [one.url for one in with_tokens()[:3]]
    for number in range(3):
        mirror.fail(f"/example.org/by-{number}.jpg", [503])
    assert run_part(run, mirror, tmp_path, "a.jsonl", urls, "--resume", "--max-failures", "0") == 4

    assert run_part(run, mirror, tmp_path, "a.jsonl", urls, "--resume", "--max-failures", "99") == 0

    assert {record["status"] for record in records_of(tmp_path / "runs" / "a.jsonl")} == {"ok"}


class TestRevealed:
    def test_records_messages_and_pages_name_targets_as_they_were_given(
        self, run: Run, mirror: Origin, free_port: int, tmp_path: Path
    ) -> None:
        urls = [*(one.url for one in good() if len(one.url) < 250), *without_pictures(free_port)]
        given, page = write_list(tmp_path / "list.txt", urls), tmp_path / "page.html"

        _, out, _ = run(*classify(mirror), "--from", given, "--format", "jsonl", "--reveal-targets", "--report", page)

        records = [json.loads(line) for line in out.splitlines()]
        assert [record["target"] for record in records] == urls
        assert all(one["error"]["message"].startswith(f"{one['target']}: ") for one in records if "error" in one)
        assert page.read_text().count(WORD) >= len(urls)

    def test_the_variable_does_the_same(self, run: Run, mirror: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BIRDLITE_REVEAL_TARGETS", "1")
        url = with_tokens()[0].url

        _, out, _ = run(*classify(mirror), url, "--format", "jsonl")

        assert json.loads(out)["target"] == url

    def test_its_parts_hold_for_runs_without_it_too(self, run: Run, mirror: Origin, tmp_path: Path) -> None:
        urls = [one.url for one in good()]
        given, runs = write_list(tmp_path / "list.txt", urls), tmp_path / "runs"
        whole, merged, hidden = runs / "whole.jsonl", tmp_path / "merged.jsonl", tmp_path / "hidden.jsonl"

        run(*classify(mirror), "--from", given, "-o", whole, "--resume", "--reveal-targets")
        run("merge", whole, "--keep-header", "--reveal-targets", "-o", merged)
        run("merge", whole, "--keep-header", "-o", hidden)

        assert [record["target"] for record in records_of(whole)] == urls
        assert merged.read_bytes() == whole.read_bytes()
        assert header_of(whole)["reveal_targets"]
        assert not header_of(hidden)["reveal_targets"]
        assert header_of(hidden)["list_sha256"] == header_of(whole)["list_sha256"]
        assert found_in(hidden.read_text()) == []
        assert run_part(run, mirror, tmp_path / "other", "new.jsonl", urls, "--since-output", runs) == 0
        assert records_of(tmp_path / "other" / "runs" / "new.jsonl") == []

    def test_a_part_is_not_continued_with_the_other_names(self, run: Run, mirror: Origin, tmp_path: Path) -> None:
        urls = [one.url for one in good()]
        assert run_part(run, mirror, tmp_path, "a.jsonl", urls, "--resume") == 0

        code, _, err = run(
            *classify(mirror), *urls, "-o", tmp_path / "runs" / "a.jsonl", "--resume", "--reveal-targets"
        )

        assert code == 3
        assert "reveal_targets was false and is true" in err


class TestOldFiles:
    """Parts and journals from before names were redacted."""

    @pytest.fixture
    def old(self, run: Run, mirror: Origin, tmp_path: Path) -> Path:
        path = tmp_path / "old.jsonl"
        urls = [*(one.url for one in good()), f"https://example.org/404.jpg?token={WORD}"]
        given = write_list(tmp_path / "list.txt", urls)
        run(*classify(mirror), "--from", given, "-o", path, "--resume", "--reveal-targets")
        text = path.read_text()
        assert text.count(WORD) > len(good())
        path.write_text(text.replace(', "reveal_targets": true', "", 1))
        return path

    def urls(self) -> list[str]:
        return [*(one.url for one in good()), f"https://example.org/404.jpg?token={WORD}"]

    def test_what_they_have_answered_is_known(self, run: Run, mirror: Origin, old: Path, tmp_path: Path) -> None:
        assert "reveal_targets" not in header_of(old)
        folder = tmp_path / "now"

        folder.mkdir()
        code = run_part(run, mirror, folder, "new.jsonl", self.urls(), "--since-output", old)

        assert code == 1
        assert [one["status"] for one in records_of(folder / "runs" / "new.jsonl")] == ["error"]

    def test_a_resumed_part_loses_their_secrets(self, run: Run, mirror: Origin, old: Path, tmp_path: Path) -> None:
        folder = tmp_path / "now" / "runs"
        folder.mkdir(parents=True)
        _, *lines = old.read_text().splitlines(keepends=True)
        run_only = {name: value for name, value in header_of(old).items() if name != "list_sha256"}
        (folder / "a.jsonl.partial").write_text(json.dumps({"birdlite_run": run_only}) + "\n" + "".join(lines[:5]))
        asked = len(mirror.requests)

        assert run_part(run, mirror, folder.parent, "a.jsonl", self.urls(), "--resume") == 1

        assert len(mirror.requests) - asked == len(lines) - 5
        assert [one["target"] for one in records_of(folder / "a.jsonl")] == [redacted(url) for url in self.urls()]

    def test_a_retried_part_loses_their_secrets(self, run: Run, mirror: Origin, old: Path, tmp_path: Path) -> None:
        folder = tmp_path / "now" / "runs"
        folder.mkdir(parents=True)
        old.rename(folder / "a.jsonl")
        given = write_list(tmp_path / "list.txt", self.urls())
        mirror.fail("/example.org/404.jpg", [503])
        again = ("-o", folder / "a.jsonl", "--resume", "--retry-failed", "--max-failures", "0")

        assert run(*classify(mirror), "--from", given, *again)[0] == 4
        assert found_in((folder / "a.jsonl.partial").read_text()) == []
        assert run_part(run, mirror, folder.parent, "a.jsonl", self.urls(), "--resume", "--retry-failed") == 1

    def test_merged_and_reported_they_lose_their_secrets(self, run: Run, old: Path, tmp_path: Path) -> None:
        for name in ("a.jsonl", "a.csv", "a.html"):
            for options in ((), ("--newest",)):
                _, _, err = run("merge", f"{tmp_path}/ol*.jsonl", *options, "-o", tmp_path / name)
                assert found_in((tmp_path / name).read_text() + err) == []
        run("report", old, "-o", tmp_path / "page.html")
        assert found_in((tmp_path / "page.html").read_text()) == []

    def test_an_index_of_whole_urls_is_understood(self, run: Run, mirror: Origin, old: Path, tmp_path: Path) -> None:
        runs = tmp_path / "runs"
        runs.mkdir()
        earlier = Earlier()
        for one in good():
            earlier.add_key(key_of(one.url.partition("#")[0].encode()))
        earlier.sort()
        sha256 = header_of(old)["model_sha256"]
        keys = array("Q", chain.from_iterable(earlier.in_order()))
        write_index(index_path(str(runs), sha256), sha256, Index({}, keys))
        urls = [one.url for one in with_tokens()[:5]]

        assert run_part(run, mirror, tmp_path / "now", "new.jsonl", urls, "--since-output", runs) == 0
        assert records_of(tmp_path / "now" / "runs" / "new.jsonl") == []


SECRET_URL = f"https://ann:{WORD}@example.org/a?token={WORD}"


@pytest.mark.parametrize(
    "line",
    [
        (SECRET_URL,),
        ("classify", "a.jpg", "--mirror", SECRET_URL),
        ("classify", "a.jpg", "--mirror", f"https://ann:{WORD}@[::g]/"),
        ("classify", "--from", SECRET_URL),
        ("classify", "--from", f"az://c/list.txt?sv=1&se=1&sig={WORD}"),
        ("classify", "a.jpg", "-o", f"https://ann:{WORD}@example.org/a.jsonl?token={WORD}"),
        ("classify", "a.jpg", "-o", f"ftp://ann:{WORD}@example.org/a.txt"),
        ("classify", "a.jpg", "-o", f"az://c/../a.jsonl?sv=1&se=1&sig={WORD}"),
        ("classify", "a.jpg", "--report", f"s3://KEY:{WORD}@b/a.html"),
        ("classify", "a.jpg", "--since-output", SECRET_URL, "-o", "a.jsonl"),
        ("classify", "a.jpg", "--model", SECRET_URL),
        ("classify", "a.jpg", "--model", f"{SECRET_URL}/model.tflite"),
        ("classify", "a.jpg", "--labels", SECRET_URL, "--model", str(MODEL)),
        ("classify", "a.jpg", "--timeout", SECRET_URL),
        ("classify", "a.jpg", "--cache-dir", SECRET_URL),
        ("classify", "a.jpg", "--user-agent", f"me\n{SECRET_URL}"),
        ("merge", SECRET_URL),
        ("merge", f"az://c/../a.jsonl?sv=1&se=1&sig={WORD}"),
        ("report", SECRET_URL),
        ("evaluate", SECRET_URL),
        ("model", "show", SECRET_URL),
        ("bench", SECRET_URL, "--model", str(MODEL), "--labels", str(LABELS)),
        ("convert", f"ftp://ann:{WORD}@example.org/a?token={WORD}"),
        (f"//ann:{WORD}@h",),
        ("classify", "a.jpg", "--mirror", f"//ann:{WORD}@h"),
        ("classify", "a.jpg", "--mirror", f"https://ann:a {WORD}@h/"),
        ("classify", "a.jpg", "--model", f"//ann:{WORD}@h"),
        ("classify", "a.jpg", "--model", f"https://ann:a {WORD}@h/m"),
        ("classify", "a.jpg", "--mirror", f"ann:{WORD}@h"),
        ("classify", "a.jpg", "--only-urls", "--allow-bucket", f"ann:{WORD}@h"),
        ("classify", "a.jpg", "--only-urls", "--allow-files", f"https://ann:a {WORD}@h/"),
        ("merge", f"//ann:{WORD}@h"),
        ("report", f"https://ann:a {WORD}@h/"),
        ("evaluate", f"//ann:{WORD}@h"),
        ("model", "show", f"//ann:{WORD}@h"),
    ],
)
def test_no_error_of_a_command_line_shows_a_secret(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")

    code, out, err = run(*line)

    assert code not in (0, 130)
    assert err
    assert found_in(out + err) == []


READ_BY_NOBODY = ("text", "folder")  # what is no URL is a folder


def readers() -> Iterator[tuple[str, Option]]:
    """The options whose values are read, and so may be refused: each with its command."""
    for command in COMMANDS:
        if command != "demo":
            module = import_module("birdlite.cli." + ("options" if command == "classify" else command))
            options = (param for param in module.COMMAND.params if isinstance(param, Option))
            yield from (
                (command, one)
                for one in options
                if not isinstance(one.type, Value) or one.type.name not in READ_BY_NOBODY
            )


@pytest.mark.parametrize("value", [SECRET_URL, f"//ann:{WORD}@h", f"https://ann:a {WORD}@h/", f"ann:{WORD}@h"])
def test_no_option_and_no_variable_repeats_a_secret(run: Run, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    refused = 0
    for command, option in readers():
        if not option.is_flag:
            code, out, err = run(command, option.opts[0], value)
            assert (code, bool(err), found_in(out + err)) == (2, True, []), (command, option.opts)
            refused += 1
        assert isinstance(option.envvar, str)
        monkeypatch.setenv(option.envvar, value)
        code, out, err = run(command, "a")
        monkeypatch.delenv(option.envvar)
        assert (code, bool(err), found_in(out + err)) == (2, True, []), (command, option.envvar)
    assert refused > 60


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("https_proxy", f"http://ann:{WORD}@127.0.0.1:1"),
        ("https_proxy", f"socks5://ann:{WORD}@proxy.example"),
        ("https_proxy", f"ann:{WORD}@[::g]:1"),
        ("https_proxy", f"http://ann:{WORD}@proxy.example:x{WORD}"),
        ("BIRDLITE_MIRROR", f"http://ann:{WORD}@127.0.0.1:1/?token={WORD}"),
        ("BIRDLITE_MIRROR", f"http://ann:{WORD}@127.0.0.1:1"),
        ("BIRDLITE_TOP", SECRET_URL),
    ],
)
def test_no_variable_shows_its_secret(run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    code, out, err = run("classify", *WITH_DEMO_MODEL, "https://example.org/a.jpg", "--retries", "0", "-v")

    assert code in (1, 2)
    assert found_in(out + err) == []


def test_an_endpoint_of_storage_with_a_password_is_not_shown(
    run: Run, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for endpoint in (
        f"ann:{WORD}@127.0.0.1:9000",
        f"http://ann:{WORD}@127.0.0.1:1",
        f"http://127.0.0.1:1/?token={WORD}",
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

        code, out, err = run(
            "classify", *WITH_DEMO_MODEL, f"s3://b/a.jpg?token={WORD}", "--retries", "0", "--timeout", "3"
        )

        assert code == 1
        assert found_in(out + err) == []


def test_a_fault_shows_no_secret_with_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*arguments: object, **more: object) -> None:
        raise RuntimeError(f"cannot open {SECRET_URL}")

    monkeypatch.setattr("birdlite.cli.classify.expand", fault)
    monkeypatch.setenv("BIRDLITE_TRACEBACK", "1")

    code, out, err = run("classify", *WITH_DEMO_MODEL, "a.jpg")

    assert code == 3
    assert "Traceback" in err
    assert "example.org" in err
    assert found_in(out + err) == []


def test_python_programs_get_names_without_secrets_and_their_logs_too(mirror: Origin) -> None:
    said: list[Any] = []
    log.to(lambda *line: said.append(line), log.DEBUG)
    url = with_tokens()[0].url
    settings = Settings(str(MODEL), str(LABELS), fetch=FetchSettings(mirror=mirror.base, retries=1))
    mirror.fail("/example.org/by-0.jpg", [503])

    with Classifier(settings) as birds:
        assert birds.classify(url).target == redacted(url)
        assert [one.target for one in birds.classify_many([url])] == [redacted(url)]
    with Classifier(settings._replace(reveal_targets=True)) as birds:
        assert birds.classify(url).target == url
        assert [one.target for one in birds.classify_many([url])] == [url]

    assert any(message == "retry" for _, message, _ in said)
    assert found_in(str(said)) == []


def test_a_page_has_no_link_that_leads_nowhere(run: Run, mirror: Origin, tmp_path: Path) -> None:
    plain = "https://example.org/plain.jpg"
    mirror.serve("/example.org/plain.jpg", PICTURE)
    page = tmp_path / "page.html"

    run(*classify(mirror), plain, with_tokens()[0].url, at_mirrors()[0].url, "--report", page)

    assert [part.partition('"')[0] for part in page.read_text().split('href="http')[1:]] == [plain.removeprefix("http")]


def test_the_name_of_an_unfinished_upload_has_no_secret(run: Run, bucket: Bucket, tmp_path: Path) -> None:
    output = bucket.url(f"a.jsonl?sv=1&se=1&sig={WORD}")

    code, _, err = run(
        "classify", *WITH_DEMO_MODEL, "http://127.0.0.1:1/a.jpg", "-o", output, "--format", "jsonl", "--resume",
        "--max-failures", "0", "--retries", "0",
    )  # fmt: skip

    assert code == 4, err
    assert list((tmp_path / "scratch").glob("*.partial"))
    assert found_in(err) == []
    assert found_on_disk(tmp_path) == {}
