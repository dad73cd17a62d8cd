"""The one error that loaders, checks and downloads raise."""

from __future__ import annotations

from minivae.messages import one_line


class DataError(ValueError):
    """Data that cannot be used: one line that says what is wrong, where, and the fix."""

    def __init__(self, message: str) -> None:
        # names from within a damaged file can hold anything, at any length
        super().__init__(one_line(message))
