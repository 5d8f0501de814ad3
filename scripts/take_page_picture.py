"""Take the picture of the service's page that docs/service.md shows. It needs Chromium, as the page's tests do.

    .venv/bin/python -m scripts.take_page_picture -o docs/page.png

The demo's model classifies three of the demo's drawings: photographs of birds belong to somebody.
"""

from __future__ import annotations

import argparse
import base64
import io
from collections.abc import Sequence

from PIL import Image

from birdlite.demo import DemoServer
from birdlite.models.catalog import DEMO_MODEL
from tests.browser import Browser
from tests.demo_world import PICTURES
from tests.service_process import Process, post

OPTIONS = ("--model", DEMO_MODEL, "--no-cache", "--drain", "0")
WIDTH, SHOWN, COLOURS = 1000, PICTURES[:3], 256


def main(argv: Sequence[str] | None = None) -> None:
    """Start a service, give its page pictures, and look at it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", metavar="FILE", required=True)
    output = parser.parse_args(argv).output
    with DemoServer() as server, Process(*OPTIONS, "--mirror", server.mirror) as service, Browser() as browser:
        for picture in SHOWN:
            post(service.ready(), picture.read_bytes())  # what only the first picture of a kind takes is not shown
        browser.open(service.ready(), width=WIDTH)
        browser.one("#files").send_keys("\n".join(map(str, SHOWN)))
        browser.wait(lambda: len(browser.all("#cards > .ok canvas")) == len(SHOWN))
        box = browser.run("return document.documentElement.getBoundingClientRect().toJSON()")
        taken = browser.tell("Page.captureScreenshot", captureBeyondViewport=True, clip={**box, "scale": 1})
    image = Image.open(io.BytesIO(base64.b64decode(taken["data"])))
    image.convert("RGB").quantize(COLOURS).save(output, optimize=True)


if __name__ == "__main__":
    main()
