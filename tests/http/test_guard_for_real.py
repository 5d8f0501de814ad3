"""The guard on a machine that really has private, public and odd addresses: a network namespace. Nothing is faked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.http.test_guard import REACHING
from tests.real_addresses import PRIVATE, PUBLIC

ROOT = Path(__file__).parents[2]
OWN_NETWORK = ("unshare", "--user", "--map-root-user", "--net")
UNKNOWN = {  # names that this machine may not have, and addresses that it is not given
    "localhost.",
    "a.localhost",
    "localhost.localdomain",
    "private.example",
    "[::ffff:0:127.0.0.1]",
    "[2001:0:7f00:1::1]",
}


def in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@pytest.fixture(scope="module")
def machine() -> dict[str, Any]:
    """What became of every host."""
    if shutil.which("ip") is None:
        pytest.skip("ip is not installed (Debian: iproute2)")
    try:
        subprocess.run([*OWN_NETWORK, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {error}")
    hosts = [*(in_url(address) for address in (*PUBLIC, *PRIVATE)), *(host for host in REACHING if host not in UNKNOWN)]
    command = [*OWN_NETWORK, sys.executable, "-m", "tests.real_addresses", *hosts]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if "ip address add" in run.stderr or "'ip'" in run.stderr:
        pytest.skip(f"addresses cannot be added here: {run.stderr.strip().splitlines()[-1]}")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)  # type: ignore[no-any-return]


def test_everything_is_reached_without_the_guard(machine: dict[str, Any]) -> None:
    assert {host: free for host, (free, _, _) in machine["hosts"].items() if free != "reached"} == {}


def test_only_public_addresses_are_reached_with_it(machine: dict[str, Any]) -> None:
    public = {in_url(address) for address in PUBLIC}

    for host, (_, direct, redirected) in machine["hosts"].items():
        assert (host, direct, redirected) == (host, *["reached" if host in public else "blocked"] * 2)
    assert machine["reached"] == sorted(PUBLIC)
    assert len(machine["hosts"]) > len(PRIVATE) + 25
