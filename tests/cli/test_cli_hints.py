"""What the program tells one to type works as printed: each hint is run, from another place."""

from __future__ import annotations

import json
import re
import shlex
import struct
from pathlib import Path

import numpy as np
import pytest

from minivae.cli.main import run as run_command_line

SMALL = ("--backend", "numpy", "--hidden", "8", "--batch-size", "50", "--epochs", "2")
NO_DATA = ("generate", "manifold", "interpolate", "explore")
NEEDS_DATA = ("evaluate", "reconstruct", "trace")


def hints_in(text: str) -> list[str]:
    """The commands that a text prints: `minivae …` after a colon, in backquotes or on its line."""
    found = re.findall(r"`(minivae [^`]+)`|(?:^\s*|: )(minivae [a-z-]+ [^\n;]+)", text, re.M)
    return [quoted or bare for quoted, bare in found]


def write_pictures(name: str, count: int, seed: int) -> Path:
    """Pictures of 8 x 8 bytes in an idx file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 8, 8), dtype=np.uint8)
    Path(name).write_bytes(struct.pack(">HBBIII", 0, 8, 3, *pixels.shape) + pixels.tobytes())
    return Path(name)


@pytest.fixture
def pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures in a file of one's own, in the current directory; both names have spaces."""
    home = tmp_path / "my folder"
    home.mkdir()
    monkeypatch.chdir(home)
    return write_pictures("my pixels.idx3-ubyte", count=120, seed=0)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]):
    """Run `minivae ARGS` here: exit code, stdout, stderr."""

    def run(*args: object) -> tuple[int, str, str]:
        code = run_command_line([str(a) for a in args])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def follow(call, hints: list[str]) -> None:
    """Run each hint as a shell would take it apart."""
    assert hints
    for hint in hints:
        words = shlex.split(hint)
        assert words[0] == "minivae"
        code, _, err = call(*words[1:])
        assert code == 0, (hint, err)


@pytest.mark.parametrize("place", ["my runs/first try", None])
def test_hints_of_a_run_work_from_another_directory(
    place: str | None, pixels, call, tmp_path, monkeypatch
) -> None:
    out = () if place is None else ("--out", place)
    code, out, err = call("train", pixels, *SMALL, "--latent", 3, *out, "--no-pictures")
    assert code == 0, err
    hints = hints_in(out)
    assert {shlex.split(h)[1] for h in hints} == {
        "evaluate", "generate", "interpolate", "explain-loss", "train",
    }  # fmt: skip
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    follow(call, hints)


def test_hints_of_refusals_work(pixels, call, monkeypatch) -> None:
    call("train", pixels, *SMALL, "--latent", 3, "--out", "my run", "--quiet")
    code, _, err = call("train", pixels, *SMALL, "--out", "my run")
    assert code == 2
    resume = re.search(r"with (--resume .+), or", err)
    monkeypatch.chdir(pixels.parent.parent)
    follow(call, [f"minivae train {resume[1]}"])
    monkeypatch.chdir(pixels.parent)
    code, _, err = call("explore", "my run")
    assert code == 2 and "--dims auto" in err
    follow(call, ["minivae explore 'my run' --dims auto --no-beside"])
    code, _, err = call("train", "--resume", "my run", "--epochs", 1)
    assert code == 2 and "2 epochs done already" in err and "more than 2" in err
    assert err.count("\n") == 1
    follow(call, ["minivae train --resume 'my run' --epochs 3"])


def test_hints_where_a_run_was_stopped(pixels, call, monkeypatch) -> None:
    from minivae.runs import writer

    real = writer.RunWriter.log

    def stop(self, record):
        real(self, record)
        import signal

        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(writer.RunWriter, "log", stop)
        code, _, err = call("train", pixels, *SMALL, "--out", "my run", "--no-pictures")
    assert code == 130
    monkeypatch.chdir(pixels.parent.parent)
    follow(call, hints_in(err))


def test_hints_of_the_other_commands(call, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = call("data", "digits")
    assert code == 0
    assert hints_in(out.replace("next: ", "")) == ["minivae train digits"]
    code, out, _ = call("study", "check", "takeaways")
    assert code == 0
    hint = hints_in(out)[0]
    assert call(*shlex.split(hint)[1:])[0] == 1  # nothing is filled in yet


def test_hints_once_the_data_were_moved(pixels, call, tmp_path, monkeypatch) -> None:
    call("train", pixels, *SMALL, "--latent", 2, "--out", "my run", "--quiet", "--no-pictures")
    moved = tmp_path / "their new place.idx3-ubyte"
    pixels.rename(moved)
    for name in NO_DATA:
        code, _, err = call(name, "my run")
        assert code == 0, (name, err)
    for name in NEEDS_DATA:
        code, _, err = call(name, "my run")
        assert code == 2 and "--data FILE" in err and err.count("\n") == 1
        code, _, err = call(name, "my run", "--data", moved)
        assert (code, err) == (0, ""), name
    code, _, err = call("train", "--resume", "my run", "--epochs", 3)
    assert code == 2 and "--data FILE" in err and err.count("\n") == 1
    again = ("train", "--resume", "my run", "--epochs", 3, "--no-pictures")
    assert call(*again, "--data", moved)[0] == 0
    assert call("evaluate", "my run", "--samples", 2)[0] == 0  # and it is remembered
    assert json.loads(Path("my run/config.json").read_text())["train"]["dataset"] == str(moved)


def test_hints_other_data_than_the_runs_are_told(pixels, call) -> None:
    call("train", pixels, *SMALL, "--latent", 2, "--out", "my run", "--quiet", "--no-pictures")
    write_pictures("new.idx3-ubyte", count=30, seed=1)
    code, _, err = call("reconstruct", "my run", "--data", "new.idx3-ubyte", "--out", "new.png")
    assert code == 0 and "differs from the data" in err and Path("new.png").is_file()
    code, _, err = call("train", "--resume", "my run", "--epochs", 3, "--data", "new.idx3-ubyte")
    assert code == 2 and "trained on other data" in err and err.count("\n") == 1


@pytest.mark.data
@pytest.mark.parametrize("given", ["--data-dir", pytest.param("env", marks=pytest.mark.slow)])
def test_hints_after_data_dir(given, data_dir, call, tmp_path, monkeypatch) -> None:
    (tmp_path / "copies").symlink_to(data_dir)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIVAE_CACHE", str(tmp_path / "no cache"))
    place = ("--data-dir", "copies") if given == "--data-dir" else ()
    if not place:
        monkeypatch.setenv("MINIVAE_DATA", "copies")
    code, out, err = call("train", "frey", *SMALL, *place, "--no-pictures", "--out", "run")
    assert code == 0, err
    monkeypatch.delenv("MINIVAE_DATA", raising=False)
    follow(call, hints_in(out))
    code, out, err = call("data", "frey", "--data-dir", "copies")
    assert code == 0, err
    assert shlex.split(hints_in(out.replace("next: ", ""))[0])[-1].endswith("copies")
