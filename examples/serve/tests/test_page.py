"""The page of the demo in a real browser."""

import pytest
from browser import chromium
from support import leaves_nothing, until

# Among them one that takes longer than any test waits: for each of its letters, the search for `SLOW` reads the rest of the file.
FILES = {
    "one.py": b"first\n  needle here\n",
    "two.py": b"needle",
    "many.py": b"one more line\n" * 2500,
    "slow.py": b"a" * 1_000_000,
}
SLOW = "a[^b]*b|a|needle"


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def server(servers, tmp_path_factory):
    directory = tmp_path_factory.mktemp("searched")
    for name, content in FILES.items():
        (directory / name).write_bytes(content)
    server = servers("searching_app:application", environment={"SEARCHED": str(directory)})
    # The browser keeps its connection, Starlette and `scan` the threads of their pools.
    with leaves_nothing(server, "tasks"):
        yield server
        until(lambda: server.get("/running")[1] == b"0")


@pytest.fixture
def page(browser, server):
    browser.go(server.url("/"))
    yield browser
    browser.go("about:blank")


def search(page, pattern, way):
    page.evaluate("document.querySelector('#pattern').select()")
    page.type(pattern)
    if way == "button":
        page.click("button[type=submit]")
    else:
        page.press("Enter", 13)


def status(page):
    return page.evaluate("document.querySelector('#status').textContent")


@pytest.mark.parametrize("way", ["button", "key"])
def test_matches_appear_and_the_search_ends(page, way):
    search(page, r"(?i)NEEDLE \w+", way)
    page.until("document.querySelector('#status').textContent.endsWith('finished')")
    assert status(page).startswith("1 match in 4 of 4 files, ")
    assert page.evaluate("document.querySelector('#results').innerText").split() == ["one.py", "2", "needle", "here"]
    assert page.evaluate("document.querySelector('mark').textContent") == "needle here"
    assert page.evaluate("document.querySelector('#stop').disabled")


@pytest.mark.parametrize(["pattern", "found", "shown"], [("more", 2500, 2000), ("needle|first", 3, 3)])
def test_two_thousand_matches_are_shown_and_all_are_counted(page, pattern, found, shown):
    search(page, pattern, "key")
    page.until("document.querySelector('#status').textContent.endsWith('finished')")
    assert status(page).startswith(f"{found:,} matches in ") and ("the first 2,000 shown" in status(page)) == (found > shown)
    assert page.evaluate("document.querySelectorAll('li').length") == shown


@pytest.mark.parametrize("way", ["button", "key", "another search", "leaving", "closing"])
def test_a_search_that_is_stopped_leaves_nothing_running(page, server, way):
    search(page, SLOW, "key")
    # These arrive while the search goes on.
    page.until("document.querySelectorAll('li').length === 2")
    assert server.get("/running")[1] == b"1"
    if way == "another search":
        search(page, "first", "button")
        page.until("document.querySelector('#status').textContent.endsWith('finished')")
    elif way == "leaving":
        page.go("about:blank")
    elif way == "closing":
        page.send("Page.close")
        page.open()
    else:
        page.click("#stop") if way == "button" else page.press("Escape", 27)
        assert status(page).endswith("stopped")
    until(lambda: server.get("/running")[1] == b"0")


def test_a_wrong_pattern_is_explained(page):
    search(page, "(", "key")
    page.until("document.querySelector('#status').className === 'wrong'")
    assert "unclosed group" in status(page)


def test_the_page_loads_nothing_from_elsewhere(page, server):
    search(page, "first", "key")
    page.until("document.querySelector('#status').textContent.endsWith('finished')")
    loaded = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded and all(url.startswith(server.url("/")) for url in loaded)


def test_everything_has_a_name_for_a_screen_reader(page):
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    named = {(node["role"]["value"], node["name"]["value"]) for node in nodes if "name" in node and not node["ignored"]}
    assert {
        ("textbox", "Regular expression"),
        ("button", "Search"),
        ("button", "Stop"),
        ("progressbar", "Files searched"),
        ("heading", "Search the standard library"),
    } <= named
