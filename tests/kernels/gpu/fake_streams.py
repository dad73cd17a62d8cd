"""Streams, events and graphs as CuPy has them, over the clocks of fake_order.py.

A capture notes operations, and the events by which its branches wait for each other. A launch of
its graph goes through them with a clock for each branch, so that branches which may overtake each
other are held to touch different bytes.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from fake_order import LEGACY, PER_THREAD, CaptureError, Clock, Order, Span, join


class Stream:
    """The legacy default stream, the per-thread one, or a new one."""

    def __init__(self, cupy: Any, ptr: int, non_blocking: bool) -> None:
        self.cupy, self.ptr, self.non_blocking = cupy, ptr, non_blocking
        self.legacy = ptr == LEGACY
        self.clock: Clock = {}
        self.recording: list[Node | Mark] | None = None
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
            event.captured = self.recording
            self.recording.append(Mark(self.ptr, event, waits=False))
            return event
        self.order.refuse_implicit(self, "record")
        event.clock, event.recorded, event.captured = dict(self.order.known(self)), True, None
        return event

    def wait_event(self, event: Event) -> None:
        if event.captured is None:
            if self.recording is not None:
                raise CaptureError("wait_event: cudaErrorStreamCaptureIsolation")
            self.order.refuse_implicit(self, "wait_event")
            join(self.clock, event.clock)
            return
        if not any(s.recording is event.captured for s in self.order.streams):
            raise CaptureError("wait_event: the event's capture is over")
        if self.recording is None:  # this stream becomes a branch of the capture
            self.recording = event.captured
        elif self.recording is not event.captured:
            raise CaptureError("wait_event: cudaErrorStreamCaptureMerge")
        self.recording.append(Mark(self.ptr, event, waits=True))

    def begin_capture(self, mode: int | None = None) -> None:
        if self.ptr in (LEGACY, 1):
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self.recording is not None:
            raise CaptureError("begin_capture: cudaErrorIllegalState")
        self.recording = []

    def end_capture(self) -> Graph:
        if self.recording is None:
            raise CaptureError("end_capture: cudaErrorIllegalState")
        recorded = self.recording
        for stream in self.order.streams:
            if stream.recording is recorded:
                stream.recording = None
        return Graph(self.cupy, recorded, self.ptr)

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
            self.recording.append(Node(self.ptr, what, reads, writes, work))


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
        self.captured: list[Node | Mark] | None = None  # the recording, where it is part of one

    def record(self, stream: Stream | None = None) -> None:
        (self.cupy.current[-1] if stream is None else stream).record(self)

    def synchronize(self) -> None:
        join(self.cupy.order.host, self.clock)
        self.cupy.order.settle()

    @property
    def done(self) -> bool:
        """Whether the host knows it; a card may say so earlier."""
        return all(self.cupy.order.host.get(s, 0) >= n for s, n in self.clock.items())


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
        self, stream: int, what: str, reads: list[Span], writes: list[Span], work: Any
    ) -> None:
        self.stream, self.what, self.work = stream, what, work
        self.reads, self.writes = (
            [(weakref.ref(span.buffer), span.start, span.stop) for span in spans]
            for spans in (reads, writes)
        )

    def perform(self, order: Order, clock: Clock, stream: int) -> None:
        reads, writes = (
            [Span(ref(), start, stop) for ref, start, stop in spans]
            for spans in (self.reads, self.writes)
        )
        if any(span.buffer is None for span in (*reads, *writes)):
            raise CaptureError(f"{self.what}: a graph works on memory that was given back")
        order.perform(clock, stream, self.what, reads, writes, self.work)


class Mark(NamedTuple):
    """A branch records an event, or waits for it."""

    stream: int
    event: Event
    waits: bool


class Graph:
    """What a capture has recorded, from the stream where it began."""

    def __init__(self, cupy: Any, items: list[Node | Mark], origin: int) -> None:
        self.cupy, self.items, self.origin = cupy, items, origin
        self._refuse_open_ends()

    def _refuse_open_ends(self) -> None:
        """Every branch must have been waited for by the end."""
        counts: dict[int, int] = {}

        def count(node: Node, clock: Clock, branch: int) -> None:
            counts[branch] = clock[branch] = counts.get(branch, 0) + 1

        end: Clock = {}
        self._play(end, self.origin, count)
        if any(end.get(branch, 0) < n for branch, n in counts.items()):
            raise CaptureError("end_capture: cudaErrorStreamCaptureUnjoined")

    def _play(self, clock: Clock, stream: int, perform: Callable[[Node, Clock, int], None]) -> None:
        """Go through it on a stream with this clock; branches get negative numbers of their own."""
        clocks = {self.origin: (stream, clock)}
        events: dict[int, Clock] = {}
        for item in self.items:
            number, own = clocks.setdefault(item.stream, (-1 - item.stream, {}))
            if isinstance(item, Node):
                perform(item, own, number)
            elif item.waits:
                join(own, events[id(item.event)])
            else:
                events[id(item.event)] = dict(own)

    def launch(self, stream: Stream | None = None) -> None:
        stream = self.cupy.current[-1] if stream is None else stream
        if stream.recording is not None:
            raise CaptureError("launch: a graph in a capture")
        order = stream.order
        order.refuse_implicit(stream, "launch")
        self._play(
            order.known(stream), stream.ptr, lambda node, clock, n: node.perform(order, clock, n)
        )


__all__ = ["LEGACY", "PER_THREAD", "Event", "Graph", "Stream", "get_elapsed_time"]
