"""A real browser for the pages that capcli writes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")

# The least contrast of what is written in the elements, by WCAG 2.2; each on the nearest background that is not clear.
_CONTRAST = """((selector) => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number)
  const light = ([r, g, b]) => {
    const linear = [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    return .2126 * linear[0] + .7152 * linear[1] + .0722 * linear[2]
  }
  const behind = element => {
    const colour = numbers(getComputedStyle(element).backgroundColor)
    return colour[3] === 0 && element.parentElement ? behind(element.parentElement) : colour
  }
  return Math.min(...[...document.querySelectorAll(selector)].map(one => {
    const [ink, paper] = [light(numbers(getComputedStyle(one).color)), light(behind(one))]
    return (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05)
  }))
})"""


class Chromium:
    """A headless Chromium, driven through `chrome`."""

    def __init__(self, chrome: Chrome) -> None:
        self.chrome = chrome

    @classmethod
    @contextmanager
    def start(cls, profile: Path) -> Iterator[Chromium]:
        """Runs one, with its profile in this folder; the test is skipped where there is none."""
        webdriver = pytest.importorskip("selenium.webdriver")
        program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
        driver = shutil.which("chromedriver")
        if not program or not driver:
            pytest.skip("needs Chromium and its chromedriver")
        options = webdriver.ChromeOptions()
        options.binary_location = program
        given = ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", f"user-data-dir={profile}")
        for argument in given:
            options.add_argument(f"--{argument}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as chrome:
            yield cls(chrome)

    def open(
        self, page: Path | str, width: int = 1280, *, dark: bool = False, still: bool = False, script: bool = True
    ) -> None:
        """Shows a file, or what a server has.

        Args:
            page: the path of the file, or the address.
            width: of the screen in pixels; below 500 it is a phone's, with touch.
            dark: whether the user prefers dark pages.
            still: whether the user prefers reduced motion.
            script: whether JavaScript is on.
        """
        phone = width < 500
        command = self.chrome.execute_cdp_cmd
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": phone}
        command("Emulation.setDeviceMetricsOverride", screen)
        command("Emulation.setTouchEmulationEnabled", {"enabled": phone})
        command("Emulation.setScriptExecutionDisabled", {"value": not script})
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        command("Emulation.setEmulatedMedia", {"features": features})
        self.chrome.get(page if isinstance(page, str) else page.as_uri())
        # The end of the browser's own start page may be taken for that of this one.
        end = time.monotonic() + 10
        while self.ask("document.readyState") != "complete" and time.monotonic() < end:
            time.sleep(0.02)

    def ask(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        return self.chrome.execute_script(f"return {script}")

    def press(self, *keys: str) -> None:
        """Types, one key after the other, where the focus is."""
        for key in keys:
            self.chrome.switch_to.active_element.send_keys(key)

    def point(self, selector: str) -> None:
        """Moves the mouse onto the first element of a CSS selector."""
        from selenium.webdriver import ActionChains

        ActionChains(self.chrome).move_to_element(self.chrome.find_element("css selector", selector)).perform()

    def fetched(self, page: Path) -> list[str]:
        """What is asked for while the page is opened, other than itself and what it holds."""
        for kind in ("performance", "browser"):  # of what was shown before
            self.chrome.get_log(kind)
        self.open(page)
        events = [json.loads(entry["message"])["message"] for entry in self.chrome.get_log("performance")]
        sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        # The browser's own start page may still be loading.
        urls = [request["request"]["url"] for request in sent if request["documentURL"] == page.as_uri()]
        assert page.as_uri() in urls
        return [url for url in urls if not url.startswith("data:") and url != page.as_uri()]

    def fits(self) -> bool:
        """Whether nothing is wider than the screen."""
        return bool(self.ask("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))

    def wait(self, script: str, seconds: float = 60) -> None:
        """Waits until a JavaScript expression is true; raises AssertionError where it does not become so."""
        until = time.monotonic() + seconds
        while not self.ask(script):
            assert time.monotonic() < until, f"not within {seconds} s: {script}"
            time.sleep(0.02)

    def accessible(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader meets on the page."""
        nodes = self.chrome.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]

    def contrast(self, selector: str) -> float:
        """The least contrast of text in the elements, by WCAG 2.2, from 1 to 21."""
        return float(self.ask(f"{_CONTRAST}({json.dumps(selector)})"))
