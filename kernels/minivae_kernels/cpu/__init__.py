"""The Numba backend: kernels compiled for this processor, in one team of threads."""

from __future__ import annotations
