"""The benchmark of cold starts runs on the demo, over http and https, and finds real birds where they are."""

from __future__ import annotations

import ssl
import time
from argparse import Namespace
from pathlib import Path
from urllib.request import urlopen

import pytest

from birdlite.models.catalog import CATALOG
from birdlite.settings import DEFAULT_MODEL
from scripts.bench_cold import _mirror, main
from scripts.cold.certificate import make_certificate
from scripts.cold.slow_server import running

ROUND_TRIP = 20.0  # ms
MODEL = CATALOG[DEFAULT_MODEL].sources["model.tflite"][0].url.removeprefix("https://")


@pytest.mark.parametrize("title", ["five URLs, warm cache", "five URLs over https, warm cache"])
def test_it_runs_on_the_demo(title: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--demo", "--rounds", "1", "--round-trip", "0", "--bandwidth", "0", "--only", title])

    said = capsys.readouterr().out
    assert f"### {title}\n" in said
    assert "| birdlite |" in said
    assert ("| the floor" in said) == ("https" not in title)


@pytest.mark.parametrize("given", ["", "mirror"])
def test_real_birds_are_given_by_their_folder_or_its_mirror(tmp_path: Path, given: str) -> None:
    model = tmp_path / "mirror" / MODEL
    model.parent.mkdir(parents=True)
    model.touch()

    found = _mirror(Namespace(birds=str(tmp_path / given), demo=False))

    assert found is not None
    assert Path(found) == tmp_path / "mirror"


def test_a_folder_without_birds_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^--birds \S+: no real birds there; give .*$"):
        main(["--birds", str(tmp_path)])


@pytest.mark.parametrize(("secure", "round_trips"), [(False, 2), (True, 3)])
def test_the_slow_server_charges_each_handshake_a_round_trip(tmp_path: Path, secure: bool, round_trips: int) -> None:
    (tmp_path / "a").write_bytes(b"a")
    made = make_certificate(str(tmp_path))
    assert made is not None
    context = ssl.create_default_context(cafile=made.trust)

    with running(str(tmp_path), ROUND_TRIP, 0.0, made.server if secure else None) as url:
        began = time.monotonic()
        with urlopen(f"{url}/a", context=context if secure else None) as response:
            assert response.read() == b"a"
        took = time.monotonic() - began

    assert url.startswith("https:" if secure else "http:")
    assert took >= round_trips * ROUND_TRIP / 1e3
