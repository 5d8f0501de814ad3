"""Our three lines and `platformdirs` agree on where the cache is."""

from __future__ import annotations

import os

import platformdirs
import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from birdlite.models.cache import default_cache_dir


@pytest.mark.parametrize("xdg", ["/somewhere/else", "", "relative/path", None])
def test_on_linux_it_is_where_platformdirs_says(monkeypatch: pytest.MonkeyPatch, xdg: str | None) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    if xdg is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    if xdg == "relative/path":  # the specification says to ignore it; platformdirs keeps it
        assert default_cache_dir() == os.path.expanduser("~/.cache/birdlite")
    else:
        assert default_cache_dir() == Unix("birdlite").user_cache_dir


def test_on_macos_it_is_where_platformdirs_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("sys.platform", "darwin")

    assert default_cache_dir() == MacOS("birdlite").user_cache_dir


def test_on_this_system_it_is_where_platformdirs_says() -> None:
    assert default_cache_dir() == platformdirs.user_cache_dir("birdlite", appauthor=False)


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # what it does for a number that is in no passwd

    assert default_cache_dir() is None
