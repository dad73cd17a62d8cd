"""Several ranks as threads of one process, whose exchanges go through queues instead of MPI."""

from __future__ import annotations

import queue
import threading
from typing import Any

import numpy as np

from minivae.training.world import World


class Request:
    """A transfer that is done once its buffer has come; one that is sent is done at once."""

    def __init__(self, arrived: queue.Queue | None = None, into: Any = None) -> None:
        self.arrived, self.into = arrived, into

    def Test(self) -> bool:
        if self.arrived is not None:
            try:
                found = self.arrived.get_nowait()
            except queue.Empty:
                return False
            self.into[...] = found.reshape(self.into.shape)
            self.arrived = None
        return True


class FakeComm:
    """What World uses of an mpi4py communicator."""

    def __init__(self, rank: int, size: int, mail: dict) -> None:
        self.rank, self.size, self.mail = rank, size, mail

    def Isend(self, buffer: Any, dest: int, tag: int) -> Request:
        assert buffer.flags.c_contiguous
        self.box(self.rank, dest, tag).put(np.array(buffer))
        return Request()

    def Irecv(self, buffer: Any, source: int, tag: int) -> Request:
        assert buffer.flags.c_contiguous
        return Request(self.box(source, self.rank, tag), buffer)

    def box(self, *path: int) -> queue.Queue:
        """The queue of a path, the same for both its ends even if they ask at one moment."""
        return self.mail.setdefault(path, queue.Queue())


def on_ranks(size: int, work: Any) -> list[Any]:
    """work(World) on so many ranks at once -> what each gave; the first fault is raised."""
    mail: dict = {}
    found: list[Any] = [None] * size
    faults: list[BaseException] = []

    def one(rank: int) -> None:
        try:
            found[rank] = work(World(FakeComm(rank, size, mail), limit=20))
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return found
