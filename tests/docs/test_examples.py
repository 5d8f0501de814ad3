"""Every example of README and docs runs as it is written, or says what it needs that a test lacks."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doc_pages import NOT_RUN, PAGES, REAL, ROOT, Block, blocks
from tests.doc_world import SERVICE, World, agrees, masked
from tests.object_store import CREDENTIALS, Bucket, ObjectStore

RUN = ("sh", "console", "python")
PLAIN = ("text", "json", "html", "csv", "yaml", "toml")  # languages of blocks that are only read
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

Worlds = Callable[[bool], World]


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def storage(request: pytest.FixtureRequest) -> dict[str, str]:
    """A bucket called `bucket` that holds pictures and a list, and the variables that lead to it."""
    store: ObjectStore = request.getfixturevalue("object_store")
    bucket = Bucket(store.port, "bucket")
    pictures = sorted((ROOT / "birdlite" / "demo" / "pictures").iterdir())
    for picture in pictures:
        bucket.put(f"album/{picture.name}", picture.read_bytes())
    bucket.put("parrot.jpg", pictures[0].read_bytes())
    bucket.put("list.txt", "".join(f"s3://bucket/album/{picture.name}\n" for picture in pictures).encode())
    return {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store.port}"}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_block_names_a_language_and_a_known_reason_if_it_is_not_run(page: Path) -> None:
    for block in blocks(page):
        assert block.language in (*RUN, *PLAIN), block.where
        assert block.reason is None or block.reason in NOT_RUN, block.where


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=page_id)
def test_the_examples_of_a_page_run_and_print_what_it_shows(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    to_run = [block for block in blocks(page) if block.language in RUN and block.reason is None]
    bucket = storage(request) if any("s3://" in block.text for block in to_run) else {}
    with contextlib.ExitStack() as stack:
        demo = stack.enter_context(World(tmp_path / "demo", more=bucket))
        if any(SERVICE in block.text for block in to_run):
            stack.enter_context(demo.serve())
        for block in to_run:
            if block.marker != REAL:
                check(block, demo)


@pytest.mark.birds
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.marker == REAL for block in blocks(page))], ids=page_id
)
def test_the_examples_with_real_birds_run_and_print_what_the_page_shows(
    page: Path, tmp_path: Path, birds: Path
) -> None:
    with World(tmp_path / "real", birds) as world:
        assert world.run("birdlite model fetch")[0] == 0
        for block in blocks(page):
            if block.marker == REAL:
                check(block, world)


@pytest.mark.parametrize("program", EXAMPLES, ids=page_id)
def test_the_programs_in_examples_run(program: Path, tmp_path: Path) -> None:
    usage = re.search(r"^ {4}python3 (examples/.*)$", program.read_text(), re.MULTILINE)
    assert usage is not None, f"{program.name}: its docstring shows no command line"
    with World(tmp_path / "demo") as world:
        code, output = world.run(f"python3 {usage[1]}")

    assert code == 0, output
    assert "Crested Emberling" in output or "6 of 6" in output


@pytest.mark.parametrize("program", EXAMPLES, ids=page_id)
def test_the_programs_in_examples_say_how_they_are_used(program: Path) -> None:
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"usage: python3 .*{program.name}( [A-Z]+)+\n", done.stderr)


def check(block: Block, world: World) -> None:
    """Run one block, and compare what it shows."""
    if block.language == "console":
        for command, shown in commands(block.text):
            _, output = world.run(command, stop_at_errors=False)
            assert agrees(masked(shown), masked(output)), f"{block.where}: {command}\n{output}"
        return
    code, output = (world.run_python if block.language == "python" else world.run)(block.text)
    assert code == 0, f"{block.where}: exit code {code}\n{output}"


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that is shown below it."""
    found = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        while command.endswith("\\"):
            line, _, shown = shown.partition("\n")
            command = f"{command}\n{line}"
        found.append((command, shown))
    return found
