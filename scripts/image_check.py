"""Build both targets of the Dockerfile and run them as a strict cluster would. CI runs it.

    python3 -m scripts.image_check [--help]

With the real birds at hand (../shared/birds) the real model goes into the image, else the demo's; both come through a
mirror on this machine. Exit codes: 0 all well, 1 not, 77 nothing could be checked here, and why.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from prometheus_client.parser import text_string_to_metric_families

from birdlite import __version__
from birdlite.demo import FOLDER, HOST
from birdlite.models.catalog import DEMO_MODEL
from birdlite.settings import DEFAULT_MODEL
from scripts.image_scan import NOTICES, compare
from scripts.podman import BASE, ROOT, Podman, guarded
from scripts.served import Served
from tests.demo_world import PICTURES, slug, species_of
from tests.origin import Origin

LEAN_LIMIT = 68_000_000  # bytes that `lean` may add to its base; AVIF takes 5 of them, the service 2
EXTRAS = ("cloud", "serve")  # the default of the Dockerfile
BIRDS = ROOT.parent / "shared" / "birds"
USER = "10001:10001"
MEMORY = "256m"
HARDENED = (
    *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", f"--user={USER}"),
    *(f"--memory={MEMORY}", "--cpus=1", "--pids-limit=64", "--tmpfs=/tmp:size=16m"),
)
# /bin/sh and bash, hidden: who needs them at run time fails.
NO_SHELL = tuple(f"--volume=/dev/null:/usr/bin/{shell}:ro" for shell in ("dash", "bash"))
NEVER = "/held/never.jpg"


class World(NamedTuple):
    """A model and pictures whose birds are known."""

    model: str
    folders: dict[str, Path]  # host -> what it serves
    birds: dict[Path, str]  # picture -> its bird: the scientific name, or the slug of an invented one


def check(podman: Podman) -> None:
    """Build, measure, run."""
    world = _world()
    with Origin() as mirror:
        for host, folder in world.folders.items():
            mirror.serve_folder(f"/{host}", folder)
        lean = podman.build("lean")
        baked = podman.build("baked", MODEL=world.model, BIRDLITE_MIRROR=mirror.base)
        _check_sizes(podman, lean, baked)
        for image in (lean, baked):
            _check_list(podman, image)
        _check_settings(podman, lean)
        with tempfile.TemporaryDirectory(prefix="birdlite-image-") as name:
            folder = Path(name)
            birds = _pictures(folder, world)
            _check_baked(podman, baked, folder, birds)
            _check_lean(podman, lean, folder, birds, world, mirror)
            _check_guard(podman, baked, mirror)
            _check_sigterm(podman, baked, folder, birds, mirror)
        _check_service(podman, baked, world)


def _world() -> World:
    if not BIRDS.is_dir():
        return World(DEMO_MODEL, {HOST: Path(FOLDER)}, {picture: species_of(picture) for picture in PICTURES})
    mirror = BIRDS / "mirror"
    published = json.loads((BIRDS / "expected.json").read_text())["images"]
    birds = {mirror / unquote(image["url"].removeprefix("https://")): image["top3"][0][0] for image in published}
    return World(DEFAULT_MODEL, {host.name: host for host in sorted(mirror.iterdir())}, birds)


def _pictures(folder: Path, world: World) -> dict[str, str]:
    """Copy the pictures to where the container's user may read them; gives file name -> bird."""
    folder.chmod(0o755)
    names = {}
    for number, (picture, bird) in enumerate(world.birds.items()):
        name = f"{number}{picture.suffix}"
        shutil.copyfile(picture, folder / name)
        (folder / name).chmod(0o644)
        names[name] = bird
    return names


def _check_sizes(podman: Podman, lean: str, baked: str) -> None:
    sizes = {name: podman.size(name) for name in (BASE, lean, baked)}
    for name, size in sizes.items():
        print(f"{name:45} {size / 1e6:6.1f} MB  {(size - sizes[BASE]) / 1e6:+6.1f} MB")
    assert sizes[lean] - sizes[BASE] <= LEAN_LIMIT, f"lean adds more than {LEAN_LIMIT / 1e6:.0f} MB to its base"


def _check_settings(podman: Podman, image: str) -> None:
    (facts,) = json.loads(podman.call("image", "inspect", image).stdout)
    config = facts["Config"]
    assert config["User"] == USER, config["User"]
    assert config["Entrypoint"] == ["/opt/venv/bin/birdlite"], config["Entrypoint"]
    assert config["StopSignal"] in ("SIGTERM", "15"), config["StopSignal"]
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
    print(f"user {config['User']}, entry point {config['Entrypoint']}")


