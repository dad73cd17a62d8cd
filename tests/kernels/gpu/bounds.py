"""Where an array begins and ends in memory, under the name that NumPy 1 and 2 have for it."""

try:
    from numpy.lib.array_utils import byte_bounds
except ImportError:  # NumPy 1
    from numpy import byte_bounds  # type: ignore[attr-defined, no-redef]

__all__ = ["byte_bounds"]
