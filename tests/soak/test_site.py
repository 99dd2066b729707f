"""The documentation site, built and read from the disk in a browser, as somebody without a network would."""

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Page, chromium

pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")

ROOT = Path(__file__).parent.parent.parent
# What sticks out of the page on the right, and code that is cut off.
CUT_OFF = """
    const wide = document.documentElement.scrollWidth > innerWidth;
    const cut = e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX == 'visible';
    return [wide, [...document.querySelectorAll('pre > code')].filter(cut).length];
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    # The theme would tell of a MkDocs 2 that does not concern this site.
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), tmp_path_factory.mktemp("downloads")) as started:
        yield started


@pytest.mark.parametrize("width", [1280, 800])
def test_no_page_is_cut_off_or_asks_for_what_is_not_there(site: Path, driver: Any, width: int) -> None:
    driver.set_window_size(width, 900)
    pages = [path for path in sorted(site.rglob("*.html")) if path.name != "404.html"]  # which a server gives
    assert len(pages) > 60
    for path in pages:
        driver.get(path.as_uri())
        assert driver.execute_script(CUT_OFF) == [False, 0], path
        assert driver.get_log("browser") == [], path


def test_it_is_searched_without_a_server_or_a_network(site: Path, driver: Any, tmp_path: Path) -> None:
    assert [path for path in site.rglob("*.html") if "unpkg.com" in path.read_text(encoding="utf-8")] == []
    driver.set_window_size(1280, 900)
    page = Page(driver, (site / "dictionary/asp_sol.html").as_uri(), tmp_path)
    (box,) = page.wait(lambda: driver.find_elements("css selector", "input.md-search__input"), "the search box")
    box.click()
    box.send_keys("centroid_fm")
    found = page.wait(lambda: driver.find_elements("css selector", ".md-search-result__item h1"), "a result")
    assert "Views and macros" in {title.text for title in found}


def test_the_default_of_an_argument_is_that_of_its_signature(site: Path) -> None:
    page = (site / "api/mica_lake.archive.aca_hdr3.html").read_text(encoding="utf-8")
    text = " ".join(html.unescape(re.sub("<[^>]+>", "", page)).split())
    assert "(('==', '!=', '>', '<', '>=', '<='))" in text  # and not: default '=='
