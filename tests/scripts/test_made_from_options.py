"""What is made from the declarations of options is up to date: the table of plain command lines, and the page."""

from __future__ import annotations

from scripts import make_cli_table, make_options_page


def test_the_table_is_up_to_date() -> None:
    assert make_cli_table.TABLE.read_text() == make_cli_table.table(), "run python -m scripts.make_cli_table"


def test_the_page_of_options_is_up_to_date() -> None:
    assert make_options_page.PAGE.read_text() == make_options_page.page(), "run python -m scripts.make_options_page"


def test_the_page_has_every_option_of_every_command() -> None:
    page = make_options_page.page()

    for command in make_cli_table.commands().values():
        for option in make_cli_table.options_of(command):
            assert option.opts[-1] in page
            assert f"`{option.envvar}`" in page
