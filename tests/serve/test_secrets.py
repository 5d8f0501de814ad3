"""No answer and no log line of the service has a secret of a URL, also where it is no URL at all."""

from __future__ import annotations

from tests.planted import WORD, found_in
from tests.serving import Running

URLS = [  # none of them is asked for
    f"//ann:{WORD}@example.org/a.jpg",
    f"ann:{WORD}@example.org/a.jpg",
    f"www.example.org/a.jpg?token={WORD}",
    f"s3://KEY:{WORD}@bucket/a.jpg",
    f"az://container/a.jpg?sv=1&se=1&sig={WORD}",
    f"ftp://ann:{WORD}@example.org/a.jpg",
    f"https://ann:{WORD}@exa mple.org/a.jpg",
    f"http://ann:{WORD}@[::g]/a.jpg?tokens={WORD}",
]


def test_urls_that_are_not_fetched_show_no_secret(service: Running) -> None:
    together = service.urls(*URLS)
    alone = [service.client.get("/v1/classify", params={"url": url}) for url in URLS]

    assert len(together.json()["results"]) == len(URLS)
    assert all(answer.status_code >= 400 for answer in alone)
    assert found_in(together.text + "".join(answer.text for answer in alone)) == []
    assert found_in(str(service.lines)) == []
