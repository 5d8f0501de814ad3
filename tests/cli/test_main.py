"""The command line as a user meets it: what is printed where, and the exit codes."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from birdlite import __version__
from birdlite.demo import FOLDER
from birdlite.errors import installing
from birdlite.models.catalog import DEMO_MODEL
from tests.command_line import Run
from tests.demo_world import LABELS, MODEL, PICTURES, slug, species_of
from tests.origin import Origin

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch, warm_cache: Path) -> Run:
    """Run a command line on the demo model in a warm cache; gives exit code, standard output and standard error."""
    monkeypatch.setenv("BIRDLITE_MODEL", DEMO_MODEL)
    monkeypatch.setenv("BIRDLITE_CACHE_DIR", str(warm_cache))

    return run


def names(document: str) -> list[str]:
    return [slug(result["predictions"][0]["common_name"]) for result in json.loads(document)["results"]]


def test_version_and_help_answer_at_once(run: Run) -> None:
    assert run("--version") == (0, f"birdlite {__version__}\n", "")
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for command in ("classify", "model", "demo"):
        assert f"  {command}" in out


def test_text_shows_each_picture_with_its_candidates_and_then_where_the_time_went(run: Run) -> None:
    code, out, err = run("classify", PICTURES[0])

    assert code == 0
    lines = out.splitlines()
    assert lines[0] == str(PICTURES[0])
    assert len(lines) == 4
    assert "Crested Emberling" in lines[1]
    parts = re.fullmatch(r"birdlite: 1 of 1 in (\d+) ms: (start .*)\n", err)
    assert parts
    assert int(parts[1]) == sum(int(part.split()[-1]) for part in parts[2].split(", "))


def test_timing_shows_the_whole_table(run: Run) -> None:
    err = run("classify", "--timing", PICTURES[0])[2]

    assert "1 of 1 classified in" in err
    assert "interpreter start-up" in err
    assert err.splitlines()[-1].startswith("total")


@pytest.mark.parametrize(("argument", "end"), [("--no-timing", "birdlite: 1 of 1 classified\n"), ("-q", "")])
def test_the_breakdown_can_be_left_out(run: Run, argument: str, end: str) -> None:
    assert run("classify", argument, PICTURES[0])[2] == end


@pytest.mark.parametrize("suffix", ["txt", "json", "jsonl", "csv"])
def test_every_format_ends_with_what_failed_and_where_the_results_are(run: Run, tmp_path: Path, suffix: str) -> None:
    output, page = tmp_path / f"birds.{suffix}", tmp_path / "birds.html"
    code, _, err = run(
        "classify", "--no-timing", "-o", output, "--report", page, PICTURES[0], "a.jpg", "ftp://b/c", "d"
    )

    assert code == 1
    assert err == (
        f"birdlite: 1 of 4 classified, 3 failed (not_found 2, unsupported 1); written to {output}; page in {page}\n"
    )


def test_json_holds_results_model_summary_and_a_breakdown_that_adds_up(run: Run) -> None:
    code, out, err = run("classify", "--format", "json", *PICTURES)

    assert (code, err) == (0, "birdlite: 6 of 6 classified\n")
    document = json.loads(out)
    assert names(out) == [species_of(picture) for picture in PICTURES]
    assert (document["model"]["name"], document["model"]["engine"]) == (DEMO_MODEL, "litert")
    summary = document["summary"]
    assert (summary["targets"], summary["ok"], summary["failed"]) == (len(PICTURES), len(PICTURES), 0)
    timing = document["timing"]
    stages = {stage["stage"]: stage for stage in timing["stages"]}
    assert {
        "interpreter start-up",
        "imports",
        "threads",
        "model load",
        "labels",
        "decode",
        "inference",
    } <= stages.keys()
    critical = sum(stage["critical_ms"] for stage in timing["stages"]) + timing["other_ms"]
    assert critical == pytest.approx(timing["wall_ms"], abs=0.1)


@pytest.mark.parametrize("format_", ["json", "jsonl", "csv", "text"])
def test_without_times_two_runs_give_the_same_bytes(run: Run, format_: str) -> None:
    arguments = ("classify", "--no-timing", "--format", format_, *PICTURES, "absent.jpg")

    first, second = run(*arguments), run(*arguments)

    assert first == second
    assert first[0] == 1
    assert "_ms" not in first[1]


def test_jsonl_has_one_record_a_line(run: Run) -> None:
    _, out, _ = run("classify", "--format", "jsonl", PICTURES[1], "absent.jpg")

    good, bad = (json.loads(line) for line in out.splitlines())
    assert list(good) == ["index", "target", "status", "predictions", "image", "timing_ms"]
    assert list(good["timing_ms"]) == ["fetch", "decode", "infer", "total"]
    assert (bad["status"], bad["error"]["kind"]) == ("error", "not_found")
    assert bad["error"]["message"] == "absent.jpg: no such file"
    assert bad["predictions"] == []


def test_csv_has_one_row_a_prediction(run: Run) -> None:
    _, out, _ = run("classify", "--format", "csv", "--top", 2, PICTURES[0], "absent.jpg")

    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["index"], row["rank"], row["status"]) for row in rows] == [
        ("0", "1", "ok"),
        ("0", "2", "ok"),
        ("1", "", "error"),
    ]


def test_results_go_into_a_file_whose_suffix_chooses_the_format(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "birds.json"

    code, out, _ = run("classify", "-o", path, PICTURES[0])

    assert (code, out) == (0, "")
    assert names(path.read_text()) == [species_of(PICTURES[0])]
    assert [name.name for name in tmp_path.iterdir() if "part" in name.name] == []


def test_some_failures_are_exit_code_1_and_the_rest_is_there(run: Run) -> None:
    code, out, _ = run("classify", "absent.jpg", PICTURES[0])

    assert code == 1
    assert "error: not_found: no such file" in out
    assert "Crested Emberling" in out


def test_failures_may_be_allowed_and_are_told_all_the_same(run: Run) -> None:
    code, out, _ = run("classify", "--allow-failures", "--format", "json", PICTURES[0], "nosuch.jpg")

    assert code == 0
    assert [result["status"] for result in json.loads(out)["results"]] == ["ok", "error"]


USAGE = [
    (["classify"], "nothing to classify"),
    (["classify", "--top", "0", "a.jpg"], "--top 0: must be between 1 and 1000"),
    (["classify", "--top", "three", "a.jpg"], "not a whole number"),
    (["classify", "--min-score", "1.5", "a.jpg"], "must be between 0 and 1"),
    (["classify", "--min-score", "nan", "a.jpg"], "not a number"),
    (["classify", "--timeout", "-1", "a.jpg"], "must be above 0"),
    (["classify", "--max-bytes", "lots", "a.jpg"], "not a size"),
    (["classify", "--resize", "stretch", "a.jpg"], "--resize stretch: not one of crop, squash, exact"),
    (["classify", "--mirror", "", "a.jpg"], "--mirror is empty: a mirror is an http:// or https:// URL; leave the"),
    (["classify", "--mirror", "ftp://x", "a.jpg"], "a mirror is an http:// or https:// URL"),
    (["classify", "--per-host", "many", "a.jpg"], "--per-host"),
    (["classify", "--user-agent", "a\nb", "a.jpg"], "User-Agent"),
    (["classify", "--from", "absent.txt"], "absent.txt"),
    (["classify", "--labels", "x.csv", "a.jpg"], "--labels is for bare model files"),
    (["classify", "--nonsense"], "no option --nonsense (see birdlite classify --help)"),
    (["clasify", "a.jpg"], "no command 'clasify'; did you mean classify? (see birdlite --help)"),
    (["model", "frobnicate"], "ACTION frobnicate: not one of fetch, list"),
    (["model", "list", "birds-v1-lite"], "takes no NAME"),
    (["model", "show", "--against", "x"], "--against and --pictures are options of birdlite model verify"),
]


@pytest.mark.parametrize(("arguments", "complaint"), USAGE)
def test_wrong_usage_is_one_line_and_exit_code_2(run: Run, arguments: list[str], complaint: str) -> None:
    code, out, err = run(*arguments)

    assert (code, out) == (2, "")
    assert err.startswith("birdlite: error: ")
    assert complaint in err
    assert err.count("\n") == 1


CANNOT_RUN = [
    (["--model", "nosuch"], "no model 'nosuch': neither a file, nor a folder, nor one of: birds-v1-lite"),
    (["--model", "birdlite-dmo"], "birds-v1-lite-int8, birdlite-demo; did you mean birdlite-demo?"),
    (["--model", str(PICTURES[0])], "is no model: neither a .tflite file, nor an .onnx file, nor a model folder"),
    (["--model", "no/such.tflite"], "no/such.tflite: no such model file or folder"),
    (["--model", "."], "not a model bundle"),
    (
        ["--offline", "--model", "birds-v1-lite"],
        "--offline forbids fetching it; run `birdlite model fetch birds-v1-lite`",
    ),
    (["-o", "/dev/null/out.json"], "a part of the path is not a folder"),
]


@pytest.mark.parametrize(("arguments", "complaint"), CANNOT_RUN)
def test_when_nothing_can_run_it_is_one_line_and_exit_code_3(
    run: Run, arguments: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    code, out, err = run("classify", PICTURES[0], *arguments)

    assert (code, out) == (3, "")
    assert complaint in err
    assert err.count("\n") == 1


def test_an_option_can_stand_in_the_environment_and_the_command_line_wins(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIRDLITE_TOP", "1")
    monkeypatch.setenv("BIRDLITE_FORMAT", "csv")
    monkeypatch.setenv("BIRDLITE_TIMING", "0")

    assert len(run("classify", PICTURES[0])[1].splitlines()) == 2
    assert len(run("classify", "--top", "4", PICTURES[0])[1].splitlines()) == 5


@pytest.mark.parametrize(
    ("variable", "value"),
    [("BIRDLITE_TOP", "many"), ("BIRDLITE_FORMAT", "xml"), ("BIRDLITE_OFFLINE", "maybe"), ("BIRDLITE_PER_HOST", "x")],
)
def test_nonsense_in_the_environment_names_the_variable(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    code, _, err = run("classify", PICTURES[0])

    assert code == 2
    assert value in err


def test_an_empty_variable_is_as_good_as_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIRDLITE_TOP", "")
    monkeypatch.setenv("BIRDLITE_MIRROR", "")

    code, out, _ = run("classify", "--format", "csv", PICTURES[0])

    assert (code, len(out.splitlines())) == (0, 4)


def test_a_list_from_standard_input_with_blanks_comments_and_a_byte_order_mark(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"\ufeff# my birds\r\n\r\n{PICTURES[2]}\r\n  {PICTURES[3]}  \n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    _, out, _ = run("classify", "--format", "json", "-")

    assert names(out) == [species_of(picture) for picture in PICTURES[2:4]]


def test_a_list_file_may_name_folders_and_is_read_after_the_arguments(run: Run, tmp_path: Path) -> None:
    birds = tmp_path / "birds.csv"
    birds.write_text(f"path,note\n{FOLDER}/pictures,all\n")

    _, out, _ = run("classify", "--format", "json", PICTURES[5], "--from", birds)

    assert names(out) == [species_of(picture) for picture in (PICTURES[5], *PICTURES)]


def test_a_bare_model_file_takes_its_labels_from_an_option(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("classify", "--model", MODEL, "--labels", LABELS, "--format", "json", PICTURES[0])

    assert code == 0
    assert json.loads(out)["results"][0]["predictions"][0]["name"] == "Demoavis cristata"
    assert json.loads(out)["model"]["name"] == "model.tflite"


def test_a_bare_model_file_without_labels_says_which_option_is_missing(run: Run) -> None:
    code, _, err = run("classify", "--model", MODEL, PICTURES[0])

    assert code == 2
    assert "name its label map with --labels" in err


def test_labels_of_another_model_are_refused(run: Run, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("id,name\n0,a\n1,b\n")

    code, _, err = run("classify", "--model", MODEL, "--labels", labels, PICTURES[0])

    assert code == 3
    assert f"{labels}: label map: 2 labels for a model with 7 outputs" in err


def test_a_bundle_folder_is_a_model(run: Run, warm_cache: Path) -> None:
    folder = warm_cache / "models" / DEMO_MODEL

    _, out, _ = run("classify", "--model", folder, "--format", "json", PICTURES[4])

    assert names(out) == [species_of(PICTURES[4])]


def test_a_damaged_bundle_is_refused(run: Run, warm_cache: Path) -> None:
    folder = warm_cache / "models" / DEMO_MODEL
    (folder / "labels.csv").write_bytes(LABELS.read_bytes().replace(b"Demo", b"Dema"))

    code, _, err = run("classify", "--model", folder, PICTURES[4])

    assert code == 3
    assert "labels.csv has sha256" in err


def test_no_cache_leaves_no_file(run: Run, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin.serve_folder("/demo.birdlite.invalid", Path(FOLDER))
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv("HOME", str(tmp_path))

    code, out, _ = run("classify", "--no-cache", "--mirror", origin.base, "--format", "json", PICTURES[0])

    assert code == 0
    assert names(out) == [species_of(PICTURES[0])]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_user_without_a_home_gets_a_warning_and_answers(
    run: Run, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.serve_folder("/demo.birdlite.invalid", Path(FOLDER))
    monkeypatch.delenv("BIRDLITE_CACHE_DIR")
    monkeypatch.setattr("birdlite.run.model_loader.default_cache_dir", lambda: None)
    monkeypatch.setattr("birdlite.cli.model.default_cache_dir", lambda: None)

    code, _, err = run("classify", "--mirror", origin.base, PICTURES[0])
    assert code == 0
    assert "birdlite: warning: this user has no home folder for a cache" in err

    assert run("model", "list")[::2] == (
        2,
        "birdlite: error: there is no cache directory, because this user has no home directory; use --cache-dir DIR\n",
    )


def test_a_fault_of_our_own_is_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("birdlite.run.pipeline.top_k", fault)

    code, out, err = run("classify", PICTURES[0])

    assert (code, out) == (3, "")
    assert err == "birdlite: error: a fault in birdlite, please report it: ZeroDivisionError: oops\n"


def test_the_demo_names_its_birds_and_says_what_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIRDLITE_MODEL")

    code, out, err = run("demo")

    assert code == 0
    assert out.count("https://demo.birdlite.invalid/pictures/") == len(PICTURES)
    assert "Nothing here names a real bird" in err
    assert "birdlite classify --samples" in err
    assert "model fetch" in err


@pytest.mark.parametrize("is_found", [True, False])
def test_the_demo_ends_with_commands_that_can_be_typed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_found: bool
) -> None:
    script = tmp_path / "my clone" / "birdlite"
    script.parent.mkdir()
    script.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [str(script), "demo"])
    monkeypatch.setenv("PATH", str(script.parent) if is_found else "")

    for folder, path in ((tmp_path, "'my clone/birdlite'"), (ROOT, f"'{script}'")):
        monkeypatch.chdir(folder)
        assert f"\n  {'birdlite' if is_found else path} classify photo.jpg" in run("demo")[2]


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_converting_without_the_extra_names_the_command_that_installs_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    code, out, err = run("convert", DEMO_MODEL, "-q", "-o", tmp_path / "bundle")

    assert (code, out) == (3, "")
    assert installing("onnx") in err
    assert err.count("\n") == 1
    assert not (tmp_path / "bundle").exists()


# The model command


@pytest.mark.parametrize("action", ["fetch", "path", "remove"])
def test_a_folder_is_no_name_of_a_model_that_birdlite_knows(run: Run, tmp_path: Path, action: str) -> None:
    words = f"{tmp_path}: birdlite model {action} takes the name of a model that birdlite knows"

    assert run("model", action, tmp_path) == (2, "", f"birdlite: error: {words}\n")


def test_a_model_is_fetched_listed_verified_found_and_removed(
    run: Run, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.serve_folder("/demo.birdlite.invalid", Path(FOLDER))
    monkeypatch.setenv("BIRDLITE_MIRROR", origin.base)
    monkeypatch.setenv("BIRDLITE_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "models" / DEMO_MODEL

    assert run("model", "path", DEMO_MODEL)[0] == 3
    code, out, err = run("model", "verify", DEMO_MODEL)
    assert (code, out) == (3, "model.tflite: missing\nlabels.csv: missing\nnames.txt: missing\n")
    assert f"not in the cache {tmp_path / 'cache'}; fetch it with `birdlite model fetch {DEMO_MODEL}`\n" in err
    assert run("model", "fetch", DEMO_MODEL)[:2] == (0, f"{DEMO_MODEL}: in {folder}\n")
    assert run("model", "path", DEMO_MODEL)[:2] == (0, f"{folder}\n")
    assert run("model", "verify", DEMO_MODEL)[:2] == (0, "model.tflite: ok\nlabels.csv: ok\nnames.txt: ok\n")
    assert json.loads(run("model", "show", folder)[1])["name"] == DEMO_MODEL
    assert run("classify", PICTURES[0])[0] == 0
    assert run("model", "remove", DEMO_MODEL)[0] == 0
    assert not folder.exists()


def test_the_demo_model_is_there_without_being_fetched(run: Run, tmp_path: Path) -> None:
    usual = ("--cache-dir", tmp_path / "cache", "--offline")

    assert run("model", "fetch", DEMO_MODEL, *usual)[:2] == (0, f"{DEMO_MODEL}: in {FOLDER}\n")
    assert run("model", "path", DEMO_MODEL, *usual[:2])[:2] == (0, f"{FOLDER}\n")
    assert run("model", "verify", DEMO_MODEL, *usual[:2])[:2] == (
        0,
        "model.tflite: ok\nlabels.csv: ok\nnames.txt: ok\n",
    )
    assert f"{DEMO_MODEL}  0.1 MB  Apache-2.0  a part of birdlite\n" in run("model", "list", *usual[:2])[1]
    assert run("classify", PICTURES[0], *usual)[0] == 0
    assert not (tmp_path / "cache").exists()


def test_the_folder_of_the_demo_model_is_a_model_folder(run: Run, tmp_path: Path) -> None:
    folder = run("model", "path", DEMO_MODEL, "--cache-dir", tmp_path)[1].strip()

    assert run("classify", "--model", folder, PICTURES[0])[0] == 0
    assert run("model", "verify", folder)[0] == 0


def test_an_entry_of_the_cache_that_is_not_whole_does_not_hide_the_demo_model_of_birdlite(
    run: Run, origin: Origin, tmp_path: Path
) -> None:
    usual = ("--cache-dir", tmp_path / "cache")
    assert run("classify", PICTURES[0], *usual, "--mirror", origin.base, "--startup-timeout", 0)[0] == 3
    assert (tmp_path / "cache" / "models" / DEMO_MODEL).is_dir()  # it is empty

    assert run("model", "path", DEMO_MODEL, *usual)[:2] == (0, f"{FOLDER}\n")
    assert run("model", "verify", DEMO_MODEL, *usual)[0] == 0
    assert f"{DEMO_MODEL}  0.1 MB  Apache-2.0  a part of birdlite\n" in run("model", "list", *usual)[1]
    assert run("classify", PICTURES[0], *usual)[0] == 0


def test_the_list_of_models_says_what_is_cached(run: Run) -> None:
    code, out, _ = run("model", "list")

    assert code == 0
    assert out.startswith("birds-v1-lite  3.6 MB  Apache-2.0  not in the cache\n")
    assert "\nbirds-v1-lite-int8  4.0 MB  Apache-2.0  not in the cache\n" in out


def test_a_damaged_model_in_the_cache_is_named_by_verify(
    run: Run, warm_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIRDLITE_MIRROR", "http://127.0.0.1:9")  # else the one in birdlite itself is used
    (warm_cache / "models" / DEMO_MODEL / "names.txt").write_text("x")

    code, out, err = run("model", "verify", DEMO_MODEL)

    assert code == 3
    assert "names.txt: has 1 byte instead of" in out
    assert "run `birdlite model fetch birdlite-demo` to repair it" in err


# As a process


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "birdlite", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_run_writes_what_is_finished(
    warm_cache: Path, origin: Origin, number: signal.Signals, code: int
) -> None:
    origin.hold("/never")
    arguments = ("--model", DEMO_MODEL, "--cache-dir", warm_cache, "--format", "jsonl")
    with start("classify", *arguments, PICTURES[0], origin.url("/never"), PICTURES[1]) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        origin.wait_for(1, "/never")
        process.send_signal(number)
        out, err = process.communicate(timeout=20)

    assert process.returncode == code
    records = [json.loads(line) for line in (first, *out.splitlines())]
    assert records[0]["status"] == "ok"
    assert [r["error"]["kind"] for r in records if r["target"] == origin.url("/never")] == ["cancelled"]
    assert "interrupted" in err
    assert "Traceback" not in err


def test_a_run_that_waits_for_another_ones_download_can_be_interrupted(tmp_path: Path, origin: Origin) -> None:
    origin.serve_folder("/demo.birdlite.invalid", Path(FOLDER))
    origin.hold("/held/a.jpg")
    folder = tmp_path / "models" / DEMO_MODEL
    folder.mkdir(parents=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as another process does while it downloads the model
        arguments = ("--model", DEMO_MODEL, "--cache-dir", tmp_path, "--mirror", origin.base)
        with start("classify", *arguments, "https://held/a.jpg") as process:
            origin.wait_for(1, "/held/a.jpg")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)

    assert process.returncode == 130


def test_an_error_is_json_too_where_messages_are(run: Run) -> None:
    code, _, err = run("classify", "--log-format", "json", "--model", "nosuch", PICTURES[0])

    assert code == 3
    assert json.loads(err)["level"] == "error"


def test_a_reader_that_goes_away_ends_the_run_quietly(warm_cache: Path) -> None:
    pictures = [str(PICTURES[0])] * 500
    with start("classify", "--model", DEMO_MODEL, "--cache-dir", warm_cache, "--format", "jsonl", *pictures) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        code = process.wait(timeout=20)

    assert (code, err) == (141, "")


def test_log_lines_are_json_for_containers(warm_cache: Path) -> None:
    arguments = ("--model", DEMO_MODEL, "--cache-dir", warm_cache, "-v", "--log-format", "json", "--format", "json")
    with start("classify", *arguments, PICTURES[0]) as process:
        _, err = process.communicate(timeout=20)

    lines = [json.loads(line) for line in err.splitlines()]
    assert {"time", "level", "message"} <= lines[0].keys()
    assert any(line["message"] == "model from the cache" for line in lines)


@pytest.mark.parametrize("option", ["--output", "--report"])
def test_an_input_is_never_overwritten(run: Run, tmp_path: Path, option: str) -> None:
    photo, names = tmp_path / "robin.html", tmp_path / "list.html"
    photo.write_bytes(PICTURES[0].read_bytes())
    names.write_text(f"{photo}\n")

    for path, arguments in ((photo, (photo,)), (names, ("--from", names))):
        before = path.read_bytes()
        code, _, err = run("classify", "--format", "text", *arguments, option, path)
        assert (code, err) == (
            2,
            f"birdlite: error: {option} {path}: is also an input, which would be overwritten\n",
        )
        assert path.read_bytes() == before
