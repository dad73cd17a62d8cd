"""`minivae train`: what it leaves, what it says, and that it refuses bad input untouched."""

from __future__ import annotations

import gzip
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from minivae.runs.checkpoint import read_checkpoint

SMALL = ("--backend", "numpy", "--hidden", "12", "--batch-size", "100", "--epochs", "2")
PNG = b"\x89PNG"


def test_a_run_leaves_everything_and_says_where(command) -> None:
    done = command("train", *SMALL)
    assert done.code == 0, done.err
    run = Path("runs/digits-1")
    for name in ("config.json", "metrics.jsonl", "checkpoints/last.json", "checkpoints/best.json"):
        assert (run / name).is_file()
    pictures = {p.stem for p in (run / "pictures").glob("*.png")}
    assert pictures == {"reconstructions", "samples", "manifold", "latent", "curves"}
    for picture in pictures:
        assert f"runs/digits-1/pictures/{picture}.png" in done.out
        assert (run / "pictures" / f"{picture}.png").read_bytes().startswith(PNG)
    assert f"minivae evaluate {run.absolute()}" in done.out
    assert "latent dimension" in done.out
    assert "nats per datum" in done.out
    assert "\x1b" not in done.out  # plain lines where there is no terminal
    assert command("train", *SMALL, "--quiet").code == 0
    assert Path("runs/digits-2").is_dir()


def test_json_is_one_object_and_nothing_else(command) -> None:
    done = command("train", *SMALL, "--latent", 4, "--json", "--out", "here", "--seed", 3)
    r = done.json
    assert "training on 1500 rows" in done.err
    assert r["run"] == "here" and r["resumed"] is False and r["reason"] == "finished"
    assert r["model"]["latent_dim"] == 4 and r["train_config"]["seed"] == 3
    assert r["measured_on"] == "test" and r["backend"] == "numpy"
    for part in ("train", "test"):
        f = r[part]
        assert f["elbo"] == pytest.approx(-f["reconstruction"] - f["kl"])
        # the training loss took beta on its way up, the test loss beta at its full value
        assert f["loss"] == pytest.approx(-f["elbo"]) or (
            part == "train" and f["loss"] < -f["elbo"]
        )
    assert len(r["kl_per_dimension"]) == 4 and sum(r["kl_per_dimension"]) == pytest.approx(
        r["test"]["kl"]
    )
    assert r["samples_per_second"] > 0 and r["seconds"] > 0
    last = r["checkpoints"]["last"]
    manifest = read_checkpoint(Path(last["path"])).manifest
    assert last["tensors"] == {k: v["sha256"] for k, v in manifest["tensors"].items()}
    line = [json.loads(t) for t in Path("here/metrics.jsonl").read_text().splitlines()][-1]
    assert line["held_out"]["loss"] == pytest.approx(r["test"]["loss"], rel=1e-6)
    assert set(r["pictures"]) == {
        "reconstructions", "samples", "manifold", "latent", "curves", "kl"
    }  # fmt: skip


def test_the_same_command_gives_the_same_tensors(command) -> None:
    one = command("train", *SMALL, "--json", "--no-pictures", "--out", "a").json
    two = command("train", *SMALL, "--json", "--no-pictures", "--out", "b").json
    other = command("train", *SMALL, "--json", "--no-pictures", "--out", "c", "--seed", 1).json
    sums = [r["checkpoints"]["last"]["tensors"] for r in (one, two, other)]
    assert sums[0] == sums[1] != sums[2]
    assert "pictures" not in one


def test_resume_ends_in_the_uninterrupted_runs_bits(command) -> None:
    options = (*SMALL[:-1], 3, "--warmup", 2, "--free-bits", 0.1, "--likelihood", "bernoulli",
               "--binarise", "dynamic", "--no-pictures", "--json")  # fmt: skip
    whole = command("train", *options, "--out", "whole").json
    command("train", *options, "--out", "parts", "--epochs", 1)
    rest = command("train", "--resume", "parts", "--epochs", 3, "--no-pictures", "--json").json
    assert rest["resumed"] is True and rest["epochs"] == 3
    assert rest["checkpoints"]["last"]["tensors"] == whole["checkpoints"]["last"]["tensors"]
    assert rest["test"] == whole["test"] and rest["targets"] == "binarised"


def test_resume_refuses_another_architecture_and_says_so(command) -> None:
    command("train", *SMALL, "--out", "run", "--quiet", "--no-pictures")

    def files() -> dict[Path, tuple[bytes, int]]:
        found = (p for p in Path("run").rglob("*") if p.is_file())
        return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in found}

    Path("run/lock").write_text("12345\n")  # as a killed run leaves it
    before = files()
    for args, words in [
        (("--latent", 5), "latent_dim"),
        (("--seed", 9), "seed"),
        (("--out", "elsewhere"), "--out"),
        (("--patience", 3), "resume it without --patience"),
    ]:
        done = command("train", "--resume", "run", *args)
        assert done.code != 0 and words in done.err and done.err.count("\n") == 1
    assert command("train", "shapes", "--resume", "run").code == 2
    assert files() == before


