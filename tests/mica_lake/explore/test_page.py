"""The page as people see it, in a headless browser, and who may ask for it."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from browser import DEEP, Page, chromium

pytest.importorskip("marimo")
pytest.importorskip("matplotlib")

from mica_lake.archive.aca_dark.dark_cal import get_dark_cal_image
from mica_lake.archive.aca_l0 import get_slot_data
from mica_lake.explore.observation import observation
from mica_lake.explore.overview import tables
from mica_lake.explore.page import page as observation_page
from mica_lake.lake import Lake
from mica_lake.tables import TABLES
from mica_lake.vv import get_arch_vv

PROGRAM = Path(sys.executable).with_name("mica-lake")


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


@pytest.fixture(scope="module")
def page(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    downloads = tmp_path_factory.mktemp("downloads")
    with chromium(tmp_path_factory.mktemp("chromium"), downloads) as driver:
        yield Page(driver, address, downloads)


def test_it_opens_with_what_is_in_the_lake(page: Page, demo_lake: str) -> None:
    text = page.wait_for("aca_l0 by day")
    assert demo_lake in text
    assert re.search(r"aca_l0 2024:001 2024:001 1 of 1 [\d,]+ ", text)
    (calendar,) = page.wait(page.pictures, "the calendar")
    assert calendar.get_property("naturalWidth") > 1000
    assert "access_token" not in page.driver.current_url


def test_something_is_seen_before_the_scripts_are_read(page: Page) -> None:
    painted, read = page.driver.execute_script(
        "return [performance.getEntriesByName('first-contentful-paint')[0].startTime,"
        " performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd]"
    )
    assert painted < read
    assert "opening the lake" in page.driver.page_source


def test_the_days_of_each_table_are_drawn(page: Page) -> None:
    page.open("What is in it", "table")
    page.choose("table", "obspar")
    page.wait(lambda: [e.get_attribute("alt") for e in page.pictures()] == ["rows of obspar by year"], "the years")


def test_a_question_gets_the_right_number_a_picture_and_its_sql(page: Page, demo_lake: str) -> None:
    page.open("Ask", "stop")
    page.type("stop", "2024:001:01:00")
    rows = len(get_slot_data("2024:001", "2024:001:01:00", 3, columns=["TIME"], data_root=demo_lake))
    page.show(f"{rows:,} rows from 2024:001:00:00:00.000 to 2024:001:01:00:00.000 UTC")
    text = page.wait_for("The first 1,000 rows" if rows > 1000 else "The rows")
    assert "slot_data ( '2024:001' , '2024:001:01:00' , 3 )".replace(" ", "") in text.replace(" ", "")
    (picture,) = page.wait(page.pictures, "the picture")
    assert picture.get_property("naturalWidth") > 1000


def test_what_is_shown_can_be_downloaded(page: Page, demo_lake: str) -> None:
    rows = get_slot_data("2024:001", "2024:001:01:00", 3, columns=["TIME"], data_root=demo_lake)
    page.open("Ask", "stop")
    page.type("stop", "2024:001:01:00")
    page.show(f"{len(rows):,} rows")
    lines = page.downloaded("CSV", "aca_l0.csv").decode().splitlines()
    assert lines[0] == "utc,TIME,TEMPCCD_celsius" and len(lines) == len(rows) + 1
    assert page.downloaded("Parquet", "aca_l0.parquet")[:4] == b"PAR1"
    assert page.downloaded("PNG", "aca_l0.png")[1:4] == b"PNG"


@pytest.mark.soak
def test_more_columns_are_more_panels(page: Page) -> None:
    page.open("Ask", "stop")
    page.choose_also("columns", "BGDAVG")
    page.show("TEMPCCD_celsius , BGDAVG".replace(" ,", ","))
    page.wait(lambda: [e.get_attribute("alt") for e in page.pictures()] == ["TEMPCCD, BGDAVG against time"], "both")
    page.choose_also("columns", "BGDAVG")


def test_the_address_has_the_question_and_opens_with_its_answer(page: Page) -> None:
    page.open("Ask", "stop")
    page.type("stop", "2024:001:01:00")
    page.choose("slot", "5")
    page.show("'2024:001:01:00' , 5 )")
    address = page.driver.current_url
    assert parse_qs(urlsplit(address).query) == {
        "tab": ["Ask"], "table": ["aca_l0"], "start": ["2024:001"], "stop": ["2024:001:01:00"], "slot": ["5"],
        "columns": ["TEMPCCD"],
    }  # fmt: skip
    page.driver.get("about:blank")
    page.driver.get(address)
    page.wait_for("'2024:001:01:00' , 5 )")
    assert page.named("stop").get_property("value") == "2024:001:01:00"
    page.choose("slot", "3")


@pytest.mark.soak
def test_an_obsid_is_taken_for_a_range(page: Page) -> None:
    page.open("Ask", "or obsid")
    page.choose("table", "asp_sol")
    page.wait(lambda: page.named("stop").get_property("value") != "2024:001:01:00", "another form")
    page.type("or obsid", "32448")
    page.show("rows from 2023:365:22:29:33.415 to 2024:001:05:42:56.708 UTC")
    page.choose("table", "aca_l0")
    page.wait(lambda: "slot" in [e.accessible_name for e in page.controls()], "the slot")


def test_enter_in_a_field_sends_the_form(page: Page) -> None:
    from selenium.webdriver import Keys

    page.open("Ask", "stop")
    page.named("stop").send_keys(Keys.CONTROL, "a", Keys.NULL, "2024:001:00:02", Keys.ENTER)
    page.wait_for("59 rows")
    assert page.focused() == "stop"


def test_a_time_that_is_none_gets_a_message_in_place_of_the_answer(page: Page) -> None:
    page.open("Ask", "stop")
    page.type("stop", "2024:001:00:10")
    page.show("293 rows")
    page.type("stop", "tomorrow")
    text = page.show("stop: 'tomorrow' is not a time. Give a date in UTC")
    assert "Traceback" not in text
    page.wait(lambda: "293 rows" not in page.text(), "no old answer")
    page.type("stop", "2024:001:00:10")
    page.show("293 rows")
    assert "tomorrow" not in page.text()


def test_sql_is_answered_behind_a_spinner(page: Page, demo_lake: str) -> None:
    page.open("SQL", "query")
    page.type("query", "SELECT sum(sqrt(range)) > 0 AS more FROM range(400000000)")
    page.show("asking the lake")
    page.wait_for("1 row")
    page.type("query", "SELECT count(*) AS n FROM slot_data('2024:001', '2024:002', 3)")
    ((count,),) = Lake(demo_lake).sql("SELECT count(*) FROM slot_data('2024:001', '2024:002', 3)").fetchall()
    page.show(f" {count} ")
    assert page.downloaded("CSV", "answer.csv").decode() == f"n\n{count}\n"
    page.press("summary", "Views and macros, with their arguments and examples")
    page.wait_for("warm_pixels(threshold, ref := -19.0)")
    page.type("query", "DROP VIEW obspar")
    page.show("nothing that writes")


@pytest.mark.soak
def test_temperatures_are_drawn_by_the_day_by_5_minutes_and_each(page: Page) -> None:
    page.open("Temperatures", "temperatures")
    for label, table in (("daily", "hdr3_daily"), ("5 minutes", "hdr3_5min"), ("each value", "hdr3_data")):
        page.named(label).click()
        page.type("stop", "2024:002")
        page.show(f"FROM {table}")
        page.wait(page.pictures, "the picture")
    assert "in °C" in page.text()
    page.choose_also("temperatures", "TEMPHOUS")
    page.choose("slot of TEMPCCD …", "5")
    page.show("FROM slot_data ( '2024:001' , '2024:002' , 5 )")


def test_an_observation_is_shown_with_its_catalog_and_its_statistics(page: Page, demo_lake: str) -> None:
    page.open("Observation", "obsid")
    page.wait(lambda: "temperatures" not in page.text(), "no other form")
    text = page.show("of 8 acquired.")
    ((obsid, acquired),) = (
        Lake(demo_lake).sql("SELECT obsid, count(*) FILTER (acqid) FROM acq_stats GROUP BY obsid").fetchall()
    )
    assert f"{acquired} of 8 acquired." in text
    assert f"obsid {obsid}:" in text and "All values are inside the limits." in text
    assert re.search(r"From -\d+\.\d\d to -\d+\.\d\d °C, mean -\d+\.\d\d °C, of [\d,]+ readouts", text)
    catalog, temperature = page.wait(page.pictures, "the catalog and the temperature")
    assert catalog.get_property("naturalWidth") > 1000 and temperature.get_property("naturalWidth") > 500
    assert f"<title>obsid {obsid}</title>" in page.downloaded("HTML", f"obsid_{obsid}.html").decode()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_file_of_an_observation_follows_the_system_into_dark(
    scheme: str, page: Page, address: str, demo_lake: str, tmp_path: Path
) -> None:
    browser = page.driver
    (tmp_path / "one.html").write_text(observation_page(observation(Lake(demo_lake), 32448)), encoding="utf-8")
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    try:
        browser.get((tmp_path / "one.html").as_uri())
        color = browser.execute_script("return getComputedStyle(document.querySelector('h1')).color")
        assert color == {"light": "rgb(0, 0, 0)", "dark": "rgb(255, 255, 255)"}[scheme]
        said = browser.execute_script("return getComputedStyle(document.querySelector('html')).colorScheme")
        assert said == "light dark"  # and so the paper is the system's, too
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.get(address.split("?")[0])


def test_an_unknown_observation_gets_a_message_that_names_it(page: Page) -> None:
    page.open("Observation", "obsid")
    page.type("obsid", "99")
    assert "Traceback" not in page.show("has nothing of obsid 99")
    page.type("obsid", "M31")
    page.show("'M31' is not an obsid: give a number")


def test_star_images_of_all_slots_are_stepped_through_and_played(page: Page, demo_lake: str) -> None:
    from selenium.webdriver import ActionChains, Keys

    page.open("Star images", "minutes")
    page.type("start", "2024:001:00:10")
    page.type("minutes", "1")
    page.show("images from 2024:001:00:10:00.000 to 2024:001:00:11:00.000")
    frame = page.wait(lambda: page.driver.execute_script(DEEP, "iframe"), "the player")[0]
    height = "return arguments[0].clientHeight - arguments[0].contentDocument.body.clientHeight"
    page.wait(lambda: 0 <= page.driver.execute_script(height, frame) < 20, "a frame as high as what is in it")
    page.driver.switch_to.frame(frame)
    try:
        whole = Page.wait

        def get(name: str) -> Any:
            return page.driver.find_element("id", name)

        def shown() -> int:
            return int(re.findall(r"readout (\d+) of", get("when").text)[0])

        whole(page, lambda: get("when").text, "the time")
        assert get("facts").text.count("\n") == 7  # a line for each of the eight slots
        get("at").send_keys(Keys.HOME)
        assert shown() == 1
        get("step").click()
        assert shown() == 2
        get("back").click()
        get("back").click()
        assert shown() == int(get("at").get_attribute("max")) + 1
        get("play").click()
        whole(page, lambda: shown() == 3, "the third")
        assert get("play").text == "Pause"
        get("play").click()
        get("at").send_keys(Keys.HOME)
        assert shown() == 1

        # The middle of the image of slot 5.
        canvas = get("ccd")
        x, y = 8 + 250 + 108, 34 + 270 + 108
        zoom = canvas.size["width"] / 1000
        offset = [(at - middle) * zoom for at, middle in ((x + 3, 500), (y - 3, 270))]
        ActionChains(page.driver).move_to_element_with_offset(canvas, *map(round, offset)).perform()
        said = get("pixel").text
        ((image, size, row0, col0),) = (
            Lake(demo_lake)
            .sql("SELECT IMGRAW, IMGSIZE, IMGROW0, IMGCOL0 FROM slot_data('2024:001:00:10', '2024:002', 5) LIMIT 1")
            .fetchall()
        )
        middle = size // 2
        value = float(image[middle * size + middle])
        assert said == f"slot 5, row {row0 + middle}, column {col0 + middle}: {value:,.1f}".removesuffix(".0") + " DN"
        canvas.send_keys(Keys.ARROW_RIGHT)
        assert f"row {row0 + middle}, column {col0 + middle + 1}:" in get("pixel").text
        get("png").click()
        whole(page, lambda: list(page.downloads.glob("star_images_*.png")), "the picture")
    finally:
        page.driver.switch_to.default_content()


def test_the_residuals_of_an_observation_are_a_line_a_slot(page: Page, demo_lake: str) -> None:
    page.open("V&V", "revision")
    page.choose("plots of slot", "4")
    text = page.show("arcsec and magnitudes")
    obsid = int(page.wait(lambda: re.search(r"obsid (\d+) , revision", text), "the obsid")[1])
    slots = get_arch_vv(obsid, data_root=demo_lake).slot_report
    for slot, report in slots.items():
        assert f" {slot} {report['type']} {report['n_pts']:,} {report['dy_med']:z.3f} " in text
    assert "All values are inside the limits." in text
    (picture,) = page.wait(page.pictures, "the plots")
    page.type("revision", "77")
    page.show("77")
    page.type("revision", "last")
    page.show("arcsec and magnitudes")
    (picture,) = page.wait(page.pictures, "the plots")
    assert picture.get_attribute("alt") == "residuals and magnitude of slot 4"


@pytest.mark.soak
def test_a_dark_current_image_is_drawn_and_zoomed_into(page: Page, demo_lake: str) -> None:
    image = get_dark_cal_image("2022069", data_root=demo_lake)
    page.open("Dark current", "around row")
    page.choose("calibration", "2022069")
    page.show(f"mean {image.mean():,.1f} e-/s")
    page.choose("pixels on a side", "64")
    page.type("around row", "100")
    page.type("and column", "-200")
    page.show(f"mean {image[580:644, 280:344].mean():,.1f} e-/s")
    (picture,) = page.wait(page.pictures, "the image")
    assert picture.get_attribute("alt") == "dark current, rows 68 to 131, columns -232 to -169"


@pytest.mark.soak
def test_it_is_used_with_the_keyboard_alone(page: Page) -> None:
    from selenium.webdriver import ActionChains, Keys

    def press(*keys: str) -> None:
        ActionChains(page.driver).send_keys(*keys).perform()

    def go_to(name: str) -> None:
        for _ in range(30):
            if page.focused() == name:
                return
            press(Keys.TAB)
        raise AssertionError(f"the Tab key does not come to {name!r}")

    page.open("What is in it", "table")
    page.driver.execute_script("arguments[0].focus()", page.named("What is in it"))
    press(Keys.ARROW_RIGHT)
    page.named("stop")
    assert page.focused() == "Ask"
    go_to("start")
    press("2024:001:00:05", Keys.TAB)  # which replaces what is selected
    assert page.focused() == "stop"
    press("2024:001:00:10", Keys.TAB)
    go_to("Show")
    press(Keys.ENTER)
    page.wait_for("rows from 2024:001:00:05:00.000")
    page.driver.execute_script("arguments[0].focus()", page.named("Ask"))
    press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    page.named("around row")
    page.open("Temperatures", "temperatures")
    go_to("each value")
    press(Keys.ARROW_LEFT)
    go_to("5 minutes")
    go_to("Show")
    press(Keys.ENTER)
    page.wait_for("FROM hdr3_5min")


TABS = ("What is in it", "Ask", "SQL", "Temperatures", "Observation", "Star images", "V&V", "Dark current")


@pytest.mark.soak
def test_an_address_that_asks_for_what_there_is_not_says_so(page: Page, address: str) -> None:
    page.driver.get(f"{address.split('?')[0]}?tab=Ask&table=aca_l0&slot=12")
    page.wait_for("the address asks for slot '12', which there is not")


@pytest.mark.soak
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [800, 1280])
def test_all_tabs_fit_and_their_controls_have_names(width: int, scheme: str, page: Page, address: str) -> None:
    browser = page.driver
    browser.set_window_size(width, 1043)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        browser.get(address.split("?")[0])
        page.wait_for("aca_l0 by day")
        colors = browser.execute_script(
            "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
        )
        text, paper = (sum(map(float, re.findall(r"[\d.]+", color)[:3])) for color in colors)
        assert (text < paper) == (scheme == "light")
        for tab in TABS:
            box = page.named(tab).rect
            assert box["x"] >= 0 and box["x"] + box["width"] <= width
            page.press("[role=tab]", tab)
            if tab != "What is in it":
                page.named("Show").click()
                time.sleep(1)
            page.wait(lambda: all(re.sub("<.*", "", e.accessible_name) for e in page.controls()), f"names in {tab}")
            wide = "const all = document.getElementById('App'); return all.scrollWidth - all.clientWidth"
            assert browser.execute_script(wide) <= 0, tab
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.set_window_size(1280, 1043)


@pytest.mark.soak
def test_show_answers_the_form_of_each_table_as_it_is_filled_in_at_first(page: Page, demo_lake: str) -> None:
    page.open("Ask", "table")
    for table in tables(Lake(demo_lake)):
        page.choose("table", table)
        page.wait(lambda table=table: page.named("table").get_property("value") == table, table)
        source = (TABLES[table].rows or table).split("(")[0]
        time.sleep(0.3)
        text = page.show(f"FROM {source}")
        assert re.search(r" [1-9][\d,]* rows? from ", text), table


def test_it_asks_nobody_else(page: Page) -> None:
    sent = [json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    hosts = {urlsplit(url).hostname for url in urls if urlsplit(url).scheme in ("http", "https", "ws", "wss")}
    assert hosts == {"127.0.0.1"}


def ask(address: str, **headers: str) -> int:
    return int(answer_of(urllib.request.Request(address, headers=headers)).status or 0)


def answer_of(request: urllib.request.Request) -> Any:
    """The answer itself, be it a redirection or an error."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    try:
        with urllib.request.build_opener(Stay).open(request, timeout=20) as answer:
            return answer
    except urllib.error.HTTPError as error:
        with error:
            return error


