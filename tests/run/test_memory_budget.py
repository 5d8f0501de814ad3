"""Pictures wait for memory in turn, nothing waits for ever, and what will never fit is refused at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from birdlite import Classifier, FetchSettings, Result, Settings, memory_limit
from birdlite.errors import PictureError, UsageError
from birdlite.models.catalog import DEMO_MODEL
from birdlite.run.memory_budget import Held, MemoryBudget, Share
from birdlite.settings import LEAST_DECODING, LEAST_PICTURES, OWN_MEMORY, WORKER_MEMORY
from tests.fetching import until
from tests.origin import PATIENCE, Origin
from tests.pictures import photograph, saved

M = 1 << 20


def never() -> bool:
    return False


def share(limit: int) -> Share:
    return Share("decoding it", limit, lambda: (limit, "--memory 1M"))


class Askers:
    """Threads that ask one share for bytes, and keep what they get."""

    def __init__(self, asked: Share) -> None:
        self.share = asked
        self.served: list[str] = []
        self.threads: list[threading.Thread] = []

    def ask(self, name: str, size: int, over: Callable[[], bool] = never) -> None:
        waiting = self.share.waiting

        def take() -> None:
            try:
                self.share.take(size, over)
                self.served.append(name)
            except PictureError as error:
                self.served.append(f"{name} {error.kind}")

        self.threads.append(threading.Thread(target=take))
        self.threads[-1].start()
        until(lambda: self.share.waiting > waiting or not self.threads[-1].is_alive())

    def join(self) -> None:
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_a_large_picture_is_not_overtaken_by_small_ones_that_would_fit() -> None:
    decoding = share(100)
    askers = Askers(decoding)
    decoding.take(60, never)
    askers.ask("large", 80)
    askers.ask("small", 10)
    assert askers.served == []

    decoding.give_back(60)

    askers.join()
    assert sorted(askers.served) == ["large", "small"]
    assert decoding.waiting == 0


def test_small_ones_behind_it_wait_until_it_is_done() -> None:
    decoding = share(100)
    askers = Askers(decoding)
    decoding.take(60, never)
    askers.ask("large", 100)
    askers.ask("small", 10)

    decoding.give_back(60)
    askers.threads[0].join(PATIENCE)
    assert askers.served == ["large"]
    decoding.give_back(100)

    askers.join()
    assert askers.served == ["large", "small"]


def test_the_end_of_the_run_wakes_who_waits_and_lets_the_next_one_in() -> None:
    decoding = share(100)
    askers = Askers(decoding)
    over = threading.Event()
    decoding.take(60, never)
    askers.ask("large", 80, over.is_set)
    askers.ask("small", 10)

    over.set()

    askers.join()
    assert sorted(askers.served) == ["large cancelled", "small"]


def test_what_is_larger_than_all_of_it_is_refused_at_once_with_both_sizes() -> None:
    decoding = Share("decoding it", 10 * M, lambda: (20 * M, "--memory 100M"))
    decoding.take(5 * M, never)

    with pytest.raises(PictureError) as caught:
        decoding.take(20 * M + 1, never)

    assert caught.value.kind == "too_large"
    assert str(caught.value) == "decoding it takes 21M of memory; --memory 100M leaves 20M"


def test_who_needs_more_gives_back_first_what_it_has() -> None:
    downloads = share(100)
    one, other = Held(downloads, never), Held(downloads, never)
    one.hold(50)
    other.hold(50)

    thread = threading.Thread(target=lambda: one.hold(60))
    thread.start()
    until(lambda: downloads.waiting == 1)
    other.let_go()
    thread.join(PATIENCE)

    assert (one.size, other.size) == (60, 0)
    assert one.room(None, 1000) == 100
    one.hold(30)
    other.hold(70)


def test_the_limit_is_not_looked_up_for_a_few_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(memory_limit, "automatic")
    budget = MemoryBudget(Settings(workers=1))
    for _ in range(4):
        budget.decoding.take(LEAST_DECODING // 4, never)

    with pytest.raises(AttributeError):
        budget.decoding.take(1, never)


@pytest.fixture
def small_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, which runs tests, counts as small as birdlite alone is."""
    monkeypatch.setattr(memory_limit, "resident", lambda: 40 * M)


@pytest.mark.usefixtures("small_process")
def test_without_an_option_the_containers_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limit, "automatic", lambda: (1 << 30, "the container's memory limit"))
    budget = MemoryBudget(Settings(workers=1))

    free = (1 << 30) - OWN_MEMORY - WORKER_MEMORY
    assert budget.files.limit == budget.downloads.limit == free // 8
    assert budget.decoding.limit == free - 2 * (free // 8)
    with pytest.raises(
        PictureError,
        match=r"decoding it takes 955M of memory; the container's memory limit, 1024M \(--memory\), leaves 684M",
    ):
        budget.decoding.take(955 * M, never)


@pytest.mark.usefixtures("small_process")
def test_a_file_as_large_as_max_bytes_fits_into_a_small_budget() -> None:
    budget = MemoryBudget(Settings(workers=1, memory=OWN_MEMORY + WORKER_MEMORY + 256 * M))

    assert budget.files.limit == 64 * M


def test_what_a_python_program_holds_besides_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limit, "resident", lambda: 1000 * M)
    budget = MemoryBudget(Settings(workers=1, memory=1500 * M))

    assert budget.decoding.limit + budget.files.limit + budget.downloads.limit == 1500 * M - (1024 * M - LEAST_PICTURES)


def test_too_little_memory_for_birdlite_itself_is_wrong_usage() -> None:
    least = OWN_MEMORY + 2 * WORKER_MEMORY + LEAST_PICTURES
    MemoryBudget(Settings(workers=2, memory=least))

    with pytest.raises(
        UsageError, match=f"--memory {least - 1} bytes: too little; the smallest is {least // M}M with 2 workers"
    ):
        MemoryBudget(Settings(workers=2)._replace(memory=least - 1))


def test_a_tiny_budget_delays_many_large_pictures_and_stops_none(
    warm_cache: Path, origin: Origin, tmp_path: Path
) -> None:
    """Bodies fill the shares of files, and each picture takes most of the share for decoding."""
    data = saved(photograph(1300, 1700), "BMP")
    (tmp_path / "large.bmp").write_bytes(data)
    (tmp_path / "small.bmp").write_bytes(saved(photograph(300, 200), "BMP"))
    urls = [origin.serve(f"/{number}.bmp", data) for number in range(8)]
    files = [str(tmp_path / "large.bmp"), str(tmp_path / "small.bmp")] * 4
    targets = [name for pair in zip(urls, files, strict=True) for name in pair]
    settings = Settings(
        DEMO_MODEL, cache_dir=str(warm_cache), workers=3, memory=OWN_MEMORY + 3 * WORKER_MEMORY + LEAST_PICTURES
    )

    results: list[Result] = []
    with Classifier(
        settings._replace(fetch=FetchSettings(downloads=8, per_host=settings.fetch.per_host))
    ) as classifier:
        thread = threading.Thread(target=lambda: results.extend(classifier.classify_many(targets)), daemon=True)
        thread.start()
        thread.join(PATIENCE * 2)
        assert not thread.is_alive(), "pictures wait for each other"

    assert [result.failure for result in results] == [None] * len(targets)
