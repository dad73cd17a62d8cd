"""Do a backend's kernels give the same bits with any number of threads?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.proof.kernel_points import SIZES, arguments
from minivae.proof.kernels import by_kernel, own_kernels, raised

# The last is large enough that threads share every op's work; the others end in odd pieces.
SHARED = (*SIZES[-2:], (256, 784, 400, 1))

Found = dict[str, list[str] | str]  # by op: a hash of every output, or what was raised


def threads_agree(make: Callable[[int], Any], counts: tuple[int, ...] = (1, 2)) -> dict[str, str]:
    """What is wrong by op: results that depend on the number of threads, or a kernel that raises.

    `make` loads the backend with that many threads. The number is one for the whole process, so
    every op is run with one number before the backend is loaded with the next.
    """
    runs = [outputs(make(count)) for count in counts]
    problems = {}
    for op, first in runs[0].items():
        results = [run[op] for run in runs]
        broken = [result for result in results if isinstance(result, str)]
        if broken:
            problems[op] = broken[0]
        elif any(result != first for result in results):
            problems[op] = "the result depends on the number of threads"
    return problems


def outputs(K: Any) -> Found:
    """Hashes of all that K's kernels return, by op."""
    found: Found = {}
    for op in own_kernels(K):
        try:
            found[op] = [
                hashlib.sha256(array.tobytes()).hexdigest()
                for size in SHARED
                for array in by_kernel(K, op, arguments(op, np.random.default_rng(9), size))[0]
            ]
        except MemoryError:  # says nothing about the kernel
            raise
        except Exception as error:
            found[op] = raised(error)
    return found
