"""Run the Indexed Job of k8s/overlays/local as its pods, kill one of them half way, and compare the merged result.

    .venv/bin/python -m scripts.job_check
    .venv/bin/python -m scripts.job_check --outages 10     # another check, without podman: see scripts/outages

There is no cluster here, so this does what a cluster would: kubectl renders the overlay, the Job controller's part is
to make a pod of the template for each index, the kubelet's to expand `$(VARIABLE)`, and `podman kube play` runs the
pods as they are written. Only three things differ from what is rendered: the image is the one that was just built, the
list holds pictures of a mirror on this machine, and the pods use this machine's network to reach it.

What must come out: the parts are disjoint and complete, the killed pod leaves nothing under its final name and goes on
where it was, and the merged result is that of a run in one piece. Exit codes as of image_check.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import yaml

from birdlite.demo import FOLDER, HOST
from birdlite.models.catalog import DEMO_MODEL
from scripts.job_pods import Document, pods_of, settings_of
from scripts.podman import SKIPPED, Podman, guarded
from tests import manifests
from tests.demo_world import PICTURES
from tests.origin import Exchange, Origin, message

COUNT = 96  # pictures in the list
VICTIM = 1  # the index that is killed
VOLUME = "birdlite-out"  # what the overlay's claim is called
PATIENCE = 120.0  # s for a pod to end, or to be half way
_MOUNTED = ("run", "--rm", "--read-only", "--network=host", f"--volume={VOLUME}:/out")


class Album:
    """A mirror with the demo's model and `COUNT` pictures; the later half can be held back."""

    def __init__(self, mirror: Origin) -> None:
        self.base = mirror.base
        self._mirror = mirror
        self.urls = [f"https://album.invalid/{number:03}{_picture(number).suffix}" for number in range(COUNT)]
        self._open = threading.Event()
        mirror.serve_folder(f"/{HOST}", Path(FOLDER))
        for number, url in enumerate(self.urls):
            self._serve(mirror, url.removeprefix("https:/"), number)

    def release(self) -> None:
        """Hold nothing back any longer."""
        self._open.set()

    def asked_for(self, url: str) -> int:
        """How often a picture was."""
        return self._mirror.hits(url.removeprefix("https:/"))

    def _serve(self, mirror: Origin, path: str, number: int) -> None:
        body = message(200, {"Content-Type": "image/jpeg"}, _picture(number).read_bytes())

        def answer(exchange: Exchange) -> None:
            if number >= COUNT // 2:
                exchange.wait(self._open)
            exchange.finish(body)

        mirror.answer(path, answer)


def _picture(number: int) -> Path:
    return PICTURES[number % len(PICTURES)]


def check(podman: Podman) -> None:
    """Play the Job, disturb it, and compare."""
    with Origin() as mirror:
        album = Album(mirror)
        image = podman.build("baked", MODEL=DEMO_MODEL, BIRDLITE_MIRROR=album.base)
        documents = _documents(image, album)
        (job,) = (document for document in documents if document["kind"] == "Job")
        pods = list(pods_of(job, settings_of(documents)))
        configs = [document for document in documents if document["kind"] == "ConfigMap"]
        out = _empty_volume(podman)
        try:
            written = _kill_half_way(podman, configs, pods[VICTIM], out)
            album.release()
            for pod in pods:
                _play(podman, configs, pod)
            for pod in pods:
                code = _wait(podman, pod)
                assert code == 0, f"{pod['metadata']['name']}: exit {code}\n{_log(podman, pod)}"
            again = [target for target in written if album.asked_for(target) > 1]
            assert not again, f"the killed pod did not go on where it was, but did again {again}"
            _check_parts(out, album, len(pods))
            _check_undisturbed(podman, image, out, album, len(pods))
            _check_merged(podman, image, out, album, len(pods))
        finally:
            for pod in pods:
                podman.call("pod", "rm", "--force", "--ignore", pod["metadata"]["name"])
            podman.call("volume", "prune", "--force")


def _documents(image: str, album: Album) -> list[Document]:
    """Render the overlay, with our image and our list."""
    documents = manifests.render("local")
    for document in documents:
        if document["kind"] == "ConfigMap" and "list.txt" in document["data"]:
            document["data"]["list.txt"] = "".join(url + "\n" for url in album.urls)
        elif document["kind"] == "ConfigMap":
            document["data"]["BIRDLITE_MIRROR"] = album.base
        elif document["kind"] == "Job":
            for container in document["spec"]["template"]["spec"]["containers"]:
                container |= {"image": image, "imagePullPolicy": "Never"}
    return documents


def _empty_volume(podman: Podman) -> Path:
    """Make the volume that the claim means, writable for every user, as in docs/kubernetes.md."""
    podman.call("volume", "rm", "--force", VOLUME)
    podman.call("volume", "create", VOLUME)
    out = _mountpoint(podman)
    out.chmod(0o777)
    return out


def _mountpoint(podman: Podman) -> Path:
    return Path(podman.call("volume", "inspect", "--format", "{{.Mountpoint}}", VOLUME).stdout.strip())


