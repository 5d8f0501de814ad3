"""URLs lose their secrets, keep everything else, and have the same name however often they are signed."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable
from types import FrameType

import pytest

from birdlite import redacted
from birdlite.redaction import redacted_text

DIGEST = "[0-9a-f]{12}"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0"

S3 = "https://b.s3.amazonaws.com/a.jpg"
V4 = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={0}&X-Amz-Date={0}&X-Amz-Expires=9&X-Amz-Signature={0}"
SIGNED = [
    f"{S3}?{V4}",
    f"{S3}?{V4}&X-Amz-Security-Token={{0}}&X-Amz-SignedHeaders=host",
    f"{S3}?AWSAccessKeyId={{0}}&Signature={{0}}&Expires={{0}}",
    "https://storage.googleapis.com/b/a.jpg?X-Goog-Credential={0}&X-Goog-Date={0}&X-Goog-Signature={0}",
    "https://storage.googleapis.com/b/a.jpg?GoogleAccessId={0}&Expires={0}&Signature={0}",
    "https://x.blob.core.windows.net/c/a.jpg?sv={0}&st={0}&se={0}&sr=b&sp=r&sig={0}",
    "https://d1.cloudfront.net/a.jpg?Expires={0}&Signature={0}&Key-Pair-Id={0}",
    "https://d1.cloudfront.net/a.jpg?Policy={0}&Signature={0}&Key-Pair-Id={0}",
    "https://b.oss.aliyuncs.com/a.jpg?OSSAccessKeyId={0}&Expires={0}&Signature={0}",
    "https://b.cos.myqcloud.com/a.jpg?q-sign-algorithm=sha1&q-ak={0}&q-sign-time={0}&q-signature={0}",
    "https://cdn.discordapp.com/a.jpg?ex={0}&is={0}&hm={0}",
    "az://photos/a.jpg?sv={0}&se={0}&sig={0}",
]

ORDINARY = [
    "https://example.org/a.jpg",
    "HTTP://Example.org:8080/a%2Cb%20c.jpg?size=large&x=%C3%B6&y=1&monkey=2",
    "https://example.org/100%25.jpg?signal=3&secretary=4",
    "https://example.org/(a)+b,c;d=e!$'*.jpg",
    "https://example.org/a/year=2024/code=DE/key=5.jpg?sort_key=3&author=ann&sv=2&se=1&expires=7&ex=1",
    "https://example.org/?url=https%3A%2F%2Fother.example%2Fa.jpg%3Fw%3D3&id=1;page=2",
    "https://medium.example/@ann/a.jpg",
    "https://commons.example/wiki/File:Great_Tit@2x.jpg?a=1",
    "https://[::1]:8080/a.jpg?a=b=c&&d",
    "https://example.org/?",
    "https://example.org/a?t=12:30&q=species:robin&mail=ann@example.org&to=mailto:ann@example.org&x=a%2Cb=c",
    "https://example.org/a?x=%7B%22url%22%3A%22https%3A%2F%2Fh%2Fa%22%2C%22size%22%3A%5B3%5D%7D&t=12%3A30",
    "s3://bucket/a b%20c?d#e.jpg",
    "gs://bucket/code=DE/key=1/a.jpg",
    "birds/a.jpg",
    "birds/a?token=b#c.jpg",
    "file:///home/ann/a.jpg?token=b#c",
    r"C:\birds\a;token=b.jpg",
    "ann:pw@b",
    "",
    "-",
]

REDACTED = [
    ("https://ann:secret@example.org/a.jpg", "https://***@example.org/a.jpg"),
    ("https://ann@example.org/a.jpg", "https://***@example.org/a.jpg"),
    ("https://ann:a@b:c@example.org:81/a.jpg", "https://***@example.org:81/a.jpg"),
    ("https://ann%3Asecret%40example.org/a.jpg", "https://***@example.org/a.jpg"),
    ("https://ann:sec/ret@example.org/a.jpg", "https://***@example.org/a.jpg"),
    ("https://ann:sec?r#et@example.org/a.jpg?w=3", "https://***@example.org/a.jpg?w=3"),
    (r"https:\\ann:secret@example.org\a.jpg", r"https:\\***@example.org\a.jpg"),
    ("https:ann:secret@example.org/a.jpg", "https:***@example.org/a.jpg"),
    ("ftp://ann:secret@example.org/a.jpg", "ftp://***@example.org/a.jpg"),
    ("s3://KEY:SECRET@bucket/a.jpg", "s3://***@bucket/a.jpg"),
    ("https://example.org/a.jpg#access_token=secret", "https://example.org/a.jpg"),
    ("https://example.org/a?w=3&password=secret&h=4", "https://example.org/a?w=3&password=***&h=4"),
    ("https://example.org/a?Api-Key=secret", "https://example.org/a?Api-Key=***"),
    ("https://example.org/a?access_token=secret;w=3", "https://example.org/a?access_token=***;w=3"),
    ("https://example.org/a?X-Functions-Key=secret", "https://example.org/a?X-Functions-Key=***"),
    ("https://example.org/snap.cgi?usr=ann&pwd=secret", "https://example.org/snap.cgi?usr=ann&pwd=***"),
    (f"{S3}?versionId=3&{V4.format(7)}&x-id=1", f"{S3}?versionId=3&x-id=1&***"),
    ("https://example.org/a?privatekey=secret&api_keys=secret", "https://example.org/a?privatekey=***&api_keys=***"),
    ("https://p.example/?u=https:ann:secret@h/a", "https://p.example/?u=https:***@h/a"),
    ("https://p.example/https://ann:secret@example.org/a", "https://p.example/https://***@example.org/a"),
    (
        "https://p.example/?u=https%3A%2F%2Fann%3Asecret%40h%2Fa&w=3",
        "https://p.example/?u=https%3A%2F%2F***%40h%2Fa&w=3",
    ),
]

TOKENS = [
    "https://example.org/a?token={}",
    "https://example.org/a?%74oken={}",
    "https://example.org/a?%2574oken={}",
    "https://example.org/a?TOKEN={}&w=3",
    "https://example.org/a?w=3;to\tken={}",
    "https://example.org/a?w=3?token={}",
    "https://example.org/a?key={}",
    "https://example.org/a?code={}",
    "https://example.org/a?auth={}",
    "https://example.org/a?jwt={}",
    "https://example.org/a?sig={}",
    "https://example.org/a?photo[secret]={}",
    "https://example.org/a?photoToken={}",
    "https://example.org/a?sessionId={}",
    "https://example.org/a;jsessionid={}/b.jpg?w=3",
    "https://example.org/x-token={}/b.jpg",
    "https://example.org/?q=a%26token%3D{}",
    "https://example.org/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0{}/a.jpg",
    "https://example.org/file/bot123456:AAAAAAAAAAAAAAAAAAAAAAAAAAAA{}/a.jpg",
    "gs://bucket/a?token={}",
    "https://example.org/a?tokens={}",
    "https://example.org/a?tokenid={}",
    "https://example.org/a?APITokenId={}",
    "https://example.org/a?sig1={}",
    "https://example.org/a?pwd2={}",
    "https://example.org/a?key[0]={}",
    "https://example.org/a?passcode={}",
    "https://example.org/a?oauth={}",
    "https://example.org/a?userpin={}",
    "https://example.org/a?page_token={}",
    "https://example.org/a?x=token={}",
    "https://example.org/a?x=size:token={}&w=3",
    "https://example.org/a?token:{}",
    "https://example.org/a?x=y:%74oken={}",
    "https://example.org/a?x=%7B%22size%22%3A3%2C%22token%22%3A%22{}%22%7D",
    "https://example.org/a?url=ann:{}@example.org/a.jpg",
    "https://example.org/a?url=ann:a@b:{}@example.org/a.jpg",
    "https://example.org/a?url=ann%3A{}%40example.org%2Fa%3Ftoken%3D1",
]

# Names of parameters that sound like secrets, and are none.
INNOCENT = ["keyword", "author", "monkey", "design", "signal", "tokenize", "sort_key", "keyframes", "passenger", "sort"]
INNOCENT += ["compass", "bypass", "secretary", "zip_code", "country_code", "barcode", "geocode", "turkey", "assign"]
INNOCENT += ["userid", "client_id", "login", "account", "license", "service", "access", "spin", "sidebar", "authuser"]
INNOCENT += ["pinned", "species", "encoding", "signed", "primary_key", "object_key", "passage", "author_id", "value"]


@pytest.mark.parametrize("url", ORDINARY)
def test_what_has_no_secret_keeps_every_byte(url: str) -> None:
    assert redacted(url) == url


@pytest.mark.parametrize("name", INNOCENT)
def test_a_parameter_that_only_sounds_like_a_secret_keeps_its_value(name: str) -> None:
    for spelling in (name, name.upper(), name.title(), f"{name}[0]", f"{name}s"):
        assert redacted(f"https://example.org/a?{spelling}=3") == f"https://example.org/a?{spelling}=3"


# What the first version with redacted names wrote: later ones must give the same names, or runs are done again.
OLD_NAMES = [
    ("token=S&w=3", "token=***OLD&w=3"),
    ("password=S&password2=S", "password=***&password2=***OLD"),
    ("private_key=S&auth_key=S", "private_key=***&auth_key=***OLD"),
    ("user_key=S&key=S&pin=S", "user_key=***&key=***OLD&pin=***OLD"),
    ("photo[secret]=S&sessionKey=S", "photo[secret]=***OLD&sessionKey=***OLD"),
    ("token_user_key=S&credentials=S&pwd=S", "token_user_key=***&credentials=***&pwd=***"),
]


@pytest.mark.parametrize(("query", "name"), OLD_NAMES)
def test_names_that_older_versions_wrote_stay_the_same(query: str, name: str) -> None:
    shown = redacted(f"https://example.org/a.jpg?{query}").partition("?")[2]

    assert re.sub(rf"(?<=\*){DIGEST}", "OLD", shown) == name


@pytest.mark.parametrize(("url", "name"), REDACTED)
def test_a_secret_becomes_a_mark_and_the_rest_stays(url: str, name: str) -> None:
    assert redacted(url) == name


@pytest.mark.parametrize("url", SIGNED)
def test_an_object_that_is_signed_anew_has_the_same_name(url: str) -> None:
    name = redacted(url.format("SECRET"))

    assert name == redacted(url.format("AnotherOne%2F7"))
    assert re.fullmatch(r"[^?]+\?\*\*\*", name)


def test_a_session_that_is_signed_with_more_parameters_is_the_same_object() -> None:
    assert redacted(SIGNED[0].format(1)) == redacted(SIGNED[1].format(2))


@pytest.mark.parametrize("url", TOKENS)
def test_two_tokens_are_two_names_without_a_token(url: str) -> None:
    one, other = redacted(url.format("SECRET")), redacted(url.format("TOKEN"))

    assert one != other
    assert "SECRET" not in one
    assert one == redacted(url.format("SECRET"))
    assert re.search(rf"\*\*\*{DIGEST}", one)


def test_the_digest_of_a_token_depends_on_the_rest_of_its_url() -> None:
    names = {redacted(f"https://example.org/{place}?token=SECRET") for place in ("a", "b", "a?w=3")}

    assert len({name.rpartition("***")[2] for name in names}) == 3


@pytest.mark.parametrize("url", [*ORDINARY, *SIGNED, *TOKENS, *(url for url, _ in REDACTED)])
def test_a_name_is_its_own_name(url: str) -> None:
    name = redacted(url.format("SECRET") if "{" in url else url)

    assert redacted(name) == name
    if name.startswith("http"):
        assert redacted_text(f"no answer: {name}; end") == f"no answer: {name}; end"


ODD = ["http:;password%40%2F{jwt}", "http://pw%40'%3FX-Amz-Signature%3D?", "https://h/user:pw@ token%26key[&http:]"]


@pytest.mark.parametrize(
    "url", [*ODD, "https://%40%25%2FHTTP:/@]%3Fb.jpg", "http://sig%40%3F,sig ***%%=HTTP:/user:pw@"]
)
def test_what_was_escaped_is_looked_at_when_it_is_not_any_more(url: str) -> None:
    name = redacted(url.replace("{jwt}", JWT))

    assert redacted(name) == name
    assert JWT not in name


PIECES = [
    *("https://", "http:", "HTTP:/", "s3://", "//", "/", "\\", "?", "&", ";", "#", "=", ":", "@", "%", "%%", " ", "\n"),
    *("%40", "%3A", "%2F", "%3D", "%26", "%3F", "%25", "%2540", "***", "***0123456789ab", "{", "}", "[", "]", ",", '"'),
    *("token", "password", "X-Amz-Signature", "X-Amz-Date", "sig", "sv", "Signature", "Expires", "Key-Pair-Id", "key"),
    *(JWT, "bot123:abcdefghijklmnopqrstuvwxyz", "user:pw@", "url=", "filter=", "?token=x", "&a=b", "b.jpg", "h", "é"),
]


def test_what_is_redacted_redacts_to_itself_whatever_it_is_made_of() -> None:
    chance = random.Random(15)
    for _ in range(5000):
        start = chance.choice(["https://", "https://h/", "https://h/a?", "http://", "s3://b/", ""])
        url = start + "".join(chance.choices(PIECES, k=chance.randint(1, 12)))
        name, message = redacted(url), redacted_text(url)
        assert redacted(name) == name
        assert redacted_text(message) == message


@pytest.mark.parametrize("url", [*SIGNED, *TOKENS])
def test_no_sentence_shows_a_secret(url: str) -> None:
    url = url.format("SECRET").replace("\t", "")
    scheme_away = url.partition("://")[2]

    for text in (f"{url}: no such file", f"cannot read '{url}', as (see {url}) says.", f"GET /{scheme_away} HTTP/1.1"):
        assert "SECRET" not in redacted_text(text)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("illegal line: 'Authorization: Basic YW5uOnNlY3JldA=='", "illegal line: 'Authorization: Basic ***'"),
        ("(https://ann:pw@example.org/a.jpg): gone", "(https://***@example.org/a.jpg): gone"),
        ("birdlite knows Basic and Digest; a=b", "birdlite knows Basic and Digest; a=b"),
        ("AWS_REGION=x is set", "AWS_REGION=x is set"),
        ("did you mean classify? (really?): a?x=1 a=b/? a:b?", "did you mean classify? (really?): a?x=1 a=b/? a:b?"),
        ('said {"size": "3", "token": "a b"} and "it": "x"', 'said {"size": "3", "token": "***"} and "it": "x"'),
        ("GET /a?token:1 of ann:pw@example.org", "GET /a?token:***e08fe5ea7803 of ***@example.org"),
        ("put it before the host: USER:PASSWORD@h:80", "put it before the host: USER:PASSWORD@h:80"),
        ("at 2024-05-01T12:30@feeder/a.jpg or mailto:ann@h", "at 2024-05-01T12:30@feeder/a.jpg or mailto:ann@h"),
        ("--mirror https://ann:a b@h/: no; //ann:pw@h", "--mirror https://***@h/: no; //***@h"),
    ],
)
def test_a_message_keeps_its_words(text: str, safe: str) -> None:
    assert redacted_text(text) == safe


HOSTILE: list[Callable[[int], str]] = [
    lambda size: "https://example.org/?" + "token=a&" * (size // 8),
    lambda size: "https://example.org/?" + "&" * size,
    lambda size: "https://example.org/" + "eyJ" * (size // 3),
    lambda size: "https://example.org/" + "a;token=1" * (size // 9),
    lambda size: "https://" + "%2525" * (size // 5),
    lambda size: "https://" + ":@" * (size // 2),
    lambda size: "https://example.org/?u=" + "https://" * (size // 8),
    lambda size: "https://example.org/?" + "a=%26" * (size // 5),
    lambda size: "a" * size + "?token=1 //",
    lambda size: "Basic " * (size // 6) + "//",
    lambda size: "https://example.org/" + ":/@" * (size // 3),
    lambda size: 'a: "' + 'token":"' * (size // 8),
    lambda size: "https://example.org/?a" + "=a" * (size // 2),
    lambda size: "https://example.org/?a=" + "b:@" * (size // 3),
    lambda size: "https://example.org/?" + "key" * (size // 3) + "=1",
]


@pytest.mark.parametrize("made", HOSTILE)
def test_the_work_grows_with_the_length_and_not_faster(made: Callable[[int], str]) -> None:
    def calls(url: str) -> int:
        count = 0

        def step(frame: FrameType, event: str, argument: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(step)
        try:
            redacted(url), redacted_text(url)
        finally:
            sys.setprofile(None)
        return count

    calls(made(1024))  # imports, and compiles the patterns
    assert calls(made(65_536)) <= 4.5 * calls(made(16_384)) + 100


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.jpg?x-oss-process=image/crop,x_{}",
        "https://example.org/a?se={}&sig=c2ln",  # a season, and not a SAS
        "https://example.org/?url=https%3A%2F%2Fapp.example%2F%23%2Fbird%3Fid%3D{}",
    ],
)
def test_two_pictures_are_two_names(url: str) -> None:
    assert redacted(url.format(1)) != redacted(url.format(2))


@pytest.mark.parametrize(
    "url",
    [
        "?url=//ann:{}@example.org/a",
        "?url=%2F%2Fann%3A{}%40example.org%2Fa",
        "?url=https%3A%2F%2Fe%2F%23token={}",
        "?url=https%3A%2F%2Fann%3A{}%40e:token=1",
        "?url=https%3A%2F%2Fh:token={}",
        "?url=https:ann:{}@example.org/a",
        "ann:{}@example.org/a.jpg",
        f"?url=https://ann:{{}}@example.org/{JWT}/a.jpg",
        f"?url=https://{JWT}:{{}}@example.org/a.jpg",
        f"?url=https%3A%2F%2Fexample.org%2Fa%3Ftoken%3D{{}}%26x%3D{JWT}",
        f"https://{JWT}:{{}}@example.org/a.jpg",
    ],
)
def test_no_url_within_a_url_shows_a_secret(url: str) -> None:
    name = redacted("https://example.org/" + url.format("hunter2"))
    assert "hunter2" not in name
    assert redacted(name) == name
