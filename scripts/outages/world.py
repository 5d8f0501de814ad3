"""What the pods of `outages` need: a mirror with a model and pictures, object storage, names. Each can be away."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from birdlite.demo import FOLDER, HOST
from birdlite.models.catalog import DEMO_MODEL
from tests.demo_world import PICTURES
from tests.object_store import CREDENTIALS, Asked, Bucket, Gate, ObjectStore
from tests.origin import Exchange, Origin, message

ALBUM = "album.example"
KINDS = ("names", "model host", "storage", "picture host")
HOSTS_OF_PICTURES = ("names", "picture host")  # pictures fail while one of these is away
REFUSES, RESETS, SILENT = "status 503", "connections are cut", "no answer"


class World:
    """Everything but the pods. Use it in a `with` statement."""

    def __init__(self, pictures: int, pace: float) -> None:
        """A list of so many `pictures`, of which each takes `pace` s to come."""
        self._pace = pace
        self._away: dict[str, str] = {}  # what is away, and how it shows
        self._back = threading.Event()
        self._life = ExitStack()
        self.urls = [f"https://{ALBUM}/{number:04}.jpg" for number in range(pictures)]

    def __enter__(self) -> World:
        folder = Path(tempfile.mkdtemp(prefix="birdlite-world-"))
        self._life.callback(shutil.rmtree, folder)
        self.no_names = folder / "no-names"
        store = self._life.enter_context(ObjectStore())
        self._gate = Gate(store.port)
        self._life.callback(self._gate.close)
        self._gate.rule = self._rule
        self._mirror = self._life.enter_context(Origin())
        for path in Path(FOLDER).iterdir():
            if path.is_file():
                self._serve("model host", f"/{HOST}/{path.name}", path.read_bytes(), 0.0)
        for number, url in enumerate(self.urls):
            picture = PICTURES[number % len(PICTURES)].read_bytes()
            self._serve("picture host", url.removeprefix("https:/"), picture, self._pace)
        self._bucket = Bucket(store.port, "birds")
        self._bucket.put("list.txt", "\n".join(self.urls).encode())
        self._own = {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store.port}"}  # for this process
        before = {name: os.environ.get(name) for name in self._own}
        self._life.callback(_restore, before)
        os.environ.update(self._own)
        return self

    def __exit__(self, *exception: object) -> None:
        self._back.set()
        self._life.close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a pod into this world."""
        return {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self._gate.url,
            "BIRDLITE_MIRROR": f"http://mirror.test:{self._mirror.port}",
            "BIRDLITE_MODEL": DEMO_MODEL,
            "OUTAGES_NAMES": str(self.no_names),
        }

    def filled_in(self, text: str, output: str) -> str:
        """A setting of the overlay with our bucket, and a folder of its own for each Job."""
        text = text.replace("s3://YOUR-BUCKET/birdlite", self._bucket.url(output))
        return text.replace("YOUR-BUCKET", self._bucket.name)

    def parts(self, output: str) -> dict[int, str]:
        """The parts in a folder, by the index of the Job."""
        keys = [key for key in self._bucket.keys() if key.startswith(f"{output}/") and key.endswith(".jsonl")]  # noqa: SIM118
        return {int(key.rpartition("-")[2].removesuffix(".jsonl")): self._bucket.url(key) for key in keys}

    def records(self, part: str) -> list[dict[str, Any]]:
        """The records of a part."""
        lines = self._bucket.get(part.removeprefix(self._bucket.url(""))).splitlines()[1:]
        return [json.loads(line) for line in lines]

    @staticmethod
    def manners(kind: str) -> tuple[str, ...]:
        """How it can show that something is away."""
        return ("EAI_AGAIN",) if kind == "names" else (REFUSES, RESETS, SILENT)

    @contextmanager
    def outage(self, kind: str, manner: str, start: float, length: float) -> Iterator[Callable[[], float]]:
        """Take something away after `start` s, and give it back `length` s later. Gives when it is back (monotonic)."""
        self._back.clear()
        until = time.monotonic() + start + length
        end = threading.Event()

        def disturb() -> None:
            if not end.wait(start):
                self._away[kind] = manner
                if kind == "names":
                    self.no_names.touch()
                end.wait(length)
            self.no_names.unlink(missing_ok=True)
            self._away.clear()
            self._back.set()

        disturber = threading.Thread(target=disturb)
        disturber.start()
        try:
            yield lambda: until
        finally:
            end.set()
            disturber.join()

    def _serve(self, host: str, path: str, body: bytes, pace: float) -> None:
        whole = message(200, {"Content-Type": "application/octet-stream"}, body)

        def answer(exchange: Exchange) -> None:
            exchange.hang_up()  # a new connection each time, so that names are looked up
            manner = self._away.get(host)
            if manner == REFUSES:
                exchange.finish(message(503, {}, b""))
            elif manner == RESETS:
                exchange.reset()
            else:
                if manner == SILENT:
                    exchange.wait(self._back)
                time.sleep(pace)
                exchange.finish(whole)

        self._mirror.answer(path, answer)

    def _rule(self, _: Asked) -> int | str | None:
        manner = self._away.get("storage")
        if manner == SILENT:
            self._back.wait()
        if manner == REFUSES:
            return 503
        return "reset" if manner == RESETS else None


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
