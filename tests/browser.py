"""Debian's Chromium, without a window, and the page of `birdlite serve` in it. Tests of pages see them through here."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.origin import PATIENCE

T = TypeVar("T")

ARGUMENTS = ("--headless=new", "--hide-scrollbars", "--no-proxy-server", "--disable-dev-shm-usage", "--lang=en")

_CONTRASTS = """
const paint = (below, colour) => {
  const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
  return below.map((c, at) => c * (1 - a) + [r, g, b][at] * a);
};
const light = (colours) => colours.reduce(paint, [255, 255, 255]).map((c) => c / 255)
  .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const parent = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
  if (!text || !parent.checkVisibility() || parent.closest(".unseen, noscript, script, style")) continue;
  const behind = [];
  for (let one = parent; one; one = one.parentElement) behind.unshift(getComputedStyle(one).backgroundColor);
  const [a, b] = [light(behind), light([...behind, getComputedStyle(parent).color])];
  found.push([text, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
}
return found;
"""


class Browser:
    """One browser. `open` begins a test anew."""

    def __init__(self) -> None:
        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if chromium is None or driver is None:
            pytest.skip("no Chromium to open pages in: Debian's packages chromium and chromium-driver bring it")
        options = ChromeOptions()
        options.binary_location = chromium
        for argument in (*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.chrome = Chrome(options=options, service=Service(driver))
        self._origin = ""

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.chrome.quit()

    def open(
        self, url: str, *, width: int = 1100, dark: bool = False, scripts: bool = True, reduced_motion: bool = False
    ) -> None:
        """Open a page, on a phone's screen if that is narrow."""
        phone = width < 600
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": phone}
        media = {"prefers-color-scheme": "dark" if dark else "light"}
        media["prefers-reduced-motion"] = "reduce" if reduced_motion else "no-preference"
        self.tell("Emulation.setDeviceMetricsOverride", **size)
        self.tell("Emulation.setTouchEmulationEnabled", enabled=phone)
        self.tell("Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in media.items()])
        self.tell("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.chrome.get("about:blank")
        for log in ("browser", "performance"):
            self.chrome.get_log(log)  # what was before is forgotten
        self._origin = "/".join(url.split("/")[:3])
        self.chrome.get(url)

    def tell(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Say something in Chromium's own protocol."""
        found: dict[str, Any] = self.chrome.execute_cdp_cmd(command, arguments)
        return found

    # What is there

    def all(self, selector: str) -> list[WebElement]:
        """The elements that a CSS selector finds."""
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """The only one of these."""
        (found,) = self.all(selector)
        return found

    def text(self, selector: str) -> str:
        """What is in the only one of these, whether it is seen or only heard."""
        return (self.one(selector).get_property("textContent") or "") if self.all(selector) else ""  # type: ignore[return-value]

    def texts(self, selector: str) -> list[str]:
        """What a person sees in each."""
        return [one.text for one in self.all(selector)]

    def wait(self, condition: Callable[[], T]) -> T:
        """Wait until something is so."""
        return WebDriverWait(self.chrome, PATIENCE, 0.02).until(lambda _: condition())

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.chrome.execute_script(script, *arguments)

    @property
    def focused(self) -> str:
        """The id of the element that has the keyboard."""
        return self.chrome.switch_to.active_element.get_property("id")  # type: ignore[return-value]

    # What people do

    def drag(self, kind: str, *, files: Iterable[Path] = (), url: str = "") -> None:
        """Drag files or a link over the page: `dragEnter`, `dragOver` or `drop`."""
        items = [{"mimeType": "text/uri-list", "data": url}] if url else []
        data = {"items": items, "files": [str(file) for file in files], "dragOperationsMask": 1}
        self.tell("Input.dispatchDragEvent", type=kind, x=300, y=600, data=data)

    def drop(self, *files: Path, url: str = "") -> None:
        """Drag files or a link to the page, and let go."""
        for kind in ("dragEnter", "dragOver", "drop"):
            self.drag(kind, files=files, url=url)

    # What must hold for any page

    def complaints(self) -> list[dict[str, Any]]:
        """What the console says: errors of scripts, and what the page's policy forbade."""
        found: list[dict[str, Any]] = self.chrome.get_log("browser")
        return found

    def elsewhere(self) -> list[str]:
        """What was asked of others than the page's own server."""
        asked = []
        for entry in self.chrome.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.append(message["params"]["request"]["url"])
        return [url for url in asked if not url.startswith((f"{self._origin}/", "data:"))]

    def contrasts(self) -> dict[str, float]:
        """Each text that is seen, with its contrast to what is behind it."""
        return dict(self.run(_CONTRASTS))

    def overhang(self) -> int:
        """Pixels by which the page is wider than its window."""
        return int(self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def accessible(self, *roles: str) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader finds, sorted; of these roles only, if there are any."""
        self.tell("Accessibility.enable")
        nodes = self.tell("Accessibility.getFullAXTree")["nodes"]
        seen = [node for node in nodes if not node["ignored"]]
        found = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in seen]
        return sorted((role, name) for role, name in found if not roles or role in roles)
