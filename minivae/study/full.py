"""The long runs behind the book's recorded tables: full-sized data, written as JSON."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from minivae.data.whole import write_whole
from minivae.types import Array

SEEDS = (0, 1, 2)
LINEAR = (("mnist", 10), ("mnist", 20), ("fashion-mnist", 10), ("frey", 10))  # data set, J
Say = Callable[[str], None]


def pixels(name: str, data_dir: str | None, split: bool = True) -> Any:
    """The data set and its training pixels in [0, 1], float32."""
    from minivae.data import load

    data = load(name, data_dir, split=split)
    return data, data.train.astype(np.float32) * np.float32(data.scale)


def regularity(data_dir: str | None, say: Say) -> dict[str, Any]:
    """Autoencoder, VAE without KL and VAE on MNIST and Fashion-MNIST, three seeds."""
    from minivae.study.spaces import KINDS, Settings, measure, train_space

    settings = replace(Settings(), latent_dim=10, hidden=(256,), c=0.02,
                       steps=2800, lr=1e-3, samples=3000, pairs=500)  # fmt: skip
    rows = []
    for name in ("mnist", "fashion-mnist"):
        data, train = pixels(name, data_dir)
        test = data.test[:3000].astype(np.float64) * data.scale
        for kind in KINDS:
            for seed in SEEDS:
                start = time.perf_counter()
                space = train_space(kind, train, settings, seed)
                held = train[:10000].astype(np.float64)
                found = measure(space, held, test, data.test_labels[:3000], settings)
                seconds = time.perf_counter() - start
                rows.append({"data": name, "model": kind, "seed": seed, **found})
                say(f"{name}, {kind}, seed {seed}: {seconds:.0f} s, completeness "
                    f"{found['completeness']:.3f}")  # fmt: skip
    return {"settings": asdict(settings), "rows": rows}


def linear_vae(data_dir: str | None, say: Say) -> dict[str, Any]:
    """The linear VAE against the exact optimum (E13) on the full-sized data."""
    from minivae.estimators.linear_vae import LinearVAE
    from minivae.estimators.probabilistic_pca import ProbabilisticPCA

    rows = []
    for name, latent in LINEAR:
        x = pixels(name, data_dir, split=name != "frey")[1]
        exact = ProbabilisticPCA(latent).fit(x)
        log_p = exact.score(x)
        start = time.perf_counter()
        model = LinearVAE(latent).fit(x)
        rows.append({"data": name, "J": latent, "exact c": exact.c_, "c": model.c_,
                     "exact log p": log_p, "log p": model.score(x), "elbo": model.elbo(x),
                     "updates": model.steps, "seconds": time.perf_counter() - start})  # fmt: skip
        say(f"{name}, J = {latent}: log p {rows[-1]['log p']:.4f} of {log_p:.4f}, c {model.c_:.6f}")
    return {"rows": rows}


def linear_autoencoder(data_dir: str | None, say: Say) -> dict[str, Any]:
    """The linear autoencoder against PCA on MNIST, two seeds."""
    from minivae.estimators.autoencoder import Autoencoder
    from minivae.estimators.pca import PCA
    from minivae.metrics.reconstruction import reconstruction_error
    from minivae.metrics.subspace import largest_angle, orthonormality_error

    x = pixels("mnist", data_dir)[1]
    pca = PCA(10).fit(x)
    best = float(pca.eigenvalues_[10:].sum())
    rows = []
    for seed in SEEDS[:2]:
        model = Autoencoder(10, hidden=(), activation=None, steps=1000, random_state=seed).fit(x)
        basis: Array = model.params_["decoder.out.W"].T
        rows.append({"data": "mnist", "J": 10, "seed": seed,
                     "angle": largest_angle(basis, pca.components_.T), "PCA's error": best,
                     "error": reconstruction_error(x, model.reconstruct(x)),
                     "max |WᵀW - I|": orthonormality_error(basis)})  # fmt: skip
        say(f"mnist, seed {seed}: angle {rows[-1]['angle']:.2e} rad")
    return {"rows": rows}


def price(data_dir: str | None, say: Say) -> dict[str, Any]:
    """Training and test error of the three on digits, J = 2, trained for 4800 updates."""
    from minivae.metrics.reconstruction import reconstruction_error
    from minivae.study.data import study_data
    from minivae.study.spaces import KINDS, Settings, train_space

    data, settings = study_data("digits"), replace(Settings(), steps=4800)
    rows = []
    for kind in KINDS:
        for seed in SEEDS:
            space = train_space(kind, data.train, settings, seed)
            errors = {
                f"{name} error": reconstruction_error(x, space.decode(space.posterior(x)[0]))
                for name, x in (("training", data.train), ("test", data.test))
            }
            rows.append({"data": data.name, "model": kind, "seed": seed, **errors})
            say(f"{kind}, seed {seed}: {errors}")
    return {"settings": asdict(settings), "rows": rows}


def baselines(data_dir: str | None, say: Say) -> dict[str, Any]:
    """What `regularity` is held against: data never seen, and blends of pixels, three draws."""
    from minivae.metrics.regularity import completeness_and_coverage, nearest_distance
    from minivae.study.spaces import different_pairs

    rows = []
    for name in ("mnist", "fashion-mnist"):
        data, train = pixels(name, data_dir)
        train = train[:10000].astype(np.float64)
        for part in SEEDS:
            some = slice(3000 * part, 3000 * (part + 1))
            test = data.test[some].astype(np.float64) * data.scale
            one, other = different_pairs(data.test_labels[some], 3000, part)
            blended = 0.5 * (test[one] + test[other])
            ends = nearest_distance(test, train)
            ratio = nearest_distance(blended, train) / (0.5 * (ends[one] + ends[other]))
            for what, x in (("held-out data", test), ("pixel blends", blended)):
                found = completeness_and_coverage(x, train[:3000])
                row = {"data": name, "what": what, "part": part, **found._asdict()}
                if x is blended:
                    row["halfway ratio"] = float(ratio.mean())
                rows.append(row)
                say(f"{name}, {what}: completeness {found.completeness:.3f}")
    return {"rows": rows}


STUDIES: dict[str, Callable[[str | None, Say], dict[str, Any]]] = {
    "linear-autoencoder": linear_autoencoder,
    "linear-vae": linear_vae,
    "regularity": regularity,
    "baselines": baselines,
    "price": price,
}


def run_study(name: str, data_dir: str | None, folder: Path, say: Say = print) -> Path:
    """Run a long study and write its figures, with how they were made, as JSON into `folder`,
    which must be there. Returns the file's path."""
    start = time.perf_counter()
    found = STUDIES[name](data_dir, say)
    made = {
        "command": f"minivae study full {name}",
        "seconds": round(time.perf_counter() - start),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
    }
    path = folder / f"{name.replace('-', '_')}.json"
    text = json.dumps({"made": made, **found}, indent=1, ensure_ascii=False) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))
    return path