def _play(podman: Podman, configs: list[Document], pod: Document) -> None:
    """Start a pod, with ConfigMaps of its own.

    podman keeps a ConfigMap in a volume and writes it anew for each pod that mounts it, under the eyes of those that
    run already: one of them could find an empty list. A cluster puts a new version in the place of the old at once.
    """
    suffix = f"-{pod['metadata']['name']}"
    text = yaml.safe_dump_all([*configs, pod])
    for name in (config["metadata"]["name"] for config in configs):
        text = text.replace(name, name + suffix)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        podman.call("kube", "play", "--replace", "--network=host", file.name)


def _kill_half_way(podman: Podman, configs: list[Document], pod: Document, out: Path) -> list[str]:
    """Play one pod, kill it with -9 as soon as some of its results are written, and give the targets of those."""
    _play(podman, configs, pod)
    until = time.monotonic() + PATIENCE
    while not _written(out):
        assert time.monotonic() < until, f"no result from {pod['metadata']['name']}\n{_log(podman, pod)}"
        time.sleep(0.02)
    podman.call("kill", "--signal=KILL", _container(pod))
    assert _wait(podman, pod) == 137
    assert not _part(out, VICTIM).exists(), "half a result stands under the final name"
    written = _written(out)
    print(f"pod {VICTIM} killed with {len(written)} results written, none of them under the final name")
    return written


def _written(out: Path) -> list[str]:
    """Targets of the whole lines of results below a folder, whatever the file that holds them is called."""
    lines = [line for path in out.rglob("*") if path.is_file() for line in path.read_bytes().split(b"\n")[:-1]]
    records = [json.loads(line) for line in lines if line.startswith(b'{"index"')]
    return [record["target"] for record in records]


def _check_parts(out: Path, album: Album, count: int) -> None:
    parts = [_part(out, index) for index in range(count)]
    missing = [part.name for part in parts if not part.exists()]
    assert not missing, f"not there: {', '.join(missing)}"
    targets = [[json.loads(record)["target"] for record in _records(part)] for part in parts]
    seen = [target for part in targets for target in part]
    twice = sorted({target for target in seen if seen.count(target) > 1})
    assert not twice, f"in more than one part: {twice}"
    assert set(seen) == set(album.urls), f"not in the parts: {sorted(set(album.urls) - set(seen))}"
    print(f"{count} parts, disjoint and complete: {', '.join(str(len(part)) for part in targets)} pictures")


def _check_undisturbed(podman: Podman, image: str, out: Path, album: Album, shards: int) -> None:
    """Run the killed index once more, in one piece: the same bytes."""
    index = (f"--env=JOB_COMPLETION_INDEX={VICTIM}", f"--env=BIRDLITE_SHARDS={shards}")
    _classify(podman, image, album, "undisturbed", *index)
    killed, whole = _part(out, VICTIM).read_bytes(), (out / "undisturbed.jsonl").read_bytes()
    assert killed == whole, f"part {VICTIM} is not what a run that nobody kills writes"
    print(f"part {VICTIM}, killed and continued: byte for byte that of a run that nobody killed")


def _check_merged(podman: Podman, image: str, out: Path, album: Album, shards: int) -> None:
    """Merge the parts, and classify the same list in one piece."""
    parts = [f"/out/{_part(out, index).name}" for index in range(shards)]
    podman.call(*_MOUNTED, image, "merge", *parts, "-o", "/out/merged.jsonl")
    _classify(podman, image, album, "whole")
    merged, whole = ((out / f"{name}.jsonl").read_bytes() for name in ("merged", "whole"))
    assert merged == whole, "the merged result differs from a run in one piece"
    print(f"merged: {len(_records(out / 'merged.jsonl'))} records, byte for byte those of a run in one piece")


def _part(out: Path, index: int) -> Path:
    """The complete part of an index, whatever the digest of the list is."""
    return next(out.glob(f"*-part-{index}.jsonl"), out / f"part-{index}.jsonl")


def _classify(podman: Podman, image: str, album: Album, name: str, *options: str) -> None:
    (_mountpoint(podman) / "list.txt").write_text("".join(url + "\n" for url in album.urls))
    command = (
        "classify",
        "--no-timing",
        f"--mirror={album.base}",
        "--from=/out/list.txt",
        f"--output=/out/{name}.jsonl",
    )
    podman.call(*_MOUNTED, *options, image, *command)


def _records(path: Path) -> list[str]:
    """The lines of the records, without the header of a part."""
    return [line for line in path.read_text().splitlines() if not line.startswith('{"birdlite_run"')]


def _container(pod: Document) -> str:
    return f"{pod['metadata']['name']}-{pod['spec']['containers'][0]['name']}"


def _wait(podman: Podman, pod: Document) -> int:
    return int(podman.call("wait", _container(pod)).stdout)


def _log(podman: Podman, pod: Document) -> str:
    return podman.call("logs", _container(pod), check=False).stderr


if __name__ == "__main__":
    if manifests.kubectl() is None:
        print("skipped: no kubectl to render the manifests with; pip install '.[k8s]' brings one")
        sys.exit(SKIPPED)
    os.umask(0o022)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--outages", type=int, metavar="N", help="play so many outages instead; needs no podman")
    parser.add_argument("--seed", type=int, default=0, help="of their schedule")
    given = parser.parse_args()
    if given.outages is None:
        sys.exit(guarded(check))
    from scripts import outages

    sys.exit(outages.check(given.outages, seed=given.seed))
