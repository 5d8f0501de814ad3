"""URLs without their secrets: names of targets, and every URL in a message. No module shows a URL in another way.

    https://ann:pw@example.org/a.jpg                   https://***@example.org/a.jpg
    https://b.s3.example/a.jpg?X-Amz-Signature=…&…     https://b.s3.example/a.jpg?***
    https://example.org/a?size=large&password=…        https://example.org/a?size=large&password=***
    https://example.org/a?token=…                      https://example.org/a?token=***0123456789ab
    https://example.org/a.jpg#access_token=…           https://example.org/a.jpg

A name is stable. The same object has the same name however often its URL is signed: the whole signature becomes one
mark. Two URLs that differ in a token, which may be what tells two pictures apart, have two names: the mark is followed
by a digest of the token, salted with the rest of the URL. What is redacted redacts to itself, and a URL without
secrets keeps every byte. Paths of files are not touched, and `#` is a letter in the keys of object storage.

The work grows with the length of the URL, and not faster. A cold start on local files does not import this.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from birdlite.secret_names import bare, decoded, in_path, kind, signing

MARK = "***"

_HINTS = ("?", "@", "#", ";", "=", "\\", "eyJ", "/bot")  # a URL without any of them has no secret
_ESCAPES = ("%3", "%40", "%23", "%25", "%26")  # nor one without these, which may stand for them
_STORAGE = ("s3", "gs", "az")
_DIGEST = 6  # bytes: among a million tokens of one URL, the chance that any two are alike is 1 in 500
_TIMES = 5  # at most: what was escaped may be a secret when it is not any more
_DEPTH = 3  # of URLs in parameters of URLs
_LONGEST_NAME = 200  # characters of a parameter's name, from its end, that are looked at

_URL = r"(\s*([A-Za-z][A-Za-z0-9+.\-]*):)([/\\]*)(.*)"
_REST = r"([^/\\?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?"  # host, path, query
_REST_OF_KEY = r"([^/\\?#]*)([^?]*)(\?.*)?"
_MARKED = re.compile(r"(?:\*\*\*(?:[0-9a-f]{12})?)+")
_NAMELESS = (
    r"(?<![\w\-])eyJ[\w\-]{8,}\.[\w\-]{8,}(?:\.[\w\-]*)?|(?<![\w\-])bot\d+:[\w\-]{20,}"  # a JWT; Telegram's token
)
# A user name and a password before the `@` of a host, where a URL has no scheme. An address of e-mail is none.
_USER = re.compile(
    r"(?!(?:https?|file|data|mailto|xmpp|sips?|acct):)[^/\\:@?#&;=]+:(?![/\\]{2})[^?#&]*(?=@)", re.IGNORECASE
)
_ENCODED = {
    code: sign if (sign.isascii() and sign.isalnum()) or sign in "-._~*" else f"%{code:02X}"
    for code, sign in enumerate(map(chr, range(256)))
}

_IN_TEXT = r"(?<![A-Za-z0-9+.\-])(?:https?:|[A-Za-z][A-Za-z0-9+.\-]{0,30}:[/\\]{2})[^\s<>\"]+"
_USER_IN_TEXT = (  # a user name and a password; the second form has no scheme, and may be the value of a variable
    r"(//)(?:[^\s/\\@:]*:[^/\\@]{1,200}|[^\s/\\@]+)@"
    r"|(?<![^\s'\"(])([A-Za-z0-9_]+=)?(?!(?:https?|mailto):|USER:PASSWORD@)[A-Za-z][\w.+\-]*:[^\s/\\]+@(?=[\w\[])"
)
_JSON_IN_TEXT = r'"([^"\s]{1,200})"(\s{0,4}:\s{0,4})"([^"]+)"'
_AROUND = ".,:;!()[]{}'`…"  # what may stand around a URL in a sentence
_WORD = r"[^\s\"'<>]+"
_HEADER = r"\b(Basic|Bearer) {1,4}(?=\S*[0-9=])[\w+/.~=\-]{8,}"


def redacted(name: str) -> str:
    """The name of a target: a URL without its secrets. Whatever is no URL stays as it is."""
    return _settled(name, lambda name: _redacted(name, _DEPTH))


def redacted_text(text: str) -> str:
    """A message, in which every URL is redacted, and what looks like a part of one."""
    return _settled(text, _redacted_text)


def _settled(text: str, change: Callable[[str], str]) -> str:
    for _ in range(_TIMES):
        before, text = text, change(text)
        if text == before:
            break
    return text


def _redacted_text(text: str) -> str:
    text = re.sub(_JSON_IN_TEXT, lambda pair: f'"{pair[1]}"{pair[2]}"{MARK}"' if kind(pair[1]) else pair[0], text)
    text = re.sub(_USER_IN_TEXT, lambda match: f"{match[1] or match[2] or ''}{MARK}@", text)
    text = re.sub(_IN_TEXT, lambda match: _within(match[0], redacted), text, flags=re.IGNORECASE)
    text = re.sub(_WORD, lambda match: _within(match[0], _redacted_part), text)
    return re.sub(f"{_HEADER}|{_NAMELESS}", lambda match: f"{match[1]} {MARK}" if match[1] else MARK, text)


def redacted_address(name: str) -> str:
    """The same for what may be a web address without its scheme."""
    rest = name.lstrip("/")
    return name[: len(name) - len(rest)] + redacted(f"https://{rest}").removeprefix("https://")


def _within(word: str, change: Callable[[str], str]) -> str:
    """A word of a sentence, changed but for what stands around it."""
    bare_word = word.strip(_AROUND)
    return word.replace(bare_word, change(bare_word)) if bare_word else word


def _redacted_part(word: str) -> str:
    """What may be a URL without its host or its path, as a server repeats it."""
    is_part = ("=" in word and any(sign in word for sign in "?&;/")) or ("?" in word and ":" in word)
    is_part = is_part and re.match(_URL, word) is None
    return _relative(word, _DEPTH) if is_part else word


def _is_open(name: str, text: str, at: int) -> bool:
    """Whether a parameter, whose value stands in `text` from `at` on, has a secret that is not redacted yet."""
    return at < len(text) and bool(kind(name[-_LONGEST_NAME:])) and _MARKED.fullmatch(text, at) is None


def _may_hold_one(text: str) -> bool:
    return any(hint in text for hint in _HINTS) or ("%" in text and any(escape in text for escape in _ESCAPES))


def _redacted(name: str, depth: int) -> str:
    if not _may_hold_one(name):
        return name
    url = re.fullmatch(_URL, name, re.DOTALL)
    if url is None:
        return name
    scheme = url[2].lower()
    if scheme in ("file", "data") or (scheme not in ("http", "https") and not url[3].startswith("//")):
        return name
    return url[1] + url[3] + _without_secrets(url[4], _REST_OF_KEY if scheme in _STORAGE else _REST, depth)


def _without_secrets(rest: str, form: str, depth: int) -> str:
    """What stands behind the scheme and its slashes."""
    place, path, query = _divided(form, rest)
    if _is_cut(place) and "@" in rest[len(place) :]:  # a password with / or ? or # in it, which should be escaped
        place, path, query = _divided(form, rest.rpartition("@")[2])
        place = f"{MARK}@{place}"
    pieces = _Pieces(depth)
    pieces.add(_without_user(place))
    _add_path(pieces, path)
    if query:
        _add_query(pieces, query)
    return pieces.text()


def _divided(form: str, rest: str) -> tuple[str, str, str]:
    found = re.fullmatch(form, rest, re.DOTALL)
    return (found[1], found[2], found[3] or "") if found else (rest, "", "")


def _without_user(place: str) -> str:
    """A host without user name and password."""
    if "@" not in place and "%40" in place:
        place = decoded(place)
    if "@" in place:
        place = f"{MARK}@{place.rpartition('@')[2]}"
    return f"{place.rpartition(':')[0]}:{MARK}" if _is_cut(place) else place


def _is_cut(place: str) -> bool:
    """Whether the port is none: what ends there may be a user name and the beginning of a password."""
    host, _, port = place.rpartition("@")[2].rpartition(":")
    return bool(host and port) and not port.isdigit() and port != MARK and not host.startswith("[")


def _add_path(pieces: _Pieces, path: str) -> None:
    """A path, whose segments may have parameters: `;jsessionid=…`, `/token=…/`."""
    if not _may_hold_one(path):
        pieces.add(path)
        return
    if "@" in path:
        path = re.sub(r"(?<=:/)(/?)[^/\\]*@", rf"\1{MARK}@", path)  # the URL of another host in it
    before = ""
    split = re.split(r"([/\\;])", path)
    for number, piece in enumerate(split, 1):
        if piece in "/\\;":  # or empty
            pieces.add(piece)
        elif before == ";" or in_path(piece.partition("=")[0][-_LONGEST_NAME:]):
            pieces.add_parameter(piece)
        else:  # a host would be followed by a path: `File:Tit@2x.jpg` is only a name
            pieces.add_word(piece if number == len(split) else pieces.add_user(piece))
        before = piece


def _add_query(pieces: _Pieces, query: str) -> None:
    """A query. Everything that belongs to a known signature becomes one mark at its end."""
    words = re.split("([?&;])", query)  # "", "?", the first parameter, "&", the second, …
    names = [bare(word.partition("=")[0][-_LONGEST_NAME:]) for word in words[2::2]]
    signed = signing(set(names))
    first = "?"
    for name, sign, word in zip(names, words[1::2], words[2::2], strict=True):
        if word != MARK and name not in signed:
            pieces.add(first or sign)
            pieces.add_parameter(word)
            first = ""
    if signed or MARK in words:
        pieces.add(f"{first or '&'}{MARK}")


class _Pieces:
    """A URL without its secrets, in pieces. The digests come last: they are salted with all the rest."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._pieces: list[str] = []
        self._tokens: list[tuple[int, str]] = []  # after which piece a digest comes, and of what

    def add(self, text: str) -> None:
        """Add what has no secret."""
        self._pieces.append(text)

    def add_parameter(self, text: str) -> None:
        """Add a name and its value. There may be more names in the value: `filter=token:…`."""
        at = 0
        for sign in re.finditer("[=:]", text.partition("//")[0]):  # behind // is a URL: add_word looks into it
            name, end = text[at : sign.start()], sign.end()
            if at and "%" in name and re.search("[/:@=?&]", decoded(name)):  # as add_word does into what is escaped
                break
            if _is_open(name, text, end):
                self._add_value(text[:end])
                self._add_mark(text[end:], stays=kind(name[-_LONGEST_NAME:]) == "token")
                return
            at = end
        self._add_value(text)

    def _add_value(self, text: str) -> None:
        """Add a name, and what may be a value."""
        name, equals, value = text.partition("=")
        if equals:
            self._pieces.append(f"{name}=")
        self.add_word(self.add_user(value if equals else text))

    def _add_mark(self, secret: str, *, stays: bool = True) -> None:
        """Add a mark instead of a secret. If it `stays`, the digest of the secret stays."""
        self._pieces.append(MARK)
        if stays:
            self._tokens.append((len(self._pieces) - 1, secret))

    def add_user(self, text: str) -> str:
        """Add the mark for a user name and a password before an `@`, if text begins with them. Give the rest."""
        user = _USER.match(text)
        if user is None:
            return text
        self._add_mark(user[0])
        return text[user.end() :]

    def add_word(self, text: str) -> None:
        """Add a value or a part of a path, which may hold another URL, or a token that has no name."""
        if "%" in text or "//" in text or text[:5].lower() in ("http:", "https"):
            if self._depth:
                self._pieces.append(_inside(text, self._depth - 1))
            else:  # too deep to look into
                self._add_mark(text)
            return
        at = 0
        if "eyJ" in text or text.startswith("bot"):
            for found in re.finditer(_NAMELESS, text):
                self._pieces.append(text[at : found.start()])
                self._add_mark(found[0])
                at = found.end()
        self._pieces.append(text[at:])

    def text(self) -> str:
        """All of it."""
        plain = "".join(self._pieces)
        if not self._tokens:
            return plain
        from hashlib import blake2b

        salted = blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=_DIGEST)
        for place, token in self._tokens:
            digest = salted.copy()
            digest.update(b"\n" + token.encode("utf-8", "surrogatepass"))
            self._pieces[place] += digest.hexdigest()
        return "".join(self._pieces)


