"""No name, label, card, list, record or server can control a terminal: every command and format, on a real one."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from birdlite.cli.group import COMMANDS
from birdlite.models.bundle import card_to_json, sha256
from birdlite.models.card import FileFact
from birdlite.models.catalog import CATALOG, DEMO_MODEL
from birdlite.results import Failure, ImageInfo, Prediction, Result
from birdlite.writers.record import record, to_json
from tests.demo_world import MODEL, PICTURES
from tests.hostile import FORGED, IN_LINE, TEXT, UNDECODABLE, forged, intruders
from tests.origin import Origin, message
from tests.screen import Screen, on_screen

FILE_NAME = "".join(dict.fromkeys(TEXT)) + f"\n{FORGED}\u2028{FORGED}\x85{FORGED}"  # 255 bytes are the most
LABEL = "".join(IN_LINE.splitlines())  # lists of common names are read line by line
CARD_TEXT = "".join(c for c in IN_LINE if c >= " ")  # cards with C0 controls are refused
FORMATS = ("text", "json", "jsonl", "csv")

Show = Callable[..., tuple[int, str, str]]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, warm_cache: Path) -> Show:
    """Run a command line on a terminal without colours; what it shows is checked, and given."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("BIRDLITE_CACHE_DIR", str(warm_cache))
    monkeypatch.setenv("BIRDLITE_RETRIES", "0")
    monkeypatch.chdir(tmp_path)

    def show(*arguments: object) -> tuple[int, str, str]:
        code, out, err = on_screen(monkeypatch, *arguments)
        assert (intruders(out), intruders(err.replace("\r\x1b[K", ""))) == (set(), set())
        assert forged(out) + forged(err) == []
        return code, out, err

    return show