def _check_list(podman: Podman, image: str) -> None:
    """The list of contents is that of a scan, and what it says is installed is what requirements/*.txt lock."""
    with tempfile.TemporaryFile() as exported:
        podman.export(image, exported)
        exported.seek(0)
        print(f"{image}: its list of contents is what a scan finds: {compare(exported, EXTRAS)}")
    podman.call("run", "--rm", "--network=none", "--entrypoint=/usr/bin/test", image, "-s", f"/{NOTICES}")


def _check_baked(podman: Podman, image: str, folder: Path, birds: dict[str, str]) -> None:
    command = ("--network=none", f"--volume={folder}:/pictures:ro", *NO_SHELL, image, "classify", "--format=json")
    run = podman.call("run", "--rm", *HARDENED, *command, *(f"/pictures/{name}" for name in birds))
    _compare(run.stdout, birds)
    assert run.stderr == f"birdlite: {len(birds)} of {len(birds)} classified\n", run.stderr
    print(f"baked: right, read-only, as {USER}, without capabilities, shell and network, in {MEMORY}")


def _check_lean(podman: Podman, image: str, folder: Path, birds: dict[str, str], world: World, mirror: Origin) -> None:
    volume = "birdlite-check-cache"
    podman.call("volume", "rm", "--force", volume)
    command = [f"--volume={volume}:/cache", f"--volume={folder}:/pictures:ro", image, "classify", "--format=json"]
    command += [f"--model={world.model}", *(f"/pictures/{name}" for name in birds)]
    first = podman.call("run", "--rm", "--network=host", f"--env=BIRDLITE_MIRROR={mirror.base}", *HARDENED, *command)
    second = podman.call("run", "--rm", "--network=none", *HARDENED, *command)
    podman.call("volume", "rm", volume)
    _compare(first.stdout, birds)
    _compare(second.stdout, birds)
    print("lean: right, its model fetched into a volume; a second container takes it from there, without a network")


def _check_guard(podman: Podman, image: str, mirror: Origin) -> None:
    url = mirror.serve("/private.jpg", b"")
    command = ("run", "--rm", "--network=host", *HARDENED, image, "classify", "--format=json", url)
    (result,) = json.loads(podman.call(*command, check=False).stdout)["results"]
    assert result["error"]["kind"] == "blocked", result
    assert mirror.hits("/private.jpg") == 0, "a private address was asked"
    print("the guard is on: a private address is blocked")


def _check_sigterm(podman: Podman, image: str, folder: Path, birds: dict[str, str], mirror: Origin) -> None:
    mirror.hold(NEVER)
    first = f"/pictures/{next(iter(birds))}"
    name = "birdlite-check-sigterm"
    podman.call("rm", "--force", "--ignore", name)
    options = ("--rm", "--network=host", f"--volume={folder}:/pictures:ro", f"--name={name}", *HARDENED)
    allowed = f"--allow-host=127.0.0.1:{mirror.port}"
    with podman.start(
        "run", *options, image, "classify", "--format=jsonl", allowed, first, mirror.url(NEVER)
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        mirror.wait_for(1, NEVER)
        podman.call("kill", "--signal=TERM", name)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM, f"SIGTERM: exit {process.returncode}\n{err}"
    statuses = [json.loads(line)["status"] for line in (line, *out.splitlines())]
    assert statuses == ["ok", "error"], f"SIGTERM: {out}"
    print(f"SIGTERM: what was finished is written, exit {process.returncode}")


def _check_service(podman: Podman, image: str, world: World) -> None:
    name = "birdlite-check-service"
    podman.call("rm", "--force", "--ignore", name)
    options = ("--rm", "--network=none", f"--name={name}", *HARDENED, *NO_SHELL)
    with podman.start("run", *options, image, "serve", "--drain=1") as process:
        service = Served(podman, name)
        service.wait_until_ready()
        service.name_birds(world.birds)
        counted = {
            (sample.name, sample.labels.get("outcome")): sample.value
            for family in text_string_to_metric_families(service.ask("/metrics").text)
            for sample in family.samples
        }
        podman.call("kill", "--signal=TERM", name)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, ""), f"serve: exit {process.returncode}\n{out}{err}"
    assert counted["birdlite_pictures_total", "ok"] == len(world.birds), counted
    print(f"serve: {len(world.birds)} uploads named, hardened as above, without a network; SIGTERM: exit 0")


def _compare(document: str, birds: dict[str, str]) -> None:
    results: list[dict[str, Any]] = json.loads(document)["results"]
    best = [result["predictions"][0] for result in results]
    for prediction, bird in zip(best, birds.values(), strict=True):
        assert bird in (prediction["name"], slug(prediction["common_name"])), f"{prediction} instead of {bird}"


if __name__ == "__main__":
    ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter).parse_args()
    sys.exit(guarded(check))
