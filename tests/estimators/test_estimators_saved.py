"""Every estimator, and every run, comes back from disk as it was; nothing else is taken for one."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

import minivae
from minivae.cli.main import run as run_command_line
from minivae.runs import files
from minivae.runs.errors import CheckpointError, RunError

rng = np.random.default_rng(0)
X = rng.normal(size=(61, 2)) @ rng.normal(size=(2, 7)) + 0.1 * rng.normal(size=(61, 7))
FITTED = {
    "PCA": {"latent_dim": 3},
    "ProbabilisticPCA": {"latent_dim": 3},
    "LinearVAE": {"steps": 30},
    "Autoencoder": {"steps": 20},
    "VAE": {"hidden": (9,), "epochs": 2},
}
DEEP = {"Autoencoder": {"steps": 20, "hidden": (6, 5), "activation": "tanh", "latent_dim": 1}}
CASES = [*FITTED.items(), *DEEP.items()]


def same(back: object, model: object) -> None:
    np.testing.assert_array_equal(back.transform(X), model.transform(X))
    np.testing.assert_array_equal(back.reconstruct(X), model.reconstruct(X))
    assert back.score(X) == model.score(X)
    assert back.get_params() == model.get_params()
    assert list(back.get_feature_names_out()) == list(model.get_feature_names_out())
    if hasattr(model, "sample"):
        np.testing.assert_array_equal(back.sample(4), model.sample(4))


@pytest.mark.parametrize(("name", "settings"), CASES, ids=[name for name, _ in CASES])
def test_what_was_saved_comes_back(name: str, settings: dict, tmp_path: Path) -> None:
    cls = getattr(minivae, name)
    model = cls(**settings).fit(X)
    path = model.save(tmp_path / "a model")
    assert path.suffix == ".safetensors" and path.with_suffix(".json").is_file()
    same(cls.load(tmp_path / "a model"), model)
    other = minivae.PCA if cls is not minivae.PCA else minivae.VAE
    with pytest.raises(CheckpointError, match=f"holds a {name}: load it with {name}.load"):
        other.load(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match="damaged"):
        cls.load(path)
    with pytest.raises(RunError, match="cannot write"):
        model.save(tmp_path / "no folder" / "model")
    with pytest.raises(CheckpointError, match="missing"):
        cls.load(tmp_path / "nothing")


def test_saving_over_an_estimator_touches_no_other(tmp_path: Path) -> None:
    for name in ("pca.before", "pca", "pca"):
        minivae.PCA(latent_dim=2).fit(X).save(tmp_path / name)
    same(minivae.PCA.load(tmp_path / "pca.before"), minivae.PCA.load(tmp_path / "pca"))
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("at", range(4))  # two copies of the old files, then the new ones
def test_a_save_that_fails_leaves_the_old_one_and_nothing_else(at, tmp_path, monkeypatch) -> None:
    old = minivae.PCA(latent_dim=2).fit(X)
    old.save(tmp_path / "pca")
    before = {p.name for p in tmp_path.iterdir()}
    left, write = [at], files.write_synced

    def full(path: Path, data: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "no space left on device", str(path))
        write(path, data)

    with monkeypatch.context() as patch, pytest.raises(RunError, match="cannot write"):
        patch.setattr(files, "write_synced", full)
        minivae.PCA(latent_dim=2).fit(X + 1).save(tmp_path / "pca")
    assert {p.name for p in tmp_path.iterdir()} == before
    same(minivae.PCA.load(tmp_path / "pca"), old)


@pytest.mark.parametrize("name", FITTED)
def test_a_folder_of_the_same_name_is_no_run(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = getattr(minivae, name)(**FITTED[name]).fit(X)
    Path("model").mkdir()
    Path("model/notes.txt").write_text("mine")
    model.save("model")
    same(type(model).load("model"), model)
    for place in (".", "..", "/"):
        with pytest.raises(RunError, match="give the name of a file in it"):
            model.save(place)
        with pytest.raises(RunError):
            type(model).load(place)
    Path("model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="damaged"):
        type(model).load("model")


def test_names_of_features_come_back(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcdefg"))
    minivae.PCA().fit(frame).save(tmp_path / "pca")
    back = minivae.PCA.load(tmp_path / "pca")
    assert list(back.feature_names_in_) == list("abcdefg")
    assert back.transform(frame).shape == (61, 2)


def test_a_warm_start_after_loading(tmp_path: Path) -> None:
    model = minivae.VAE(hidden=(9,), epochs=2).fit(X)
    model.save(tmp_path / "model")
    back = minivae.VAE.load(tmp_path / "model").set_params(warm_start=True)
    assert back.fit(X).epochs_done_ == 4
    assert back.history_["epoch"] == [1, 2, 3, 4]


def test_what_an_earlier_version_saved_without_counts_is_loaded(tmp_path, monkeypatch) -> None:
    model = minivae.VAE(hidden=(9,), epochs=2).fit(X)
    facts = model._facts()
    old = {key: facts[key] for key in facts if key not in ("epochs", "updates")}
    monkeypatch.setattr(model, "_facts", lambda: old)
    back = minivae.VAE.load(model.save(tmp_path / "model"))
    assert back.epochs_done_ == 2 and back.state_.progress.t == model.state_.progress.t


def test_a_run_is_loaded_as_a_vae(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", "--backend", "numpy", "--hidden", "12", "--epochs", "2", "--quiet",
               "--no-pictures", "--out", "my run"]  # fmt: skip
    assert run_command_line(command) == 0
    digits = minivae.load_data("digits").values("test")
    for place in ("my run", "my run/checkpoints/last.safetensors"):
        model = minivae.VAE.load(place)
        assert model.hidden == (12,) and model.epochs_done_ == 2
        assert run_command_line(["reconstruct", "my run", "--out", "x.npy"]) == 0
        expected = np.load("x.npy")
        np.testing.assert_allclose(model.reconstruct(digits), expected, rtol=1e-4, atol=1e-5)
        back = minivae.VAE.load(model.save("again"))
        assert back.epochs_done_ == 2 and back.state_.progress == model.state_.progress
        assert len(back.records_) == len(model.records_)  # a checkpoint's file comes without
        on, again = (each.partial_fit(digits[:200]) for each in (model, back))
        assert on.theta_.tobytes() == again.theta_.tobytes() and again.epochs_done_ == 3
    assert minivae.VAE.load("my run", "best").loss_curve_
    log = Path("my run/metrics.jsonl")
    whole = log.read_bytes()
    log.write_bytes(whole.replace(b'"loss"', b'"lozz"', 1))
    with pytest.warns(UserWarning, match=r"metrics\.jsonl: the figures of epoch 1 are missing"):
        model = minivae.VAE.load("my run", "last")
    log.write_bytes(whole)
    assert model.n_iter_ == 2 and model.state_.progress.t == 94 and len(model.loss_curve_) == 1
    with pytest.raises(CheckpointError, match="which = 'bset'"):
        minivae.VAE.load("my run", "bset")
    with pytest.raises(RunError):
        minivae.VAE.load(tmp_path)
    model.set_params(beta=0.5).save("my run")
    with pytest.raises(CheckpointError, match=r"load my run.safetensors, or the run by checkpoint"):
        minivae.VAE.load("my run")
    assert minivae.VAE.load("my run.safetensors").beta == 0.5
    assert minivae.VAE.load("my run", "last").beta == 1.0
    Path("my run.json").unlink()
    assert minivae.VAE.load("my run").beta == 1.0
