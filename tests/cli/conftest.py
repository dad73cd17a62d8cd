"""What the command line's tests share: running a command in this process, and a small run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from minivae.cli.main import run


class CommandResult(NamedTuple):
    """What a command left: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """stdout as the one strict JSON object that it must be."""

        def refuse(name: str) -> None:
            raise AssertionError(f"{name} in JSON")

        assert self.code == 0, self.err
        assert self.out.count("\n") == 1 and self.out.endswith("}\n"), self.out[:200]
        return dict(json.loads(self.out, parse_constant=refuse))


Command = Callable[..., CommandResult]
SMALL = ("--backend", "numpy", "--hidden", "12", "--batch-size", "100", "--epochs", "2")


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Run `minivae ARGS` in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> CommandResult:
        code = run([str(a) for a in args])
        captured = capsys.readouterr()
        return CommandResult(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on digits, three latent dimensions, with pictures; tests must not change it."""
    path = tmp_path_factory.mktemp("runs") / "small"
    assert run(["train", "--latent", "3", *SMALL, "--quiet", "--out", str(path)]) == 0
    return path
