"""A release: built twice, the same to the byte, with checksums that a signature covers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from birdlite import __version__
from scripts import release
from scripts.lock import ROOT

in_git = pytest.mark.skipif(
    subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True).returncode != 0,
    reason="not a git checkout",
)


@in_git
def test_wheel_and_sdist_are_the_same_whoever_builds_them(tmp_path: Path) -> None:
    first, second = (release.build(tmp_path / str(number), way) for number, way in enumerate(release.WAYS))

    assert [file.name for file in first] == [
        f"birdlite-{__version__}-py3-none-any.whl",
        f"birdlite-{__version__}.tar.gz",
    ]
    release.compare(first, second)
    sizes = [file.stat().st_size for file in first]
    second[0].write_bytes(b"another")
    with pytest.raises(release.NotReady, match=r"differ: birdlite-\S+\.whl$"):
        release.compare(first, second)
    assert min(sizes) > 100_000


def test_checksums_are_what_sha256sum_reads_and_the_signature_covers_them(tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen")
    key, folder = tmp_path / "key", tmp_path / "dist"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    folder.mkdir()
    (folder / "a.whl").write_bytes(b"wheel")
    release.write_sums(folder)
    release.sign(folder / "SHA256SUMS", key)
    (tmp_path / "signers").write_text(f"releases@birdlite {key.with_suffix('.pub').read_text()}")
    verify = ["ssh-keygen", "-Y", "verify", "-f", "../signers", "-I", "releases@birdlite", "-n", release.NAMESPACE]
    verify += ["-s", "SHA256SUMS.sig"]

    def verified() -> bool:
        sums = (folder / "SHA256SUMS").read_bytes()
        return subprocess.run(verify, cwd=folder, input=sums, capture_output=True).returncode == 0

    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder).returncode == 0
    assert verified()
    (folder / "SHA256SUMS").write_text("another\n")
    assert not verified()


@in_git
def test_a_folder_that_is_not_empty_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(release, "_refuse_what_is_not_ready", lambda *, rehearse: None)
    (tmp_path / "old.whl").touch()

    assert release.main([str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"release: error: {tmp_path} is not empty\n"