def _inside(text: str, depth: int) -> str:
    """A value that may be a URL, or the query of one, perhaps escaped."""
    plain = decoded(text)
    if not any(sign in plain for sign in ("=", "@", ":", "eyJ")):
        return text
    if plain.startswith("//"):  # with the scheme of the page that it is on
        safe = _nested(f"https:{plain}", depth).removeprefix("https:")
    else:
        is_url = re.match(_URL, plain) and not _USER.match(plain)
        safe = _nested(plain, depth) if is_url else _relative(plain, depth)
    if safe == plain:
        return text
    return safe if plain == text else safe.translate(_ENCODED)


def _nested(url: str, depth: int) -> str:
    """A URL in a parameter. Its fragment reaches the server, and may tell one picture from another."""
    head, mark, fragment = url.partition("#")
    if not mark or "@" in fragment:  # or a password with # in it
        return _redacted(url, depth)
    return _redacted(head, depth) + mark + _relative(fragment, depth)


def _relative(text: str, depth: int) -> str:
    """A path and a query, or a query alone."""
    pieces = _Pieces(depth)
    if text.startswith(("{", "[")):  # JSON
        for piece in re.split(r"([,{}\[\]])", text):
            pieces.add_parameter(piece)
        return pieces.text()
    text = pieces.add_user(text)
    path, mark, query = text.partition("?")
    if not mark and "&" in text:
        path, query = "", text
    _add_path(pieces, path)
    if query:
        _add_query(pieces, f"?{query}")
    elif mark:
        pieces.add(mark)
    return pieces.text() if mark else pieces.text().removeprefix("?")
