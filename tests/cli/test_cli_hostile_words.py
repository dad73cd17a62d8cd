"""Whatever an option or a variable is given, printable lines of bounded length say what is wrong.

The options are those that the command line itself lists.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from minivae.cli.main import build_app, run
from minivae.processes import RANKS, SIZES, own_rank, processes
from tests.reliability.tiny_runs import tiny_run

HOSTILE = {
    "signs": "\x1b[31m\r\n\u202e\u2028\x00" + "\udcff" * 300,
    "digits": "9" * 5000,
    "letters": "x" * 100_000,
    "path": "../" * 3000 + "x",
    "list": "1," * 3000,
    "infinite": "1e999" + " " * 300,
}
KINDS = [kind if n < 2 else pytest.param(kind, marks=pytest.mark.slow)
         for n, kind in enumerate(HOSTILE)]  # fmt: skip
MOST = 620  # characters of a line: a message, and how it begins
VARIABLES = ("MINIVAE_DATA", "MINIVAE_CACHE", "XDG_CACHE_HOME", "HOME", *RANKS, *SIZES)
GROUP: Any = typer.main.get_command(build_app())


def options_of(name: str) -> list[str]:
    """The first names of a command's options that take a value."""
    return [
        param.opts[0]
        for param in GROUP.commands[name].params
        if param.param_type_name == "option" and not getattr(param, "is_flag", False)
    ]


def arguments_of(name: str) -> list[Any]:
    return [p for p in GROUP.commands[name].params if p.param_type_name == "argument"]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of data that are nowhere, so that no command goes far."""
    path = tmp_path_factory.mktemp("told") / "run"
    tiny_run(path)
    return path


@pytest.fixture
def told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[list[str]], int]]:
    """Run a command line; what it says is lines that are printable and short -> its exit code."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)

    def lines(argv: list[str]) -> int:
        code = run(argv)
        out, err = capsys.readouterr()
        for line in (out + err).splitlines():
            assert len(line) <= MOST and line.isprintable(), (argv[:3], len(line), line[:200])
        assert "Traceback" not in err and code in (0, 1, 2), (argv[0], err[-500:])
        assert code == 0 or err.strip(), argv[0]
        return code

    yield lines
    os.environ.clear()  # `study --data` sets variables, for its chapters to read
    os.environ.update(before)


def needed(name: str, run_dir: Path) -> list[str]:
    """What a command cannot do without; `train` is given data that cannot be had."""
    given = [str(run_dir) for param in arguments_of(name) if param.required]
    return ["nowhere.npy"] if name == "train" else given


def test_there_are_options_to_try() -> None:
    assert sum(len(options_of(name)) for name in GROUP.commands) > 120


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", GROUP.commands)
def test_no_option_floods_a_message(
    name: str, kind: str, run_dir: Path, told: Callable[[list[str]], int],
    count: Callable[[str, int], None],
) -> None:  # fmt: skip
    tried = 0
    for option in options_of(name):
        told([name, *needed(name, run_dir), f"{option}={HOSTILE[kind]}"])
        tried += 1
    count("hostile words given to options, each answered in printable lines", tried)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in GROUP.commands if arguments_of(name)])
def test_no_argument_floods_a_message(
    name: str, kind: str, told: Callable[[list[str]], int]
) -> None:
    assert told([name, HOSTILE[kind]]) == 2


def test_no_option_or_command_that_is_unknown_floods_a_message(
    told: Callable[[list[str]], int],
) -> None:
    for word in HOSTILE.values():
        assert told([word]) == 2 and told(["info", f"--{word}"]) == 2
        assert told(["--parts", word, "info"]) in (1, 2)


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_variable_floods_a_message(
    kind: str, told: Callable[[list[str]], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    word = HOSTILE[kind].replace("\0", "")  # of which no variable can have one
    for variable in VARIABLES:
        monkeypatch.setenv(variable, word)
        told(["data", "frey", "--help"])
        told(["train", "frey", "--epochs", "1"])
        told(["train", "nowhere.npy"])
        monkeypatch.delenv(variable)


def test_a_rank_that_is_no_number_was_set_by_no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for word in ("abc", "", "-1", "9" * 5000, "1.5"):
        for variable in (*RANKS, *SIZES):
            monkeypatch.setenv(variable, word)
        assert own_rank() == 0 and processes() == 1
    monkeypatch.setenv(RANKS[0], "3")
    assert own_rank() == 3
