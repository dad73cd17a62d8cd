"""The ops of chance and of the batch: Philox, uniforms, normals, gather, binarise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from minivae_kernels.cpu.compile.by_address import ARRAY
from minivae_kernels.cpu.compile.decorators import allocating, entry, inner
from minivae_kernels.cpu.ops.arguments import flat, float32_only, fresh, readable
from minivae_kernels.cpu.ops.elementwise import Loop
from minivae_kernels.cpu.ops.philox import block, box_muller, unit
from minivae_kernels.cpu.threads.count import crew_for
from minivae_kernels.cpu.threads.crew import laid_out, pieces_of, rows_of_piece, share_out
from minivae_kernels.support import Unsupported

f32, u32 = np.float32, np.uint32
WORD, PERMUTATION, BINARISE = 0xFFFFFFFF, 1, 3  # the last two: streams of the contract


@inner
def scale_bytes(source, scale, out):
    """out = float32(source) · scale."""
    for i in range(len(source)):
        out[i] = f32(source[i]) * scale


@inner
def uniform_row(sample, step, stream, k0, k1, out):
    """Uniforms of one sample, as many as whole blocks of four fit into `out`."""
    for q in range(len(out) // 4):
        a, b, c, d = block(u32(q), sample, step, stream, k0, k1)
        out[4 * q], out[4 * q + 1] = unit(a), unit(b)
        out[4 * q + 2], out[4 * q + 3] = unit(c), unit(d)


@inner
def compare(u, x):
    """x = 1 where u < x, else 0."""
    for i in range(len(x)):
        x[i] = f32(1) if u[i] < x[i] else f32(0)


def _binarise_line(x, noise, sample, step, k0, k1):  # type: ignore[no-untyped-def]
    """One sample's x, binarised by its own uniforms, which take whole blocks of four in noise."""
    uniform_row(u32(sample), u32(step), u32(BINARISE), u32(k0), u32(k1), noise)
    compare(noise, x)


# The step calls it by its address, where it binarises at all.
BINARISE_LINE = Loop("binarise_line", _binarise_line, ARRAY, ARRAY, *4 * (types.int64,))


@entry
def philox_kernel(counters, k0, k1, out):
    """Ten rounds for every counter (n, 4)."""
    for i in range(len(counters)):
        c = counters[i]
        a0, a1, a2, a3 = block(c[0], c[1], c[2], c[3], k0, k1)
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = a0, a1, a2, a3


@inner
def uniforms_piece(k, member, rows, samples, step, stream, k0, k1, out):
    """Some rows of out (B, whole blocks of 4)."""
    for b in range(k * rows, min((k + 1) * rows, len(samples))):
        uniform_row(u32(samples[b]), step, stream, k0, k1, out[b])


