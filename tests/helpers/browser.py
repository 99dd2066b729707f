"""A page in a headless browser, used as people do."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1043",
]
# Elements of the page and of what is drawn in shadow roots.
DEEP = """
    const found = [];
    const walk = root => {
        found.push(...root.querySelectorAll(arguments[0]));
        for (const e of root.querySelectorAll('*')) if (e.shadowRoot) walk(e.shadowRoot);
    };
    walk(document);
    return found;
"""
TEXT = """
    const walk = node => {
        if (node.nodeType === Node.TEXT_NODE) return node.data;
        if (node.nodeType === Node.ELEMENT_NODE && ['SCRIPT', 'STYLE'].includes(node.tagName)) return '';
        const children = [...(node.shadowRoot ? node.shadowRoot.childNodes : []), ...node.childNodes];
        return children.map(walk).join(' ');
    };
    return walk(document.body).replace(/\\s+/g, ' ');
"""


@contextmanager
def chromium(profile: Path, downloads: Path) -> Iterator[Any]:
    """A browser without a window, which keeps what it has in a folder."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("chromium or chromedriver is absent: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield started
    finally:
        started.quit()


class Page:
    """A browser with the page in it."""

    def __init__(self, driver: Any, address: str, downloads: Path) -> None:
        self.driver, self.downloads = driver, downloads
        driver.get(address)

    def text(self) -> str:
        return str(self.driver.execute_script(TEXT))

    def wait_for(self, said: str) -> str:
        return self.wait(lambda: text if said in (text := self.text()) else None, said)

    def wait(self, look: Callable[[], Any], what: str) -> Any:
        from selenium.common.exceptions import StaleElementReferenceException

        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            with suppress(StaleElementReferenceException):  # the page was drawn again
                if found := look():
                    return found
            time.sleep(0.1)
        raise AssertionError(f"{what!r} is not on the page: {self.text()}")

    def press(self, selector: str, name: str) -> None:
        (element,) = self.wait(
            lambda: [e for e in self.driver.execute_script(DEEP, selector) if e.text == name and e.is_displayed()], name
        )
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def controls(self) -> list[Any]:
        found = self.driver.execute_script(DEEP, "input, select, textarea, button, [role=slider], [role=tab]")
        return [e for e in found if e.is_displayed()]

    def named(self, name: str) -> Any:
        """The control that a screen reader calls so."""
        return self.wait(lambda: next((e for e in self.controls() if e.accessible_name == name), None), name)

    def type(self, name: str, text: str) -> None:
        from selenium.webdriver import Keys

        keys = (Keys.CONTROL, "a", Keys.NULL, Keys.BACKSPACE, text, Keys.TAB)
        self.wait(lambda: self.named(name).send_keys(*keys) or True, name)

    def choose(self, name: str, option: str) -> None:
        from selenium.webdriver.support.select import Select

        self.wait(lambda: Select(self.named(name)).select_by_visible_text(option) or True, name)

    def choose_also(self, name: str, option: str) -> None:
        """Choose one more of a list of which several can be chosen."""
        from selenium.webdriver import Keys

        self.wait(lambda: self.named(name).click() or True, name)
        self.press("[role=option]", option)
        self.driver.switch_to.active_element.send_keys(Keys.ESCAPE)

    def open(self, tab: str, control: str) -> None:
        self.press("[role=tab]", tab)
        self.named(control)

    def focused(self) -> str:
        """The name of the control that has the focus."""
        inner = "let e = document.activeElement; while (e.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;"
        return str(self.driver.execute_script(f"{inner} return e").accessible_name)

    def show(self, said: str) -> str:
        self.press("button", "Show")
        return self.wait_for(said)

    def downloaded(self, button: str, name: str) -> bytes:
        """What a button downloads."""
        self.press("a, button", button)
        file = self.downloads / name
        self.wait(file.exists, name)
        content = file.read_bytes()
        file.unlink()
        return content

    def pictures(self) -> list[Any]:
        return [e for e in self.driver.execute_script(DEEP, "img[alt]") if e.is_displayed()]
