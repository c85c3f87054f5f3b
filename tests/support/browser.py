"""A real browser without a screen, and the status page in it as a user sees it: texts, sizes, colours, errors."""

import base64
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.support.process import until

T = TypeVar("T")

PACKAGES: Final = "chromium chromium-driver"
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
# No background requests of the browser's own; and it runs as root in a container too.
_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
    "--hide-scrollbars", "--no-proxy-server",
)  # fmt: skip
SHOWN_SECONDS: Final = 30.0
UNKNOWN: Final = "\N{EN DASH}"
"""What the page shows where there is no number."""


class NoBrowser(Exception):
    """No browser on this machine; the message says what to install."""


class Browser:
    """Chromium with one window."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False, mobile: bool = False) -> None:
        """Open a page in a window of this size, with a preference for light or dark."""
        self.driver.get("about:blank")
        self.complaints()
        self._command(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile},
        )
        self._command("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._command("Emulation.setEmulatedMedia", {"features": scheme})
        self.driver.get(url)

    def text(self, name: str) -> str:
        """The visible text of the element with this id, without hidden parts."""
        shown: str = self.run(
            "const node = document.getElementById(arguments[0]); return node.checkVisibility() ? node.innerText : ''",
            name,
        )
        return shown.replace("\N{NO-BREAK SPACE}", " ")

    def rows(self, name: str) -> list[list[str]]:
        """The cells of each row of a table's body."""
        found: list[list[str]] = self.run(
            "return [...document.getElementById(arguments[0]).rows].map(r => [...r.cells].map(c => c.innerText))", name
        )
        return found

    def run(self, script: str, *arguments: object) -> Any:
        """The result of a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def ask_again(self) -> None:
        """Make the page fetch the status now; a fetch already under way does not count."""
        self.driver.execute_async_script("const done = arguments[0]; poll().then(poll).then(() => done())")

    def until(self, condition: Callable[[], T], what: str) -> T:
        """Wait for what the page does by itself."""
        return until(condition, SHOWN_SECONDS, what)

    def complaints(self) -> list[str]:
        """What the console said since the last call: errors of scripts, refusals of the policy, failed requests."""
        lines = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [line["message"] for line in lines]

    def screenshot(self, height: int | None = None) -> bytes:
        """The page as PNG, whole or this many pixels from the top."""
        size = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": min(height or size[1], size[1]), "scale": 1}
        taken = self._command("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        return base64.b64decode(taken["data"])

    def _command(self, name: str, parameters: Mapping[str, object]) -> Any:
        return self.driver.execute_cdp_cmd(name, dict(parameters))


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start it with a fresh profile; raises NoBrowser when there is none."""
    binary = next(filter(None, map(shutil.which, _BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        msg = f"no Chromium with its driver on the path: make test installs {PACKAGES} where it may"
        raise NoBrowser(msg)
    with tempfile.TemporaryDirectory(prefix="connector-browser-", ignore_cleanup_errors=True) as profile:
        options = ChromeOptions()
        options.binary_location = binary
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        chrome = Chrome(options, Service(driver))
        chrome.set_script_timeout(SHOWN_SECONDS)
        try:
            yield Browser(chrome)
        finally:
            chrome.quit()
