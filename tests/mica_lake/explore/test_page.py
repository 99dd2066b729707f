"""The page as people see it, in a headless browser, and who may ask for it."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mica_lake.archive.aca_l0 import get_slot_data
from mica_lake.lake import Lake
from mica_lake.vv import get_arch_vv

PROGRAM = Path(sys.executable).with_name("mica-lake")
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


@pytest.fixture(scope="module")
def address(demo_lake: str) -> Iterator[str]:
    """Where the page of the demo lake is."""
    command = [PROGRAM, "explore", "--lake", demo_lake, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, line + process.stderr.read()
            yield found[0]
            process.send_signal(signal.SIGINT)
            _, complaints = process.communicate(timeout=20)
            assert process.returncode == 0, complaints
            assert "Traceback" not in complaints
        finally:
            process.kill()


class Page:
    """A browser with the page in it."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        driver.get(address)

    def text(self) -> str:
        return str(self.driver.execute_script(TEXT))

    def wait_for(self, said: str) -> str:
        return self.wait(lambda: text if said in (text := self.text()) else None, said)

    def wait(self, look: Callable[[], Any], what: str) -> Any:
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
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

    def type(self, was: str, text: str) -> None:
        from selenium.webdriver import Keys

        (element,) = self.wait(
            lambda: [e for e in self.driver.execute_script(DEEP, "input") if e.get_property("value") == was], was
        )
        element.send_keys(Keys.END, *[Keys.BACKSPACE] * len(was), text)
        element.send_keys(Keys.TAB)

    def pictures(self) -> list[Any]:
        return [e for e in self.driver.execute_script(DEEP, "img[alt]") if e.is_displayed()]


