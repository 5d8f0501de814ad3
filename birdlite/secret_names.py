"""Which parameters of a URL hold secrets, by their names. For `redaction`.

A name counts in any case, escaped or not, and whatever stands between its words: `X-Amz-Signature`, `x_amz_signature`
and `%58-amz-signature` are one name.
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
_TOKENS = {"pass", "pw", "key", "code", "auth", "sig", "sign", "hmac", "policy", "sid", "sessid", "ticket", "otp"}
_TOKENS |= {"pin", "cookie"}
_ENDS_OF_TOKENS = ("token", "secret", "signature", "jwt", "sessionid", "sessid", "authkey", "authcode", "authsig")
_BEGINS_OF_TOKENS = ("session", *_SIGNING)
_WORDS_OF_TOKENS = {"token", "secret", "jwt", "password", "signature", "csrf"}

# Words before `key` that make it one to a door, not to a table.
_KEYS = {"api", "access", "secret", "private", "auth", "app", "client", "account", "master", "admin", "shared"}
_KEYS |= {"storage", "signing", "encryption", "license", "functions", "service", "user", "x"}


def decoded(text: str) -> str:
    """The text with its escapes undone, a byte a character."""
    for _ in range(_DECODED):
        if "%" not in text:
            break
        text = re.sub("%([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), text)
    return text


@functools.lru_cache(maxsize=512)
def bare(name: str) -> str:
    """A name as it is compared: `xamzsignature` of `X-Amz-Signature`."""
    return re.sub("[^a-z0-9]+", "", decoded(name).lower())


@functools.lru_cache(maxsize=512)
def kind(name: str) -> Kind:
    """What a parameter holds."""
    word = bare(name)
    if word in _OF_CALLERS or word.endswith(_ENDS_OF_CALLERS):
        return "caller"
    if word in _PROCESSING:
        return ""
    if word in _TOKENS or word.endswith(_ENDS_OF_TOKENS) or word.startswith(_BEGINS_OF_TOKENS):
        return "token"
    words = [one.lower() for one in re.findall("[A-Z]?[a-z]+|[A-Z]+", decoded(name))]
    if words[-1:] == ["key"] and not _KEYS.isdisjoint(words):
        return "caller"
    return "" if _WORDS_OF_TOKENS.isdisjoint(words) else "token"


def in_path(name: str) -> bool:
    """Whether a segment of a path that begins with this name holds a secret. `/code=DE/` is only a folder."""
    return bool(kind(name)) and bare(name) not in _TOKENS


def signing(names: Collection[str]) -> set[str]:
    """Those of the bare names of a query that belong to a signature which is known."""
    found = {name for name in names if name.startswith(_SIGNING) and name not in _PROCESSING}
    for signature, beside, more in _SIGNED:
        if signature in names and not beside.isdisjoint(names):
            found |= {signature, *beside, *more}
    return found
