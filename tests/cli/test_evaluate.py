"""`birdlite evaluate` as a user meets it, on the demo's model and pictures."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from birdlite.demo import FOLDER, HOST, DemoServer
from birdlite.models.bundle import card_to_json
from birdlite.models.catalog import CATALOG, DEMO_MODEL
from tests.command_line import Run
from tests.demo_world import LABELS, MODEL, PICTURES, species_of
from tests.origin import Origin

ROOT = Path(__file__).parents[2]

SCIENTIFIC = {
    "crested-emberling": "Demoavis cristata",
    "hovering-sipwing": "Demoavis curvirostris",
    "ribbon-tailed-fabler": "Fictornis taeniurus",
    "stilted-inkwader": "Fictornis longipes",
    "moon-faced-nodder": "Nusquamavis rotunda",
    "painted-puddler": "Nusquamavis natans",
}


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch, warm_cache: Path) -> Run:
    """Run `birdlite evaluate` on the demo model in a warm cache; gives exit code, standard output and error."""
    monkeypatch.setenv("BIRDLITE_MODEL", DEMO_MODEL)
    monkeypatch.setenv("BIRDLITE_CACHE_DIR", str(warm_cache))

    return lambda *arguments: run("evaluate", *arguments)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """The demo's pictures in folders named by species, one picture in each."""
    for picture in PICTURES:
        folder = tmp_path / "album" / SCIENTIFIC[species_of(picture)]
        folder.mkdir(parents=True)
        shutil.copy(picture, folder)
    return tmp_path / "album"


def swap(album: Path) -> None:
    """Give each of two species the other's pictures."""
    one, other = album / "Demoavis cristata", album / "Fictornis longipes"
    one.rename(album / "aside")
    other.rename(one)
    (album / "aside").rename(other)


def bundle_of_the_demo_model(folder: Path) -> Path:
    """The demo model once more, as a bundle in a folder."""
    folder.mkdir()
    for name in CATALOG[DEMO_MODEL].card.files:
        shutil.copy(Path(FOLDER) / name, folder)
    (folder / "model.json").write_text(card_to_json(CATALOG[DEMO_MODEL].card))
    return folder


