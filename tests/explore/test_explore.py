"""The explorer's page: whole, closed to the network, and its decoder NumPy's to float32 rounding.

The browser tests drive a headless Chromium and are skipped, saying so, where there is none.
"""

from __future__ import annotations

import html
import http.server
import json
import re
import shutil
import subprocess
import threading

import numpy as np
import pytest

from minivae import explore
from minivae.backend import load_backend
from minivae.explore import closed
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import decode_mean, encode, layout_of

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which is not installed")


def explored(config: ModelConfig, x, dims=(0, 1)) -> explore.Explored:
    K, layout = load_backend("numpy"), layout_of(config)
    theta = initialise(config, 3) + np.float32(0.01) * np.arange(layout.size, dtype=np.float32) % 1
    p = layout.views(theta - theta.mean())
    mu, logvar = encode(K, p, x, config)
    return explore.Explored(
        title="variational autoencoder <3",
        about="untrained",
        decode=lambda z: decode_mean(K, p, z, config),
        parameters=p,
        depth=len(config.hidden),
        activation=config.activation,
        output="sigmoid" if config.likelihood == "bernoulli" else "linear",
        mu=mu,
        sd=np.exp(logvar / 2),
        dims=dims,
    )


@pytest.fixture(scope="module")
def text() -> str:
    x = np.random.default_rng(0).uniform(size=(29, 35)).astype(np.float32)
    models = [
        explored(ModelConfig(35, 2, (17, 11)), x),
        explored(ModelConfig(35, 3, (13,), "tanh", "gaussian"), x, dims=(2, 0)),
    ]
    labels = np.arange(29) % 4
    rows = np.arange(29) * 3
    colours = ("#332288", "#CC6677", "#117733", "#DDCC77")
    return explore.page(
        "two models", models, x, (7, 5), rows=rows, labels=labels, colours=colours, note="</script>"
    )


def run_chromium(tmp_path, page: str, *flags: str, fragment: str = "") -> str:
    file = tmp_path / "page.html"
    file.write_text(page, encoding="utf-8")
    quiet = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync"
    ).split()
    command = [str(CHROMIUM), *quiet, f"--user-data-dir={tmp_path / 'profile'}", *flags]
    done = subprocess.run(
        [*command, f"file://{file}{fragment}"], capture_output=True, text=True, timeout=120
    )
    return done.stdout


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
        explore.page("t", [], x, (6, 6), rows=np.arange(5), labels=None, colours=("#000",))


@browser
def test_decoder_agrees_with_numpy(text, tmp_path):
    dom = run_chromium(tmp_path, text, "--dump-dom", fragment="#check")
    worst = json.loads(html.unescape(re.search(r'data-worst="([^"]*)"', dom)[1]))
    assert len(worst) == 2
    assert all(w <= 2e-6 for w in worst)  # float32: about ten ulps of 1, over 17 + 11 terms


@browser
def test_a_wrong_decoder_is_seen(text, tmp_path):
    broken = text.replace("sum[o] += xi", "sum[o] -= xi")
    # the script changed, so its hash must too, or nothing would run at all
    script = re.search(r"<script>(.*?)</script>", broken, re.S)[1]
    policy = re.search(r"script-src '(sha256-[^']*)'", broken)[1]
    broken = broken.replace(policy, closed.digest(script))
    dom = run_chromium(tmp_path, broken, "--dump-dom", fragment="#check")
    worst = json.loads(html.unescape(re.search(r'data-worst="([^"]*)"', dom)[1]))
    assert not all(w <= 2e-6 for w in worst)


@browser
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
        run_chromium(tmp_path, planted, "--dump-dom")
        server.shutdown()
    assert bool(asked) is not guarded


@browser
def test_the_page_draws_something(text, tmp_path):
    picture = tmp_path / "shot.png"
    run_chromium(tmp_path, text, "--window-size=1180,1000", f"--screenshot={picture}")
    from matplotlib.image import imread

    pixels = imread(picture)[..., :3]
    colours = np.unique((pixels.reshape(-1, 3) * 255).astype(int), axis=0)
    assert len(colours) > 50  # codes, shading and pictures, not an empty page
