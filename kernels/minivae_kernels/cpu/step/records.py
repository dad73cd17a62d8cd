"""What the compiled functions of a step are handed, in records instead of long argument lists."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import types

from minivae_kernels.cpu.compile.record import Record, at_address


class Batches(NamedTuple):
    """What differs from one call to the next: n updates and the data they draw from."""

    rows: Any  # (n, B) int64, the numbers that their noise belongs to
    places: Any  # (n, B) int64, where they lie in the data at hand
    first: Any  # (1,) int64, the number of the first update, from 0
    beta: Any  # (n,) float64
    constants: Any  # (n, CONSTANTS) float32, the optimiser's
    stored_bytes: Any  # (N, D) uint8, or none
    stored_floats: Any  # (N, D) float32, or none


class Shared(NamedTuple):
    """What all members of the team read and write: each writes where no other does."""

    config: Any  # (WORDS + groups,) int64, see tables.py
    numbers: Any  # (NUMBERS,) float64
    layers: Any  # (layers, LAYER_WORDS) int64
    theta: Any  # parameters and their moments, flat, in panels
    m: Any
    v: Any
    space: Any  # all activations and their gradients, flat, in panels
    partial: Any  # sums of the likelihood's terms, 32 for each panel and group of rows
    ones: Any  # (32,)
    zeros: Any  # (32,)
    masks: Any  # where the data are not zero (gemm/live.py); empty where it does not pay
    by_row: Any
    by_feature: Any
    rounded: Any  # bfloat16 shadows of space and theta (rounded.py); empty where there are none


class Own(NamedTuple):
    """What each member of the team has for itself."""

    scratch: Any  # flat float32
    kl_weight: Any  # (J,) padded to panels: β / B, or 0 where a dimension's KL is free
    kl_sums: Any  # (J,) float64


class Loss(NamedTuple):
    """What the forward pass leaves for the backward pass and the metrics."""

    value: Any  # in nats per datum
    nll: Any  # the sum over rows, all draws
    terms: Any  # exp(-log scale) times the sum of the likelihood's terms


WORDS, DOUBLES, FLOATS = types.int64[::1], types.float64[::1], types.float32[::1]
WORD_TABLE, LISTS, FLOAT_TABLE = types.int64[:, ::1], types.int32[:, ::1], types.float32[:, ::1]


def _kind(of: Any, *kinds: Any) -> Record:
    return Record(of.__name__, dict(zip(of._fields, kinds, strict=True)))


BATCHES = _kind(Batches, WORD_TABLE, WORD_TABLE, WORDS, DOUBLES, FLOAT_TABLE, types.uint8[:, ::1],
                FLOAT_TABLE)  # fmt: skip
SHARED = _kind(Shared, WORDS, DOUBLES, WORD_TABLE, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
               FLOATS, LISTS, LISTS, LISTS, FLOATS)  # fmt: skip
MEMBERS_OWN = _kind(Own, FLOATS, FLOATS, DOUBLES)
batches_at, shared_at, own_at = (at_address(kind) for kind in (BATCHES, SHARED, MEMBERS_OWN))
