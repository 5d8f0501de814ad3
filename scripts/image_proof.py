"""Prove inside a freshly built image that `classify` and `serve` work there: a failure fails the build.

    /opt/venv/bin/python image_proof.py

The Dockerfile runs it, as the user that will run birdlite. It needs no network and writes only below the folder for
temporary files. What was left out of the image is proven to be unneeded by classifying without it, in every format of
picture that birdlite reads.
"""

from __future__ import annotations

import http.client
import importlib.util
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

# Who is in each of the demo's pictures stands in its file name: crested-emberling.jpg.
LEFT_OUT = (
    "numpy",
    "google.protobuf",
    "flatbuffers",
    "tqdm",
    "ml_dtypes",
    "pip",
    "tests",
    "ai_edge_litert.interpreter",
)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MEASURED = (  # what a run has loaded without bytecode of its own, one file a line
    "import os, sys; from birdlite.cli import main; code = main(sys.argv[1:]);"
    "files = [getattr(m, '__cached__', None) for m in list(sys.modules.values())];"
    "sys.stderr.write(''.join(f + '\\n' for f in files if f and not os.path.exists(f))); sys.exit(code)"
)


def main() -> None:
    """Run the proofs; each says in one line what it has shown."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # the builder's; the demo's server is on this machine
    _prove_that_nothing_superfluous_is_here()
    _prove_that_the_demo_names_its_birds()
    _prove_that_every_format_is_read()
    _prove_that_storage_is_reached_if_its_client_is_here()
    _prove_that_pictures_are_served_if_a_server_is_here()
    _prove_that_nothing_is_compiled_at_run_time()


def _prove_that_nothing_superfluous_is_here() -> None:
    for name in LEFT_OUT:
        assert _is_absent(name), f"{name} is in the image"
    site = next(path for path in sys.path if path.endswith("site-packages"))
    libraries = os.listdir(os.path.join(site, "ai_edge_litert"))
    assert libraries == ["libLiteRt.so"], libraries
    assert os.getuid() != 0, "this is root"
    print(f"left out: {', '.join(LEFT_OUT)}; user {os.getuid()}")


def _is_absent(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except ModuleNotFoundError:  # not even its parent is here
        return True


def _prove_that_the_demo_names_its_birds() -> None:
    """The whole way: HTTP, cache, engine."""
    document = json.loads(_birdlite("demo", "--format", "json").stdout)
    for result in document["results"]:
        expected = os.path.basename(result["target"]).partition(".")[0].replace("-", " ")
        assert result["predictions"][0]["common_name"].replace("-", " ").lower() == expected, result
    assert document["model"]["engine"] == "litert", document["model"]
    print(f"{len(document['results'])} pictures of the demo named, by {document['model']['engine']}")


def _prove_that_every_format_is_read() -> None:
    from PIL import Image

    from birdlite.demo import FOLDER, PICTURES_FOLDER

    with tempfile.TemporaryDirectory() as folder, Image.open(f"{PICTURES_FOLDER}/crested-emberling.jpg") as picture:
        model = _bundle_of_the_demo(FOLDER)
        paths = [os.path.join(folder, f"picture.{name.lower()}") for name in FORMATS]
        for path, name in zip(paths, FORMATS, strict=True):
            body = io.BytesIO()
            picture.save(body, name)
            with open(path, "wb") as file:
                file.write(body.getvalue())
        document = json.loads(_birdlite("classify", *model, "--format", "json", *paths).stdout)
    for result in document["results"]:
        assert result["predictions"][0]["name"] == "Demoavis cristata", result
    print(f"read: {', '.join(FORMATS)}")


def _prove_that_storage_is_reached_if_its_client_is_here() -> None:
    """As far as that can be shown without a store: a connection is tried, and refused."""
    if _is_absent("obstore"):
        print("built without the extra cloud: no object storage")
        return
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{nobody.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        command = [sys.executable, "-m", "birdlite", "classify", "--retries", "0", "--from", "s3://bucket/list.txt"]
        run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 4, run.stderr
    assert "no connection to the store: Connection refused" in run.stderr, run.stderr
    print("the client for object storage is there")


def _prove_that_pictures_are_served_if_a_server_is_here() -> None:
    """A picture is sent and named, and SIGTERM ends the service in good order. Nothing of it is compiled meanwhile."""
    if _is_absent("uvicorn"):
        print("built without the extra serve: no service")
        return
    from birdlite.demo import FOLDER, PICTURES_FOLDER

    options = [*_bundle_of_the_demo(FOLDER), "--host", "127.0.0.1", "--port", "0", "--drain", "0.1"]
    process = subprocess.Popen([sys.executable, "-c", MEASURED, "serve", *options], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    begun = ""
    while not (ready := re.search(r"ready at http://127\.0\.0\.1:(\d+)\b", begun)):
        line = process.stderr.readline()
        assert line, f"the service ended: {begun}"
        begun += line
    connection = http.client.HTTPConnection("127.0.0.1", int(ready[1]), timeout=60)
    with open(f"{PICTURES_FOLDER}/crested-emberling.jpg", "rb") as picture:
        connection.request("POST", "/v1/classify", picture.read(), {"Content-Type": "image/jpeg"})
    (result,) = json.loads(connection.getresponse().read())["results"]
    connection.request("GET", "/metrics")
    metrics = connection.getresponse().read().decode()
    connection.close()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert result["predictions"][0]["name"] == "Demoavis cristata", result
    assert 'birdlite_pictures_total{outcome="ok"} 1.0' in metrics, metrics
    assert all(line.startswith("birdlite: ") for line in (begun + said).splitlines()), f"no bytecode:\n{said}"
    print("a picture that was sent is named, by the service")


def _prove_that_nothing_is_compiled_at_run_time() -> None:
    for command in (["demo", "--quiet", "--no-timing"], ["classify", "--help"], ["model", "list"]):
        run = subprocess.run([sys.executable, "-c", MEASURED, *command], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert not run.stderr, f"no bytecode:\n{run.stderr}"
    print("bytecode is there for every module that a run loads")


def _bundle_of_the_demo(folder: str) -> list[str]:
    return ["--model", os.path.join(folder, "model.tflite"), "--labels", os.path.join(folder, "labels.csv")]


def _birdlite(*arguments: str) -> subprocess.CompletedProcess[str]:
    run = subprocess.run([sys.executable, "-m", "birdlite", *arguments], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run


if __name__ == "__main__":
    main()
