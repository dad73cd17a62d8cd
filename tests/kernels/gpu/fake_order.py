"""Which work on a card is known to come before which: a race detector for the stand-in.

Every stream has a vector clock, the host has one too, and every buffer remembers who touched which
of its bytes. Work that touches a buffer must come after what it conflicts with, by CUDA's rules:

* work on one stream is in order;
* the legacy default stream and the blocking streams wait for each other; a non-blocking stream
  and the per-thread default stream wait for no other (the per-thread one for the legacy one);
* an event, or the host waiting for a stream, orders the rest.

The stand-in itself runs everything at once. A race is therefore an error that is raised, not a
wrong number that may or may not show.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

Clock = dict[int, int]  # stream -> how many of its operations are known to be done

LEGACY, PER_THREAD = 0, 2  # the handles that CUDA gives these two


class CaptureError(RuntimeError):
    """Something that CUDA, or this project, forbids while a stream is captured."""


class RaceError(RuntimeError):
    """Two operations on the same memory that nothing keeps in order."""


class Moment(NamedTuple):
    """The n-th operation of a stream, and what it was."""

    stream: int
    n: int
    what: str

    def before(self, known: Clock) -> bool:
        """Whether work that knows this much comes after it."""
        return known.get(self.stream, 0) >= self.n


class Span(NamedTuple):
    """Some bytes of a buffer."""

    buffer: Any
    start: int
    stop: int


class Access(NamedTuple):
    """Who touched which bytes, and how."""

    start: int
    stop: int
    write: bool
    moment: Moment


def join(clock: Clock, other: Clock) -> None:
    """Learn what the other knows."""
    for stream, n in other.items():
        clock[stream] = max(clock.get(stream, 0), n)


class Log:
    """Who has touched which bytes of a buffer, as far as it still matters."""

    def __init__(self, size: int, allocated: Moment) -> None:
        self.accesses = [Access(0, size, True, allocated)]

    def pending(self, span: Span, known: Clock, *, write: bool) -> Moment | None:
        """An operation that conflicts with a read (or write) that knows only so much."""
        for a in self.accesses:
            meet = a.start < span.stop and span.start < a.stop
            if meet and (write or a.write) and not a.moment.before(known):
                return a.moment
        return None

    def note(self, span: Span, moment: Moment, *, write: bool) -> None:
        """Remember an access; what it comes after and covers need not be remembered any more."""

        def covered(a: Access) -> bool:
            inside = span.start <= a.start and a.stop <= span.stop
            return inside and (write or (not a.write and a.moment.stream == moment.stream))

        self.accesses = [a for a in self.accesses if not covered(a)]
        self.accesses.append(Access(span.start, span.stop, write, moment))


class Order:
    """The clocks of all streams and of the host."""

    def __init__(self) -> None:
        self.host: Clock = {}
        self.streams: list[Any] = []
        self.done: dict[int, int] = {}  # operations of each stream so far
        self.sent: list[tuple[Moment, Any, bytes]] = []  # copies from the host that may be pending
        self.faults: list[str] = []  # found where nothing can be raised: when memory is given back

    def known(self, stream: Any) -> Clock:
        """What the next operation on this stream comes after."""
        clock: Clock = stream.clock
        join(clock, self.host)
        for other in self.streams:
            implied = stream.legacy or other.legacy
            if implied and other is not stream and not (stream.non_blocking or other.non_blocking):
                join(clock, other.clock)
        return clock

    def operate(
        self,
        stream: Any,
        what: str,
        reads: Iterable[Span],
        writes: Iterable[Span],
        work: Callable[[], None],
    ) -> None:
        """Do some work on a stream. RaceError where nothing orders it after what it needs."""
        self.refuse_implicit(stream, what)
        self.perform(self.known(stream), stream.ptr, what, reads, writes, work)

    def perform(
        self,
        clock: Clock,
        stream: int,
        what: str,
        reads: Iterable[Span],
        writes: Iterable[Span],
        work: Callable[[], None],
    ) -> None:
        """The same, for work that is known to come after what the clock says."""
        if self.faults:
            raise RaceError(self.faults[0])
        for spans, write in ((reads, False), (writes, True)):
            for span in spans:
                earlier = span.buffer.log.pending(span, clock, write=write)
                if earlier is not None:
                    raise RaceError(
                        f"{what} on stream {stream} {'writes' if write else 'reads'} "
                        f"{span.buffer}, and nothing makes it wait for {earlier.what} on stream "
                        f"{earlier.stream}"
                    )
        self.done[stream] = clock[stream] = self.done.get(stream, 0) + 1
        moment = Moment(stream, clock[stream], what)
        for spans, write in ((reads, False), (writes, True)):
            for span in spans:
                span.buffer.log.note(span, moment, write=write)
        work()

    def sending(self, host: Any, moment: Moment) -> None:
        """A copy has begun that may read the host's array until somebody has waited for it.

        CUDA stages pageable memory where it must; where the card reads it by itself, it may not.
        """
        owner = host
        while getattr(owner, "base", None) is not None and hasattr(owner.base, "tobytes"):
            owner = owner.base

        def freed(_: Any) -> None:
            if not moment.before(self.host):
                self.faults.append("host memory was given back while it was being copied")

        self.sent.append((moment, weakref.ref(owner, freed), owner.tobytes()))

    def settle(self) -> None:
        """Copies that the host knows to be done: their source must not have changed meanwhile."""
        for moment, owner, before in self.sent:
            source = owner()
            if moment.before(self.host) and source is not None and source.tobytes() != before:
                self.faults.append("host memory was changed while it was being copied")
        self.sent = [sent for sent in self.sent if not sent[0].before(self.host)]

    def refuse_implicit(self, stream: Any, what: str) -> None:
        """The legacy stream may not be touched while a blocking stream is captured."""
        if stream.legacy and any(
            s.recording is not None and not s.non_blocking for s in self.streams
        ):
            raise CaptureError(f"{what}: cudaErrorStreamCaptureImplicit")

    def wait(self, stream: Any) -> None:
        """The host waits for a stream."""
        self.refuse_implicit(stream, "synchronise")
        join(self.host, self.known(stream))
        self.settle()

    def now(self, stream: Any, what: str) -> Moment:
        """The point that a stream has reached."""
        return Moment(stream.ptr, stream.clock.get(stream.ptr, 0), what)

    def released(self, buffer: Any) -> None:
        """Memory goes back to the pool of the stream it was allocated on, which may use it anew."""
        known = dict(self.known(buffer.stream))
        earlier = buffer.log.pending(Span(buffer, 0, buffer.size), known, write=True)
        if earlier is not None:
            self.faults.append(
                f"{buffer} was given back to the pool of stream {buffer.stream.ptr}, and nothing "
                f"makes its next user wait for {earlier.what} on stream {earlier.stream}"
            )
