"""The one error that loaders, checks and downloads raise."""

from __future__ import annotations


class DataError(ValueError):
    """Data that cannot be used: one line that says what is wrong, where, and the fix."""

    def __init__(self, message: str) -> None:
        # names from within a damaged file can hold anything, line breaks included
        super().__init__("".join(c if c.isprintable() else "?" for c in message))
