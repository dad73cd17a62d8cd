"""Options as records: spread for Typer, gathered again for the command."""

from typing import NamedTuple

import typer
from typer.testing import CliRunner

from minivae.cli.command import command, flat


class Pair(NamedTuple):
    """Two options."""

    left: int = typer.Option(1, help="One.")
    right: str | None = typer.Option(None, help="Other.")


@command(short_help="Adds.")
def add(pair: Pair, name: str = typer.Argument(...), own: bool = typer.Option(False)) -> None:
    """Show what arrived."""
    print(flat(locals()))


def run(*words: str) -> str:
    app = typer.Typer()
    app.command(**add.settings)(add)  # type: ignore[attr-defined]
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result.output


def test_fields_are_options_and_arrive_as_a_record() -> None:
    assert eval(run("x", "--left", "7", "--own")) == {
        "left": 7, "right": None, "name": "x", "own": True,
    }  # fmt: skip


def test_the_records_options_stand_after_the_commands_own() -> None:
    words = run("--help")
    assert -1 < words.index("--own") < words.index("--left") < words.index("--right")