@entry
def uniforms_kernel(crew, samples, step, stream, k0, k1, out):
    """out (B, whole blocks of 4), shared out."""
    rows = rows_of_piece(crew, len(out))
    job = laid_out(uniforms_piece, (rows, samples, step, stream, k0, k1, out))
    share_out(crew, job, (len(out) + rows - 1) // rows, 8 * out.size)


@inner
def normals_piece(k, member, count, samples, step, stream, k0, k1, out):
    """out (blocks, 4, B) of some samples, which lie side by side and are made side by side."""
    low, high = k * count, min((k + 1) * count, len(samples))
    some = samples[low:high]
    for q in range(len(out)):
        n0, n1 = out[q, 0][low:high], out[q, 1][low:high]
        n2, n3 = out[q, 2][low:high], out[q, 3][low:high]
        for b in range(len(some)):
            a0, a1, a2, a3 = block(u32(q), u32(some[b]), step, stream, k0, k1)
            n0[b], n1[b] = box_muller(a0, a1)
            n2[b], n3[b] = box_muller(a2, a3)


@entry
def normals_kernel(crew, samples, step, stream, k0, k1, out):
    """out (blocks, 4, B), shared out."""
    count, length = pieces_of(crew, len(samples))
    job = laid_out(normals_piece, (length, samples, step, stream, k0, k1, out))
    share_out(crew, job, count, 12 * out.size)


@inner
def gather_piece(k, member, count, data, rows, scale, out):
    """Some rows of out = data[rows] · scale."""
    for b in range(k * count, min((k + 1) * count, len(rows))):
        scale_bytes(data[from_start(rows[b], len(data))], scale, out[b])


@inner
def from_start(row, n):
    """The row's number; one below 0 counts from the end."""
    return row + n if row < 0 else row


@inner
def all_there(rows, n):
    """Whether every row lies within n, counted from either end: 1 or 0."""
    low, high = np.int64(0), np.int64(-1)
    for b in range(len(rows)):
        low, high = min(low, rows[b]), max(high, rows[b])
    return np.int64(-n <= low and high < n)


@entry
def gather_kernel(crew, data, rows, scale, out):
    """out = data[rows] · scale, shared out -> 1; 0, and nothing done, if a row is not there."""
    there = all_there(rows, len(data))
    if there:
        count = rows_of_piece(crew, len(rows))
        job = laid_out(gather_piece, (count, data, rows, scale, out))
        share_out(crew, job, (len(rows) + count - 1) // count, out.size)
    return there


@allocating
def binarised_piece(k, member, count, data, rows, samples, scale, key, out):
    """Some rows of out: 1 where a sample's uniform is below data[rows] · scale, else 0."""
    step, stream, k0, k1 = key
    noise = np.empty((out.shape[1] + 3) // 4 * 4, dtype=np.float32)
    for b in range(k * count, min((k + 1) * count, len(rows))):
        scale_bytes(data[from_start(rows[b], len(data))], scale, out[b])
        uniform_row(u32(samples[b]), step, stream, k0, k1, noise)
        compare(noise[: out.shape[1]], out[b])


@entry
def gather_binarise_kernel(crew, data, rows, samples, scale, step, stream, k0, k1, out):
    """out = a draw with data[rows] · scale as probabilities, shared out -> as gather_kernel."""
    there = all_there(rows, len(data))
    if there:
        count = rows_of_piece(crew, len(rows))
        given = (count, data, rows, samples, scale, (step, stream, k0, k1), out)
        pieces = (len(rows) + count - 1) // count
        share_out(crew, laid_out(binarised_piece, given), pieces, 8 * out.size)
    return there


@entry
def binarise_kernel(u, out):
    """out = 1 where u < out, else 0."""
    compare(u, out)


def _key(seed: int) -> tuple[Any, Any]:
    return u32(int(seed) & WORD), u32((int(seed) >> 32) & WORD)


def _samples(samples: Any) -> np.ndarray:
    return np.asarray(samples).reshape(-1).astype(np.int64).astype(np.uint32)


def philox(counter: Any, key: Any) -> np.ndarray:
    """Ten rounds of Philox 4x32: counter (..., 4), key (2,) uint32 -> (..., 4)   (E34)"""
    counter = np.asarray(counter)
    if counter.ndim < 1 or counter.shape[-1] != 4:
        raise ValueError(f"philox: counter has shape {counter.shape}, but (…, 4) is needed")
    words = np.ascontiguousarray(counter.astype(np.uint32)).reshape(-1, 4)
    out = np.empty_like(words)
    philox_kernel(words, u32(int(key[0])), u32(int(key[1])), out)
    return out.reshape(counter.shape)


def uniforms(seed: int, stream: int, step: int, samples: Any, n: int) -> np.ndarray:
    """n uniforms in (0, 1) for each sample -> (B, n) float32             (E35)"""
    rows = _samples(samples)
    out = fresh((len(rows), (n + 3) // 4 * 4))
    args = rows, u32(step & WORD), u32(stream), *_key(seed)
    if out.size:
        uniforms_kernel(crew_for(8 * out.size), *args, out)
    return out if out.shape[1] == n else np.ascontiguousarray(out[:, :n])


def normals(seed: int, stream: int, step: int, samples: Any, n: int) -> np.ndarray:
    """n standard normals for each sample -> (B, n) float32               (E36)"""
    rows = _samples(samples)
    out = fresh(((n + 3) // 4, 4, len(rows)))
    if not out.size:
        return fresh((len(rows), n))
    args = rows, u32(step & WORD), u32(stream), *_key(seed)
    normals_kernel(crew_for(12 * out.size), *args, out)
    return np.ascontiguousarray(out.reshape(-1, len(rows))[:n].T)


def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order of the n data in an epoch: (n,) int64                    (E34)"""
    counters = np.zeros((n, 4), dtype=np.uint32)
    counters[:, 1], counters[:, 2], counters[:, 3] = np.arange(n), epoch & WORD, PERMUTATION
    words = philox(counters, _key(seed)).astype(np.uint64)
    return np.argsort((words[:, 0] << np.uint64(32)) | words[:, 1], kind="stable")


def _stored(op: str, data: Any) -> np.ndarray:
    """The data as the kernels read it. Raises Unsupported for float64."""
    data = np.asarray(data)
    if data.ndim != 2:
        raise ValueError(f"{op}: data has shape {data.shape}, but (N, D) is needed")
    if data.dtype == np.uint8:
        return readable(np.ascontiguousarray(data))
    if data.dtype.kind != "f":
        raise TypeError(f"{op}: data is {data.dtype}; uint8 or floats are needed")
    float32_only(op, data)
    return readable(np.require(data, f32, ["C", "A"]))


def _rows(op: str, rows: Any) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.dtype.kind not in "iu" and rows.size:
        raise TypeError(f"{op}: rows are {rows.dtype}; whole numbers are needed")
    return readable(np.ascontiguousarray(rows.reshape(-1), dtype=np.int64))


def _outside(op: str, n: int) -> IndexError:
    return IndexError(f"{op}: a row lies outside the {n} that the data have")


def gather(data: Any, rows: Any, scale: float) -> np.ndarray:
    """data[rows] · scale: (N, D) uint8 or float, rows (B,) -> x (B, D)   (E35)"""
    stored = _stored("gather", data)
    rows = _rows("gather", rows)
    out = fresh((len(rows), stored.shape[1]))
    if not gather_kernel(crew_for(out.size), stored, rows, f32(scale), out):
        raise _outside("gather", len(stored))
    return out


def binarise(x: Any, u: Any) -> np.ndarray:
    """1 where u < x, else 0                                              (E35)"""
    x, u = np.asarray(x), np.asarray(u)
    if x.dtype != f32 or u.dtype != f32 or x.shape != u.shape:
        raise Unsupported("binarise", "binarise: x and u are not float32 of one shape")
    out = np.array(x, dtype=np.float32, order="C")
    binarise_kernel(flat(u), out.reshape(-1))
    return out


def gather_binarise(
    data: Any, rows: Any, scale: float, seed: int, stream: int, step: int
) -> np.ndarray:
    """Rows of the data as a fresh Bernoulli draw of every pixel: (B, D)  (E35)"""
    op = "gather_binarise"
    stored = _stored(op, data)
    rows = _rows(op, rows)
    out = fresh((len(rows), stored.shape[1]))
    args = stored, rows, _samples(rows), f32(scale), u32(step & WORD), u32(stream), *_key(seed)
    if not gather_binarise_kernel(crew_for(8 * out.size), *args, out):
        raise _outside(op, len(stored))
    return out


OPS = (philox, uniforms, normals, permutation, gather, binarise, gather_binarise)
