"""Which parameters of a URL hold secrets, by their names. For `redaction`.

A name counts in any case, escaped or not, and whatever stands between its words: `X-Amz-Signature`, `x_amz_signature`
and `%58-amz-signature` are one name. Digits, brackets and an `s` at the end do not count.

The rule hides too much rather than too little. A name is secret if it, or one of its words, ends with a secret word
(`tokens`, `userpwd`, `auth_type`, `page_token`) or begins with a long one (`tokenid`, `oauth_verifier`). Short words
that are common elsewhere (`key`, `code`, `pin`, `sign`, …) count alone and beside words that speak of access: `key[0]`,
`privatekey`, `login_code`, but not `sort_key`, `keyword`, `zip_code` or `design`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from typing import Literal

Kind = Literal["", "caller", "token"]
"""No secret; who asks, which says nothing of the picture; or what may tell one picture from another."""

_DECODED = 3  # times that escapes are undone: a server does it once, a proxy before it perhaps too

# Parameters of a signature. They change each time, and the object stays the same.
_SIGNING = ("xamz", "xgoog", "xoss", "xcos", "xobs")
_PROCESSING = {"xossprocess"}  # begins like those, and says which part of the picture, in which size
_SIGNED = (  # a signature, one of what stands beside it, and all that belongs to it
    (
        "signature",
        {"awsaccesskeyid", "googleaccessid", "ossaccesskeyid", "accesskeyid", "keypairid"},  # AWS v2, CloudFront, …
        {"expires", "policy", "hashalgorithm", "securitytoken"},
    ),
    (
        "sig",  # a SAS of Azure
        {"sv"},  # which every SAS has; the others are ordinary names elsewhere
        {"se", "sp", "sr", "ss", "srt", "st", "spr", "si", "sip", "sdd", "ses", "skoid", "sktid", "skt", "ske", "sks"}
        | {"skv", "saoid", "suoid", "scid", "sduoid", "skdutid", "srh", "srq"},
    ),
    ("qsignature", {"qak"}, {"qsignalgorithm", "qsigntime", "qkeytime", "qheaderlist", "qurlparamlist"}),  # Tencent
    ("hm", {"ex"}, {"is"}),  # Discord
)

_OF_CALLERS = {"pwd", "userpwd", "loginpas", "loginpass", "authorization", "bearer"}
_OF_CALLERS |= {"apikey", "appkey", "credentials", "accesskeyid", "accessid", "googleaccessid", "keypairid"}
_OF_CALLERS |= {"hdnts", "hdnea", "hdntl", "gda"}  # Akamai
_ENDS_OF_CALLERS = (
    *("password", "passwd", "passphrase", "apikey", "accesstoken", "refreshtoken", "idtoken", "clientsecret"),
    *("accesskey", "accesskeyid", "secretkey", "subscriptionkey", "credential"),
)
_BEGINS_OF_TOKENS = ("session", *_SIGNING)

# Secret words. The long ones count at the beginning of a name too, but not in `tokenize` or `secretary`.
_LONG = "token|secret|password|passwd|passphrase|passcode|passkey|signature|session|credential|cookie|bearer|jwt|csrf"
_LONG += "|xsrf|oauth|authori[sz]ation|authentication"
_BEGINS = re.compile(f"(?:{_LONG})(?!i[osvz]|ar)")
_ENDS = re.compile(f"(?:{_LONG}|auth|authcode|authkey|sig|sessid|sessionid|pwd|otp|hmac)s?$")
_COMMON = {"pass", "pw", "key", "code", "sign", "policy", "sid", "ticket", "pin"}  # words with other uses

# Words before `key` that make it one to a door, not to a table.
_KEYS = {"api", "access", "secret", "private", "auth", "app", "client", "account", "master", "admin", "shared"}
_KEYS |= {"storage", "signing", "encryption", "license", "functions", "service", "user", "x"}

# Words that leave a common word as secret as it is.
_BESIDE = {*_KEYS, "login", "device", "invite", "reset", "verification", "id", "value", "my", "new", "old", "db"} - {
    "x"
}
_PARTS = re.compile("|".join(sorted((*_COMMON, *_BESIDE), key=len, reverse=True)))


def decoded(text: str) -> str:
    """The text with its escapes undone, a byte a character."""
    for _ in range(_DECODED):
        if "%" not in text:
            break
        before, text = text, re.sub("%([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), text)
        if text == before:
            break
    return text


@functools.lru_cache(maxsize=512)
def bare(name: str) -> str:
    """A name as it is compared: `xamzsignature` of `X-Amz-Signature`."""
    return re.sub("[^a-z0-9]+", "", decoded(name).lower())


@functools.lru_cache(maxsize=512)
def kind(name: str) -> Kind:
    """What a parameter holds."""
    word = bare(name)
    if word in _PROCESSING:
        return ""
    if word in _OF_CALLERS or word.endswith(_ENDS_OF_CALLERS) or _is_key(name):
        return "caller"
    if _is_strong(name):
        return "token"
    parts = _parts(word)
    if parts[-1:] == ["key"] and not _KEYS.isdisjoint(parts):
        return "caller"
    return "" if _COMMON.isdisjoint(parts) else "token"


def in_path(name: str) -> bool:
    """Whether a segment of a path that begins with this name holds a secret. `/code=DE/` is only a folder."""
    return kind(name) == "caller" or (kind(name) == "token" and _is_strong(name))


def _words(name: str) -> list[str]:
    """The words of a name: `photo` and `token` of `photoToken[0]`."""
    return [one.lower() for one in re.findall("[A-Z]?[a-z]+|[A-Z]+", decoded(name))]


def _is_key(name: str) -> bool:
    """Whether the words of a name say that it is a key to something, as those of `private_key`."""
    word, words = bare(name), _words(name)
    if word.endswith("authkey") or word.startswith(_BEGINS_OF_TOKENS):  # a link has it, and not who asks
        return False
    return words[-1:] == ["key"] and not _KEYS.isdisjoint(words)


@functools.lru_cache(maxsize=512)
def _is_strong(name: str) -> bool:
    """Whether a secret word is in a name, where it counts."""
    word = bare(name)
    if word.startswith(_BEGINS_OF_TOKENS):
        return True
    parts = re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z]+", decoded(name))  # `API` and `Token` of `APIToken`
    words = {_letters(word), *_words(name), *(part.lower() for part in parts)}
    return any(_BEGINS.match(one) or _ENDS.search(one) for one in words)


def _parts(word: str) -> list[str]:
    """The common words and the words of access that a name is made of, if it is made of nothing else."""
    letters = _letters(word)
    if letters.endswith("s") and not letters.endswith("ss"):
        letters = letters[:-1]
    parts = _PARTS.findall(letters)
    return parts if "".join(parts) == letters else []


def _letters(word: str) -> str:
    return re.sub("[0-9]+", "", word)


def signing(names: Collection[str]) -> set[str]:
    """Those of the bare names of a query that belong to a signature which is known."""
    found = {name for name in names if name.startswith(_SIGNING) and name not in _PROCESSING}
    for signature, beside, more in _SIGNED:
        if signature in names and not beside.isdisjoint(names):
            found |= {signature, *beside, *more}
    return found
