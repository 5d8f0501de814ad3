"""The report, read as a browser reads it: its contents, and that no text in it can do anything."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import random
import re
import tracemalloc
from pathlib import Path

import pytest

from birdlite import __version__
from birdlite.results import Failure, ImageInfo, Prediction, Result, RunSummary, Times
from birdlite.timing import Breakdown, Span, StageTime, Trace
from birdlite.writers import html, html_sections, open_writer
from birdlite.writers.base import ModelFacts, ReportFacts, RunFacts, WriterOptions
from tests.page import Element, facts, numbers, read, rows

ROBIN = Result(
    0,
    "https://example.org/birds/a%20b.jpg?width=9",
    (
        Prediction(1, 556, "Erithacus rubecula", 0.8633, "European Robin"),
        Prediction(2, 964, "background", 0.1),
        Prediction(3, 7, "Ara macao", 0.004, "Scarlet Macaw"),
    ),
    ImageInfo(550, 367, "JPEG", 18250),
    Times(41.23, 3.06, 6.0, 52.7499),
)
EMPTY = Result(1, "photos/b.jpg", (Prediction(1, 964, "background", 0.7),), ImageInfo(10, 20, "PNG", 2_500_000))
MISSING = Result(2, "missing.jpg", Failure("not_found", "missing.jpg: no such file"))
TORN = Result(3, "photos/torn.jpg", Failure("decode", "photos/torn.jpg: cut off"))

TRACE = Trace(
    10.0,
    10.3,
    (Span("imports", 10.0, 10.02, 1, None), Span("decode", 10.02, 10.3, 1, 0)),
    (Span("imports", 10.0, 10.02, 1, None), Span("decode", 10.02, 10.3, 1, 0)),
)
RUN = RunFacts(
    RunSummary(4, 2, 2, 312.44, 6.4),
    ModelFacts("birds-v1-lite", "95f5", "litert", 2),
    Breakdown(312.44, (StageTime("imports", 21.0, 20.4, 3), StageTime("decode", 300.0, 288.8, 2)), 3.24),
    ReportFacts(facts=(("resize", "crop"),), trace=TRACE, names={0: ROBIN.target}),
)
LATER = RUN._replace(timing=None, report=None)


def written(*results: Result, run: RunFacts = RUN, options: WriterOptions | None = None) -> str:
    stream = io.StringIO()
    writer = open_writer("html", stream, options or WriterOptions(folder="/album"))
    for result in results:
        writer.write(result)
    assert stream.getvalue() == ""  # what is known only at the end comes first
    writer.finish(run)
    return stream.getvalue()


def page_of(*results: Result, run: RunFacts = RUN, options: WriterOptions | None = None) -> Element:
    return read(written(*results, run=run, options=options))


@pytest.fixture
def page() -> Element:
    return page_of(ROBIN, EMPTY, MISSING, TORN)


class TestContent:
    def test_numbers_and_facts_come_first(self, page: Element) -> None:
        assert numbers(page) == {
            "pictures": "4",
            "classified": "2",
            "failed": "2",
            "species": "1",  # the other is background
            "pictures a second": "6.4",
            "from process start": "312 ms",
        }
        assert facts(page) == {
            "model": "birds-v1-lite",
            "sha256": "95f5",
            "engine": "litert, 2 threads",
            "birdlite": __version__,
            "resize": "crop",
        }
        assert [section["id"] for section in page.all("section")] == ["run", "species", "failures", "time", "pictures"]
        assert [link["href"] for link in page.one("nav").all("a")] == ["#species", "#failures", "#time", "#pictures"]

    def test_each_picture_is_a_row_with_its_candidates_or_its_failure(self, page: Element) -> None:
        robin, empty, missing, torn = rows(page)

        assert robin[0] == "0"
        assert robin[1] == "a%20b.jpg https://example.org/birds/a%20b.jpg?width=9 550 × 367 · JPEG · 17.8 KiB · 52.7 ms"
        assert robin[2] == ("European Robin Erithacus rubecula 0.863 background 0.100 Scarlet Macaw Ara macao 0.004")
        assert empty[1:] == ["b.jpg photos/b.jpg 10 × 20 · PNG · 2.4 MiB", "background 0.700"]
        assert missing[1:] == ["missing.jpg", "not_found : no such file"]
        assert torn[1:] == ["torn.jpg photos/torn.jpg", "decode : cut off"]

    def test_a_score_is_a_bar_of_its_length(self, page: Element) -> None:
        first, second, third = page.section("pictures").all("i")[:3]

        assert [first["class"], second["class"], third["class"]] == ["w86", "w10", "w0"]
        assert ".w86{width:86%}" in page.one("style").text

    @pytest.mark.parametrize(
        ("score", "width"), [(-0.5, "w0"), (0.0, "w0"), (0.996, "w100"), (1.0, "w100"), (7.0, "w100")]
    )
    def test_a_bar_is_never_longer_than_its_place(self, score: float, width: str) -> None:
        result = ROBIN._replace(outcome=(Prediction(1, 1, "a", score),))

        assert page_of(result).section("pictures").one("i")["class"] == width

    def test_species_are_counted_by_the_best_candidate_the_most_frequent_first(self) -> None:
        def seen(*names: str) -> list[Result]:
            return [Result(0, "a", (Prediction(1, ord(name), name, 0.5 + 0.1 * at),)) for at, name in enumerate(names)]

        page = page_of(*seen("b", "a", "b", "c"))

        assert [row[0] for row in rows(page, "species")] == ["b", "a", "c"]
        assert [row[1] for row in rows(page, "species")] == ["2", "1", "1"]
        assert [row[3] for row in rows(page, "species")] == ["0.600", "0.600", "0.800"]
        assert [bar["class"] for bar in page.section("species").all("i")] == ["w100", "w50", "w50"]

    def test_background_does_not_count_as_a_species(self, page: Element) -> None:
        assert [row[0] for row in rows(page, "species")] == ["European Robin Erithacus rubecula", "no bird background"]

    def test_failures_are_grouped_by_kind_with_an_explanation(self, page: Element) -> None:
        section = page.section("failures")

        assert [heading.text for heading in section.all("h3")] == [
            "1 × decode a picture, but damaged",
            "1 × not_found no such file, folder, host or object",
        ]
        assert [item.text for item in section.all("li")] == ["photos/torn.jpg cut off", "missing.jpg no such file"]

    def test_every_kind_of_failure_has_an_explanation(self) -> None:
        from typing import get_args

        from birdlite.results import FailureKind

        assert set(html_sections.MEANINGS) == set(get_args(FailureKind))

    def test_the_breakdown_adds_up_and_the_run_is_drawn(self, page: Element) -> None:
        assert rows(page, "stages") == [
            ["imports", "3", "21.0", "20.4", ""],
            ["decode", "2", "300.0", "288.8", ""],
            ["other", "", "", "3.2", ""],
            ["total", "", "", "312.4", ""],
        ]
        drawing = page.section("time").one("svg", "waterfall")
        assert any(
            title.text == "decode: 280 ms · https://example.org/birds/a%20b.jpg?width=9"
            for title in drawing.all("title")
        )

    def test_without_times_there_are_none_and_two_runs_give_the_same_bytes(self) -> None:
        options = WriterOptions(times=False, folder="/album")
        later = ROBIN._replace(times=Times(1.0, 2.0, 3.0, 4.0))
        slow = RUN._replace(summary=RUN.summary._replace(wall_ms=9e9, images_per_second=0.1))

        first = written(ROBIN, options=options)

        assert first == written(later, run=slow, options=options)
        assert " ms" not in first
        assert numbers(read(first)).keys() == {"pictures", "classified", "failed", "species"}

    @pytest.mark.parametrize(
        ("ms", "text"),
        [(312.4, "312 ms"), (9_400, "9,400 ms"), (95_000, "95 s"), (185_000, "3 min 5 s"), (7_320_000, "2 h 2 min")],
    )
    def test_long_runs_have_larger_units(self, ms: float, text: str) -> None:
        run = RUN._replace(summary=RUN.summary._replace(wall_ms=ms))

        assert numbers(page_of(ROBIN, run=run))["from process start"] == text

    def test_a_picture_without_candidates_says_so(self) -> None:
        bare = ROBIN._replace(outcome=())

        assert rows(page_of(bare))[0][2] == "no predictions"
        page = page_of(bare, bare, options=WriterOptions(min_score=0.5))
        assert rows(page)[0][2] == "nothing above 0.5"
        assert "2 with nothing above 0.5." in page.section("species").text

    def test_an_interrupted_run_says_so_first(self) -> None:
        run = RUN._replace(summary=RUN.summary._replace(interrupted=True, targets=1))

        page = page_of(ROBIN, run=run)

        assert page.one("p", "note").text == "The run was interrupted. Results before that: 1."
        assert page_of(ROBIN).all("p", "note") == []

    def test_an_empty_run_is_a_whole_page(self) -> None:
        page = page_of(run=RunFacts(RunSummary(0, 0, 0, 0.0, 0.0, interrupted=True)))

        assert numbers(page)["pictures"] == "0"
        assert [section["id"] for section in page.all("section")] == ["run", "pictures"]
        assert "There are none." in page.text

    def test_the_page_names_the_version_that_classified_and_the_one_that_made_the_page(self) -> None:
        page = page_of(ROBIN, run=LATER._replace(report=ReportFacts(version="0.0.9", notes=("half of it",))))

        assert facts(page)["birdlite"] == "0.0.9"
        assert page.one("footer").text == f"Made by birdlite {__version__}."
        assert page.one("p", "note").text == "half of it"


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</title></svg><script>alert(1)</script>",
    "<!--",
    "&lt;script&gt;",
    "javascript:alert(1)",
    "JaVaScRiPt://%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    'https://example.org/"onclick="alert(1)',
    "http://a.example/'><svg onload=alert(1)>",
    "//evil.example/x.jpg",
    "\\\\evil.example\\x.jpg",
    "a\x00b\x1b[31m\u202egpj.exe\u2028\r\n.jpg",
    "caf\udce9.jpg",
]


class TestInjection:
    @pytest.fixture(params=HOSTILE)
    def text(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def document(self, text: str) -> str:
        """A page in which every text from outside is hostile."""
        good = Result(
            0, text, (Prediction(1, 1, text, 0.5, text), Prediction(2, 2, text, 0.5)), ImageInfo(1, 1, text, 1)
        )
        bad = [Result(1, text, Failure(kind, text)) for kind in ("decode", "network")]
        bad.append(Result(1, text, Failure(text, text)))  # type: ignore[arg-type]
        facts = ReportFacts(facts=((text, text),), notes=(text,), version=text, trace=TRACE, names={0: text})
        model = ModelFacts(text, text, text, 1)
        return written(good, *bad, run=RUN._replace(model=model, report=facts))

    def test_no_text_becomes_an_element_or_an_attribute(self, document: str) -> None:
        harmless = read(written(*[ROBIN._replace(target="x.jpg"), MISSING._replace(target="y.jpg"), TORN]))
        page = read(document)

        assert {one.tag for one in page.walk()} <= {one.tag for one in harmless.walk()} | {"p"}
        named = {name for one in page.walk() for name in one.attributes}
        assert named <= {name for one in harmless.walk() for name in one.attributes}
        assert not any(name.startswith("on") or name == "style" for name in named)

    def test_no_link_leads_anywhere_but_to_the_web_or_below_the_page(self, document: str) -> None:
        links = [one["href"] for one in read(document).all("a")]

        for link in links:
            assert re.match(r"(#[a-z]+|https?://(example\.org|a\.example)/[^\"<>\s]*|\./[^:<>\"'\s\\]*)\Z", link), link

    def test_the_page_is_readable_and_no_text_changes_others(self, document: str, text: str) -> None:
        document.encode("utf-8")
        assert not set(document) & {"\x00", "\x1b", "\u202e", "\u2028", "\r"}
        shown = rows(read(document))[0][1]
        assert (text in shown) == text.isprintable() or text.startswith((" ", "'"))

    def test_a_name_that_is_written_from_right_to_left_turns_nothing_beside_it(self) -> None:
        name = "\u05e6\u05d9\u05e4\u05d5\u05e8"
        page = page_of(
            Result(0, f"{name}/{name}.jpg", (Prediction(1, 1, name, 0.5, name),)),
            Result(1, name, Failure("decode", name)),
        )
        rules = re.findall(r"([^{}]+)\{([^{}]*)\}", page.one("style").text)
        apart = {one for names, rule in rules if "unicode-bidi:isolate" in rule for one in names.strip().split(",")}

        def is_apart(element: Element) -> bool:
            return bool({element.tag, *(f".{kind}" for kind in element.attributes.get("class", "").split())} & apart)

        held = [
            (element, child)
            for element in page.section("pictures").walk()
            for child in element.children
            if isinstance(child, Element) and any(isinstance(text, str) and name in text for text in child.children)
        ]
        assert apart == {".t", "b", "em"}
        assert {child.tag for _, child in held} == {"a", "small", "b", "em", "td"}
        assert [child.tag for parent, child in held if not (is_apart(parent) or is_apart(child))] == []


class TestPolicy:
    def test_the_page_refers_to_nothing_outside_of_itself(self) -> None:
        local = ROBIN._replace(target="photos/a.jpg")
        report = ReportFacts(trace=TRACE, names={0: local.target})
        document = written(local, EMPTY, TORN, MISSING, run=RUN._replace(report=report))

        page = read(document)

        assert {one.tag for one in page.walk()} & {
            "script",
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "base",
        } == set()
        assert {name for one in page.walk() for name in one.attributes} & {"src", "srcset", "action", "style"} == set()
        assert "://" not in document
        assert "url(" not in document
        assert "@import" not in document

    def test_its_policy_allows_its_own_style_and_nothing_else(self) -> None:
        document = written(ROBIN)
        style = document.partition("<style>")[2].partition("</style>")[0]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

        (policy,) = [one["content"] for one in read(document).all("meta") if one.attributes.get("http-equiv")]

        assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        assert document.index("Content-Security-Policy") < document.index("<style>")

    def test_links_send_no_referrer(self) -> None:
        document = read(written(ROBIN))

        assert [one["content"] for one in document.all("meta") if one.attributes.get("name") == "referrer"] == [
            "no-referrer"
        ]
        assert "noreferrer" in document.section("pictures").one("a")["rel"]

    def test_every_class_is_styled_or_means_something(self) -> None:
        page = page_of(ROBIN, EMPTY, MISSING, TORN)
        style = page.one("style").text

        used = {name for one in page.walk() for name in one.attributes.get("class", "").split()}
        assert {name for name in used if f".{name}" not in style} == set()


class TestBounds:
    def test_only_the_first_rows_are_kept_and_everything_is_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(html, "ROWS", 3)
        many = [ROBIN._replace(index=index) for index in range(5)]

        page = page_of(*many, run=RUN._replace(summary=RUN.summary._replace(targets=5)))

        assert [row[0] for row in rows(page)] == ["0", "1", "2"]
        assert "The first 3 of 5; the output has them all." in page.section("pictures").text
        assert rows(page, "species")[0][1] == "5"

    def test_only_the_first_failures_of_a_kind_are_shown(self) -> None:
        count = html_sections.EXAMPLES + 7

        section = page_of(*[MISSING] * count).section("failures")

        assert section.one("h3").text.startswith(f"{count} × not_found")
        assert len(section.all("li")) == html_sections.EXAMPLES
        assert "And 7 more." in section.text

    def test_species_beyond_the_first_are_folded_and_then_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(html_sections, "SPECIES_FIRST", 2)
        monkeypatch.setattr(html_sections, "SPECIES_SHOWN", 3)
        monkeypatch.setattr(html_sections, "SPECIES", 4)

        page = page_of(*[Result(0, "a", (Prediction(1, at, f"s{at}", 0.5),)) for at in range(6)])

        section = page.section("species")
        assert len(section.all("table")) == 2
        assert section.one("details").one("summary").text == "1 more"
        assert "And 1 more species. And 2 pictures of species beyond the first 4." in section.text
        assert numbers(page)["species"] == "4+"

    def test_long_names_are_cut_in_the_middle(self) -> None:
        long = ROBIN._replace(target="https://example.org/" + "x" * 5000 + ".jpg")

        document = written(long)

        assert "x…x" in document
        assert len(document) < len(written(ROBIN)) + 2000
        assert read(document).section("pictures").all("a") == []  # no server takes such an address

    def test_at_most_five_candidates_are_shown(self) -> None:
        many = ROBIN._replace(outcome=tuple(Prediction(at, at, f"s{at}", 0.1) for at in range(1, 30)))

        assert len(page_of(many).section("pictures").all("li")) == 5

    def test_memory_does_not_grow_with_the_results(self) -> None:
        def peak(count: int) -> int:
            with open(os.devnull, "w", encoding="utf-8") as stream:
                tracemalloc.start()
                try:
                    writer = open_writer("html", stream, WriterOptions(folder="/album"))
                    for index in range(count):
                        writer.write(ROBIN._replace(index=index, target=f"photos/{index * 7919}.jpg"))
                    writer.finish(RUN)
                    return tracemalloc.get_traced_memory()[1]
                finally:
                    tracemalloc.stop()

        peak(1)  # imports
        first = peak(html.ROWS)
        assert first < 5_000_000  # bytes; the rows have 9 MB
        assert peak(html.ROWS + 5_000) < first + 200_000


def test_rows_with_any_letters_survive_compression() -> None:
    names = [f"写真 Möwe {index} 🐦.jpg" for index in range(300)]

    page = page_of(*[ROBIN._replace(target=name) for name in names])

    assert [row[1].partition(" 550")[0] for row in rows(page)] == names


class TestOrder:
    RESULTS = tuple(
        Result(
            at, f"{at}.jpg", (Prediction(1, at % 3, "abc"[at % 3], at / 40),) if at % 2 else Failure("decode", f"{at}")
        )
        for at in range(40)
    )

    def shuffled(self, seed: int) -> list[Result]:
        return random.Random(seed).sample(self.RESULTS, len(self.RESULTS))

    @pytest.mark.parametrize("seed", range(5))
    def test_the_page_is_the_same_in_whatever_order_results_come(
        self, monkeypatch: pytest.MonkeyPatch, seed: int
    ) -> None:
        monkeypatch.setattr(html, "ROWS", 7)
        monkeypatch.setattr(html_sections, "EXAMPLES", 3)

        page = written(*self.shuffled(seed))

        assert page == written(*self.RESULTS)
        assert [row[0] for row in rows(read(page))] == [str(at) for at in range(7)]

    def test_records_of_several_runs_stay_in_the_order_in_which_they_come(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(html, "ROWS", 3)

        page = page_of(EMPTY, ROBIN, TORN, ROBIN, options=WriterOptions(by_index=False))

        assert [row[0] for row in rows(page)] == ["1", "0", "3"]


def test_links_lead_to_files_from_where_the_page_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photo = tmp_path / "photos" / "über #1?.jpg"
    photo.parent.mkdir()
    photo.write_bytes(b"")
    folder = tmp_path / "reports" / "today"

    for name in ("photos/über #1?.jpg", str(photo)):
        page = page_of(ROBIN._replace(target=name), options=WriterOptions(folder=str(folder)))
        href = page.section("pictures").one("a")["href"]
        assert href == "./../../photos/%C3%BCber%20%231%3F.jpg"
