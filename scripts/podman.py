"""podman where there is neither a registry nor a daemon: the checks of image, Job and service run images with it.

As root on Debian, what is missing is installed. No image can be pulled where these checks must also run, so the base is
a stand-in, made on the spot from Debian's packages and called by the official image's name: Debian's Python 3.11 as
`python` and `pip` in /usr/local/bin, the standard library without bytecode, this machine's certificates. It is not the
official image; its size is told beside the others.

Everything lies in `.podman` in the checkout, which may be deleted at any time and makes the next run a minute slower.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".podman"
BASE = "docker.io/library/python:3.11-slim-bookworm"  # the default of the Dockerfile
SKIPPED = 77  # exit code: nothing was checked, and nothing found wrong; the convention of automake's tests
PACKAGES = {  # Debian's, and the program of each that must be there
    "podman": "podman",
    "runc": "runc",
    "catatonit": "catatonit",
    "iptables": "iptables",
    "netavark": "/usr/lib/podman/netavark",
    "mmdebstrap": "mmdebstrap",
}
# crun of Debian 12 refuses a machine with both generations of cgroups mounted; runc takes it.
# Limits may not be raised above those of the shell that calls.
CONFIGURATION = """\
[containers]
default_ulimits = [ "nofile={files}:{files}", "nproc={processes}:{processes}" ]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""
# What a Dockerfile can see of the official image, made of Debian's. Hooks of mmdebstrap, $1 is the new root.
HOOKS = (
    'rm -f "$1"/usr/lib/python3.11/EXTERNALLY-MANAGED',
    'ln -s /usr/bin/python3 "$1"/usr/local/bin/python; ln -s /usr/bin/pip3 "$1"/usr/local/bin/pip',
    'find "$1"/usr/lib -name __pycache__ -prune -exec rm -rf "{}" +',
    "copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/",
)


class Unavailable(Exception):
    """Containers cannot be run here. The message says why, and what would change that."""


class Podman:
    """podman with a store of its own, away from whatever else this machine's podman does."""

    def __init__(self) -> None:
        """Install what is missing and prove that a container runs.

        Raises:
            Unavailable: not root, not Debian, nothing to be installed, or the kernel does not let containers run.
        """
        _install_what_is_missing()
        WORK.mkdir(exist_ok=True)
        configuration = WORK / "containers.conf"
        configuration.write_text(CONFIGURATION.format(files=_files(), processes=_processes()))
        self.environment = os.environ | {"CONTAINERS_CONF": str(configuration)}
        store = ("--root", str(WORK / "root"), "--runroot", str(WORK / "run"), "--storage-driver", "overlay")
        self._command = ("podman", *store)
        try:
            if self.call("image", "exists", BASE, check=False).returncode:
                self.call("import", "--quiet", "--change", 'CMD ["python3"]', str(_base()), BASE)
            self.call("run", "--rm", "--network", "none", BASE, "true")
        except subprocess.CalledProcessError as error:
            raise Unavailable(f"no container runs here: {_last_line(error.stderr)}") from None

    def call(self, *arguments: str, check: bool = True, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `podman ARGUMENTS` to its end; with `check`, a failure is a CalledProcessError. `given` is its input."""
        return subprocess.run(
            [*self._command, *arguments], env=self.environment, capture_output=True, text=True, check=check, input=given
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin `podman ARGUMENTS`, its output to be read."""
        return subprocess.Popen(
            [*self._command, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def build(self, target: str, **arguments: str) -> str:
        """Build a target of the Dockerfile, and give the image's name.

        Raises:
            CalledProcessError: the Dockerfile does not build; what it said is on standard error.
        """
        tag = f"localhost/birdlite:{target}"
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        command = ("build", "--pull=never", "--network=host", f"--target={target}", f"--tag={tag}")
        try:
            self.call(*command, *given, str(ROOT))
        except subprocess.CalledProcessError as error:
            sys.stderr.write(error.stdout + error.stderr)
            raise
        return tag

    def export(self, image: str, file: IO[bytes]) -> None:
        """Write all files of an image into a file, as a tar archive."""
        container = self.call("create", image).stdout.strip()
        try:
            subprocess.run([*self._command, "export", container], env=self.environment, stdout=file, check=True)
        finally:
            self.call("rm", container)

    def close(self) -> None:
        """Undo what podman leaves mounted after a build that failed: the checkout could not be deleted."""
        mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for place in reversed([place for place in mounted if place.startswith(f"{WORK}/")]):
            subprocess.run(["umount", place], check=False)

    def size(self, image: str) -> int:
        """Bytes of an image, its base included."""
        return int(self.call("image", "inspect", "--format", "{{.Size}}", image).stdout)


def guarded(check: Callable[[Podman], None]) -> int:
    """Run a check and give the exit code: 0, 1 with a line that says what failed, or `SKIPPED` with the reason."""
    try:
        podman = Podman()
    except Unavailable as why:
        print(f"skipped: {why}")
        return SKIPPED
    try:
        check(podman)
    except subprocess.CalledProcessError as error:
        print(f"FAILED: {' '.join(error.cmd[7:])}: exit {error.returncode}\n{error.stderr}", file=sys.stderr)
        return 1
    except subprocess.TimeoutExpired as error:
        print(f"FAILED: {' '.join(error.cmd[7:])}: still running after {error.timeout:.0f} s", file=sys.stderr)
        return 1
    except AssertionError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        podman.close()
    return 0


def _install_what_is_missing() -> None:
    missing = [package for package, program in PACKAGES.items() if shutil.which(program) is None]
    if os.getuid() != 0:
        raise Unavailable("this is not root, and a base image cannot be made without")
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Unavailable(f"{', '.join(missing)} not there, and this is no Debian to install them on")
    print(f"installing {', '.join(missing)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        run = subprocess.run(["apt-get", "--quiet", *command], env=environment, capture_output=True, text=True)
        if run.returncode:
            raise Unavailable(f"{', '.join(missing)} not there, and not to be installed: {_last_line(run.stderr)}")


def _base() -> Path:
    """The stand-in for the official image, made once: about half a minute."""
    finished = WORK / "base.tar"
    if not finished.exists():
        part = WORK / "part.tar"  # mmdebstrap looks at the suffix
        command = [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            "--include=ca-certificates,python3,python3-pip,python3-venv",
        ]
        command += ['--aptopt=Apt::Install-Recommends "false"', "--dpkgopt=force-unsafe-io"]
        command += [f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("man", "locale", "doc")]
        command += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]  # as in the official image
        command += [f"--customize-hook={hook}" for hook in HOOKS]
        subprocess.run([*command, "bookworm", str(part)], check=True, capture_output=True, text=True)
        part.rename(finished)
    return finished


def _files() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _processes() -> int:
    most = int(Path("/proc/sys/kernel/pid_max").read_text())
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return most if limit == resource.RLIM_INFINITY else min(limit, most)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it did not say why"])[-1]
