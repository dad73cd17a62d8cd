"""The explorer's page: whole, closed to the network, and its decoder NumPy's to float32 rounding.

The browser tests drive a headless Chromium and are skipped, saying so, where there is none.
"""

from __future__ import annotations

import html
import http.server
import json
import re
import threading

import numpy as np
import pytest

from minivae import explore
from minivae.explore import closed
from minivae.models.config import ModelConfig
from tests.chromium import FAINT_TEXT, TOO_WIDE, needs_chromium
from tests.explore.conftest import DATA, explored, opened

OTHER_PARTS = [
    ModelConfig(35, 2, (13,), "gelu", "continuous-bernoulli"),
    ModelConfig(35, 2, (9,), "softplus", "poisson"),
    ModelConfig(35, 2, (9,), "elu", "categorical", groups=(15, 20)),
]


def test_nothing_points_outside(text):
    assert not re.search(r"https?://|//cdn|@import|\bfetch\(|XMLHttpRequest|<link", text)
    assert "{{" not in text
    assert "variational autoencoder <3" not in text  # escaped inside the JSON
    assert "&lt;/script&gt;" in text


def test_policy_names_exactly_the_inline_elements(text):
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    script = re.search(r"<script>(.*?)</script>", text, re.S)[1]
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src '{closed.digest(script)}'" in policy
    assert f"style-src '{closed.digest(style)}'" in policy
    assert "unsafe" not in policy


def test_wrong_shape_is_refused():
    x = np.zeros((5, 35), np.float32)
    with pytest.raises(ValueError, match="6x6 do not fit 35"):
        explore.page("t", [], x, (6, 6), rows=np.arange(5))


@needs_chromium
def test_decoder_agrees_with_numpy(page):
    worst = json.loads(page.run("document.body.dataset.worst"))
    assert len(worst) == 2
    assert all(w <= 2e-6 for w in worst)  # float32: about ten ulps of 1, over 17 + 11 terms


@needs_chromium
def test_parts_that_the_page_has_no_code_for_agree_too(tmp_path):
    models = [explored(config, DATA) for config in OTHER_PARTS]
    text = explore.page("others", models, DATA, (7, 5), rows=np.arange(29))
    with opened(tmp_path, text, fragment="#check") as page:
        worst = json.loads(page.run("document.body.dataset.worst"))
        assert page.errors == []
    assert len(worst) == 3
    # a table every 0.002 is within 5e-7 of a function, and a float32 within 6e-8 of its own size
    sizes = [max(1.0, float(model.decode(model.mu).max())) for model in models]
    assert all(w <= 4e-6 * size for w, size in zip(worst, sizes, strict=True)), worst


@needs_chromium
def test_a_wrong_decoder_is_seen(text, tmp_path):
    broken = text.replace("sum[o] += xi", "sum[o] -= xi")
    # the script changed, so its hash must too, or nothing would run at all
    script = re.search(r"<script>(.*?)</script>", broken, re.S)[1]
    policy = re.search(r"script-src '(sha256-[^']*)'", broken)[1]
    broken = broken.replace(policy, closed.digest(script))
    with opened(tmp_path, broken, fragment="#check") as page:
        worst = json.loads(page.run("document.body.dataset.worst"))
    assert not all(w <= 2e-6 for w in worst)


@needs_chromium
def test_nothing_is_wider_than_the_window_and_all_text_can_be_read(page):
    for width in (390, 820, 1300):
        for dark in (False, True):
            page.look(width, dark=dark)
            page.run(f"wearTheme('{'dark' if dark else 'light'}')")
            assert page.run("document.documentElement.scrollWidth") <= width
            assert page.run(TOO_WIDE) == [] and page.run(FAINT_TEXT) == []
    page.look(1300)
    assert page.errors == []


@needs_chromium
def test_pictures_in_colour_are_drawn_in_colour(tmp_path):
    config = ModelConfig(27, 2, (5,), likelihood="gaussian")
    x = np.zeros((6, 27), np.float32)
    x[:, 0::3] = 1.0  # red
    text = explore.page("red", [explored(config, x)], x, (3, 3, 3), rows=np.arange(6))
    with opened(tmp_path, text) as page:
        pixel = page.run(
            "[...document.querySelector('.original').getContext('2d')"
            ".getImageData(1, 1, 1, 1).data]"
        )
        assert page.errors == []
    assert pixel == [255, 0, 0, 255]


def test_captions_tell_what_was_measured():
    """A model whose every code decodes to a datum says 100 %, one that never does says 0 %."""
    model = explored(ModelConfig(35, 2, (5,)), DATA)
    good = model._replace(decode=lambda z: np.repeat(DATA[:1], len(z), axis=0))
    bad = model._replace(decode=lambda z: np.full((len(z), 35), 9.0))
    near = explore.Neighbourhood(DATA)
    assert "100% decode" in explore.told_of_prior(good, near)
    assert " 0% decode" in explore.told_of_prior(bad, near)


def test_the_first_path_joins_the_two_kinds_that_lie_farthest_apart():
    mu = np.array([[0, 0], [0, 1], [9, 0], [9, 1], [4, 0.0]])
    a, b = explore.ends_of_path(mu, (0, 1), np.array([0, 0, 1, 1, 2]))
    assert {a, b} & {0, 1} and {a, b} & {2, 3}
    a, b = explore.ends_of_path(mu, (0, 1), None)
    assert abs(mu[a, 0] - mu[b, 0]) == 9


@needs_chromium
@pytest.mark.parametrize("guarded", [True, False])
def test_the_policy_stops_requests(text, tmp_path, guarded):
    """A request planted in the page arrives without the policy and not with it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        spy = f'<img src="http://127.0.0.1:{server.server_port}/spy.png" alt="">'
        planted = text.replace("<h1>", spy + "<h1>")
        if not guarded:
            planted = re.sub(r"<meta http-equiv[^>]*>", "", planted)
        with opened(tmp_path, planted) as page:
            page.run("new Promise((done) => setTimeout(done, 300))")
        server.shutdown()
    assert bool(asked) is not guarded


@needs_chromium
def test_the_page_draws_something(page, tmp_path):
    picture = page.picture(tmp_path / "shot.png")
    from matplotlib.image import imread

    pixels = imread(picture)[..., :3]
    colours = np.unique((pixels.reshape(-1, 3) * 255).astype(int), axis=0)
    assert len(colours) > 50  # codes, shading and pictures, not an empty page