def test_a_lost_best_checkpoint_is_said_and_does_not_stop_a_run(command) -> None:
    out = ("--likelihood", "bernoulli", "--out", "run", "--quiet", "--no-pictures")
    command("train", *SMALL, *out)
    command("train", "--resume", "run", "--epochs", 3, "--lr", 3, "--quiet", "--no-pictures")
    best = Path("run/checkpoints/epoch-0002.safetensors")
    assert json.loads(Path("run/checkpoints/best.json").read_text())["file"] == best.name
    best.write_bytes(best.read_bytes()[:-5])
    done = command("train", "--resume", "run", "--lr", 3, "--no-pictures", "--json", "--quiet")
    assert done.json["checkpoints"]["best"] is None and done.json["checkpoints"]["last"]
    assert done.err.startswith("note: the best checkpoint so far, of epoch 2, is lost")


def test_patience_says_why_it_stopped(command) -> None:
    r = command("train", *SMALL[:-1], 200, "--lr", 0.2, "--patience", 1, "--json",
                "--no-pictures").json  # fmt: skip
    assert r["reason"] == "patience" and "has not improved" in r["message"]
    assert r["monitor"] == "valid" and r["epochs"] < 200


def test_config_file_and_its_precedence(command) -> None:
    Path("c.json").write_text('{"latent": 5, "epochs": 1, "hidden": [6], "dataset": "digits"}')
    base = ("--backend", "numpy", "--no-pictures", "--json")
    r = command("train", "--config", "c.json", *base, "--latent", 4).json
    assert r["model"]["latent_dim"] == 4 and r["model"]["hidden"] == [6] and r["epochs"] == 1
    again = command("train", "--config", f"{r['run']}/config.json", *base, "--out", "again").json
    assert again["checkpoints"]["last"]["tensors"] == r["checkpoints"]["last"]["tensors"]


