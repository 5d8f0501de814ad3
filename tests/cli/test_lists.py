"""Lists, folders and outputs on the command line: what is read, what is refused in one line, and what a run says."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest

from birdlite.errors import installing
from birdlite.models.catalog import DEMO_MODEL
from birdlite.targets import folders
from tests.command_line import Run
from tests.demo_world import PICTURES, slug, species_of


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch, warm_cache: Path, tmp_path: Path) -> Run:
    """Run a command line on the demo model in a warm cache, in an empty folder."""
    monkeypatch.setenv("BIRDLITE_MODEL", DEMO_MODEL)
    monkeypatch.setenv("BIRDLITE_CACHE_DIR", str(warm_cache))
    monkeypatch.setenv("BIRDLITE_NO_TIMING", "1")
    monkeypatch.chdir(tmp_path)
    return run


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Put `data` on standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_a_picture_on_standard_input_is_classified(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, PICTURES[2].read_bytes())

    code, out, _ = run("classify", "--format", "jsonl", "-")

    record = json.loads(out)
    assert (code, record["target"], record["image"]["bytes"]) == (0, "-", PICTURES[2].stat().st_size)
    assert slug(record["predictions"][0]["common_name"]) == species_of(PICTURES[2])


def test_a_picture_on_standard_input_is_held_to_max_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, PICTURES[2].read_bytes())

    code, out, _ = run("classify", "--format", "jsonl", "--max-bytes", 1000, "-")

    assert (code, json.loads(out)["error"]) == (1, {"kind": "too_large", "message": "-: more than 1000 bytes"})


@pytest.mark.parametrize("more", [(), ("--only-urls",)])
def test_nothing_at_all_on_standard_input_is_a_picture_that_did_not_come(
    run: Run, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    give(monkeypatch, b"")
    code, out, err = run("classify", "-", "--format", "jsonl", "--quiet", *more)
    message = "-: nothing came on standard input (a list that may be empty is --from -)"
    assert (code, err, json.loads(out)["target"]) == (1, "", "-")
    assert json.loads(out)["error"] == {"kind": "not_an_image", "message": message}

    give(monkeypatch, b"")
    code, _, err = run("classify", "--from", "-", *more)
    assert (code, err.splitlines()[-1]) == (0, "birdlite: warning: stdin: the list names no picture")


@pytest.mark.parametrize("arguments", [["-"], ["--from", "-"]])
def test_other_data_on_standard_input_is_refused_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    give(monkeypatch, bytes(range(256)) * 50)

    code, out, err = run("classify", *arguments)

    assert (code, out) == (2, "")
    assert err == "birdlite: error: stdin: this is binary data, not a list of pictures\n"


def test_a_list_that_is_named_like_a_picture_gets_a_hint(run: Run, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{PICTURES[0]}\n")

    code, out, _ = run("classify", "--format", "jsonl", "list.txt")

    message = "list.txt: this is text, not a picture; if it is a list of pictures, give it with --from"
    assert (code, json.loads(out)["error"]) == (1, {"kind": "not_an_image", "message": message})


def test_a_quote_that_is_not_closed_is_told_and_every_other_row_is_read(run: Run, tmp_path: Path) -> None:
    rows = [f"{PICTURES[0]},ok"] * 5
    (tmp_path / "list.csv").write_text("\n".join(["path,note", *rows, f'{PICTURES[0]},"14 cm', *rows]))

    code, out, _ = run("classify", "--format", "jsonl", "--from", "list.csv")

    records = [json.loads(line) for line in out.splitlines()]
    assert (code, [record["status"] for record in records]) == (1, ["ok"] * 5 + ["error"] + ["ok"] * 5)
    assert records[5]["error"]["message"] == "list.csv:7: a quote in this row is not closed"


def test_every_run_says_what_its_folders_hold_that_is_not_read(run: Run, tmp_path: Path) -> None:
    album = tmp_path / "album"
    (album / "@eaDir").mkdir(parents=True)
    (album / "again").symlink_to(album)
    (album / "a.jpg").write_bytes(PICTURES[0].read_bytes())
    for name in ("b.nef", "c.nef", "d.MP4", "e.txt", "@eaDir/f.jpg"):
        (album / name).touch()

    code, out, err = run("classify", "--format", "json", "album", "--report", "page.html")

    assert code == 0
    assert json.loads(out)["summary"] == {
        "targets": 1,
        "ok": 1,
        "failed": 0,
        "interrupted": False,
        "skipped": {"linked folder": 1, "raw": 2, "video": 1},
    }
    assert err.splitlines()[-1] == "birdlite: not read, in folders: 1 linked folder, 2 raw files and 1 video file"
    assert "2 raw files" in (tmp_path / "page.html").read_text()
    assert run("classify", "-q", "album")[2] == ""


def test_only_the_terminal_names_the_command_that_reads_heic(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_reads_heic", lambda: False)
    for folder in ("album", "phone"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "b.heic").touch()
    (tmp_path / "album" / "a.jpg").write_bytes(PICTURES[0].read_bytes())

    code, out, err = run("classify", "--format", "jsonl", "album", "phone", "--report", "page.html")

    assert code == 1
    assert err.splitlines()[-1] == f"birdlite: not read, in folders: 2 HEIC files ({installing('heif')})"
    message = "phone: no pictures in this folder, but 1 HEIC file (needs the extra heif)"
    assert json.loads(out.splitlines()[1])["error"]["message"] == message
    page = (tmp_path / "page.html").read_text()
    assert "Not read, in folders: 2 HEIC files (needs the extra heif)." in page
    assert "install" not in page


@pytest.mark.parametrize(
    ("command", "those_that_do"),
    [
        (("classify", "-o"), "one of .json, .jsonl, .ndjson, .csv, .txt, or --format"),
        (("classify", "--report"), ".html or .htm"),
        (("merge", "-o"), "one of .jsonl, .ndjson, .csv, .html, .htm, or --format"),
        (("report", "-o"), ".html or .htm"),
    ],
)
def test_a_suffix_that_means_no_format_is_refused_with_those_that_do(
    run: Run, tmp_path: Path, command: tuple[str, str], those_that_do: str
) -> None:
    option = "--output" if command[1] == "-o" else command[1]

    said = run(*command, "birds.xlsx", PICTURES[0])

    words = f"{option} birds.xlsx: cannot have the suffix .xlsx; use {those_that_do}"
    assert said == (2, "", f"birdlite: error: {words}\n")
    assert not (tmp_path / "birds.xlsx").exists()


@pytest.mark.parametrize("suffix", [".XLSX", ".docx", ".pdf", ".parquet", ".Pdf", ".Txt"])
def test_a_suffix_is_refused_as_it_was_typed(run: Run, suffix: str) -> None:
    words = f"--output birds{suffix}: cannot have the suffix {suffix}; use .html or .htm"

    assert run("report", "birds.jsonl", "-o", f"birds{suffix}") == (2, "", f"birdlite: error: {words}\n")


@pytest.mark.parametrize("name", ["bird.png", "alca.png"])
def test_the_digest_of_a_list_is_no_suffix_whether_it_begins_with_a_letter_or_a_digit(
    run: Run, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(PICTURES[0].read_bytes())
    digest = hashlib.sha256(f"{name}\n".encode()).hexdigest()[:12]
    assert digest[0].isalpha() is (name == "bird.png")

    assert run("classify", name, "-o", "birds.jsonl", "--report", "page.{run}")[0] == 0
    assert (tmp_path / f"page.{digest}").exists()


@pytest.mark.parametrize("name", ["page", "page.htm", "PAGE.HTML", "page.2025-06-01", "tmp.AbCdEf", "/dev/null"])
def test_a_page_may_have_no_suffix_and_go_to_a_device(run: Run, name: str) -> None:
    assert run("classify", PICTURES[0], "-o", "birds.jsonl", "--report", name)[0] == 0
    assert run("report", "birds.jsonl", "-o", name)[0] == 0


@pytest.mark.parametrize(("name", "text"), [("no.txt", ""), ("no.txt", "# none tonight\n\n"), ("no.csv", "path\n")])
def test_a_list_that_names_nothing_is_a_warning(run: Run, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "list.txt").write_text(f"{PICTURES[0]}\n")

    assert run("classify", "--from", name, "--format", "jsonl") == (
        0,
        "",
        f"birdlite: 0 of 0 classified\nbirdlite: warning: {name}: the list names no picture\n",
    )
    assert run("classify", "--from", name, "-o", "{run}.jsonl")[2].count("names no picture") == 1
    assert f"{name}: the list names no picture" in run("classify", "--from", "list.txt", "--from", name)[2]
    assert "names no picture" not in run("classify", "--from", "list.txt")[2]
    assert run("classify", "--from", name, "--quiet")[2] == ""


@pytest.mark.parametrize("given", [["-"], ["--from", "-"]])
def test_so_it_is_on_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch, given: list[str]) -> None:
    give(monkeypatch, b"\n")

    code, _, err = run("classify", *given)

    assert (code, err.splitlines()[-1]) == (0, "birdlite: warning: stdin: the list names no picture")


@pytest.mark.parametrize("timing", [(), ("--timing",)])
def test_each_picture_of_our_own_csv_is_taken_once(run: Run, tmp_path: Path, timing: tuple[str, ...]) -> None:
    names = [*map(str, PICTURES[:2]), "absent.jpg", str(PICTURES[1])]
    run("classify", *names, "-o", "birds.csv", *timing)
    assert (tmp_path / "birds.csv").read_text().count("\n") > len(names) + 1

    _, out, _ = run("classify", "--from", "birds.csv", "--format", "jsonl")

    assert [json.loads(line)["target"] for line in out.splitlines()] == names


def test_our_own_csv_has_the_exact_names(run: Run, tmp_path: Path) -> None:
    names = ["=a.jpg", "'=a.jpg", "'b.jpg", "@c.jpg", " d.jpg ", "two\nlines.jpg", "back\\x0a.jpg"]
    for name in names:
        (tmp_path / name).write_bytes(PICTURES[0].read_bytes())
    run("classify", "-o", "birds.csv", "--", *names)

    code, out, err = run("classify", "--from", "birds.csv", "--format", "jsonl")

    assert code == 0, err
    assert [json.loads(line)["target"] for line in out.splitlines()] == names


@pytest.mark.parametrize("name", ["birds", "birds.2025-06-01", "run.json/birds", ".birds"])
def test_an_output_without_a_suffix_is_text(run: Run, tmp_path: Path, name: str) -> None:
    assert run("classify", PICTURES[0], "-o", name)[0] == 0
    assert (tmp_path / name).read_text().startswith(f"{PICTURES[0]}\n")


def test_a_format_may_have_any_suffix(run: Run, tmp_path: Path) -> None:
    assert run("classify", PICTURES[0], "-o", "birds.log", "--format", "csv")[0] == 0
    assert (tmp_path / "birds.log").read_text().startswith("index,target")


@pytest.mark.parametrize("format_", ["text", "json", "jsonl", "csv"])
@pytest.mark.parametrize("option", ["--output", "--report"])
def test_a_picture_in_a_list_is_never_overwritten(run: Run, tmp_path: Path, option: str, format_: str) -> None:
    photo = tmp_path / "robin"
    photo.write_bytes(PICTURES[0].read_bytes())
    (tmp_path / "list.txt").write_text("robin\n")

    code, out, err = run("classify", "--from", "list.txt", option, "robin", "--format", format_)

    assert (code, out) == (3, "")
    assert err == "birdlite: error: robin: a picture is there, and the results would replace it\n"
    assert photo.read_bytes() == PICTURES[0].read_bytes()


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_evaluate_reads_the_lists_that_classify_reads(run: Run, tmp_path: Path, suffix: str) -> None:
    labels = [(str(picture), species_of(picture)) for picture in PICTURES]
    text = json.dumps({"images": [{"file": file, "label": label} for file, label in labels]})
    if suffix == "csv":
        text = "sep=;\rImagePath;label\r" + "".join(f"{file};{label}\r" for file, label in labels)
    (tmp_path / f"list.{suffix}").write_text(text)

    code, out, err = run("evaluate", f"list.{suffix}", "--format", "json")

    assert (code, err) == (0, "")
    assert json.loads(out)["evaluations"][0]["top1"] == 1
