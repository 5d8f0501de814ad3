"""README is short, links lead somewhere, and every option and variable that a page names exists."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from birdlite.cli.console import known_variables
from scripts import make_cli_table
from tests.doc_pages import DECISIONS, PAGES, ROOT, blocks, prose

LINES, COLUMNS = 180, 120
WITHOUT_OPTION = {"BIRDLITE_SHARDS", "BIRDLITE_TRACEBACK"}
FOREIGN = {
    "--build-arg",
    "--extra",
    "--force",
    "--require-hashes",
    "--update",
}  # options of other programs in the text of a page


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def options() -> set[str]:
    """The options of all commands."""
    found = {"--help", "--version"}
    for command in make_cli_table.commands().values():
        for option in make_cli_table.options_of(command):
            found.update((*option.opts, *option.secondary_opts))
    return found


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text().split("\n")

    assert len(lines) - 1 <= LINES
    assert [line for line in lines if len(line) > COLUMNS] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = unquote(target).partition("#")
        place = (page.parent / path) if path else page
        assert place.exists(), f"{page.name}: {target}"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), f"{page.name}: {target}"


def test_the_readme_links_every_page_and_the_index_every_decision() -> None:
    readme = (ROOT / "README.md").read_text()
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()

    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"(docs/{page.name})" not in readme] == []
    assert [page.name for page in DECISIONS if page.name != "README.md" and f"({page.name})" not in index] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name != "decisions"], ids=page_id)
def test_every_option_and_variable_that_a_page_names_exists(page: Path) -> None:
    known = options()
    named = set(re.findall(r"`(--[a-z][a-z0-9-]+)", prose(page)))
    for block in blocks(page):
        for line in block.text.replace("\\\n", " ").split("\n"):
            command = re.search(r"\bbirdlite (?:classify|merge|report|model|convert|evaluate|bench|demo)\b(.*)", line)
            if command is not None and not re.match(r"\s*\S*(docker|podman)", line):
                named.update(re.findall(r"(?<!\S)(--[a-z][a-z0-9-]+)", command[1]))
    variables = set(re.findall(r"\bBIRDLITE_[A-Z0-9_]+\b", page.read_text()))

    assert named - known - FOREIGN == set()
    assert variables - known_variables() - {"BIRDLITE_"} == set()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_before_the_first_release_no_page_installs_birdlite_by_its_name(page: Path) -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    unreleased = "Nothing has been released yet" in changelog
    releases = re.findall(r"^## \[\d.*", changelog, re.MULTILINE)

    assert unreleased != bool(releases), "CHANGELOG.md says that nothing has been released yet, or has a release"
    if unreleased:
        assert re.findall(r"install '?birdlite\b.*", page.read_text()) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=page_id)
def test_every_python_file_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"`([a-z_0-9/]+\.py)`", prose(page)))

    assert {name for name in named if not any((ROOT / at / name).exists() for at in ("", "birdlite"))} == set()
