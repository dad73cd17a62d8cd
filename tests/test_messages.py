"""Messages stay short, on one line and printable, whatever is in them."""

from __future__ import annotations

import pytest

from minivae.messages import MOST, one_line, printable, shown


def deep(levels: int) -> list:
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [10**5000, -(10**5000), "x" * 10**7, b"\0" * 10**6, deep(100_000), [10**5000], {"a": 10**9000}],
    ids=["int", "negative", "text", "bytes", "deep", "int in a list", "int in a dict"],
)
def test_a_value_of_any_size_is_shown_in_short(value: object) -> None:
    assert 0 < len(shown(value)) <= 80


def test_numbers_of_many_digits_are_told_by_their_size() -> None:
    assert shown(10**5000) == "(a number of about 5,000 digits)"
    assert shown(12345) == "12345" and shown(True) == "True"


def test_what_a_terminal_would_obey_is_escaped() -> None:
    assert one_line("a\x1b[31mb\nc\x00\u202ed\x9b") == r"a\x1b[31mb\nc\x00\u202ed\x9b"
    assert (
        one_line("/home/a\nb.npy: is empty.\n  Give another.")
        == r"/home/a\nb.npy: is empty. Give another."
    )
    assert printable("σ² ≤ 1 – ok") == "σ² ≤ 1 – ok"
    assert printable("\udcff") == r"\udcff"


def test_a_path_in_a_command_keeps_its_spaces() -> None:
    text = "saved.\n   Continue with: minivae train --resume 'a  b'\t\r\n"
    assert one_line(text) == "saved. Continue with: minivae train --resume 'a  b'"


def test_a_long_message_keeps_its_beginning_and_its_fix() -> None:
    text = one_line("file.npz: is damaged " + "\x1b" * 10**6 + "; fetch it again")
    assert text.startswith("file.npz: is damaged") and text.endswith("; fetch it again")
    assert len(text) <= MOST
