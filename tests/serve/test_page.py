"""The page at /, as people use it: in Chromium, with a mouse, a keyboard, a phone, or a screen reader."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from birdlite import Classifier, Settings
from birdlite.serve.problems import Overloaded
from tests.browser import Browser
from tests.demo_world import PICTURES
from tests.hold import HELD, Hold
from tests.origin import Origin
from tests.pictures import heic, photograph, saved
from tests.serving import Running, Serve

EMBERLING, SIPWING, NODDER = PICTURES[0], PICTURES[1], PICTURES[2]
PHONE, DESK = 360, 1100  # px
SERVICE = Path(__file__).parents[2] / "docs" / "service.md"


class Card(NamedTuple):
    """What a person sees of one picture."""

    name: str
    details: str
    birds: list[str]
    latin: list[str]
    failure: str
    has_preview: bool


CARDS = """
const all = [...document.querySelectorAll("#cards > li")];
if (all.some((one) => one.matches(".working") || !one.querySelector(".preview").hasChildNodes())) return [];
return all.map((one) => {
  const texts = (what) => [...one.querySelectorAll(what)].map((found) => found.textContent);
  return [...["h3", "small"].map((what) => texts(what)[0]), texts("ol b"), texts("ol em"), texts("p").join(" "),
          texts("canvas").length === 1];
});
"""


class Page:
    """The page of a service."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    def choose(self, *files: Path) -> None:
        self.browser.one("#files").send_keys("\n".join(map(str, files)))

    def done(self, pictures: int) -> list[Card]:
        """Wait until so many have an answer, and a preview or a word in its place; the newest first."""
        return self.browser.wait(lambda: cards if len(cards := self.cards()) == pictures else [])

    def cards(self) -> list[Card]:
        """Those that are done; none of them while others are not."""
        return [Card(*card) for card in self.browser.run(CARDS)]


@pytest.fixture
def page(browser: Browser, service: Running) -> Iterator[Page]:
    """The page, freshly opened; nothing may have gone wrong in the browser at the end."""
    browser.open(f"http://127.0.0.1:{service.port}/")
    yield Page(browser)
    check(browser)


def check(browser: Browser) -> None:
    """Answers with 4xx and 5xx are in the console too. Nothing else may be."""
    assert [entry for entry in browser.complaints() if entry["source"] != "network"] == []
    assert browser.elsewhere() == []


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    path = tmp_path / "damaged.jpg"
    path.write_bytes(EMBERLING.read_bytes()[:-3000])
    return path


# A picture


def test_a_chosen_picture_gets_its_preview_its_birds_and_its_times(page: Page) -> None:
    page.choose(EMBERLING)

    (card,) = page.done(1)
    assert card.name == EMBERLING.name
    assert card.details.startswith("640 × 480 · JPEG · 30.2\xa0KiB · ")
    assert card.birds == ["Crested Emberling", "Hovering Sipwing", "Ribbon-tailed Fabler"]
    assert card.latin == ["Demoavis cristata", "Demoavis curvirostris", "Fictornis taeniurus"]
    assert card.has_preview
    assert page.browser.texts(".times dt") == ["queue", "fetch", "decode", "infer"]
    assert all(time.endswith(" ms") for time in page.browser.texts(".times dd"))
    assert page.browser.text("#news") == "crested-emberling.jpg: Crested Emberling, 0.984"
    assert page.browser.complaints() == []


def test_bars_are_as_long_as_scores_are_high(page: Page) -> None:
    page.choose(EMBERLING)
    page.done(1)

    style = "return [...document.querySelectorAll('ol .bar i')].map((bar) => bar.style.width)"
    assert page.browser.run(style) == ["98.4375%", "0.3906%", "0.3906%"]
    assert [score.split()[-1] for score in page.browser.texts("ol .n")] == ["0.984", "0.004", "0.004"]


def test_the_preview_shows_the_picture(page: Page, tmp_path: Path) -> None:
    Image.new("RGB", (600, 400), (200, 30, 30)).save(tmp_path / "red.png")
    page.choose(tmp_path / "red.png")
    page.done(1)

    middle = "return [...document.querySelector('canvas').getContext('2d').getImageData(160, 160, 1, 1).data]"
    assert page.browser.run(middle) == [200, 30, 30, 255]


