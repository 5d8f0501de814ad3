"""The main job on the real model and the real photographs, through a mirror, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from birdlite.models.catalog import CATALOG
from birdlite.settings import DEFAULT_MODEL
from birdlite.targets.expand import SAMPLES
from tests.origin import Origin

pytestmark = pytest.mark.birds

ROOT = Path(__file__).parents[1]
STEP = 1 / 256  # of the official model's scores
TOLERANCE = 0.035  # between its scores and the published ones of the float model


@pytest.fixture
def mirror(birds: Path, origin: Origin) -> Origin:
    """The part of the Internet that birdlite needs."""
    for host in sorted((birds / "mirror").iterdir()):
        origin.serve_folder(f"/{host.name}", host)
    return origin


@pytest.fixture
def published(birds: Path) -> list[dict[str, Any]]:
    """What independent programs printed for the samples, in the order of the task."""
    images: list[dict[str, Any]] = json.loads((birds / "expected.json").read_text())["images"]
    return images


def start(mirror: Origin, cache: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"BIRDLITE_MIRROR": mirror.base, "BIRDLITE_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "birdlite", "classify", "--samples", "--format", "json", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    with process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    document: dict[str, Any] = json.loads(out)
    return document


def best_names(document: dict[str, Any]) -> list[str]:
    return [result["predictions"][0]["name"] for result in document["results"]]


def model_paths() -> Iterator[str]:
    """Paths at the mirror of every source of the model and its labels."""
    for sources in CATALOG[DEFAULT_MODEL].sources.values():
        for source in sources:
            yield "/" + source.url.removeprefix("https://").partition("?")[0]


def test_the_samples_are_those_that_were_published(published: list[dict[str, Any]]) -> None:
    assert list(SAMPLES) == [image["url"] for image in published]


def test_an_empty_cache_gives_the_published_species_and_a_second_run_fetches_no_model(
    mirror: Origin, tmp_path: Path, published: list[dict[str, Any]]
) -> None:
    first = finish(start(mirror, tmp_path))
    fetched = sum(mirror.hits(path) for path in model_paths())
    second = finish(start(mirror, tmp_path))

    assert best_names(first) == best_names(second) == [image["top3"][0][0] for image in published]
    assert [r["predictions"] for r in first["results"]] == [r["predictions"] for r in second["results"]]
    assert fetched == 3
    assert sum(mirror.hits(path) for path in model_paths()) == fetched


def test_two_that_start_at_once_on_an_empty_cache_fetch_the_model_once(mirror: Origin, tmp_path: Path) -> None:
    documents = [finish(process) for process in [start(mirror, tmp_path), start(mirror, tmp_path)]]

    assert best_names(documents[0]) == best_names(documents[1])
    assert sum(mirror.hits(path) for path in model_paths()) == 3


def test_the_packed_source_serves_when_the_first_one_refuses(
    mirror: Origin, tmp_path: Path, published: list[dict[str, Any]]
) -> None:
    plain, packed = list(model_paths())[:2]
    mirror.fail(plain, [403] * 10)

    document = finish(start(mirror, tmp_path))

    assert best_names(document) == [image["top3"][0][0] for image in published]
    assert (mirror.hits(plain), mirror.hits(packed)) == (1, 1)


@pytest.mark.parametrize("resize", ["crop", "squash", "exact"])
def test_every_way_to_resize_gives_the_published_species(
    mirror: Origin, tmp_path: Path, published: list[dict[str, Any]], resize: str
) -> None:
    document = finish(start(mirror, tmp_path, "--resize", resize))

    assert best_names(document) == [image["top3"][0][0] for image in published]


def test_exact_gives_the_published_scores_and_every_rank_that_stands_clear(
    mirror: Origin, tmp_path: Path, published: list[dict[str, Any]]
) -> None:
    document = finish(start(mirror, tmp_path, "--resize", "exact", "--top", "965"))

    for result, image in zip(document["results"], published, strict=True):
        scores = {prediction["name"]: prediction["score"] for prediction in result["predictions"]}
        for name, score in image["top3"]:
            assert scores[name] == pytest.approx(score, abs=TOLERANCE), image["url"]
        ranked = [(p["name"], p["score"]) for p in result["predictions"][:4]]
        for rank, (name, _) in enumerate(image["top3"]):
            before = ranked[rank - 1][1] if rank else 1.0
            here, after = ranked[rank][1], ranked[rank + 1][1]
            if before - here > STEP and here - after > STEP:
                assert ranked[rank][0] == name, image["url"]


def test_the_int8_model_is_made_on_first_use_and_names_the_same_birds(
    mirror: Origin, tmp_path: Path, published: list[dict[str, Any]]
) -> None:
    first = finish(start(mirror, tmp_path, "--model", "birds-v1-lite-int8"))
    fetched = sum(mirror.hits(path) for path in model_paths())
    second = finish(start(mirror, tmp_path, "--model", "birds-v1-lite-int8"))
    official = finish(start(mirror, tmp_path))

    assert first["model"]["name"] == "birds-v1-lite-int8"
    assert best_names(first) == best_names(second) == [image["top3"][0][0] for image in published]
    assert [r["predictions"] for r in first["results"]] == [r["predictions"] for r in second["results"]]
    for result, of_official in zip(first["results"], official["results"], strict=True):
        best, same = result["predictions"][0], of_official["predictions"][0]
        assert best["score"] == pytest.approx(same["score"], abs=0.05)
    assert fetched == sum(mirror.hits(path) for path in model_paths()) == 3


def run(mirror: Origin, cache: Path, *arguments: str) -> tuple[int, str, str]:
    environment = os.environ | {"BIRDLITE_MIRROR": mirror.base, "BIRDLITE_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "birdlite", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_the_int8_model_is_fetched_shown_compared_and_removed_like_any_other(mirror: Origin, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "birds-v1-lite-int8"

    code, _, err = run(mirror, tmp_path, "model", "path", "birds-v1-lite-int8")
    assert (code, "fetch it with `birdlite model fetch birds-v1-lite-int8`" in err) == (3, True)
    code, out, err = run(mirror, tmp_path, "model", "fetch", "birds-v1-lite-int8")
    assert (code, out) == (0, f"birds-v1-lite-int8: in {folder}\n")
    assert "making birds-v1-lite-int8 from birds-v1-lite" in err
    code, out, _ = run(mirror, tmp_path, "model", "verify", "birds-v1-lite-int8", "--against", "birds-v1-lite")
    assert (code, "against birds-v1-lite, on 5 pictures: " in out) == (0, True)
    assert "birds-v1-lite-int8  4.0 MB  Apache-2.0  in the cache\n" in run(mirror, tmp_path, "model", "list")[1]
    assert json.loads(run(mirror, tmp_path, "model", "show", str(folder))[1])["quantization"] == "int8"
    assert run(mirror, tmp_path, "model", "remove", "birds-v1-lite-int8")[0] == 0
    assert not folder.exists()
    assert (tmp_path / "models" / "birds-v1-lite").is_dir()


def test_the_converter_makes_the_model_of_the_catalogue(mirror: Origin, tmp_path: Path) -> None:
    bundle = tmp_path / "made"

    arguments = ("convert", "birds-v1-lite", "--to", "tflite", "--quantize", "int8", "-o", str(bundle))
    code, out, err = run(mirror, tmp_path, *arguments)

    assert (code, out) == (0, f"{bundle}: birds-v1-lite-tflite-int8\n")
    assert "17,946 of 18,021 channels of weights are as they were" in err
    card, known = json.loads((bundle / "model.json").read_text()), CATALOG["birds-v1-lite-int8"].card
    assert card["files"]["model.tflite"]["sha256"] == known.files["model.tflite"].sha256
    assert card["made_with"] == known.made_with
    assert card["distance"] == pytest.approx(known.distance, abs=0.02)  # other processors have other kernels


def test_the_real_model_names_a_real_bird_it_was_not_chosen_for(birds: Path, mirror: Origin, tmp_path: Path) -> None:
    parrot = birds / "mirror/raw.githubusercontent.com/google-coral/test_data/master/parrot.jpg"

    document = finish(start(mirror, tmp_path, str(parrot)))

    assert best_names(document)[-1] == "Ara macao"
    assert document["results"][-1]["predictions"][0]["common_name"] == "Scarlet Macaw"
