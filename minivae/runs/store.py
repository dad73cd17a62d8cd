"""The checkpoints of one run: their names, which to keep, which is best, and which is sound."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minivae.data.whole import sync_directory
from minivae.messages import shown
from minivae.runs import files
from minivae.runs.checkpoint import (
    Checkpoint,
    Tensors,
    encode_json,
    manifest_path,
    read_checkpoint,
    read_manifest,
    same,
    write_checkpoint,
)
from minivae.runs.errors import CheckpointError, RunError, describe_os_error

NAME = re.compile(r"epoch-(\d{4,})(?:-update-(\d{6,}))?\.safetensors")
POINTERS = ("best", "last")
INSIDE = 2  # checkpoints kept within an epoch
# What the system says of a file that is gone for good. Anything else may pass: EACCES, EMFILE, …
FILE_IS_LOST = {errno.ENOENT, errno.EIO, errno.ELOOP, errno.ENXIO}
READ_AGAIN = 100  # times that a pointer may move on while what it named is read

Key = tuple[int, int]  # (complete epochs, updates done in the next one)


def name_of(key: Key) -> str:
    """File name of the checkpoint at ``key``: ``epoch-0003`` or ``epoch-0003-update-000120``."""
    epoch, update = key
    return f"epoch-{epoch:04d}" + (f"-update-{update:06d}" if update else "") + ".safetensors"


def key_of(name: str) -> Key | None:
    """The key in a checkpoint's file name, or None if it is no checkpoint's name."""
    match = NAME.fullmatch(name)
    return (int(match[1]), int(match[2] or 0)) if match else None


def may_be_sound(error: CheckpointError) -> bool:
    """Whether the system refused to read a file that may be whole: no right to it, no memory, …"""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno not in {None, *FILE_IS_LOST}


class CheckpointStore:
    """A directory of checkpoints; ``best`` and ``last`` are manifests naming one of them.

    A numbered file never changes once it has its manifest, so a stop at any moment leaves every
    older checkpoint as it was. Beside each pointer ``NAME.json`` stands ``NAME.safetensors``, a
    hard link (or copy) for people and other tools; this program reads the file the pointer names.
    """

    def __init__(self, directory: Path, keep: int = 3) -> None:
        self.directory = directory
        self.keep = keep
        self._best = ""  # the best one's file, known to this process whatever its pointer says

    def numbered(self) -> list[Key]:
        """All numbered checkpoints, sound or not, oldest first; one file of the two is enough.

        Raises RunError where the folder cannot be read.
        """
        return self._keys("safetensors", "json")

    def _keys(self, *endings: str) -> list[Key]:
        """The numbered checkpoints of which a file of one of these endings is there."""
        if not self.directory.is_dir():
            return []
        try:
            names = [name.rpartition(".") for name in os.listdir(self.directory)]
        except OSError as error:
            why = describe_os_error(error)
            raise RunError(f"cannot read {self.directory}: {why}; check the disk") from error
        stems = {stem for stem, _, ending in names if ending in endings}
        found = (key_of(f"{stem}.safetensors") for stem in stems)
        return sorted(key for key in found if key is not None)

    def save(self, key: Key, tensors: Tensors, facts: dict[str, Any], best: bool) -> None:
        """Write the checkpoint at ``key``, point ``last`` (and ``best``) at it, drop old ones.

        Raises RunError when the disk refuses; what was there before is then still whole.
        """
        path = self.directory / name_of(key)
        manifest = write_checkpoint(path, tensors, facts)
        if best:
            self._best = path.name
        self._point(POINTERS if best else POINTERS[1:], manifest)
        self._prune(key)

    def settle(self, newest: Key, best: Key | None, note: Callable[[str], None]) -> None:
        """Finish the save of ``newest``, from which a run goes on: its pointers, what to drop.

        A kill may have come before either, and a finished run would never get to them again.
        """
        self._point(["last"], read_manifest(manifest_path(self.directory / name_of(newest))))
        if best is not None:
            self._best = name_of(best)
            try:
                self._point(["best"], self.read(self.directory / self._best).manifest)
            except CheckpointError as error:
                note(f"the best checkpoint so far, of epoch {best[0]}, is lost: {error}")
        self._prune(newest)

    def _point(self, pointers: Sequence[str], manifest: dict[str, Any]) -> None:
        """Turn pointers to a checkpoint that is on the disk; then they are on the disk too."""
        content = encode_json(manifest)
        for pointer in pointers:
            target = self.directory / f"{pointer}.json"
            try:
                files.replace_synced(target, content)
                target = target.with_suffix(".safetensors")
                self._link(self.directory / manifest["file"], target, manifest["bytes"])
            except OSError as error:
                raise RunError(f"cannot write {target}: {describe_os_error(error)}") from error
        try:
            sync_directory(self.directory)
        except OSError as error:
            raise RunError(f"cannot write {target}: {describe_os_error(error)}") from error

    def _link(self, source: Path, target: Path, size: int) -> None:
        """Put a hard link to `source`, or a copy of it, in the place of `target`."""
        half = files.temporary(target)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(half)
        try:
            os.link(source, half)
        except OSError:  # a file system without hard links
            files.write_synced(half, files.read_file(source, size))
        os.replace(half, target)
        files.remove_quietly(half)  # two names of one file: replace leaves both

    def _prune(self, newest: Key) -> None:
        """Keep the ``keep`` newest up to ``newest``, and the best; the rest is removed.

        What lies beyond ``newest`` was damaged or belongs to an abandoned continuation. Those
        inside epochs are counted apart and have served once their epoch is complete, so that
        which files remain does not depend on when the clock asked for one.
        """
        numbered = self.numbered()
        candidates = [key for key in numbered if key <= newest]
        ends = [key for key in candidates if key[1] == 0]
        inside = [key for key in candidates if key[1] > 0 and newest[1] > 0]
        kept = {name_of(key) for key in ends[-self.keep :] + inside[-INSIDE:]}
        kept |= {self._best, self._target("best")}
        for key in numbered:
            if name_of(key) not in kept:
                path = self.directory / name_of(key)
                files.remove_quietly(manifest_path(path))  # what stays goes at the next save
                files.remove_quietly(path)

    def _target(self, pointer: str) -> str:
        try:
            return str(read_manifest(self.directory / f"{pointer}.json")["file"])
        except CheckpointError:
            return ""

    def clean(self) -> None:
        """Remove what a killed run left half-written. Call it with the run's lock held.

        So are tensors without a manifest, which never count; they would be kept in place of whole
        ones where a resume is asked to keep more. What `best` names is lost, and left for people.
        """
        for path in self.directory.glob("*" + files.TEMPORARY):
            path.unlink(missing_ok=True)
        whole = {name_of(key) for key in self._keys("json")}
        for name in map(name_of, self.numbered()):
            if name not in whole and name != self._target("best"):
                (self.directory / name).unlink(missing_ok=True)

    def load(self, which: str) -> Checkpoint:
        """The verified ``best`` or ``last`` checkpoint; CheckpointError if it is not sound.

        A run beside it may move the pointer on and drop what it named: then it is read again.
        """
        for _ in range(READ_AGAIN):
            manifest = self.pointer(which)
            try:
                return self._named(which, manifest)
            except CheckpointError:
                if self.pointer(which) == manifest:
                    raise
        raise CheckpointError(f"{self.directory}: {which}.json never stays as it is; read it later")

    def pointer(self, which: str) -> dict[str, Any]:
        """The manifest that a pointer holds. Raises CheckpointError where there is no sound one."""
        if not (self.directory / f"{which}.json").exists():
            raise CheckpointError(f"{self.directory} has no {which} checkpoint")
        return read_manifest(self.directory / f"{which}.json")

    def _named(self, which: str, manifest: dict[str, Any]) -> Checkpoint:
        name = manifest["file"]
        if NAME.fullmatch(name) is None:  # a path that leads elsewhere, say
            raise CheckpointError(f"{which}.json names no checkpoint ({shown(name, 40)})")
        checkpoint = self.read(self.directory / name)
        if not same(checkpoint.manifest, manifest):
            raise CheckpointError(
                f"{which}.json is damaged or another run's: it is not the manifest of {name}"
            )
        p = manifest.get("progress", {})
        if which == "best" and p and (p["update"] or p["epoch"] != p["best_epoch"]):
            raise CheckpointError(
                f"best.json names {name}, by which epoch {p['best_epoch']} was the best"
            )
        return checkpoint

    def read(self, path: Path) -> Checkpoint:
        """One numbered checkpoint, verified, and its name held against its contents."""
        checkpoint = read_checkpoint(path)
        manifest = checkpoint.manifest
        written = manifest["file"]
        if isinstance(manifest.get("progress"), dict):
            written = name_of((manifest["progress"]["epoch"], manifest["progress"]["update"]))
        if not path.name == written == manifest["file"]:
            raise CheckpointError(
                f"{path.name} is another checkpoint: it was written as {shown(written, 60)}"
            )
        return checkpoint

    def newest_sound(
        self,
        note: Callable[[str], None],
        foreign: Callable[[Checkpoint], str | None] = lambda checkpoint: None,
    ) -> Checkpoint | None:
        """The newest checkpoint that verifies; each damaged one passed over is noted.

        So is one that is another run's: `foreign` says by what, or None, or raises CheckpointError.
        A run that goes on from the older one removes them (`_prune`), so one that may be sound and
        cannot be read for now is not passed over.

        Returns None when no checkpoint was ever completed; raises CheckpointError when some were
        and every one is damaged, or where the system refuses to read one.
        """
        faults: list[str] = []
        completed = 0
        for key in reversed(self.numbered()):
            path = self.directory / name_of(key)
            completed += os.path.exists(manifest_path(path))
            try:
                checkpoint = self.read(path)
                if (other := foreign(checkpoint)) is not None:
                    raise CheckpointError(f"{path.name} is another run's: {other}")
            except CheckpointError as error:
                if may_be_sound(error):
                    raise CheckpointError(
                        f"{error}; it may be sound: mend that and try again, or move it away"
                    ) from error
                faults.append(str(error))
                continue
            for fault in faults:
                note(f"{fault}; using {path.stem} instead, and the run removes it")
            return checkpoint
        if completed:
            raise CheckpointError(
                f"no sound checkpoint in {self.directory} ({'; '.join(faults)}); start a new run"
            )
        return None
