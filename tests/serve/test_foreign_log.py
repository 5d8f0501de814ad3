"""What the packages under the service say, as far as it is news, goes through birdlite's log."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator

import pytest

from birdlite import log
from birdlite.serve import foreign_log


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, str]]]:
    for name in foreign_log.LEVELS:
        logger = logging.getLogger(name)
        for attribute in ("handlers", "propagate", "level"):
            monkeypatch.setattr(logger, attribute, getattr(logger, attribute))
    foreign_log.take_over()
    lines: list[tuple[int, str]] = []
    log.to(lambda level, message, _: lines.append((level, message)), log.DEBUG)
    yield lines
    log.to(None)


def test_lines_for_a_client_that_has_just_gone_are_no_news(said: list[tuple[int, str]]) -> None:
    """asyncio warns of each, from the fifth on, until the event loop has seen that the client is gone."""

    async def write() -> None:
        ours, theirs = socket.socketpair()
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        theirs.close()
        for _ in range(10):
            transport.write(b"{}\n")
        transport.close()

    asyncio.run(write())

    assert said == []


def test_an_error_is_one_line(said: list[tuple[int, str]]) -> None:
    logging.getLogger("asyncio").error("it went\nwrong", exc_info=ValueError("two\nlines"))

    ((level, message),) = said
    assert (level, message) == (log.ERROR, "asyncio: it went wrong: ValueError: two lines")
