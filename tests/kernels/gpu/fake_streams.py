"""Streams, events and graphs as CuPy has them, over the clocks of fake_order.py."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from fake_order import LEGACY, PER_THREAD, CaptureError, Clock, Order, join


class Stream:
    """The legacy default stream, the per-thread one, or a new one."""

    def __init__(self, cupy: Any, ptr: int, non_blocking: bool) -> None:
        self.cupy, self.ptr, self.non_blocking = cupy, ptr, non_blocking
        self.legacy = ptr == LEGACY
        self.clock: Clock = {}
        self.recording: list[Node] | None = None
        self.origin: Stream | None = None  # whose capture this is a branch of
        self.branches: list[Stream] = []  # of the capture that began here, with work not waited for
        self.order.streams.append(self)

    @property
    def order(self) -> Order:
        return self.cupy.order

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self) -> int:
        return self.ptr

    def __enter__(self) -> Stream:
        self.cupy.current.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.cupy.current.pop()

    def synchronize(self) -> None:
        if self.recording is not None:
            raise CaptureError("synchronise: cudaErrorStreamCaptureUnsupported")
        self.order.wait(self)

    def record(self, event: Event | None = None) -> Event:
        event = Event(self.cupy) if event is None else event
        if self.recording is not None:
            event.captured = self
            return event
        self.order.refuse_implicit(self, "record")
        event.clock, event.recorded, event.captured = dict(self.order.known(self)), True, None
        return event

    def wait_event(self, event: Event) -> None:
        if event.captured is not None:
            self._join(event.captured)
            return
        if self.recording is not None:
            raise CaptureError("wait_event: cudaErrorStreamCaptureIsolation")
        self.order.refuse_implicit(self, "wait_event")
        join(self.clock, event.clock)

    def _join(self, other: Stream) -> None:
        """Become a branch of the other's capture, or wait for one of its branches.

        The branches' work is kept in the order in which it came: whether it could run side by
        side is another test's question (test_gpu_branches.py).
        """
        if other.recording is None:
            raise CaptureError("wait_event: the event's capture is over")
        if self.recording is None:
            self.recording, self.origin = other.recording, other.origin or other
        elif self.recording is not other.recording:
            raise CaptureError("wait_event: cudaErrorStreamCaptureMerge")
        self.branches = [b for b in self.branches if b is not other]

    def begin_capture(self, mode: int | None = None) -> None:
        if self.ptr in (LEGACY, 1):
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self.recording is not None:
            raise CaptureError("begin_capture: cudaErrorIllegalState")
        self.recording = []

    def end_capture(self) -> Graph:
        if self.recording is None:
            raise CaptureError("end_capture: cudaErrorIllegalState")
        if self.branches:
            raise CaptureError("end_capture: cudaErrorStreamCaptureUnjoined")
        recorded, self.recording = self.recording, None
        for stream in self.order.streams:
            if stream.recording is recorded:
                stream.recording = stream.origin = None
        return Graph(self.cupy, recorded)

    def is_capturing(self) -> bool:
        return self.recording is not None

    def queue(
        self, what: str, reads: Iterable[Any], writes: Iterable[Any], work: Callable[[], None]
    ) -> None:
        """Do the work, or note it down while this stream is captured."""
        reads, writes = list(reads), list(writes)
        if self.recording is None:
            self.order.operate(self, what, reads, writes, work)
        else:
            self.recording.append(Node(what, reads, writes, work))
            if self.origin is not None and self not in self.origin.branches:
                self.origin.branches.append(self)


class Event:
    """A point in a stream's work."""

    def __init__(
        self,
        cupy: Any,
        block: bool = False,
        disable_timing: bool = False,
        interprocess: bool = False,
    ) -> None:
        self.cupy, self.timing = cupy, not disable_timing
        self.clock: Clock = {}
        self.recorded = False
        self.captured: Stream | None = None  # the stream, if it was being captured

    def record(self, stream: Stream | None = None) -> None:
        (self.cupy.current[-1] if stream is None else stream).record(self)

    def synchronize(self) -> None:
        join(self.cupy.order.host, self.clock)


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Milliseconds; here always one."""
    for event in (start_event, end_event):
        assert event.timing and event.recorded, "cudaErrorInvalidResourceHandle"
        for stream, n in event.clock.items():
            assert event.cupy.order.host.get(stream, 0) >= n, "cudaErrorNotReady"
    return 1.0


class Node:
    """One recorded operation. As on a card, it does not keep its memory alive."""

    def __init__(
        self, what: str, reads: list[Any], writes: list[Any], work: Callable[[], None]
    ) -> None:
        self.what, self.work = what, work
        self.reads, self.writes = ([weakref.ref(b) for b in a] for a in (reads, writes))

    def run(self, stream: Stream) -> None:
        reads, writes = ([ref() for ref in refs] for refs in (self.reads, self.writes))
        if any(buffer is None for buffer in (*reads, *writes)):
            raise CaptureError(f"{self.what}: a graph works on memory that was given back")
        stream.order.operate(stream, self.what, reads, writes, self.work)


class Graph:
    """What a capture has recorded."""

    def __init__(self, cupy: Any, nodes: list[Node]) -> None:
        self.cupy, self.nodes = cupy, nodes

    def launch(self, stream: Stream | None = None) -> None:
        stream = self.cupy.current[-1] if stream is None else stream
        if stream.recording is not None:
            raise CaptureError("launch: a graph in a capture")
        for node in self.nodes:
            node.run(stream)


__all__ = ["LEGACY", "PER_THREAD", "Event", "Graph", "Stream", "get_elapsed_time"]
