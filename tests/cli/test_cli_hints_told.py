"""Which commands the program tells one to type: each is known here, and run by a test."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import minivae
from tests.cli.conftest import Command
from tests.cli.test_cli_hints import SMALL, hints_in

ROOT = Path(minivae.__file__).parent
# What the sources tell one to type, by its first words, and where a test types it.
TOLD = {
    "data": "test_a_data_sets_name_is_understood",
    "evaluate": "test_cli_hints: of a run",
    "explain-loss": "test_cli_hints: of a run",
    "fsck": "test_of_a_damaged_run",
    "generate": "test_cli_hints: of a run; test_of_a_model_from_pytorch",
    "interpolate": "test_cli_hints: of a run",
    "reproduce": "test_of_a_published_result_in_part",
    "study check": "test_cli_hints: of the other commands",
    "train": "test_cli_hints: of the other commands; test_of_a_run_that_never_began",
    "train --resume": "test_cli_hints: of a run, where a run was stopped; test_of_a_damaged_run",
}


def words_of(call: ast.Call) -> Iterator[str]:
    """The words with which a call of `command_line` begins, as far as they are written out."""
    for argument in call.args:
        if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
            return
        yield argument.value


def told_in(tree: ast.AST) -> Iterator[str]:
    """The first words of every command that a module tells one to type."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "command_line":
            yield " ".join(words_of(node))
        elif isinstance(getattr(node, "value", None), str) and id(node) not in prose:
            yield from re.findall(r"`minivae ([a-z-]+)", node.value)


def test_every_hint_is_known_here_and_run() -> None:
    told = {words for file in ROOT.rglob("*.py") for words in told_in(ast.parse(file.read_text()))}
    told -= {"", "study", "play"}  # put together from words given; the book's own prose
    cut = {" ".join(words.split()[:2]) if words.startswith(("train", "study")) else
           words.split()[0] for words in told}  # fmt: skip
    cut = {words.removesuffix(" --out") for words in cut}
    assert cut == set(TOLD)


@pytest.fixture
def own_run(command: Command) -> Path:
    """A small run of its own."""
    done = command("train", *SMALL, "--latent", "2", "--quiet", "--no-pictures", "--out", "my run")
    assert done.code == 0, done.err
    return Path("my run")


def type_it(command: Command, hint: str, monkeypatch, tmp_path: Path, *more: object) -> None:
    """Run a hint from another directory, as a shell would take it apart."""
    (tmp_path / "elsewhere").mkdir(exist_ok=True)
    with monkeypatch.context() as patched:
        patched.chdir(tmp_path / "elsewhere")
        words = shlex.split(hint)
        assert words[0] == "minivae"
        done = command(*words[1:], *more)
        assert done.code == 0, (hint, done.err)


def test_of_a_damaged_run(command, own_run, monkeypatch, tmp_path) -> None:
    last = own_run / "checkpoints" / "last.json"
    last.write_text(last.read_text()[:-5])
    refused = command("evaluate", own_run, "--checkpoint", "last")
    assert refused.code == 2 and refused.err.count("\n") == 1
    fsck = re.search(r"minivae fsck .+?(?= can tell)", refused.err)
    assert fsck is not None, refused.err
    words = shlex.split(fsck[0])
    monkeypatch.chdir("/")
    found = command(*words[1:])
    assert found.code == 1 and found.err == ""
    resume = re.search(r"minivae train --resume .+?(?= goes on)", found.out)
    assert resume is not None, found.out
    type_it(command, resume[0], monkeypatch, tmp_path)


def test_of_a_run_that_never_began(command, own_run, monkeypatch, tmp_path) -> None:
    for file in [*own_run.rglob("*")]:
        if file.is_file():
            file.unlink()
    refused = command("train", "--resume", own_run)
    assert refused.code == 2, refused.err
    hint = re.search(r"minivae train --out .+", refused.err)
    assert hint is not None, refused.err
    type_it(command, hint[0], monkeypatch, tmp_path, *SMALL, "--no-pictures")


def test_of_a_model_from_pytorch(command, monkeypatch, tmp_path) -> None:
    import safetensors.numpy

    from tests.exports.test_exports import example_state

    (tmp_path / "my models").mkdir()
    safetensors.numpy.save_file(example_state(), "state.safetensors")
    done = command("import", "state.safetensors", "--out", "my models/vae.safetensors")
    assert done.code == 0, done.err
    type_it(command, hints_in(done.out.replace("next: ", ""))[0], monkeypatch, tmp_path)


def test_a_data_sets_name_is_understood(command, monkeypatch, tmp_path) -> None:
    from minivae.data import download

    monkeypatch.setenv("MINIVAE_CACHE", str(tmp_path / "no cache"))
    monkeypatch.delenv("MINIVAE_DATA", raising=False)
    refused = command("train", "mnist")
    hint = hints_in(refused.err)[0]
    fetched = []
    monkeypatch.setattr(download, "download", lambda name, *more: fetched.append(name) or 1 / 0)
    command(*shlex.split(hint)[1:])
    assert fetched == ["mnist"]


@pytest.mark.slow
def test_of_a_published_result_in_part(command, monkeypatch, tmp_path) -> None:
    first = ("reproduce", "pytorch-example", "--small", "--budget", "1e-5", "--out", "my results")
    done = command(*first)
    assert done.code == 2 and "too short for one epoch" in done.err
    hint = re.search(r"minivae reproduce .+", done.err)
    assert hint is not None
    type_it(command, hint[0], monkeypatch, tmp_path)
