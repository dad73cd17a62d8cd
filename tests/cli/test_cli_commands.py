"""evaluate, generate, reconstruct, interpolate, manifold, info and explain-loss on a small run."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minivae import VAE
from minivae.cli.pictures import of_how_many

NUMPY = ("--backend", "numpy")


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with its size and time, to see that nothing changed."""
    return {
        str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns)
        for p in sorted(folder.rglob("*"))
    }


@pytest.fixture
def run_copy(trained: Path, tmp_path: Path) -> Path:
    """A run that a test may write into."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_evaluate(command, trained: Path) -> None:
    r = command("evaluate", trained, "--samples", 60, *NUMPY, "--json").json
    assert r["n"] == 297 and r["split"] == "test" and r["samples"] == 60
    assert -r["log_p"] <= -r["elbo"]
    assert r["sampled_elbo"] <= r["log_p"]
    assert r["elbo"] == pytest.approx(-r["reconstruction"] - r["kl"])
    assert len(r["kl_per_dimension"]) == 3 and sum(r["kl_per_dimension"]) == pytest.approx(r["kl"])
    assert r["active_units"] == 3 - len(r["collapsed_dimensions"]) == sum(r["active"])
    assert r["se"] > 0 and r["monte_carlo_se"] >= 0 and 1 <= r["effective_samples"] <= 60.001
    assert r["c"] > 0
    text = command("evaluate", trained, "--samples", 2, *NUMPY, "--limit", 20, "--split", "train")
    assert "train split, 20 data" in text.out and "active units" in text.out


def test_evaluate_binarised_run_measures_binarised_targets(command) -> None:
    command("train", *NUMPY, "--hidden", 8, "--epochs", 1, "--binarise", "dynamic", "--quiet",
            "--no-pictures", "--out", "run")  # fmt: skip
    r = command("evaluate", "run", "--samples", 3, *NUMPY, "--json").json
    assert r["targets"].startswith("binarised") and r["c"] is None


def test_evaluate_measures_the_rows_that_validation_held_out(command) -> None:
    command("train", *NUMPY, "--hidden", 8, "--epochs", 2, "--validation", 0.2, "--quiet",
            "--no-pictures", "--out", "run")  # fmt: skip
    counts = {}
    for split in ("train", "valid", "test"):
        r = command("evaluate", "run", "--samples", 1, "--split", split, *NUMPY, "--json").json
        counts[split] = r["n"]
    assert counts == {"train": 1200, "valid": 300, "test": 297}
    last = json.loads(Path("run/metrics.jsonl").read_text().splitlines()[-1])
    r = command("evaluate", "run", "--samples", 1, "--split", "valid", *NUMPY, "--json").json
    assert r["kl"] == pytest.approx(last["held_out"]["kl"], rel=1e-4)


def test_a_walk_between_codes(command, run_copy: Path) -> None:
    r = command("interpolate", run_copy, "--from-code", "0,0,0", "--to-code", "-1,0.5,2",
                "--steps", 5, "--json").json  # fmt: skip
    assert r["distance"] == pytest.approx(np.sqrt(5.25)) and "middle_distance" not in r
    for args in (("--from-code", "0,0"), ("--from-code", "0,0", "--to-code", "0,0"),
                 ("--from-code", "0,0,x", "--to-code", "0,0,0"),
                 ("--from-code", "0,0,0", "--to-code", "0,0,0", "--from", "1"),
                 ("--from-code", "0,0,nan", "--to-code", "0,0,0")):  # fmt: skip
        done = command("interpolate", run_copy, *args)
        assert done.code == 2 and "-code" in done.err and done.err.count("\n") == 1


def test_generate(command, run_copy: Path) -> None:
    done = command("generate", run_copy)
    assert done.code == 0 and (run_copy / "pictures/generated.png").is_file()
    made = {}
    for sampler in ("prior", "aggregate", "mixture"):
        r = command("generate", run_copy, "-n", 7, "--sampler", sampler, "--out", "x.npy",
                    "--json").json  # fmt: skip
        made[sampler] = np.load(r["path"])
        assert made[sampler].shape == (7, 64) and np.isfinite(made[sampler]).all()
    assert not np.allclose(made["prior"], made["aggregate"])
    command("generate", run_copy, "-n", 3, "--out", "y.npy")
    np.testing.assert_allclose(np.load("y.npy"), made["prior"][:3], rtol=1e-4, atol=1e-5)
    assert "3 decoded means E[x|z]" in command("generate", run_copy, "-n", 3).out
    done = command("generate", run_copy, "-n", 3, "--draw", "--out", "z.npy")
    assert "3 draws from p(x|z)" in done.out
    assert np.abs(np.load("z.npy") - np.load("y.npy")).max() > 0.1
    command("generate", run_copy, "-n", 3, "--seed", 1, "--out", "w.npy")
    assert not np.allclose(np.load("w.npy"), np.load("y.npy"))


def test_reconstruct(command, run_copy: Path) -> None:
    r = command("reconstruct", run_copy, "--rows", "3,1", "--json").json
    assert r["rows"] == [3, 1] and Path(r["path"]).is_file()
    command("reconstruct", run_copy, "--split", "train", "--out", "all.npy")
    assert np.load("all.npy").shape == (1500, 64)
    assert command("reconstruct", run_copy, "--out", "r.png").out.startswith("r.png")


def test_interpolate(command, run_copy: Path) -> None:
    r = command("interpolate", run_copy, "--from", 2, "--to", 9, "--steps", 5, "--json").json
    assert (r["from"], r["to"], r["steps"]) == (2, 9, 5)
    assert set(r["middle_distance"]) == {"straight", "arc", "pixels"}
    assert Path(r["path"]).is_file()
    assert "nearest training datum" in command("interpolate", run_copy).out


def test_manifold(command, run_copy: Path) -> None:
    r = command("manifold", run_copy, "-n", 4, "--dims", "2,0", "--json").json
    assert r["dims"] == [2, 0] and Path(r["path"]).is_file()
    r = command("manifold", run_copy, "-n", 4, "--json").json
    assert len(set(r["dims"])) == 2


def test_a_caption_says_whether_the_dimensions_were_chosen() -> None:
    scene = SimpleNamespace(model=SimpleNamespace(latent_dim=5))
    assert of_how_many(scene) == " The two most active of 5 dimensions."
    assert of_how_many(scene, "; so", (3, 0)) == " Dimensions 3 and 0 of 5; so."


def test_info(command) -> None:
    r = command("info", "--backend", "numpy", "--json").json
    ops = r["backends"]["numpy"]["ops"]
    assert ops["dense_forward"] == "minivae/ops/dense.py"
    assert ops["make_step"] == "minivae/training/step.py"
    assert r["machine"]["cores"] >= 1 and r["machine"]["versions"]["numpy"] == np.__version__
    text = command("info", "--backend", "numpy").out
    assert "kl_forward" in text and "minivae/ops/latent.py" in text


def test_info_says_why_a_backend_cannot_run(command, monkeypatch: pytest.MonkeyPatch) -> None:
    import minivae.backend as backend

    def refuse(name: str, threads: int | None = None) -> None:
        raise backend.BackendUnavailable("no card here; use numpy")

    monkeypatch.setattr(backend, "load_backend", refuse)
    r = command("info", "--backend", "cupy", "--json").json["backends"]["cupy"]
    assert r["available"] is False and "no card" in r["reason"]
    assert "no card here" in command("info", "--backend", "cupy").out


def test_auto_falls_back_aloud(command, monkeypatch, trained: Path) -> None:
    import minivae.backend as backend

    real = backend.load_backend

    def only_numpy(name: str, threads: int | None = None) -> object:
        if name != "numpy":
            raise backend.BackendUnavailable("numba is not there")
        return real(name, threads)

    monkeypatch.setattr(backend, "load_backend", only_numpy)
    done = command("evaluate", trained, "--samples", 1, "--json")
    assert done.json["backend"] == "numpy" and "numba is not there" in done.err
    done = command("evaluate", trained, "--samples", 1, "--backend", "numba")
    assert done.code == 2 and "numba is not there" in done.err


def test_explain_loss(command, trained: Path) -> None:
    r = command("explain-loss", trained, "--json").json
    assert r["likelihood"] == "gaussian" and r["setting"]["c"] > 0
    r = command("explain-loss", "mnist", "--beta", 4, "--json").json
    weights = {row["convention"]: row["value"] for row in r["conversions"]}
    assert weights["mean over pixels of cross-entropy + w * KL ('kld weight')"] == 4 / 784
    assert "C = 1/(2c)    5" in command("explain-loss", "--c", 0.1).out
    weighed = ("explain-loss", "frey", "--objective", "iwae", "--draws", 5, "--beta", 4)
    r = command(*weighed, "--json").json
    assert r["conversions"] == [] and "log [mean over 5 draws of w]" in r["loss"]
    assert "no bound on -log p(x)" in command(*weighed).out
    assert command("explain-loss", "frey", "--json").json["setting"]["c"] == "learned"


BAD = [
    ("evaluate RUN --samples 0", "--samples"),
    ("evaluate RUN --split tets", "tets"),
    ("evaluate RUN --split valid", "no valid split"),
    ("evaluate RUN --checkpoint bset", "best or last"),
    ("evaluate RUN --data shapes", "features"),
    ("evaluate nowhere", "nowhere"),
    ("evaluate .", "config.json"),
    ("evaluate", "issing argument"),
    (f"evaluate {shlex.quote(__file__)}", "no checkpoint; give a run directory"),
    ("explain-loss .", "no last checkpoint; give the directory of a run"),
    ("generate RUN -n 0", "-n"),
    ("generate RUN --sampler priori", "did you mean 'prior'"),
    ("generate RUN --out x.jpg", ".png or .npy"),
    ("generate RUN --out no/x.png", "no folder no"),
    ("generate RUN --out .", "--out"),
    ("generate RUN --seed -1", "--seed"),
    (f"generate RUN --seed {2**64}", "below 2**64"),
    ("evaluate RUN --seed -1", "--seed"),
    ("reconstruct RUN --rows 0,999", "--rows 999 is outside 0 to 296, the rows"),
    ("reconstruct RUN --rows a", "--rows 'a' is no list of numbers"),
    ("interpolate RUN --from -1", "outside"),
    ("interpolate RUN --steps 2", "at least 3"),
    ("manifold RUN -n 0", "-n"),
    ("manifold RUN --dims 0", "two different dimensions"),
    ("manifold RUN --dims 1,1", "two different dimensions"),
    ("manifold RUN --dims 0,3", "--dims 3 is outside 0 to 2, the latent dimensions"),
    ("info --backend cuda", "choose numpy"),
    ("explain-loss digit", "did you mean 'digits'"),
    ("explain-loss --c -1", "positive"),
    ("explain-loss --likelihood bernouli", "did you mean 'bernoulli'"),
    ("explain-loss --data-dim 0", "data_dim is 0"),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=[line for line, _ in BAD])
def test_bad_input_is_one_line_and_changes_nothing(command, trained, line, words: str) -> None:
    before = listing(trained)
    done = command(*(trained if a == "RUN" else a for a in shlex.split(line)))
    assert done.code == 2 and done.out == ""
    assert done.err.startswith("error: ") and done.err.count("\n") == 1
    assert words in done.err
    assert listing(trained) == before and not list(Path().iterdir())


def test_an_estimators_file_is_no_runs_checkpoint(command, tmp_path: Path) -> None:
    X = np.random.default_rng(0).random((20, 5))
    VAE(hidden=(4,), epochs=1).fit(X).save(tmp_path / "model")
    done = command("evaluate", "model.safetensors")
    assert done.code == 2 and "it is no run's checkpoint" in done.err and done.err.count("\n") == 1


def test_what_does_not_fit_into_memory_is_said(command, trained: Path) -> None:
    done = command("generate", trained, "-n", 10**14, "--out", "x.npy")
    assert done.code == 1 and done.err.startswith("error: not enough memory")
    assert done.err.count("\n") == 1 and not list(Path().iterdir())


def test_a_run_that_blew_up_is_evaluated_in_one_line(command) -> None:
    wild = ("--lr", 1e30, "--optimiser", "sgd", "--out", "wild", "--no-pictures")
    assert command("train", "--hidden", 8, *NUMPY, *wild).code == 1
    done = command("evaluate", "wild", "--samples", 2, *NUMPY)
    assert done.code == 1 and done.out == ""
    assert "297 data is not finite" in done.err and done.err.count("\n") == 1


def lose(path: Path, part: str, key: str) -> None:
    """Take a key out of a JSON file, or out of a part of it."""
    values = json.loads(path.read_text())
    del (values[part] if part else values)[key]
    path.write_text(json.dumps(values))


def test_a_resume_names_the_setting_that_a_run_has_lost(command, run_copy) -> None:
    lose(run_copy / "config.json", "model", "data_dim")
    before = listing(run_copy)
    done = command("train", "--resume", run_copy, *NUMPY)
    assert done.code == 2 and done.err.count("\n") == 1 and str(run_copy) in done.err
    assert listing(run_copy) == before


@pytest.mark.parametrize(
    ("file", "part", "key"),
    [("config.json", "data", "sha256"), ("checkpoints/epoch-0002.json", "progress", "sums"),
     ("checkpoints/epoch-0002.json", "", "progress")],
)  # fmt: skip
def test_a_resume_names_what_a_run_has_lost_and_goes_on_without(
    command, run_copy, file, part, key
) -> None:
    last = run_copy / "checkpoints/last.safetensors"
    whole = last.read_bytes()
    lose(run_copy / file, part, key)
    done = command("train", "--resume", run_copy, *NUMPY, "--quiet", "--no-pictures")
    assert done.code == 0, done.err
    assert Path(file).name in done.err and key in done.err
    assert last.read_bytes() == whole


def test_a_damaged_checkpoint_is_named(command, run_copy: Path) -> None:
    for file in (run_copy / "checkpoints").glob("epoch-*.safetensors"):
        file.write_bytes(file.read_bytes()[:-5])
    done = command("evaluate", run_copy)
    assert done.code == 2 and "damaged" in done.err and done.err.count("\n") == 1


def test_the_list_of_data_fits_a_narrow_terminal() -> None:
    from minivae.cli.data import narrow_entry
    from minivae.data.load import catalogue

    for row in catalogue():
        lines = narrow_entry(row._replace(where=None))
        assert max(map(len, lines)) <= 40 and lines[0] == row.name