def evaluations(out: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(out)["evaluations"]
    return found


def test_right_labels_give_a_hundred_per_cent(run: Run, album: Path) -> None:
    code, out, err = run(album)

    assert (code, err) == (0, "")
    lines = out.splitlines()
    header = [
        "model",
        "resize",
        "pictures",
        "failed",
        "top-1 %",
        "95 % interval",
        "top-3 %",
        "mean score",
        "calibration error",
    ]
    assert re.split("  +", lines[0]) == header
    assert lines[1].split()[:7] == [DEMO_MODEL, "crop", "6", "0", "100.0", "61.0-100.0", "100.0"]
    assert "  no confusions" in lines


def test_swapped_labels_are_counted_wrong_and_named_as_confusions(run: Run, album: Path) -> None:
    swap(album)
    code, out, _ = run(album)

    assert code == 0
    lines = out.splitlines()
    assert lines[1].split()[4:6] == ["66.7", "30.0-90.3"]  # 4 of 6
    at = lines.index("  count  true                                   predicted")
    assert [line.split(maxsplit=1) for line in lines[at + 1 : at + 3]] == [
        ["1", "Demoavis cristata (Crested Emberling)  Fictornis longipes (Stilted Inkwader)"],
        ["1", "Fictornis longipes (Stilted Inkwader)  Demoavis cristata (Crested Emberling)"],
    ]


def test_the_calibration_table_counts_every_picture(run: Run, album: Path) -> None:
    swap(album)
    _, out, _ = run(album)

    rows = [line.split() for line in out.splitlines() if line.startswith("  0.") and "-" in line]
    assert sum(int(row[1]) for row in rows) == len(PICTURES)
    assert [row[0] for row in rows] == ["0.9-1.0"]  # the demo model is that sure of all of them
    assert rows[0][3] == "66.7"


def test_json_has_the_same_as_data(run: Run, album: Path) -> None:
    swap(album)
    code, out, err = run(album, "--format", "json", "--top-confusions", "1")

    assert (code, err) == (0, "")
    document = json.loads(out)
    assert (document["source"], document["interrupted"]) == (str(album), False)
    (one,) = document["evaluations"]
    sha256 = CATALOG[DEMO_MODEL].card.files["model.tflite"].sha256
    assert one["model"] == {"given": DEMO_MODEL, "name": DEMO_MODEL, "sha256": sha256, "engine": "litert"}
    assert (one["resize"], one["pictures"], one["failed"]) == ("crop", 6, 0)
    assert one["top1"] == pytest.approx(4 / 6, abs=1e-6)
    assert (one["top1_low"], one["top1_high"]) == pytest.approx((0.299993, 0.903229), abs=1e-6)
    assert one["calibration_error"] == pytest.approx(one["mean_score"] - one["top1"], abs=2e-6)  # all in one bin
    assert one["confusions"] == [
        {
            "true": {"id": 0, "name": "Demoavis cristata", "common_name": "Crested Emberling"},
            "predicted": {"id": 3, "name": "Fictornis longipes", "common_name": "Stilted Inkwader"},
            "count": 1,
        }
    ]
    assert [row["pictures"] for row in one["calibration"]] == [0] * 9 + [6]


def test_a_csv_file_with_common_names_is_as_good_as_folders(run: Run, tmp_path: Path) -> None:
    rows = "".join(f"{picture},{species_of(picture)}\n" for picture in PICTURES)  # crested-emberling and so on
    (tmp_path / "list.csv").write_text("path,label\n" + rows)
    code, out, _ = run(tmp_path / "list.csv", "--format", "json")

    assert code == 0
    assert [(one["pictures"], one["top1"]) for one in evaluations(out)] == [(6, 1.0)]


def test_pictures_of_a_csv_file_may_be_on_the_network(run: Run, tmp_path: Path) -> None:
    rows = "".join(f"{species_of(picture)},https://{HOST}/pictures/{picture.name}\n" for picture in PICTURES)
    (tmp_path / "list.csv").write_text("label,url\n" + rows)
    with DemoServer() as server:
        code, out, _ = run(tmp_path / "list.csv", "--format", "json", "--mirror", server.mirror)

    assert code == 0
    assert [(one["pictures"], one["top1"]) for one in evaluations(out)] == [(6, 1.0)]


def test_results_meet_their_labels_when_many_pictures_are_under_way(run: Run, tmp_path: Path) -> None:
    rows = "".join(f"{picture},{species_of(picture)}\n" for picture in PICTURES) * 20
    (tmp_path / "list.csv").write_text("path,label\n" + rows)
    _, out, _ = run(tmp_path / "list.csv", "--format", "json", "--threads", "4")

    assert [(one["pictures"], one["top1"]) for one in evaluations(out)] == [(120, 1.0)]


def test_models_and_ways_to_resize_stand_side_by_side(run: Run, album: Path, tmp_path: Path) -> None:
    folder = bundle_of_the_demo_model(tmp_path / "mine")
    code, out, _ = run(album, "--model", DEMO_MODEL, "--model", folder, "--resize", "crop", "--resize", "squash")

    assert code == 0
    table = [line.split()[:3] for line in out.splitlines()[1:5]]
    assert table == [
        [DEMO_MODEL, "crop", "6"],
        [DEMO_MODEL, "squash", "6"],
        [str(folder), "crop", "6"],
        [str(folder), "squash", "6"],
    ]
    for heading in (f"{model}, {way}" for model in (DEMO_MODEL, folder) for way in ("crop", "squash")):
        assert heading in out.splitlines()


def test_a_combination_given_twice_is_measured_once(run: Run, album: Path) -> None:
    _, out, _ = run(album, "--model", DEMO_MODEL, "--model", DEMO_MODEL, "--resize", "crop", "--resize", "crop")

    assert out.count(f"{DEMO_MODEL}, crop\n") == 1


def test_a_bare_model_file_takes_its_labels_beside_a_model_that_has_its_own(run: Run, album: Path) -> None:
    models = ("--model", MODEL, "--labels", LABELS, "--model", DEMO_MODEL)
    code, out, _ = run(album, *models, "--format", "json")

    assert code == 0
    assert [one["top1"] for one in evaluations(out)] == [1.0, 1.0]


def test_a_damaged_picture_is_counted_apart_and_named(run: Run, album: Path) -> None:
    bad = album / "Demoavis cristata" / "damaged.jpg"
    bad.write_bytes(PICTURES[0].read_bytes()[:2000])
    code, out, err = run(album)

    assert code == 1
    assert out.splitlines()[1].split()[2:6] == ["7", "1", "100.0", "61.0-100.0"]
    (line,) = err.splitlines()
    assert line.startswith(f"birdlite: warning: {bad}: ")


def test_of_several_combinations_the_warning_says_which(run: Run, album: Path) -> None:
    (album / "Demoavis cristata" / "empty.jpg").write_bytes(b"")
    code, _, err = run(album, "--resize", "crop", "--resize", "exact")

    assert code == 1
    assert [line.rpartition(" (")[2] for line in err.splitlines()] == [
        f"model={DEMO_MODEL} resize={way})" for way in ("crop", "exact")
    ]


def test_where_all_pictures_fail_there_are_no_rates(run: Run, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"path,label\n{tmp_path}/missing.jpg,background\n")
    code, out, _ = run(tmp_path / "list.csv")

    assert code == 1
    assert out.splitlines()[1].split()[2:] == ["1", "1", "-", "-", "-", "-", "-"]


def test_an_unknown_label_ends_the_command_before_any_picture_is_classified(run: Run, album: Path) -> None:
    (album / "Demoavis cristata").rename(album / "crestd_emberling")
    code, out, err = run(album)

    assert (code, out) == (2, "")
    assert err == (
        f"birdlite: error: {album / 'crestd_emberling'}: {DEMO_MODEL} knows no species 'crestd_emberling';"
        " nearest: Crested Emberling\n"
    )


def test_a_label_that_only_the_last_model_does_not_know_is_told_before_the_first_is_measured(
    run: Run, album: Path, tmp_path: Path
) -> None:
    (album / "Demoavis cristata" / "empty.jpg").write_bytes(b"")  # the first model would warn of it
    others = tmp_path / "others.csv"
    others.write_text(LABELS.read_text().replace("Fictornis longipes", "Fictornis brevipes"))
    code, out, err = run(album, "--model", DEMO_MODEL, "--model", MODEL, "--labels", others)

    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert "knows no species 'Fictornis longipes'; nearest: Fictornis brevipes" in line


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["empty"], 2, "no pictures in folders named by species"),
        (["nowhere"], 2, "no such file or folder"),
        ([], 2, "SOURCE is missing: A folder with a folder for each species"),
        (["album", "--resize", "stretch"], 2, "--resize stretch: not one of crop, squash, exact"),
        (["album", "--model", "nobody"], 3, "no model 'nobody'"),
        (["album", "--model", "birds-v1-lite", "--no-cache", "--offline"], 3, "birds-v1-lite"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_an_exit_code(
    run: Run,
    album: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    got, out, err = run(*arguments)

    assert (got, out) == (code, "")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_evaluation_is_not_reported(
    warm_cache: Path, tmp_path: Path, origin: Origin, number: signal.Signals, code: int
) -> None:
    origin.hold("/never")
    (tmp_path / "list.csv").write_text(
        f"path,label\n{PICTURES[0]},crested emberling\n{origin.url('/never')},background\n"
    )
    options = ("--model", DEMO_MODEL, "--cache-dir", warm_cache, "--format", "json")
    with subprocess.Popen(
        [sys.executable, "-m", "birdlite", "evaluate", str(tmp_path / "list.csv"), *map(str, options)],
        cwd=ROOT,
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        origin.wait_for(1, "/never")
        process.send_signal(number)
        out, err = process.communicate(timeout=20)

    assert process.returncode == code
    document = json.loads(out)
    assert (document["evaluations"], document["interrupted"]) == ([], True)
    assert err == "birdlite: warning: interrupted; 0 of 1 evaluations were finished and written\n"


@pytest.mark.birds
def test_the_sample_photographs_are_named_rightly_by_the_real_model(
    birds: Path, origin: Origin, tmp_path: Path, run: Run
) -> None:
    for host in sorted((birds / "mirror").iterdir()):
        origin.serve_folder(f"/{host.name}", host)
    images = json.loads((birds / "expected.json").read_text())["images"]
    rows = "".join(f"{image['url']},{image['top3'][0][0]}\n" for image in images)
    (tmp_path / "list.csv").write_text("url,label\n" + rows)
    code, out, _ = run(
        tmp_path / "list.csv",
        "--model",
        "birds-v1-lite",
        "--resize",
        "exact",
        "--mirror",
        origin.base,
        "--format",
        "json",
    )

    assert code == 0
    assert [(one["pictures"], one["top1"]) for one in evaluations(out)] == [(5, 1.0)]
