"""The one error that loaders, checks and downloads raise."""

from __future__ import annotations


class DataError(ValueError):
    """Data that cannot be used: one line that says what is wrong, where, and the fix."""