@pytest.mark.parametrize("question", ["tab=Ask&table=aca_l0&columns=TEMPCCD&columns=BGDAVG", "tab=V%26V&obsid=32448"])
def test_a_question_survives_the_login(question: str, address: str) -> None:
    place, token = address.split("?access_token=")
    with urllib.request.urlopen(f"{place}?{question}", timeout=20) as login:
        form = login.url
    login = answer_of(logging_in(place, token, form))
    assert login.status == 302 and login.headers["Location"] == f"/?{question}"
    # Behind the address that was printed, with the ? or the & that an address should have there.
    for behind in ("?", "&"):
        opened = answer_of(urllib.request.Request(f"{address}{behind}{question}"))
        assert opened.status == 303 and opened.headers["Location"] == f"/?{question}"


@pytest.mark.parametrize("elsewhere", ["http://evil.example/", "//evil.example/?", "/\\evil.example", "javascript:1"])
def test_a_login_sends_nobody_elsewhere(elsewhere: str, address: str) -> None:
    place, token = address.split("?access_token=")
    login = answer_of(logging_in(place, token, f"{place}auth/login?{urlencode({'next': elsewhere})}"))
    assert login.status == 302 and login.headers["Location"] == "/"


def logging_in(place: str, token: str, form: str) -> urllib.request.Request:
    return urllib.request.Request(f"{place}auth/login", f"password={token}".encode(), {"Referer": form})


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
