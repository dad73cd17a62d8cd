"""What every refusal of a file must be: one line that names it, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from minivae.data import DataError


def refused(read: Callable[[Path], Any], path: Path, *words: str) -> None:
    """Reading must fail with one line that names the file and says these words."""
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message and path.name in message
    for word in words:
        assert word in message, message


@contextmanager
def little_memory() -> Iterator[None]:
    """The block may take 4 MiB at most."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
