"""URLs of strangers through the whole service: nothing that is not public is reached, and nothing of it is told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from birdlite import Classifier, Settings
from tests.demo_world import PICTURES
from tests.http.test_guard import REACHING, UNREADABLE
from tests.names import PUBLIC, Hosts
from tests.origin import Origin
from tests.serve.test_classify import problem
from tests.serving import Running, Serve

PICTURE = PICTURES[0].read_bytes()
NOT_PUBLIC = "no public address (private, or unknown here); --allow-host HOST:PORT opens a private one"
NO_PICTURE = "no picture of a known format came from there; perhaps it does not exist"
NOT_THIS_PORT = "not at port 80 or 443; --allow-port opens others"


@pytest.fixture
def hosts(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """Names of the test's own. Every address leads to the test's server, which has a picture at /a.jpg."""
    origin.serve("/a.jpg", PICTURE)
    return Hosts(monkeypatch, origin.port)


Guarded = Callable[..., Running]


@pytest.fixture(scope="module")
def guarded_service(settings: Settings) -> Iterator[Running]:
    with _service(settings) as running:
        yield running


@contextlib.contextmanager
def _service(settings: Settings, **fetch: Any) -> Iterator[Running]:
    settings = settings._replace(fetch=settings.fetch._replace(public_only=True, **fetch))
    with Classifier(settings) as classifier, Running(classifier, settings) as running:
        yield running


@pytest.fixture
def guarded(guarded_service: Running, hosts: Hosts) -> Running:
    """A service as strangers meet it."""
    guarded_service.take_log()
    hosts.own_ports.add(guarded_service.port)
    return guarded_service


@pytest.fixture
def start(settings: Settings, hosts: Hosts) -> Iterator[Guarded]:
    """Starts such a service with other settings of `fetch`."""
    with contextlib.ExitStack() as services:

        def start(**fetch: Any) -> Running:
            running = services.enter_context(_service(settings, **fetch))
            hosts.own_ports.add(running.port)
            return running

        yield start


def get(service: Running, url: str) -> httpx.Response:
    return service.client.get("/v1/classify", params={"url": url})


def errors(answer: httpx.Response) -> list[str]:
    return [record.get("error", {}).get("kind", "") for record in answer.json()["results"]]


# How a host is spelt


def test_no_spelling_of_this_machine_is_connected_to(guarded: Running, hosts: Hosts) -> None:
    found = {host: get(guarded, f"http://{host}/a.jpg").json() for host in (*REACHING, *UNREADABLE)}

    assert {host: one["kind"] for host, one in found.items() if one["status"] == 403} == dict.fromkeys(
        REACHING, "blocked"
    )
    assert {host: one["kind"] for host, one in found.items() if one["status"] == 415} == dict.fromkeys(
        UNREADABLE, "unsupported"
    )
    assert all(found[host]["detail"].endswith(f"/a.jpg: {NOT_PUBLIC}") for host in REACHING)
    assert hosts.connected == []


def test_nor_are_those_in_json(guarded: Running, hosts: Hosts, origin: Origin) -> None:
    spellings = [*REACHING, *UNREADABLE]
    found: list[str] = []
    for first in range(0, len(spellings), 16):
        urls = [f"http://{host}/a.jpg" for host in spellings[first : first + 16]]
        *kinds, good = errors(guarded.urls(*urls, "http://public.example/a.jpg"))
        assert good == ""
        found += kinds

    assert found == ["blocked"] * len(REACHING) + ["unsupported"] * len(UNREADABLE)
    assert set(hosts.connected) == {PUBLIC}
    assert origin.hits("/a.jpg") == 4


def test_no_redirect_leads_to_this_machine(guarded: Running, hosts: Hosts, origin: Origin) -> None:
    found: dict[str, str] = {}
    for host in (*REACHING, *UNREADABLE):
        origin.send_raw("/there", f"HTTP/1.1 302 Found\r\nLocation: http://{host}/a.jpg\r\n\r\n".encode())
        found[host] = get(guarded, "http://public.example/there").json()["detail"]

    assert found == {
        **dict.fromkeys(REACHING, f"http://public.example/there: {NOT_PUBLIC}"),
        **dict.fromkeys(UNREADABLE, f"http://public.example/there: {NO_PICTURE}"),
    }
    assert set(hosts.connected) == {PUBLIC}
    assert origin.hits("/a.jpg") == 0


def test_a_chain_of_redirects_that_ends_at_this_machine_is_refused(
    guarded: Running, hosts: Hosts, origin: Origin
) -> None:
    hosts.name("other.example", ["1.1.1.1"])
    origin.redirect("/one", "http://other.example/two")
    origin.redirect("/two", "//public.example:80/three")
    origin.redirect("/three", "http://[::ffff:127.0.0.1]/a.jpg")

    assert problem(get(guarded, "http://public.example/one"), 403)["kind"] == "blocked"
    assert origin.hits("/a.jpg") == 0


def test_the_service_does_not_reach_itself(guarded: Running) -> None:
    before = guarded.number("birdlite_requests_total", route="/v1/model", method="GET", status="200")
    for host in ("127.0.0.1", "localhost", "[::1]", "0"):
        answer = get(guarded, f"http://{host}:{guarded.port}/v1/model")
        assert problem(answer, 403)["kind"] == "blocked"

    assert guarded.number("birdlite_requests_total", route="/v1/model", method="GET", status="200") == before


@pytest.mark.parametrize("port", [22, 81, 6379, 8080])
def test_other_ports_are_not_connected_to(guarded: Running, hosts: Hosts, port: int) -> None:
    found = problem(get(guarded, f"http://public.example:{port}/a.jpg"), 403)

    assert found["detail"] == f"http://public.example:{port}/a.jpg: {NOT_THIS_PORT}"
    assert hosts.connected == []


# What a name resolves to


def test_a_name_that_resolves_to_something_else_the_next_time_reaches_public_addresses_only(
    guarded: Running, hosts: Hosts, origin: Origin
) -> None:
    origin.send_raw("/closing", b"HTTP/1.0 200 OK\r\n\r\n" + PICTURE)
    hosts.name("changes.example", [PUBLIC], ["127.0.0.1"])

    assert get(guarded, "http://changes.example/closing").status_code == 200
    assert problem(get(guarded, "http://changes.example/closing"), 403)["kind"] == "blocked"
    assert (hosts.asked, hosts.connected) == (["changes.example"] * 2, [PUBLIC])


def test_a_name_that_changes_all_the_time_reaches_public_addresses_only(
    guarded: Running, hosts: Hosts, origin: Origin
) -> None:
    origin.send_raw("/closing", b"HTTP/1.0 200 OK\r\n\r\n" + PICTURE)
    hosts.name("changes.example", *[[PUBLIC] if number % 3 else ["169.254.169.254"] for number in range(100)])
    found = errors(guarded.urls(*["http://changes.example/closing"] * 32))

    assert set(found) == {"", "blocked"}
    assert set(hosts.connected) == {PUBLIC}
    assert len(hosts.connected) == found.count("")


def test_a_redirect_to_a_name_that_changes_reaches_public_addresses_only(
    guarded: Running, hosts: Hosts, origin: Origin
) -> None:
    origin.send_raw("/there", b"HTTP/1.0 302 Found\r\nLocation: http://changes.example/a.jpg\r\n\r\n")
    hosts.name("changes.example", [PUBLIC], ["10.0.0.1"])
    found = problem(get(guarded, "http://changes.example/there"), 403)

    assert found["detail"] == f"http://changes.example/there: {NOT_PUBLIC}"
    assert hosts.connected == [PUBLIC]
    assert origin.hits("/a.jpg") == 0


@pytest.mark.parametrize("answer", [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC, "fe80::1"]])
def test_one_address_that_is_not_public_is_enough(guarded: Running, hosts: Hosts, answer: list[str]) -> None:
    hosts.name("both.example", answer)

    assert problem(get(guarded, "http://both.example/a.jpg"), 403)["kind"] == "blocked"
    assert hosts.connected == []


# What is told


def told(service: Running, url: str) -> tuple[object, ...]:
    """All that anybody can see of a request, without its URL, id and times."""
    service.lines.clear()
    before = service.client.get("/metrics").text
    answer = get(service, url)
    after = service.client.get("/metrics").text
    changed = {line.split(" ")[0] for line in set(after.splitlines()) - set(before.splitlines())}
    own = {"x-request-id", "date", "content-length"}
    headers = sorted((name, value) for name, value in answer.headers.items() if name not in own)
    document = answer.json() | {"request_id": ""}
    logged = [(message, fields.get("status")) for level, message, fields in service.lines if level > 10]
    counted = sorted(name for name in changed if "_total" in name and not name.startswith("process_"))
    return headers, {**document, "detail": document["detail"].replace(url, "URL")}, logged, counted


def test_nothing_tells_what_answered_there(guarded: Running, hosts: Hosts, origin: Origin) -> None:
    """A picture, an error, a server that hangs up, one that stalls, a closed port, no such name: all look alike."""
    origin.fail("/error.jpg", [500] * 9)
    origin.reset("/reset.jpg")
    origin.hold("/held.jpg")
    hosts.name("cluster.example", ["10.96.0.1"])
    paths = ("/a.jpg", "/error.jpg", "/reset.jpg", "/held.jpg", "/nothing.jpg")
    there = [f"http://private.example{path}" for path in paths]
    there += ["http://cluster.example/a.jpg", "http://no.such.host.invalid/a.jpg", "http://169.254.169.254/latest"]
    for number, url in enumerate(there):
        origin.redirect(f"/{number}", url)
    redirected = [f"http://public.example/{number}" for number in range(len(there))]
    told(guarded, there[0])  # the counts are there from now on
    told(guarded, redirected[0])

    for urls in (there, redirected):
        seen = [told(guarded, url) for url in urls]
        assert seen == [seen[0]] * len(seen)
    assert set(hosts.connected) == {PUBLIC}
    assert origin.hits("/a.jpg") == 0


DRAWING, PAGE = b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<!doctype html><p>not here"

# What a URL that fails is answered with: by default, and with --allow-private. docs/service.md has this table.
FAILURES: dict[str, tuple[tuple[int, str], tuple[int, str]]] = {
    "http://public.example/nothing.jpg": ((415, "not_an_image"), (502, "http_status")),
    "http://public.example/loop": ((415, "not_an_image"), (502, "http_status")),
    "http://public.example/busy.jpg": ((502, "network"), (502, "http_status")),
    "http://public.example/reset.jpg": ((502, "network"), (502, "network")),
    "http://no.such.host.invalid/a.jpg": ((403, "blocked"), (422, "not_found")),
    "http://public.example/page.jpg": ((415, "not_an_image"), (415, "not_an_image")),
    "http://public.example/empty.jpg": ((415, "not_an_image"), (415, "not_an_image")),
    "http://public.example/drawing.svg": ((415, "unsupported"), (415, "unsupported")),
    "ftp://public.example/a.jpg": ((415, "unsupported"), (415, "unsupported")),
    "http://public.example/large.jpg": ((413, "too_large"), (413, "too_large")),
    "http://public.example/damaged.jpg": ((422, "decode"), (422, "decode")),
}


@pytest.fixture
def odd_answers(origin: Origin) -> None:
    """What the URLs of `FAILURES` lead to."""
    origin.fail("/busy.jpg", [503, 503])
    origin.reset("/reset.jpg")
    origin.redirect("/loop", "/loop")
    bodies = {"page.jpg": PAGE, "empty.jpg": b"", "drawing.svg": DRAWING, "damaged.jpg": PICTURE[:-2000]}
    for name, body in (*bodies.items(), ("large.jpg", bytes((1 << 20) + 1))):
        origin.serve(f"/{name}", body)


@pytest.mark.parametrize("url", FAILURES)
@pytest.mark.usefixtures("odd_answers")
def test_each_failure_of_a_url_has_the_status_of_the_docs(
    guarded: Running, serve: Serve, hosts: Hosts, url: str
) -> None:
    opened = serve()
    hosts.own_ports.add(opened.port)
    by_default, with_allow_private = FAILURES[url]

    for service, (status, kind) in ((guarded, by_default), (opened, with_allow_private)):
        assert problem(get(service, url), status)["kind"] == kind


def test_a_server_that_is_too_slow_is_502_and_a_request_without_time_left_504(
    start: Guarded, origin: Origin, serve: Serve, hosts: Hosts
) -> None:
    origin.hold("/held.jpg")
    opened = serve(request_timeout=0.2)
    hosts.own_ports.add(opened.port)

    slow = get(start(timeout=0.2), "http://public.example/held.jpg")
    assert problem(slow, 502)["kind"] == "network"
    assert problem(get(opened, "http://public.example/held.jpg"), 504)["kind"] == "timeout"


def test_a_picture_may_have_any_content_type_where_it_comes_from(guarded: Running, origin: Origin) -> None:
    origin.serve("/odd.jpg", PICTURE, headers={"Content-Type": "text/html"})

    assert get(guarded, "http://public.example/odd.jpg").status_code == 200


# What the operator opens and closes


def test_with_allow_private_every_spelling_works(serve: Serve, hosts: Hosts) -> None:
    service = serve()
    hosts.own_ports.add(service.port)
    found: list[str] = []
    for first in range(0, len(REACHING), 19):
        found += errors(service.urls(*[f"http://{host}/a.jpg" for host in REACHING[first : first + 19]]))

    assert found == [""] * len(REACHING)


def test_without_urls_nothing_is_looked_up_or_connected_to(serve: Serve, hosts: Hosts) -> None:
    service = serve(urls=False)
    hosts.own_ports.add(service.port)
    for url in ("http://public.example/a.jpg", "http://private.example/a.jpg", "file:///etc/hostname", "s3://b/a.jpg"):
        for answer in (get(service, url), service.urls(url)):
            assert problem(answer, 403)["detail"] == "this service fetches no URLs; send the picture itself"

    assert (hosts.asked, hosts.connected) == ([], [])
    assert service.post(PICTURE).status_code == 200


def test_an_allowed_host_opens_only_itself(start: Guarded, hosts: Hosts) -> None:
    service = start(allow_hosts=("private.example:8080",))

    assert get(service, "http://private.example:8080/a.jpg").status_code == 200
    for url in ("http://private.example/a.jpg", "http://localhost:8080/a.jpg", "http://127.0.0.1:8080/a.jpg"):
        assert problem(get(service, url), 403)["kind"] == "blocked"


def test_a_mirror_answers_for_public_hosts_and_for_no_others(start: Guarded, hosts: Hosts, origin: Origin) -> None:
    service = start(mirror="http://private.example:8080/sub")
    origin.serve("/sub/a.example/a.jpg", PICTURE)
    origin.redirect("/sub/a.example/there.jpg", "http://localhost/a.jpg")

    assert get(service, "https://a.example/a.jpg").status_code == 200
    for host in ("127.1", "localhost", "[::1]", "169.254.169.254", "camera"):
        assert problem(get(service, f"http://{host}/a.jpg"), 403)["kind"] == "blocked"
    assert problem(get(service, "https://a.example/there.jpg"), 403)["kind"] == "blocked"
    assert origin.hits("/a.jpg") == 0


def test_a_proxy_is_asked_for_public_hosts_and_for_no_others(
    start: Guarded, hosts: Hosts, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    hosts.name("proxy.example", ["10.0.0.7"])
    origin.serve("http://public.example/b.jpg", PICTURE)
    origin.redirect("http://public.example/there", "http://private.example/a.jpg")
    service = start()

    assert get(service, "http://public.example/b.jpg").status_code == 200
    refused = [f"http://{host}/a.jpg" for host in REACHING]
    for url in (*refused, "http://proxy.example:3128/", "http://public.example/there"):
        assert problem(get(service, url), 403)["kind"] == "blocked"
    assert set(hosts.connected) == {"10.0.0.7"}
    assert origin.hits("http://private.example/a.jpg") == 0


# What is never taken, whatever is open


@pytest.mark.parametrize(
    "form", ["{path}", "file://{path}", "FILE:{path}", "file://localhost{path}", " {path}", "{name}"]
)
def test_a_picture_of_this_machine_is_never_read(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """With --allow-private too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.jpg").write_bytes(PICTURE)
    name = form.format(path=tmp_path / "secret.jpg", name="secret.jpg")
    service = serve()

    assert problem(get(service, name), 415)["kind"] == "unsupported"
    assert errors(service.urls(name)) == ["unsupported"]
    assert service.number("birdlite_pictures_total", outcome="ok") == 0


@pytest.mark.parametrize(
    "name",
    ["s3://bucket/a.jpg", "gs://bucket/a.jpg", "az://bucket/a.jpg", "ftp://public.example/a.jpg", "-", "*", "/etc/*",
     "data:image/gif;base64,R0lGODlhAQABAAAAACw=", "unix:/run/docker.sock", "gopher://public.example/", "", " ", "\0",
     "http:", "http:///a.jpg", "http:/public.example/a.jpg", "//public.example/a.jpg", "public.example/a.jpg"],
)  # fmt: skip
def test_names_of_other_kinds_are_never_taken(guarded: Running, hosts: Hosts, name: str) -> None:
    assert problem(get(guarded, name), 415)["kind"] == "unsupported"
    assert errors(guarded.urls(name)) == ["unsupported"]
    assert (hosts.asked, hosts.connected) == ([], [])
