"""Which work on a card is known to come before which: a race detector for the stand-in.

Every stream has a vector clock, the host has one too, and every buffer remembers who wrote and
read it last. Work that touches a buffer must come after what it conflicts with, by CUDA's rules:

* work on one stream is in order;
* the legacy default stream and the blocking streams wait for each other; a non-blocking stream
  and the per-thread default stream wait for no other (the per-thread one for the legacy one);
* an event, or the host waiting for a stream, orders the rest.

The stand-in itself runs everything at once. A race is therefore an error that is raised, not a
wrong number that may or may not show.
"""

from __future__ import annotations

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


def join(clock: Clock, other: Clock) -> None:
    """Learn what the other knows."""
    for stream, n in other.items():
        clock[stream] = max(clock.get(stream, 0), n)


class Log:
    """Who wrote a buffer last, and who has read it since."""

    def __init__(self, allocated: Moment) -> None:
        self.write, self.reads = allocated, dict[int, Moment]()

    def pending(self, known: Clock, *, write: bool) -> Moment | None:
        """An operation that conflicts with a read (or write) that knows only so much."""
        if not self.write.before(known):
            return self.write
        if write:
            return next((read for read in self.reads.values() if not read.before(known)), None)
        return None

    def note(self, moment: Moment, *, write: bool) -> None:
        """Remember an access."""
        if write:
            self.write, self.reads = moment, {}
        else:
            self.reads[moment.stream] = moment


class Order:
    """The clocks of all streams and of the host."""

    def __init__(self) -> None:
        self.host: Clock = {}
        self.streams: list[Any] = []
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
        reads: Iterable[Any],
        writes: Iterable[Any],
        work: Callable[[], None],
    ) -> None:
        """Do some work on a stream. RaceError where nothing orders it after what it needs."""
        if self.faults:
            raise RaceError(self.faults[0])
        self.refuse_implicit(stream, what)
        clock = self.known(stream)
        for buffers, write in ((reads, False), (writes, True)):
            for buffer in buffers:
                earlier = buffer.log.pending(clock, write=write)
                if earlier is not None:
                    raise RaceError(
                        f"{what} on stream {stream.ptr} {'writes' if write else 'reads'} "
                        f"{buffer}, and nothing makes it wait for {earlier.what} on stream "
                        f"{earlier.stream}"
                    )
        clock[stream.ptr] = clock.get(stream.ptr, 0) + 1
        moment = Moment(stream.ptr, clock[stream.ptr], what)
        for buffer in reads:
            buffer.log.note(moment, write=False)
        for buffer in writes:
            buffer.log.note(moment, write=True)
        work()

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

    def now(self, stream: Any, what: str) -> Moment:
        """The point that a stream has reached."""
        return Moment(stream.ptr, stream.clock.get(stream.ptr, 0), what)

    def released(self, buffer: Any) -> None:
        """Memory goes back to the pool of the stream it was allocated on, which may use it anew."""
        known = dict(self.known(buffer.stream))
        earlier = buffer.log.pending(known, write=True)
        if earlier is not None:
            self.faults.append(
                f"{buffer} was given back to the pool of stream {buffer.stream.ptr}, and nothing "
                f"makes its next user wait for {earlier.what} on stream {earlier.stream}"
            )
