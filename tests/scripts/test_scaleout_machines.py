"""Machines on one machine: quotas, what is read of /proc, the server's log, and that nothing of a fleet stays.

Those that make a real fleet need root, and a kernel that lets them; elsewhere they are skipped.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from contextlib import AbstractContextManager, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from scripts.scaleout import network, quota
from scripts.scaleout.batch import Index, starts
from scripts.scaleout.helper_processes import ROOT, TICKS, busy_of, cpu_of
from scripts.scaleout.long_list import write_parts
from scripts.scaleout.machines import PREFIX, Ended, Fleet, Machine, clear_away, fleet, missing
from scripts.scaleout.network import Line
from scripts.scaleout.server import Request, requests, serve
from scripts.scaleout.world import ALBUM, classify, largest_share

HERE = missing()
needs_machines = pytest.mark.skipif(HERE is not None, reason=HERE or "")
MACHINE = Machine("one", Path("one"), 0.5, "http://10.77.1.1:8000")
OTHER = Machine("other", Path("other"), 0.5, "http://10.77.2.1:8000")


def test_a_quarter_of_a_processor_is_25_ms_in_every_100() -> None:
    assert quota.settings(0.25, unified=True) == {"cpu.max": "25000 100000"}
    assert quota.settings(0.25, unified=False) == {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "25000"}
    assert quota.settings(0.25, 10_000, unified=True) == {"cpu.max": "2500 10000"}


def test_processor_time_is_found_behind_any_name_of_a_command() -> None:
    fields = ["S", *["0"] * 10, str(2 * TICKS), str(TICKS), *["7"] * 20]

    assert cpu_of(f"123 (a ) b (c) {' '.join(fields)}") == 3.0


def test_idle_processors_and_those_that_wait_for_a_disk_are_not_busy() -> None:
    jiffies = [value * TICKS for value in (1, 0, 2, 10, 5, 0, 1, 3)]  # user nice system idle iowait irq softirq steal

    assert busy_of(f"cpu  {' '.join(map(str, jiffies))} 9 9\ncpu0 1 2 3\n") == (7.0, 22.0)


def test_the_first_request_for_a_picture_counts_and_not_that_for_the_model() -> None:
    asked = [
        Request(10.2, "10.77.1.2", "/storage.googleapis.com/model.tflite"),
        Request(10.7, "10.77.1.2", f"/{ALBUM}/1.jpg"),
        Request(10.8, "10.77.1.2", f"/{ALBUM}/2.jpg"),
    ]

    assert list(starts(asked, [Index(0, MACHINE, Ended(10.0, 12.0, 0.5))])) == [pytest.approx(0.7)]


def test_each_index_has_its_own_first_request() -> None:
    asked = [
        Request(10.5, "10.77.1.2", f"/{ALBUM}/1.jpg"),
        Request(10.9, "10.77.2.2", f"/{ALBUM}/2.jpg"),
        Request(12.3, "10.77.1.2", f"/{ALBUM}/3.jpg"),
    ]
    done = [
        Index(0, MACHINE, Ended(10.0, 12.0, 0.5)),
        Index(1, OTHER, Ended(10.1, 12.0, 0.5)),
        Index(2, MACHINE, Ended(12.0, 13.0, 0.5)),
        Index(3, OTHER, Ended(12.0, 13.0, 0.5)),  # had no pictures
    ]

    assert list(starts(asked, done)) == pytest.approx([0.5, 0.8, 0.3])


def test_the_largest_share_of_a_list_is_at_least_an_even_one() -> None:
    urls = [f"https://{ALBUM}/{number}.jpg" for number in range(1000)]

    assert largest_share(urls, 1) == 1
    assert 0.25 < largest_share(urls, 4) < 0.3


def test_the_server_writes_down_who_asked_for_what(tmp_path: Path) -> None:
    (tmp_path / "a bird.jpg").write_bytes(b"bird")
    log = io.StringIO()
    server = serve(str(tmp_path), log, ("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        connection = HTTPConnection(*server.server_address[:2])  # type: ignore[arg-type]
        connection.request("GET", "/a%20bird.jpg")
        body = connection.getresponse().read()
        connection.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

    (request,) = requests(log.getvalue())
    assert body == b"bird"
    assert (request.client, request.path) == ("127.0.0.1", "/a%20bird.jpg")


def test_parts_that_never_were_can_be_merged(tmp_path: Path) -> None:
    write_parts(tmp_path, parts=3, records=10)

    command = (sys.executable, "-m", "birdlite", "merge", str(tmp_path), "--format", "jsonl")
    merged = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert len(merged.splitlines()) == 10


def test_without_root_the_bench_says_why_it_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from scripts import bench_scaleout

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["bench_scaleout"])

    with pytest.raises(SystemExit) as end:
        bench_scaleout.main()

    assert end.value.code == 77
    assert capsys.readouterr().out == "skipped: only root can make network namespaces\n"


@needs_machines
def test_machines_reach_the_server_and_not_each_other(tmp_path: Path) -> None:
    (tmp_path / "bird").write_bytes(b"bird")
    ask = "import sys, urllib.request as u; sys.stdout.buffer.write(u.urlopen(sys.argv[1], timeout=5).read())"
    with _fleet(tmp_path) as here:
        for machine in here.machines:
            machine.run((sys.executable, "-c", ask, f"{machine.server}/bird"), dict(os.environ), tmp_path / "said")
            assert (tmp_path / "said").read_text() == "bird"
        ping = (
            "import socket, sys; s = socket.create_connection((sys.argv[1], 1), timeout=5)",
            here.machines[1].address,
        )
        with pytest.raises(SystemExit, match="unreachable"):
            here.machines[0].run((sys.executable, "-c", *ping), dict(os.environ), tmp_path / "said")

    assert [request.path for request in requests((tmp_path / "log").read_text())] == ["/bird", "/bird"]


@needs_machines
def test_a_command_that_fails_ends_the_bench_with_its_last_words(tmp_path: Path) -> None:
    with _fleet(tmp_path) as here, pytest.raises(SystemExit, match=r"(?s)exit 3.*no birds today"):
        here.machines[0].run(("sh", "-c", "echo no birds today; exit 3"), dict(os.environ), tmp_path / "said")


@needs_machines
def test_nothing_stays_of_a_fleet_that_is_interrupted_at_work(tmp_path: Path) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    with suppress(KeyboardInterrupt), _fleet(tmp_path) as here:
        machine = here.machines[0]
        command = ("sh", "-c", f"sleep 1000 & echo > {started}; sleep 1000")
        running = machine.start(command, dict(os.environ), tmp_path / "said")
        started.read_text()
        assert len((machine.group / "cgroup.procs").read_text().split()) >= 2
        assert len(_own_traces()) == 5  # three networks, two groups
        raise KeyboardInterrupt

    running.kill()
    helpers = (here.server, *here.cables)
    assert [one.pid for one in helpers if Path("/proc", str(one.pid)).exists()] == []
    assert _own_traces() == []  # a group is not removed while anything lives in it


@needs_machines
def test_what_a_bench_has_left_that_was_killed_is_cleared_away() -> None:
    dead = subprocess.Popen(("true",))
    dead.wait()
    name = f"{PREFIX}{dead.pid}-1"
    subprocess.run(("ip", "netns", "add", name), check=True)
    group = quota.root() / name
    group.mkdir()

    with network.netns(f"{PREFIX}{os.getpid()}-own"):
        clear_away()
        assert network.names(f"{PREFIX}{os.getpid()}-own")

    assert network.names(name) == []
    assert not group.exists()


def test_an_index_is_run_as_users_run_it() -> None:
    assert " ".join(classify(2, 4, "out")) == "classify --shard 2/4 -q --no-timing -o out/part-{shard}.jsonl"


def _fleet(folder: Path) -> AbstractContextManager[Fleet]:
    return fleet((0.5, 0.5), Line(1.0, 100.0), folder, folder / "log")


def _own_traces() -> list[str]:
    own = f"{PREFIX}{os.getpid()}-"
    return [*network.names(own), *(group.name for group in quota.groups(own))]
