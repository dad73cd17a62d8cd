"""The line that says where the training stands: true, and quiet while it runs."""

from __future__ import annotations

import re

import pytest

from tests.chromium import needs_chromium
from tests.play.conftest import UNTIL_TRAINED


@needs_chromium
def test_the_speed_is_told_only_while_it_trains(opened):
    opened.run("app.toggle(true)")
    opened.run(UNTIL_TRAINED)
    status = "document.getElementById('status').textContent"
    # in one expression: an update in between would write down its own speed
    assert "200 a second" in opened.run(f"app.speed = 200, app.status(), {status}")
    opened.run("app.toggle(false)")
    assert "a second" not in opened.run(status)


@needs_chromium
@pytest.mark.parametrize("running", [False, True], ids=["between", "after others"])
def test_the_sum_in_the_status_line_is_true_when_a_knob_has_been_moved(opened, running):
    """β moved between two updates, or after some of another β: the last update's own numbers."""
    page = opened
    page.run("app.follow('#data=ring&beta=1'); for (let t = 0; t < 3; t++) app.update()")
    page.run("app.settings.beta = 50; app.changed('beta')")
    if running:
        page.run("app.update(); app.settings.model = 'ae'; app.changed('model')")
    else:
        page.run("app.settings.c = 2; app.changed('c')")
    status = page.run("document.getElementById('status').textContent")
    sum_of = re.compile(r"loss (\S+) = reconstruction (\S+) \+ (\S+) × KL (\S+)$")
    words = [word.replace("−", "-") for word in sum_of.search(status).groups()]
    loss, nll, beta, kl = map(float, words)
    half = [0.51 * 10.0 ** -len(word.partition(".")[2]) for word in words]  # of the last digit
    assert beta == (50 if running else 1)
    assert abs(loss - nll - beta * kl) <= half[0] + half[1] + beta * half[3]
    page.run("app.start()")
    assert "loss" not in page.run("document.getElementById('status').textContent")


@needs_chromium
def test_a_training_that_ends_in_no_number_says_so(opened):
    """Whichever picture's turn it is in that frame."""
    status = "document.getElementById('status').textContent"
    for frame in range(12):
        opened.run("app.start(); app.toggle(true)")
        opened.run(
            f"app.training.theta.fill(NaN); app.frame = {frame}; app.tick(performance.now())"
        )
        assert "no longer a finite number" in opened.run(status), frame
        assert not opened.run("app.running")


@needs_chromium
def test_a_screen_reader_is_told_where_the_training_stands_only_while_it_rests(opened):
    status = "document.getElementById('status')"
    assert opened.run(f"{status}.getAttribute('role')") == "status"
    opened.run("app.toggle(true)")
    assert opened.run(f"{status}.getAttribute('aria-live')") == "off"
    opened.run("app.toggle(false)")
    assert opened.run(f"{status}.getAttribute('aria-live')") == "polite"
    live = "[...document.querySelectorAll('output[id$=-now]')].map((e) => e.ariaLive)"
    assert opened.run(live) == ["off"] * 3  # an <output> is told of each change otherwise
