"""One checkpoint: a safetensors file of the state and a JSON manifest of its sha256 sums.

Both are written under a temporary name, flushed to the disk, read back and compared, and only
then renamed; the manifest goes last, so a checkpoint without one never counts. Nothing in either
file depends on the clock, the threads or the place, so the same command writes the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minivae.runs.errors import CheckpointError, RunError, describe_os_error

FORMAT = 1
MOMENTS = "optimiser.moments"
TEMPORARY = ".tmp"

Tensors = dict[str, NDArray[Any]]


class Checkpoint(NamedTuple):
    """A checkpoint read back and verified: its manifest and its tensors."""

    path: Path
    manifest: dict[str, Any]
    tensors: Tensors


def digest(data: bytes | memoryview) -> str:
    """sha256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def tensor_digest(tensor: NDArray[Any]) -> str:
    """sha256 of a tensor's values in C order (its shape and dtype stand in the manifest)."""
    return digest(tensor.tobytes(order="C"))


def encode_json(value: Any) -> bytes:
    """JSON with sorted keys, so that equal contents are equal bytes; NaN is refused."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` in one step: temporary file, fsync, rename, fsync directory.

    Raises RunError when the disk refuses; the old file is then still there, whole.
    """
    try:
        _write_synced(_temporary(path), data)
        os.replace(_temporary(path), path)
        sync_directory(path.parent)
    except OSError as error:
        _remove_quietly(_temporary(path))
        raise RunError(f"cannot write {path}: {describe_os_error(error)}") from error


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + TEMPORARY)


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Make renames in ``directory`` survive a power cut (where the system can)."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_quietly(path: Path) -> None:
    with contextlib.suppress(OSError):  # a leftover is harmless; the next run removes it
        path.unlink(missing_ok=True)


def contiguous(tensor: NDArray[Any]) -> NDArray[Any]:
    """A C-contiguous host copy of the same shape.

    safetensors takes the memory as it lies: a transposed view would be stored scrambled.
    """
    return np.array(tensor, order="C", copy=True).reshape(np.shape(tensor))


def manifest_path(tensors_path: Path) -> Path:
    """The manifest that belongs to a tensors file."""
    return tensors_path.with_suffix(".json")


def write_checkpoint(path: Path, tensors: Tensors, facts: dict[str, Any]) -> dict[str, Any]:
    """Write ``tensors`` to ``path`` and the manifest beside it; returns the manifest.

    ``facts`` (configurations, counters) must hold JSON values that do not depend on time.
    Raises RunError if the disk refuses, CheckpointError if what was read back differs.
    """
    safetensors = _import_safetensors()
    tensors = {name: contiguous(tensor) for name, tensor in tensors.items()}
    sums = {
        name: {"shape": list(t.shape), "dtype": str(t.dtype), "sha256": tensor_digest(t)}
        for name, t in tensors.items()
    }
    manifest: dict[str, Any] = {"format": FORMAT, **facts, "tensors": sums}
    # One metadata key: the library writes several in no fixed order, and bytes must not vary.
    data = safetensors.save(tensors, metadata={"minivae": encode_json(manifest).decode()})
    manifest = {**manifest, "file": path.name, "bytes": len(data), "sha256": digest(data)}
    sums_path = manifest_path(path)
    pairs = [(path, data), (sums_path, encode_json(manifest))]
    try:
        for target, content in pairs:
            _write_synced(_temporary(target), content)
        _compare(_temporary(path), manifest, tensors)
        for target, _ in pairs:  # tensors first: a manifest never vouches for what is not there
            os.replace(_temporary(target), target)
        sync_directory(path.parent)
    except OSError as error:
        raise RunError(f"cannot write {path}: {describe_os_error(error)}") from error
    finally:
        for target, _ in pairs:
            _remove_quietly(_temporary(target))
    return manifest


def _compare(path: Path, manifest: dict[str, Any], tensors: Tensors) -> None:
    back = _verified(path, manifest)
    if set(back) != set(tensors):
        raise CheckpointError(f"{path.name} read back with other tensors than were written")
    for name, tensor in tensors.items():
        # bytes, not values: NaN must compare equal to itself and -0 differ from 0
        if back[name].dtype != tensor.dtype or back[name].tobytes() != tensor.tobytes():
            raise CheckpointError(f"{path.name}: {name} read back differs from what was written")


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and verify the checkpoint whose tensors file is ``path``.

    Raises CheckpointError naming what is missing or damaged.
    """
    manifest = read_manifest(manifest_path(path))
    return Checkpoint(path, manifest, _verified(path, manifest))


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest; CheckpointError if it is missing, half-written or of a later format."""
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path.name} is missing") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {describe_os_error(error)}") from error
    except ValueError:
        raise CheckpointError(f"{path.name} is damaged (not JSON)") from None
    known = isinstance(manifest, dict) and {"format", "tensors", "sha256"} <= set(manifest)
    if not known or not isinstance(manifest["tensors"], dict):
        raise CheckpointError(f"{path.name} is no checkpoint manifest")
    if manifest["format"] != FORMAT:
        raise CheckpointError(
            f"{path.name} has format {manifest['format']!r}; this version reads {FORMAT}"
        )
    return manifest


def _verified(path: Path, manifest: dict[str, Any]) -> Tensors:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path.name} is missing") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {describe_os_error(error)}") from error
    if len(data) != manifest.get("bytes"):
        raise CheckpointError(
            f"{path.name} is damaged: {len(data)} bytes, its manifest says {manifest.get('bytes')}"
        )
    if digest(data) != manifest["sha256"]:
        raise CheckpointError(f"{path.name} is damaged: its sha256 differs from its manifest's")
    return _tensors_of(path, data, manifest["tensors"])


def _tensors_of(path: Path, data: bytes, sums: dict[str, Any]) -> Tensors:
    try:
        tensors: Tensors = _import_safetensors().load(data)
    except Exception as error:  # the library has its own exception class; importing it is lazy
        raise CheckpointError(f"{path.name} is no safetensors file: {error}") from None
    for name, expected in sums.items():
        if name not in tensors or tensor_digest(tensors[name]) != expected["sha256"]:
            raise CheckpointError(f"{path.name} is damaged: tensor {name}")
    return tensors


def _import_safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise RunError(
            "checkpoints need the package safetensors; install it with: pip install safetensors"
        ) from error
    return safetensors.numpy
