"""The page of `minivae play`, open in a browser."""

from __future__ import annotations

import pytest

from minivae import play
from tests.chromium import open_page

UNTIL_TRAINED = """new Promise((done) => {
const look = () => (app.training.t >= 100 ? done(1) : setTimeout(look, 50));
look();
})"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    file = tmp_path_factory.mktemp("play") / "page.html"
    file.write_text(play.page(), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser(file):
    with open_page(file, file.parent / "profile") as page:
        yield page


@pytest.fixture
def opened(browser):
    """The page as if just opened. One browser serves all: starting one takes a second."""
    browser.look(1300)
    browser.run("app.toggle(false); setTheme(app, 'light'); app.follow('#data=digits')")
    browser.run("scrollTo(0, 0); document.activeElement.blur()")
    yield browser
    assert browser.errors == []