def hostile_bundle(folder: Path) -> Path:
    """The demo model with labels, common names and a card that are hostile."""
    folder.mkdir()
    names = [f"{key} {LABEL}" for key in range(7)]
    label_map = "id,name\n" + "".join(f"{key},{name}\n" for key, name in enumerate(names))
    common = "".join(f"{name} (common {LABEL})\n" for name in names)
    files = {"model.tflite": MODEL.read_bytes(), "labels.csv": label_map.encode(), "names.txt": common.encode()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    card = CATALOG[DEMO_MODEL].card._replace(
        name=f"demo {CARD_TEXT}",
        source=CARD_TEXT,
        licence=CARD_TEXT,
        made_with={CARD_TEXT: CARD_TEXT},
        files={name: FileFact(len(data), sha256(data)) for name, data in files.items()},
    )
    (folder / "model.json").write_text(card_to_json(card), encoding="utf-8")
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return hostile_bundle(tmp_path / "bundle")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder with a good and a bad picture of hostile names, in a folder of such a name."""
    folder = tmp_path / "album" / FILE_NAME
    folder.mkdir(parents=True)
    shutil.copy(PICTURES[0], folder / f"{FILE_NAME[:-4]}.jpg")
    (folder / f"{FILE_NAME[:-4]}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    return tmp_path / "album"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """An output of an earlier run in which every text is hostile."""
    results = [
        Result(0, TEXT, (Prediction(1, 1, TEXT, 0.5, TEXT),), ImageInfo(1, 1, TEXT, 1)),
        Result(1, TEXT, Failure("network", TEXT)),
    ]
    path = tmp_path / "records.jsonl"
    path.write_text("".join(to_json(record(result, times=False)) + "\n" for result in results))
    return path


class TestClassify:
    @pytest.mark.parametrize("format_", FORMATS)
    def test_names_labels_and_failures(self, show: Show, album: Path, bundle: Path, format_: str) -> None:
        code, out, _ = show("classify", "--model", bundle, "--format", format_, album, f"absent {TEXT}", f"{TEXT}*.jpg")

        assert code == 1
        assert "Demoavis" not in out
        assert len(out) > 500

    def test_json_on_a_terminal_is_still_json(self, show: Show, album: Path, bundle: Path) -> None:
        _, lines, _ = show("classify", "--model", bundle, "--format", "jsonl", album)
        _, document, _ = show("classify", "--model", bundle, "--format", "json", album)

        shown = [json.loads(line) for line in lines.splitlines()]
        assert len(shown) == 2
        assert {os.path.basename(one["target"])[:-4] for one in shown} == {FILE_NAME[:-4]}
        assert shown[0]["predictions"][0]["name"][2:] == LABEL
        assert [one["target"] for one in json.loads(document)["results"]] == [one["target"] for one in shown]

    def test_csv_on_a_terminal_has_its_rows_and_no_other(self, show: Show, album: Path, bundle: Path) -> None:
        _, out, _ = show("classify", "--model", bundle, "--format", "csv", album)

        rows = list(csv.reader(io.StringIO(out, newline="")))
        assert out.count("\r\n") == len(out.splitlines()) == len(rows) == 1 + 3 + 1

    @pytest.mark.parametrize("format_", FORMATS)
    def test_lists_and_what_servers_say(self, show: Show, origin: Origin, tmp_path: Path, format_: str) -> None:
        raw = TEXT.encode("utf-8", "surrogateescape")
        line = IN_LINE.encode("utf-8")
        origin.send_raw("/status", b"HTTP/1.1 404 " + line + b"\r\n\r\n")
        origin.send_raw("/header", b"HTTP/1.1 200 OK\r\nContent-Type: " + line + b"\r\nContent-Length: 3\r\n\r\nabc")
        origin.send_raw("/encoding", b"HTTP/1.1 200 OK\r\nContent-Encoding: " + line + b"\r\n\r\nabc")
        origin.send_raw("/length", b"HTTP/1.1 200 OK\r\nContent-Length: " + line + b"\r\n\r\nabc")
        origin.send_raw("/redirect", b"HTTP/1.1 302 Found\r\nLocation: " + line + b"\r\n\r\n")
        origin.send_raw("/host", b"HTTP/1.1 302 Found\r\nLocation: http://" + line + b"/a\r\n\r\n")
        origin.send_raw("/retry", b"HTTP/1.1 503 Busy\r\nRetry-After: " + line + b"\r\n\r\n")
        origin.send_raw("/garbage", raw)
        origin.answer("/page", lambda exchange: exchange.finish(message(200, {}, b"<html><title>" + raw)))
        paths = ("status", "header", "encoding", "length", "redirect", "host", "retry", "garbage", "page")
        urls = [origin.url(f"/{path}") for path in paths]
        (tmp_path / "list.txt").write_bytes(
            "\n".join([*urls, f"{origin.base}/{IN_LINE}", f"http://{IN_LINE}/a.jpg", f"{IN_LINE}.jpg"]).encode()
        )
        arguments = ("--model", DEMO_MODEL, "--format", format_)

        code, _, err = show("classify", *arguments, "-v", "--timing", "--from", tmp_path / "list.txt")

        assert code == 1
        assert "of 12 " in err
        assert origin.hits("/garbage")

    @pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
    def test_structured_lists(self, show: Show, tmp_path: Path, suffix: str) -> None:
        rows = [{"target": TEXT.replace("\udcff\udc80", ""), "note": "x"}, {"target": f"{IN_LINE}.jpg"}]
        path = tmp_path / f"list.{suffix}"
        with open(path, "w", encoding="utf-8", newline="") as file:
            if suffix == "csv":
                csv.writer(file).writerows([["target"], *([row["target"]] for row in rows)])
            elif suffix == "jsonl":
                file.writelines(json.dumps(row) + "\n" for row in rows)
            else:
                json.dump(rows, file)

        code, _, err = show("classify", "--model", DEMO_MODEL, "--format", "csv", "--from", path)

        assert code in (1, 2)
        assert err

    @pytest.mark.parametrize("timing", ["--timing", "--no-timing"])
    def test_where_the_results_are(self, show: Show, tmp_path: Path, timing: str) -> None:
        output, page = tmp_path / f"{FILE_NAME[:-5]}.csv", tmp_path / f"{FILE_NAME[:-5]}.html"

        code, out, err = show(
            "classify",
            "--model",
            DEMO_MODEL,
            timing,
            PICTURES[0],
            "-o",
            output,
            "--report",
            page,
            "--log-format",
            "text",
        )

        assert (code, out) == (0, "")
        assert output.exists()
        assert page.exists()
        assert "\\x1b" in err

    @pytest.mark.parametrize("log_format", ["text", "json"])
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (("--model", TEXT), 3),
            (("--resize", TEXT), 2),
            (("--from", TEXT), 2),
            ((f"--model={MODEL}", "--labels", TEXT), 3),
            (("--output", f"{TEXT}/a.csv"), 3),
            (("--report", TEXT * 9), 3),
            ((f"--{TEXT}",), 2),
            ((f"--model={TEXT}", "--timing"), 3),
            (("--user-agent", TEXT), 2),
            (("--mirror", TEXT), 2),
        ],
    )
    def test_options_that_are_refused(
        self, show: Show, arguments: tuple[str, ...], expected: int, log_format: str
    ) -> None:
        code, out, err = show("classify", "--log-format", log_format, *arguments, PICTURES[0])

        assert code == expected
        assert "\\u202e" in err + out

    def test_labels_of_the_users_own_that_are_wrong(self, show: Show, tmp_path: Path) -> None:
        (tmp_path / "labels.csv").write_text(f"id,name\n{IN_LINE},a\n")

        code, _, err = show("classify", "--model", MODEL, "--labels", tmp_path / "labels.csv", PICTURES[0])

        assert code == 3
        assert "is not a whole number" in err

    @pytest.mark.parametrize("spoilt", ["name", "schema", "format"])
    def test_cards_that_are_refused(self, show: Show, bundle: Path, spoilt: str) -> None:
        fields = json.loads((bundle / "model.json").read_text())
        (bundle / "model.json").write_text(json.dumps({**fields, spoilt: TEXT}))

        code, _, err = show("classify", "--model", bundle, PICTURES[0])

        assert code == 3
        assert "model.json" in err

    def test_unknown_variables(self, show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(f"BIRDLITE_{TEXT.replace('=', '')}", TEXT)

        code, _, err = show("classify", "--model", DEMO_MODEL, PICTURES[0])

        assert code == 0
        assert "birdlite does not read it" in err


class TestOtherCommands:
    @pytest.mark.parametrize("format_", ["jsonl", "csv", "html"])
    def test_merge(self, show: Show, tmp_path: Path, album: Path, bundle: Path, format_: str) -> None:
        part = tmp_path / f"{FILE_NAME[:-6]}.jsonl"
        show("classify", "--model", bundle, "--shard", "0/1", "-o", part, album)
        assert part.exists()

        code, out, err = show("merge", part, "--format", format_)

        assert code == 1
        assert out
        assert "1 of 2 targets classified" in err

    def test_report(self, show: Show, records: Path) -> None:
        code, out, _ = show("report", records)

        assert code == 1
        assert out.startswith("<!doctype html>")

    @pytest.mark.parametrize("command", ["merge", "report"])
    def test_parts_that_are_refused(self, show: Show, records: Path, tmp_path: Path, command: str) -> None:
        broken = tmp_path / f"{FILE_NAME[:-6]}.jsonl"
        broken.write_bytes(records.read_bytes()[:-20])

        assert show(command, broken)[0] == 3
        assert show(command, tmp_path / TEXT)[0] == 3
        broken.write_text(
            json.dumps({**json.loads(records.read_text().split("\n")[0]), TEXT: TEXT, "predictions": [{TEXT: 1}]})
        )
        assert show(command, broken)[0] == 3

    @pytest.mark.parametrize("format_", ["text", "json"])
    def test_evaluate(self, show: Show, bundle: Path, tmp_path: Path, format_: str) -> None:
        labels = [line.partition(",")[2] for line in (bundle / "labels.csv").read_text().split("\n")[1:-1]]
        shutil.copy(PICTURES[0], tmp_path / f"{FILE_NAME[:-4]}.jpg")
        with open(tmp_path / "labelled.csv", "w", newline="") as file:
            csv.writer(file).writerows([["target", "label"], [PICTURES[0], labels[3]], ["absent", labels[1]]])

        code, out, err = show("evaluate", "--model", bundle, "--format", format_, tmp_path / "labelled.csv")

        assert (code, out != "") == (1, True), err

    def test_evaluate_on_unknown_labels(self, show: Show, album: Path) -> None:
        code, _, err = show("evaluate", "--model", DEMO_MODEL, album)

        assert code == 2
        assert "\\x1b" in err

    @pytest.mark.parametrize("format_", ["text", "json"])
    def test_bench(self, show: Show, bundle: Path, album: Path, format_: str) -> None:
        code, out, err = show("bench", "--model", bundle, "--rounds", "1", "--threads", "1", "--format", format_)

        assert (code, "demo" in out) == (0, True), err
        assert show("bench", "--model", DEMO_MODEL, "--rounds", "1", album)[0] != 0

    @pytest.mark.parametrize("action", ["show", "verify"])
    def test_model_on_a_folder(self, show: Show, bundle: Path, action: str) -> None:
        strange = bundle.rename(bundle.with_name(FILE_NAME))

        code, out, _ = show("model", action, strange)

        assert code == 0
        assert "model.tflite" in out

    def test_a_card_that_is_shown_is_still_json(self, show: Show, bundle: Path) -> None:
        assert json.loads(show("model", "show", bundle)[1])["licence"] == CARD_TEXT

    @pytest.mark.parametrize("action", ["list", "path", "fetch", "show", "verify", "remove"])
    def test_model_in_a_cache_of_a_hostile_name(
        self, show: Show, warm_cache: Path, tmp_path: Path, action: str
    ) -> None:
        strange = warm_cache.rename(tmp_path / FILE_NAME)
        names = [] if action == "list" else [DEMO_MODEL]

        assert show("model", action, *names, "--cache-dir", strange)[0] == 0
        assert show("model", action, TEXT, "--cache-dir", f"{strange}/absent")[0] in (2, 3)

    def test_convert(self, show: Show, bundle: Path, tmp_path: Path) -> None:
        source = bundle.rename(tmp_path / FILE_NAME)
        made = tmp_path / f"2{FILE_NAME[:-1]}"

        code, _, err = show("convert", source, "--to", "tflite", "--quantize", "int8", "-o", made)

        assert code == 3
        assert "int8 already" in err
        assert show("convert", TEXT, "-o", made)[0] in (2, 3)

    def test_demo(self, show: Show) -> None:
        code, out, err = show("demo")

        assert (code, "Crested Emberling" in out, "That was the demo" in err) == (0, True, True)

    @pytest.mark.parametrize(
        "arguments", [(TEXT,), (f"./{TEXT}",), ("model", TEXT), ("completion", TEXT), ("help", TEXT)]
    )
    def test_commands_that_do_not_exist(self, show: Show, arguments: tuple[str, ...]) -> None:
        code, out, err = show(*arguments)

        assert (code, out) == (2, "")
        assert "\\x1b" in err or "\\u202e" in err

    @pytest.mark.parametrize("command", COMMANDS)
    def test_help_with_variables_that_are_hostile(
        self, show: Show, monkeypatch: pytest.MonkeyPatch, command: str
    ) -> None:
        for option in ("MODEL", "CACHE_DIR", "OUTPUT", "FORMAT", "USER_AGENT", "MIRROR"):
            monkeypatch.setenv(f"BIRDLITE_{option}", TEXT)

        code, out, _ = show(command, "--help")

        assert (code, out.startswith(f"Usage: birdlite {command}")) == (0, True)

    def test_a_fault_in_birdlite_with_its_traceback(self, show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> int:
            raise RuntimeError(TEXT)

        monkeypatch.setattr("birdlite.cli.classify.main", fail)
        monkeypatch.setenv("BIRDLITE_TRACEBACK", "1")
        monkeypatch.setattr("tests.cli.test_on_a_terminal.forged", lambda _: [])  # a traceback has many lines

        code, _, err = show("classify", "a.jpg")

        assert code == 3
        assert "Traceback" in err


def test_colours_of_our_own_still_show(monkeypatch: pytest.MonkeyPatch, show: Show, bundle: Path) -> None:
    monkeypatch.delenv("NO_COLOR")

    _, out, _ = on_screen(monkeypatch, "classify", "--model", bundle, "absent.jpg", PICTURES[0])

    assert out.startswith("\x1b[1mabsent.jpg\x1b[0m\n  \x1b[31merror\x1b[0m: not_found")
    assert (
        intruders(out.replace("\x1b[1m", "").replace("\x1b[31m", "").replace("\x1b[32m", "").replace("\x1b[0m", ""))
        == set()
    )


def test_a_terminal_that_is_opened_by_its_name_is_one_too(show: Show, album: Path) -> None:
    screen = Screen()

    assert show("classify", "--model", DEMO_MODEL, "--format", "csv", "-o", screen.name, album)[0] == 1

    shown = screen.close()
    assert shown.startswith("index,target,")
    assert (intruders(shown), forged(shown)) == (set(), [])


def test_undecodable_bytes_are_shown_as_escapes(show: Show, tmp_path: Path) -> None:
    name = tmp_path / f"caf{UNDECODABLE}.jpg"
    shutil.copy(PICTURES[0], name)

    for format_ in FORMATS:
        assert "caf\\udcff\\udc80.jpg" in show("classify", "--model", DEMO_MODEL, "--format", format_, name)[1]
