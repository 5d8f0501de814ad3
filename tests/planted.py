"""URLs of every kind with planted secrets, and the search for them. `tests.cli.test_secrets` classifies them."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

WORD = "PLANTED"  # every secret begins with it
_ENCODED = tuple(base64.b64encode(b"ann:" + WORD.encode())[:12].decode() for _ in (0,))  # of Basic authentication


class Planted(NamedTuple):
    """A URL with secrets."""

    url: str
    sent: bool  # whether the server sees the secret, and so gets the whole URL


def at_mirrors(number: int = 1) -> list[Planted]:
    """URLs of many hosts, with the secrets numbered: the same pictures, signed anew, if the number is another one."""
    s = f"{WORD}{number}"
    v4 = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={s}%2Fs3&X-Amz-Date={s}&X-Amz-Signature={s}"
    return [
        Planted(f"https://b.s3.amazonaws.com/v4.jpg?{v4}", sent=True),
        Planted(f"https://b.s3.amazonaws.com/session.jpg?{v4}&X-Amz-Security-Token={s}", sent=True),
        Planted(f"https://b.s3.amazonaws.com/v2.jpg?AWSAccessKeyId={s}&Signature={s}&Expires=9", sent=True),
        Planted(f"https://storage.googleapis.com/b/a.jpg?X-Goog-Credential={s}&X-Goog-Signature={s}", sent=True),
        Planted(f"https://storage.googleapis.com/b/v2.jpg?GoogleAccessId={s}&Expires=9&Signature={s}", sent=True),
        Planted(f"https://x.blob.core.windows.net/c/a.jpg?sv=2024&se={s}&sp=r&sig={s}%3D", sent=True),
        Planted(f"https://d1.cloudfront.net/a.jpg?Policy={s}&Signature={s}&Key-Pair-Id={s}", sent=True),
        Planted(f"https://ann:{s}@example.org/user.jpg", sent=False),
        Planted(f"https://ann:{s}@{s}:x@example.org/odd-user.jpg", sent=False),
        Planted(f"https://example.org/fragment.jpg#access_token={s}", sent=False),
        Planted(f"https://example.org/password.jpg?size=large&password={s}", sent=True),
        Planted(f"https://example.org/api-key.jpg?api_key={s}", sent=True),
        Planted(f"https://example.org/apikey.jpg?APIKEY={s};w=3", sent=True),
        Planted(f"https://example.org/access.jpg?access_token={s}&access_token={s}", sent=True),
        Planted(f"HTTPS://Example.org/wide.jpg?ocp-apim-subscription-key={s}", sent=True),
    ]


def with_tokens() -> list[Planted]:
    """URLs whose secrets may tell pictures apart."""
    s = WORD
    names = ["token", "TOKEN", "%74oken", "key", "code", "auth", "secret", "jwt", "session_id", "sig", "photo[token]"]
    names += ["tokens", "sig1", "x=token"]
    return [
        *(Planted(f"https://example.org/by-{number}.jpg?{name}={s}", sent=True) for number, name in enumerate(names)),
        Planted(f"https://example.org/one.jpg?token={s}a", sent=True),
        Planted(f"https://example.org/one.jpg?token={s}b", sent=True),
        Planted(f"https://example.org/matrix;jsessionid={s}/a.jpg", sent=True),
        Planted(f"https://example.org/path/eyJhbGciOiJIUzI1NiJ9.eyJzdWIi{s}.x/a.jpg", sent=True),
        Planted(f"https://api.telegram.org/file/bot12345:AAAAAAAAAAAAAAAA{s}/a.jpg", sent=True),
        Planted(f"https://p.example/?url=https%3A%2F%2Fann%3A{s}%40h%2Fa.jpg%3Ftoken%3D{s}", sent=True),
        Planted(f"https://p.example/two.jpg?q=a%26token%3D{s}", sent=True),
        Planted("https://example.org/long.jpg?token=" + s * 2000, sent=True),
    ]


def without_pictures(port: int) -> list[str]:
    """URLs that lead to no picture: 404, nothing listens, no URL at all. `port` is one where nothing listens."""
    s = WORD
    return [
        f"https://example.org/404.jpg?token={s}",
        f"ftp://ann:{s}@example.org/a.jpg",
        f"https://ann:{s}/x@example.org/a.jpg",
        f"https://ann:{s}@:port/a.jpg",
        f"https://ann:{s}@example.org:99999/a.jpg?token={s}",
        f"https://ann%3A{s}%40example.org/escaped.jpg",
        f"https://ann:{s}@exa mple.org/a.jpg",
        rf"https:\\ann:{s}@example.org\a.jpg",
        f"https:ann:{s}@example.org/no-slashes.jpg",
        f"gopher://example.org/a.jpg?token={s}",
        f"s3://KEY:{s}@bucket/a.jpg",
        f"az://container/../a.jpg?sv=1&se=1&sig={s}",
        f"www.example.org/a.jpg?token={s}",
        f"example.org/a.jpg?token={s}",
        f"www.example.org/{'long/' * 2000}a.jpg?token={s}",
        f"ann:{s}@example.org/a.jpg",
        f"//ann:{s}@example.org/a.jpg",
        f"https;//ann:{s}@example.org/a.jpg",
        f"http://ann:{s}@[::g]/a.jpg",
        f"http://127.0.0.1:{port}/refused-{port}.jpg?token={s}",
    ]


def found_in(text: str) -> list[str]:
    """The planted secrets that a text shows, each with what stands around it."""
    plain = unquote(unquote(text))
    shown = re.findall(rf".{{0,60}}(?:{WORD}|{'|'.join(_ENCODED)}).{{0,20}}", plain, re.IGNORECASE)
    return shown[:5]


def found_on_disk(folder: Path, *without: Path) -> dict[str, list[str]]:
    """The files below a folder that hold planted secrets, or are named by one."""
    found: dict[str, list[str]] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not any(path == one or one in path.parents for one in without):
            shown = found_in(path.name) + found_in(path.read_bytes().decode("utf-8", "replace"))
            if shown:
                found[str(path.relative_to(folder))] = shown
    return found