@pytest.mark.parametrize("kind", ["heic", "tiff"])
def test_a_picture_that_browsers_do_not_show_is_classified_without_a_preview(
    page: Page, tmp_path: Path, kind: str
) -> None:
    image = photograph(64, 48)
    (tmp_path / f"bird.{kind}").write_bytes(heic(image) if kind == "heic" else saved(image, kind))
    page.choose(tmp_path / f"bird.{kind}")

    (card,) = page.done(1)
    assert not card.has_preview
    assert len(card.birds) == 3
    assert page.browser.texts(".preview") == ["no preview"]


def test_a_dropped_picture_is_taken(page: Page) -> None:
    page.browser.drag("dragEnter", files=[SIPWING])
    page.browser.drag("dragOver", files=[SIPWING])
    assert page.browser.all("body.over") != []

    page.browser.drag("drop", files=[SIPWING])
    assert page.done(1)[0].birds[0] == "Hovering Sipwing"
    assert page.browser.all("body.over") == []


def test_a_pasted_picture_is_taken(page: Page) -> None:
    page.browser.run(
        """
        const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
        const clipboardData = new DataTransfer();
        clipboardData.items.add(new File([bytes], "image.png", {type: "image/png"}));
        document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
        """,
        base64.b64encode(NODDER.read_bytes()).decode(),
    )

    (card,) = page.done(1)
    assert (card.name, card.birds[0]) == ("image.png", "Moon-faced Nodder")


def test_the_same_file_can_be_chosen_twice(page: Page) -> None:
    page.choose(EMBERLING)
    page.done(1)
    page.choose(EMBERLING)

    assert [card.name for card in page.done(2)] == [EMBERLING.name] * 2


# URLs


def test_a_url_is_fetched_by_the_service_and_not_by_the_browser(page: Page, origin: Origin) -> None:
    url = origin.serve("/my%20robin.jpg?size=1&x=%3Cb%3E", EMBERLING.read_bytes())
    page.browser.one("#url").send_keys(url, Keys.ENTER)

    (card,) = page.done(1)
    assert card.name == url
    assert card.birds[0] == "Crested Emberling"
    assert not card.has_preview
    assert origin.hits("/my%20robin.jpg?size=1&x=%3Cb%3E") == 1


def paste_text(browser: Browser, text: str) -> None:
    """Into the page, not into the field."""
    browser.run(
        """
        const clipboardData = new DataTransfer();
        clipboardData.setData("text/plain", arguments[0]);
        document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
        """,
        text,
    )


def test_pasted_urls_are_asked_for_at_once(page: Page, origin: Origin) -> None:
    urls = [origin.serve(f"/{file.stem}", file.read_bytes()) for file in (EMBERLING, SIPWING)]
    paste_text(page.browser, "\n".join(urls))

    assert [card.birds[0] for card in page.done(2)] == ["Crested Emberling", "Hovering Sipwing"]


def test_pasted_text_that_is_no_url_is_not_sent(page: Page) -> None:
    paste_text(page.browser, "a robin")

    assert page.browser.texts("#hint") == ["What was pasted is neither a picture nor a URL."]
    assert page.browser.all("#cards > li") == []


def test_a_dropped_link_is_asked_for(page: Page, origin: Origin) -> None:
    page.browser.drop(url=origin.serve("/a.jpg", EMBERLING.read_bytes()))

    assert page.done(1)[0].birds[0] == "Crested Emberling"


def test_a_url_without_its_scheme_is_one_of_https(page: Page) -> None:
    page.browser.one("#url").send_keys("nowhere.invalid/bird.jpg", Keys.ENTER)

    (card,) = page.done(1)
    assert card.name == "https://nowhere.invalid/bird.jpg"
    assert card.failure == "There is no server of this name. Check the address."