@pytest.fixture(scope="module")
def page(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium or chromedriver is absent: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield Page(browser, address)
    finally:
        browser.quit()


def test_it_opens_with_what_is_in_the_lake(page: Page, demo_lake: str) -> None:
    text = page.wait_for("aca_l0 by day")
    assert demo_lake in text
    assert re.search(r"aca_l0 2024:001 2024:001 1 of 1 [\d,]+ ", text)
    (calendar,) = page.wait(page.pictures, "the calendar")
    assert calendar.get_property("naturalWidth") > 1000
    assert "access_token" not in page.driver.current_url


def test_a_question_gets_the_right_number_a_picture_and_its_sql(page: Page, demo_lake: str) -> None:
    page.press("[role=tab]", "Ask")
    page.wait_for("columns")
    page.type("2024:001:01:59:59", "2024:001:01:00")
    page.press("button", "Show")
    rows = len(get_slot_data("2024:001", "2024:001:01:00", 3, columns=["TIME"], data_root=demo_lake))
    text = page.wait_for(f"{rows:,} rows from 2024:001:00:00:00.000 to 2024:001:01:00:00.000 UTC")
    text = page.wait_for("The first 1,000 rows" if rows > 1000 else "The rows")
    assert "slot_data ( '2024:001' , '2024:001:01:00' , 3 )".replace(" ", "") in text.replace(" ", "")
    (picture,) = page.wait(page.pictures, "the picture")
    assert picture.get_property("naturalWidth") > 1000


def test_a_time_that_is_none_gets_a_message(page: Page) -> None:
    page.press("[role=tab]", "Ask")
    page.type("2024:001:01:00", "tomorrow")
    page.press("button", "Show")
    text = page.wait_for("stop: 'tomorrow' is not a time. Give a date in UTC")
    assert "Traceback" not in text


def test_an_observation_is_shown_with_its_catalog_and_its_statistics(page: Page, demo_lake: str) -> None:
    page.press("[role=tab]", "Observation")
    page.wait(lambda: "obsid" in (text := page.text()) and "columns" not in text, "the form, and no other")
    page.press("button", "Show")
    text = page.wait_for("of 8 acquired.")
    ((obsid, acquired),) = (
        Lake(demo_lake).sql("SELECT obsid, count(*) FILTER (acqid) FROM acq_stats GROUP BY obsid").fetchall()
    )
    assert f"{acquired} of 8 acquired." in text
    assert f"obsid {obsid}:" in text and "All values are inside the limits." in text
    assert "no CCD temperature in header 3 (table hdr3) of this obsid" in text
    (picture,) = page.wait(page.pictures, "the catalog")
    assert picture.get_property("naturalWidth") > 1000


def test_an_unknown_observation_gets_a_message_that_names_it(page: Page, demo_lake: str) -> None:
    page.press("[role=tab]", "Observation")
    (obsid,) = {obsid for (obsid,) in Lake(demo_lake).sql("SELECT obsid FROM obspar").fetchall()}
    page.type(str(obsid), "99")
    page.press("button", "Show")
    assert "Traceback" not in page.wait_for("has nothing of obsid 99")
    page.type("99", "M31")
    page.press("button", "Show")
    page.wait_for("'M31' is not an obsid: give a number")
    page.type("M31", str(obsid))


def test_star_images_follow_the_slider(page: Page) -> None:
    from selenium.webdriver import Keys

    page.press("[role=tab]", "Star images")
    page.wait_for("minutes")
    page.type("2024:001:01:49:58", "2024:001:00:10")
    page.press("button", "Show")
    page.wait_for("images of slot 3 from 2024:001:00:10:00.000")
    page.wait(page.pictures, "the image")

    def shown() -> str | None:
        found = re.search(r"time (\d+\.\d+) s", page.text())
        return found[1] if found else None

    before = page.wait(shown, "the time")
    (knob,) = page.wait(lambda: page.driver.execute_script(DEEP, "[role=slider]"), "the slider")
    knob.send_keys(Keys.END)
    after = page.wait(lambda: now if (now := shown()) not in (None, before) else None, "another time")
    assert 590 < float(after) - float(before) < 600


def test_the_residuals_of_an_observation_are_a_line_a_slot(page: Page, demo_lake: str) -> None:
    page.press("[role=tab]", "V&V")
    page.wait_for("obsid")
    page.press("button", "Show")
    text = page.wait_for("arcsec and magnitudes")
    obsid = int(page.wait(lambda: re.search(r"obsid (\d+) , revision", text), "the obsid")[1])
    slots = get_arch_vv(obsid, data_root=demo_lake).slot_report
    for slot, report in slots.items():
        assert f" {slot} {report['type']} {report['n_pts']:,} {report['dy_med']:z.3f} " in text
    assert "All values are inside the limits." in text


def test_it_asks_nobody_else(page: Page) -> None:
    sent = [json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    hosts = {urlsplit(url).hostname for url in urls if urlsplit(url).scheme in ("http", "https", "ws", "wss")}
    assert hosts == {"127.0.0.1"}


def ask(address: str, **headers: str) -> int:
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    try:
        opener = urllib.request.build_opener(Stay)
        return int(opener.open(urllib.request.Request(address, headers=headers), timeout=20).status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_without_the_token_there_is_a_login_and_no_data(address: str) -> None:
    place = address.split("?")[0]
    with urllib.request.urlopen(place, timeout=20) as answer:
        assert answer.url.startswith(f"{place}auth/login")
    assert ask(f"{place}api/status/connections") == 401
    assert ask(f"{place}?access_token=wrong") == 303


def test_another_name_of_the_host_or_another_page_is_refused(address: str) -> None:
    port = urlsplit(address).port
    assert ask(address, Host=f"evil.example:{port}") == 403
    assert ask(address, Origin="http://evil.example") == 403
    assert ask(address, Origin=f"http://127.0.0.1:{(port or 0) + 1}") == 403
    assert ask(address, Origin=f"http://127.0.0.1:{port}") == 303
    assert ask(address, Host=f"localhost:{port}") == 303


def test_it_listens_on_this_machine_only(address: str) -> None:
    port = urlsplit(address).port
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for other in others - {"127.0.0.1"}:
        with pytest.raises(OSError), socket.create_connection((str(other), port), timeout=5):
            pass


def test_a_port_that_is_taken_gets_a_message(demo_lake: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [PROGRAM, "explore", "--lake", demo_lake, "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"port {port}" in done.stderr and "Say --port" in done.stderr