def test_defaults_depend_on_the_data(command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save("pixels.npy", rng.random((60, 9)).astype(np.float32))
    np.save("wide.npy", rng.normal(size=(60, 9)).astype(np.float32))
    pixels = command("train", "pixels.npy", *SMALL, "--json").json
    wide = command("train", "wide.npy", *SMALL, "--json").json
    assert pixels["model"]["likelihood"] == "bernoulli"
    assert (wide["model"]["likelihood"], wide["model"]["c"]) == ("gaussian", "learned")
    assert wide["run"] == "runs/wide-1"
    given = command("train", *SMALL, "--c", 0.5, "--json", "--no-pictures").json
    assert (given["model"]["likelihood"], given["model"]["c"]) == ("gaussian", 0.5)
    done = command("evaluate", wide["run"], "--samples", 2, "--backend", "numpy", "--json")
    assert done.json["n"] == 6  # the tenth of sixty rows that was held out


def bad_files() -> None:
    """Files that are not what a training run can use, each with its own fault."""
    rng = np.random.default_rng(0)
    pixels = rng.random((30, 9)).astype(np.float32)
    np.save("nan.npy", np.where(np.arange(9) == 4, np.nan, pixels))
    np.save("inf.npy", np.where(np.arange(9) == 4, np.inf, pixels))
    np.save("wide.npy", pixels * 3 - 1)
    np.save("pictures.npy", rng.random((30, 3, 3, 2)).astype(np.float32))
    np.save("empty.npy", pixels[:0])
    np.save("objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    Path("text.npy").write_text("no array at all")
    Path("cut.npy").write_bytes(Path("wide.npy").read_bytes()[:-40])
    Path("x-idx3-ubyte.gz").write_bytes(gzip.compress(b"\x00\x00\x08\x03\x00\x00"))
    Path("unknown.json").write_text('{"latnt": 3}')
    Path("broken.json").write_text("{")
    Path("list.json").write_text("[1]")
    Path("typed.json").write_text('{"dataset": 5}')
    Path("deep.json").write_text('{"hidden": 5}')
    Path("file").write_text("")


BAD = [
    ("train ''", "unknown dataset ''"),
    ("train mnst", "'mnst' (did you mean mnist?); choose digits"),
    ("train nothere.npy", "no such file"),
    ("train nan.npy", "nan"),
    ("train inf.npy", "inf"),
    ("train wide.npy --likelihood bernoulli", "[0, 1]"),
    ("train pictures.npy", "reshape"),
    ("train empty.npy", "empty.npy"),
    ("train objects.npy", "objects.npy"),
    ("train text.npy", "text.npy"),
    ("train cut.npy", "cut.npy"),
    ("train x-idx3-ubyte.gz", "x-idx3-ubyte.gz"),
    ("train mnist --data-dir nowhere", "nowhere"),
    ("train --latent 0", "latent"),
    ("train --latent -3", "latent"),
    ("train --latent two", "--latent"),
    ("train --hidden 40,0", "below 1"),
    ("train --hidden forty", "400,200"),
    ("train --activation rleu", "did you mean 'relu'"),
    ("train --likelihood bernouli", "did you mean 'bernoulli'"),
    ("train --c 0", "positive"),
    ("train --c nan", "positive"),
    ("train --c 1 --likelihood bernoulli", "--beta"),
    ("train --beta -1", "beta"),
    ("train --beta nan", "beta"),
    ("train --epochs 0", "epochs"),
    ("train --batch-size -4", "batch_size"),
    ("train --lr 0", "lr"),
    ("train --lr inf", "lr"),
    ("train --optimiser adm", "did you mean 'adam'"),
    ("train --warmup -1", "warmup"),
    ("train --free-bits -1", "free_bits"),
    ("train --draws 0", "draws"),
    (f"train --draws {10**12}", "GB of memory and the machine has"),
    (f"train --latent {10**30}", "fewer latent dimensions"),
    ("train --binarise dynamik", "did you mean 'dynamic'"),
    ("train --binarise dynamic --likelihood gaussian", "bernoulli"),
    ("train --seed -1", "seed"),
    ("train --patience 0", "patience"),
    ("train --validation 1.5", "validation"),
    ("train --backend nunpy", "did you mean 'numpy'"),
    ("train --threads 0", "threads"),
    ("train --config unknown.json", "did you mean 'latent'"),
    ("train --config broken.json", "no valid JSON"),
    ("train --config list.json", "must hold an object"),
    ("train --config gone.json", "cannot be read"),
    ("train --config typed.json", "dataset = 5"),
    ("train --config deep.json", "hidden = 5"),
    ("train --out file", "file"),
    ("train --resume nowhere", "nowhere"),
    ("train --latnt 3", "--latent"),
    ("trian", "train"),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=[line for line, _ in BAD])
def test_bad_input_is_one_line_and_changes_nothing(command, line, words: str) -> None:
    bad_files()
    before = {p.name: p.read_bytes() for p in Path().iterdir()}
    args = shlex.split(line)
    backend = () if "--backend" in args or args == ["trian"] else ("--backend", "numpy")
    done = command(*args, *backend)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("error: ") and done.err.count("\n") == 1
    assert words in done.err
    assert {p.name: p.read_bytes() for p in Path().iterdir()} == before


def test_a_directory_in_use_is_refused(command) -> None:
    command("train", *SMALL, "--out", "run", "--quiet", "--no-pictures")
    done = command("train", *SMALL, "--out", "run")
    assert done.code == 2 and f"--resume {Path('run').absolute()}" in done.err


def test_debug_shows_the_traceback(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIVAE_DEBUG", "1")
    done = command("train", "mnst")
    assert "Traceback" in done.err and done.err.splitlines()[-1].startswith("error: ")


def test_the_log_of_a_longer_run_does_not_stop_a_resume(command) -> None:
    few = [*SMALL[:4], "--quiet", "--no-pictures"]
    for name, epochs in (("short", 1), ("long", 3)):
        assert command("train", *few, "--epochs", epochs, "--out", name).code == 0
    Path("short/metrics.jsonl").write_bytes(Path("long/metrics.jsonl").read_bytes())
    done = command("train", "--resume", "short", "--epochs", 2, "--quiet", "--no-pictures")
    assert done.code == 0, done.err
    assert json.loads(Path("short/checkpoints/last.json").read_bytes())["progress"]["epoch"] == 2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": None}, "epochs = None"),
        ({"train": {"lr": "fast"}}, "lr = 'fast'"),
        ({"likelihood": "gaussain"}, "likelihood = 'gaussain'"),
        ({"lr_steps": [1]}, "lr_steps = "),
        ({"c": "x"}, "c = 'x'"),
        ({"hidden": [0]}, "hidden = "),
        ({"shape": "a"}, "--shape 'a'"),
        ({"seed": [1]}, "seed = [1]"),
        ({"optimiser": {}}, "optimiser = {}"),
        ({"beta": []}, "beta = []"),
        ({"threads": "two"}, "threads = 'two'"),
        ({"tf32": 3}, "tf32 = 3"),
        ({"standardise": 7}, "standardise = 7"),
        ({"label": [1]}, "label = [1]"),
    ],
)
def test_a_wrong_value_of_a_file_names_file_and_setting(command, values, words) -> None:
    Path("mine.json").write_text(json.dumps(values))
    done = command("train", "--config", "mine.json", "--epochs", "2") if "epochs" not in values \
        else command("train", "--config", "mine.json")  # fmt: skip
    assert done.code == 2 and len(done.err.splitlines()) == 1, done.err
    assert "--config mine.json: " in done.err and words in done.err
    assert not Path("runs").exists()


def test_a_wrong_option_over_a_file_is_not_put_on_the_file(command) -> None:
    Path("mine.json").write_text('{"epochs": 3, "lr": null}')
    done = command("train", "--config", "mine.json", "--epochs", "0", "--lr", "0.1")
    assert done.code == 2 and "mine.json" not in done.err and "epochs" in done.err