@pytest.mark.parametrize(
    "text", ["", "  ", "ftp://example.org/bird.jpg", "file:///etc/passwd", "https://", "http://[::1"]
)
def test_what_is_no_url_of_a_picture_is_said_and_stays_in_its_field(page: Page, text: str) -> None:
    field = page.browser.one("#url")
    field.send_keys(text, Keys.ENTER)

    assert page.browser.texts("#hint") == ["Give the URL of a picture. It begins with https:// or http://."]
    assert ("alert", "") in page.browser.accessible("alert")
    assert (page.browser.focused, field.get_property("value")) == ("url", text)
    assert page.browser.all("#cards > li") == []


def test_the_button_without_a_url_leads_to_its_field(page: Page) -> None:
    page.browser.one("#by-url button").click()

    assert page.browser.texts("#hint") != [""]
    assert page.browser.focused == "url"


def test_without_urls_there_is_no_field_for_them(browser: Browser, serve: Serve) -> None:
    browser.open(f"http://127.0.0.1:{serve(urls=False).port}/")
    paste_text(browser, "https://example.org/bird.jpg")

    assert browser.all("#by-url, #url") == []
    assert "URL" not in browser.chrome.title + " ".join(browser.texts("#ask > :not(#hint)"))
    assert browser.texts("#hint") == ["This service fetches no URLs. Save the picture, and drop it here."]
    assert browser.all("#cards > li") == []
    check(browser)


# Several


def test_several_pictures_keep_their_order_and_one_bad_one_stops_none(page: Page, damaged: Path) -> None:
    page.choose(EMBERLING, damaged, NODDER)

    first, second, third = page.done(3)
    assert (first.birds[0], third.birds[0]) == ("Crested Emberling", "Moon-faced Nodder")
    assert second.failure == "Truncated JPEG: the file ends before the picture does."
    assert page.browser.text("#count") == page.browser.text("#news") == "3 pictures, 1 failed"


def test_the_page_sends_no_more_at_once_than_the_service_classifies(
    page: Page, service: Running, hold: Hold, tmp_path: Path
) -> None:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(HELD + EMBERLING.read_bytes())
    page.choose(*sorted(tmp_path.glob("*.jpg")))
    hold.wait_for(1)

    assert page.browser.text("#count") == "0 of 5 pictures done"
    assert service.number("birdlite_pictures_under_way", lane="upload") == 1  # it has one worker
    assert service.number("birdlite_queue_length", lane="upload") == 0
    hold.release()
    assert [card.birds[0] for card in page.done(5)] == ["Crested Emberling"] * 5


def test_the_page_says_how_large_a_picture_may_be_as_the_documentation_does(
    browser: Browser, classifier: Classifier
) -> None:
    documented = re.search(r"\| bytes and pixels of a picture \| ([^,]+),", SERVICE.read_text())
    assert documented is not None
    with Running(classifier, Settings()) as service:
        browser.open(f"http://127.0.0.1:{service.port}/")

        assert browser.texts("#most") == [documented[1]]


def test_the_page_holds_a_bounded_number_of_pictures(page: Page, tmp_path: Path) -> None:
    paste_text(page.browser, " ".join(f"http://127.0.0.1:9/{number}" for number in range(203)))

    assert page.browser.texts("#hint") == ["The page holds 200 pictures; 3 of these were not taken. Clear it for more."]
    assert len(page.browser.all("#cards > li")) == 200
    page.browser.one("#clear").click()


def test_clear_takes_all_pictures_away_and_those_under_way_are_given_up(
    page: Page, service: Running, hold: Hold, tmp_path: Path
) -> None:
    (tmp_path / "held.jpg").write_bytes(HELD + EMBERLING.read_bytes())
    page.choose(EMBERLING, tmp_path / "held.jpg")
    hold.wait_for(1)
    uploads = {"route": "/v1/classify", "method": "POST"}
    gone = service.number("birdlite_requests_total", **uploads, status="499")
    page.browser.one("#clear").click()

    assert page.browser.all("#cards > li") == []
    assert page.browser.focused == "files"
    service.until(lambda: service.number("birdlite_requests_total", **uploads, status="499") > gone)
    hold.release()
    page.choose(SIPWING)
    assert page.done(1)[0].birds[0] == "Hovering Sipwing"


# Failures


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("notes.txt", b"hello", "This is text, not a picture."),
        ("paper.pdf", b"%PDF-1.4 xxxxxxxxx", "This is a PDF document, not a picture."),
        ("photo.svg", b"<svg/>", "The service cannot read this kind of picture. Save it as a JPEG, and choose that."),
        ("empty.jpg", b"", "The file is empty."),
        ("large.jpg", bytes((1 << 20) + 1), "It is larger than the 1\xa0MiB that this service takes."),
    ],
)
def test_a_failure_is_a_sentence_and_what_cannot_change_is_not_tried_again(
    page: Page, tmp_path: Path, name: str, data: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(data)
    page.choose(tmp_path / name)

    assert page.done(1)[0].failure == sentence
    assert page.browser.all("#cards button") == []


def test_a_dropped_folder_is_a_failure(page: Page, tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    page.browser.drop(tmp_path / "album")

    assert page.done(1)[0].failure == "It cannot be read. If it is a folder, choose the pictures in it."
    assert page.browser.all("#cards button") == []


def test_the_operators_advice_is_in_the_api_and_visitors_read_words_for_them(
    browser: Browser, settings: Settings, tmp_path: Path
) -> None:
    guarded = settings._replace(max_pixels=640 * 480, fetch=settings.fetch._replace(public_only=True))
    photograph(641, 480).save(tmp_path / "large.jpg")
    url = "http://10.0.0.1/a.jpg"
    with Classifier(guarded) as classifier, Running(classifier, guarded) as service:
        assert "--allow-host" in service.client.get("/v1/classify", params={"url": url}).json()["detail"]
        browser.open(f"http://127.0.0.1:{service.port}/")
        page = Page(browser)
        browser.one("#url").send_keys(url, Keys.ENTER)
        page.done(1)
        page.choose(tmp_path / "large.jpg")

        assert [card.failure for card in page.done(2)] == [
            "It is too large for this service. Choose a smaller one.",
            "The service cannot fetch this address. Check it, or save the picture and choose the file.",
        ]
        assert browser.all("#cards button") == []
        check(browser)


@pytest.mark.usefixtures("ageless")
def test_a_busy_service_is_a_sentence_and_the_picture_can_be_sent_again(
    browser: Browser, serve: Serve, hold: Hold
) -> None:
    service = serve(queue=0)
    browser.open(f"http://127.0.0.1:{service.port}/")
    page = Page(browser)
    others = [service.later(lambda: service.post(HELD + EMBERLING.read_bytes())) for _ in range(2)]
    hold.wait_for(1)
    service.wait_for(2, "birdlite_pictures_under_way", lane="upload")

    page.choose(EMBERLING, SIPWING)
    assert [card.failure for card in page.done(2)] == ["Too many pictures are waiting; try again in 1 s."] * 2
    hold.release()
    assert [other.answer.status_code for other in others] == [200, 200]
    browser.one("#again").click()

    assert [card.birds[0] for card in page.done(2)] == ["Crested Emberling", "Hovering Sipwing"]
    check(browser)


def test_nothing_is_sent_before_the_service_wants_to_be_asked_again(
    page: Page, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(lane: str, pictures: int, until: float) -> None:
        raise Overloaded("too many pictures are waiting", 60.0)

    monkeypatch.setattr(service.service.pictures.admission, "check", full)
    page.choose(EMBERLING)
    assert page.done(1)[0].failure == "Too many pictures are waiting; try again in 60 s."
    shed = service.number("birdlite_shed_requests_total")
    page.choose(SIPWING)

    assert page.browser.texts("#cards .working p") == ["Waits for its turn."]  # else it would be sent by now
    assert service.number("birdlite_shed_requests_total") == shed


def test_one_picture_alone_can_be_tried_again(page: Page, origin: Origin) -> None:
    url = origin.fail("/a.jpg", [503])
    page.browser.one("#url").send_keys(url, Keys.ENTER)
    assert page.done(1)[0].failure == "503 Service Unavailable from 127.0.0.1."
    origin.serve("/a.jpg", EMBERLING.read_bytes())
    page.browser.one("#cards button").click()

    assert page.done(1)[0].birds[0] == "Crested Emberling"
    assert page.browser.run("return document.activeElement.tagName") == "LI"  # the button is gone


def test_a_page_of_a_service_that_is_not_ready_says_so_and_waits(page: Page, service: Running) -> None:
    service.service.draining = True
    page.browser.open(f"http://127.0.0.1:{service.port}/")
    page.browser.wait(lambda: page.browser.texts("#not-ready") != [""])
    page.choose(EMBERLING)
    assert page.browser.texts("#not-ready") == ["The service is not ready. Pictures wait here until it is."]
    assert page.browser.texts("#cards p") == ["Waits for its turn."]

    service.service.draining = False
    assert page.done(1)[0].birds[0] == "Crested Emberling"
    assert page.browser.texts("#not-ready") == [""]


def test_a_service_that_is_gone_is_said_to_be(browser: Browser, serve: Serve) -> None:
    service = serve()
    browser.open(f"http://127.0.0.1:{service.port}/")
    service.stop()
    service.wait()
    page = Page(browser)
    page.choose(EMBERLING)

    assert page.done(1)[0].failure == "The service cannot be reached."
    assert ("button", "Try again: crested-emberling.jpg") in browser.accessible("button")
    browser.wait(
        lambda: browser.texts("#not-ready") == ["The service does not answer. Pictures wait here until it does."]
    )
    check(browser)


def test_the_page_does_not_wait_for_ever(page: Page, hold: Hold, tmp_path: Path) -> None:
    page.browser.run("const { timeout } = AbortSignal; AbortSignal.timeout = () => timeout.call(AbortSignal, 50)")
    (tmp_path / "held.jpg").write_bytes(HELD + EMBERLING.read_bytes())
    page.choose(tmp_path / "held.jpg")

    assert page.done(1)[0].failure == "No answer came in time."
    assert page.browser.texts("#cards button") == ["Try again"]


# Strangers


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<img src=x onerror=alert(1)>.jpg", "<img src=x onerror=alert(1)>.jpg"),
        ("robin\u202egpj.exe", "robin\\u202egpj.exe"),
        ("robin\x1b[31m\u2066.jpg", "robin\\u001b[31m\\u2066.jpg"),
        ("Rotkehlchen, größer 鳥.jpg", "Rotkehlchen, größer 鳥.jpg"),
        ("عصفور أزرق (2).jpg", "عصفور أزرق (2).jpg"),
        ("x" * 240 + ".jpg", "x" * 60 + "…" + "x" * 55 + ".jpg"),
    ],
)
def test_a_file_may_have_any_name(page: Page, tmp_path: Path, name: str, shown: str) -> None:
    shutil.copy(EMBERLING, tmp_path / name)
    page.choose(tmp_path / name)

    assert page.done(1)[0].name == shown
    assert page.browser.all("img") == []
    assert page.browser.overhang() == 0


# People


def test_the_keyboard_is_enough(page: Page, origin: Origin) -> None:
    def press(*keys: str) -> None:
        ActionChains(page.browser.chrome).send_keys(*keys).perform()

    press(Keys.TAB)
    assert page.browser.focused == "files"
    ring = "return getComputedStyle(document.querySelector('#files + label')).outlineStyle"
    assert page.browser.run(ring) == "solid"
    press(Keys.TAB)
    assert page.browser.focused == "url"
    press(origin.fail("/a.jpg", [404, 404]), Keys.TAB)
    press(Keys.ENTER)
    page.done(1)
    press(Keys.TAB)
    assert page.browser.focused == "clear"
    press(Keys.TAB)
    press(Keys.SPACE)  # Try again
    page.browser.wait(lambda: origin.hits("/a.jpg") == 2)
    assert page.done(1)[0].failure == "404 Not Found from 127.0.0.1."


def test_a_screen_reader_finds_a_name_for_everything(page: Page, origin: Origin) -> None:
    page.browser.one("#url").send_keys(origin.fail("/a.jpg", [404]), Keys.ENTER)
    page.done(1)
    page.choose(EMBERLING)
    page.done(2)

    failed = origin.url("/a.jpg")
    assert page.browser.accessible("button", "textbox", "link", "heading", "region") == [
        ("button", "Choose pictures"),
        ("button", "Clear"),
        ("button", "Name it"),
        ("button", f"Try again: {failed}"),
        ("heading", "2 pictures, 1 failed"),
        ("heading", "What bird is this?"),
        ("heading", "crested-emberling.jpg"),
        ("heading", failed),
        ("link", "API"),
        ("region", "2 pictures, 1 failed"),
        ("region", "Pictures to name"),
        ("textbox", "URL of a picture"),
    ]
    assert ("StaticText", "score") in page.browser.accessible()
    assert page.browser.one("#news").get_attribute("role") == "status"
    assert page.browser.accessible("image", "Canvas") == []  # previews say nothing that the names do not


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("dark", [False, True])
def test_everything_can_be_read_and_fits(page: Page, service: Running, damaged: Path, width: int, dark: bool) -> None:
    page.browser.open(f"http://127.0.0.1:{service.port}/", width=width, dark=dark)
    page.browser.one("#url").send_keys("http://127.0.0.1:9/" + "long" * 30, Keys.ENTER)
    page.choose(EMBERLING, damaged, NODDER)
    page.done(4)

    contrasts = page.browser.contrasts()
    assert {"Crested Emberling", "Try again", "no preview", "decode", damaged.name} <= contrasts.keys()
    assert [(text, contrast) for text, contrast in contrasts.items() if contrast < 4.5] == []  # WCAG AA
    assert page.browser.overhang() == 0
    assert page.browser.one("#camera + label").is_displayed() == (width == PHONE)
    assert page.browser.one("#files").size["width"] == 1  # its label is the button
    paper = page.browser.run("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(20, 24, 26)" if dark else "rgb(247, 246, 242)")


@pytest.mark.parametrize("reduced", [False, True])
def test_nothing_moves_for_those_who_do_not_want_it(
    page: Page, service: Running, hold: Hold, tmp_path: Path, reduced: bool
) -> None:
    page.browser.open(f"http://127.0.0.1:{service.port}/", reduced_motion=reduced)
    (tmp_path / "held.jpg").write_bytes(HELD + EMBERLING.read_bytes())
    page.choose(tmp_path / "held.jpg")
    hold.wait_for(1)

    assert (page.browser.run("return document.getAnimations().length") == 0) == reduced


def test_without_javascript_the_page_says_that_it_needs_it(page: Page, service: Running) -> None:
    page.browser.open(f"http://127.0.0.1:{service.port}/", scripts=False)

    assert page.browser.texts("main > *") == [
        "This page needs JavaScript. Programs ask the service without it: how to.",
        *[""] * 4,
    ]


# What browsers are told


def test_the_page_may_run_its_own_script_and_ask_its_own_service_and_nothing_else(service: Running) -> None:
    answer = service.client.get("/")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy.pop("script-src").startswith("'sha256-")
    assert policy.pop("style-src").startswith("'sha256-")
    assert policy == {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


def test_a_proxy_may_put_the_page_under_a_path(service: Running) -> None:
    page = service.client.get("/").text

    places = re.findall(r"(?:fetch\(|href=|src=|action=)[\"'`]([^\"'`]*)", page)
    assert {place.partition("?")[0] for place in places} >= {"v1/classify", "readyz", "openapi.json"}
    assert [place for place in places if place.startswith("/")] == []


def test_what_a_stranger_put_into_the_page_would_not_run(page: Page) -> None:
    page.browser.run(
        """
        const script = document.createElement("script");
        try { script.textContent = "document.title = 'run'"; document.body.append(script); } catch {}
        const image = "<img src=x onerror=\\"document.title = 'run'\\">";
        try { document.body.insertAdjacentHTML("beforeend", image); } catch {}
        """
    )

    assert page.browser.chrome.title == "What bird is this?"
    assert page.browser.all("img") == []
    assert {entry["source"] for entry in page.browser.complaints()} == {"security"}
