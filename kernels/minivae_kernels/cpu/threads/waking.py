"""The words of a crew (crew.py), and how its members fall asleep and are woken."""

from __future__ import annotations

from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.threads.barrier import (
    FUTEX_WAIT,
    FUTEX_WAKE,
    SLEEPS,
    TAKEN,
    WORD,
    atomic_add,
    atomic_load,
    atomic_store,
    futex,
    give_way,
    nanoseconds,
    nap,
)

# Words of the crew, besides PATIENCE, each on cache lines of its own. Compiled code is given the
# address of the first.
(BUSY, STATE, NEXT, COUNT, FUNCTION, ARGUMENTS, MOST, CALLS, SLEEPERS, CALLER_SLEEPS, TEAM,
 ALONE_FOR, SHARED_AT, SHORT_AT, CALLED_AT,
 END) = range(TAKEN, TAKEN + 16 * WORD, WORD)  # fmt: skip
# STATE: a job's number, whether it is open to members, and how many are at it.
NUMBER = 16  # the bit at which its number begins
JOB, OPEN, AT_IT = 1 << NUMBER, 1 << 15, (1 << 15) - 1
LINGER = 20_000  # turns that a member stays awake after its work, some 0.2 ms
# Nanoseconds for which it then offers its core to others and, where nobody wants it, goes on
# looking, after work that is worth waking for: as OpenBLAS's threads do, and for as long.
AWAKE = 25_000_000
SOON = 1_000_000  # nanoseconds between two short jobs that are part of a run of them

if SLEEPS:

    @inner
    def sleep_while(crew, word, value):
        """Sleep in the kernel while the word is this; not on a STATE that nobody is at."""
        if word != STATE or value & AT_IT != 0:
            futex(crew, word, FUTEX_WAIT, value)

    @inner
    def call_members(crew):
        """Tell those who sleep that there is something to do; it costs a look where nobody does."""
        atomic_add(crew, CALLS, 1)
        if atomic_add(crew, SLEEPERS, 0) != 0:
            futex(crew, CALLS, FUTEX_WAKE, 1 << 30)

    @inner
    def tell_caller(crew):
        """Wake a caller that waits for the last member."""
        if atomic_add(crew, CALLER_SLEEPS, 0) != 0:
            futex(crew, STATE, FUTEX_WAKE, 1 << 30)

    @inner
    def in_a_run(crew):
        """Whether the last short job that met sleepers was just now, and nobody was called since.

        They need longer to come than such a job takes, and a call costs the caller 6 µs.
        """
        now = nanoseconds()
        one_of_many = now - atomic_load(crew, SHORT_AT) < SOON
        atomic_store(crew, SHORT_AT, now)
        if one_of_many and now - atomic_load(crew, CALLED_AT) > SOON:
            atomic_store(crew, CALLED_AT, now)
            return True
        return False

    @inner
    def keep_awake(crew):
        """There was work worth sharing: there may be more of it soon."""
        atomic_store(crew, SHARED_AT, nanoseconds())

    @inner
    def is_kept_awake(crew):
        """Whether there was such work lately; if so, this core was offered to others meanwhile."""
        lately = nanoseconds() - atomic_load(crew, SHARED_AT) < AWAKE
        if lately:
            give_way()
        return lately

else:

    @inner
    def sleep_while(crew, word, value):
        """Let another thread have this core; idle members look again in a millisecond."""
        if word == STATE:
            give_way()
        else:
            nap()

    @inner
    def call_members(crew):
        """Nobody sleeps."""
        atomic_add(crew, CALLS, 1)

    @inner
    def tell_caller(crew):
        """Nobody sleeps."""

    @inner
    def in_a_run(crew):
        """Nobody is woken."""
        return False

    @inner
    def keep_awake(crew):
        """Members nap for a millisecond at most."""

    @inner
    def is_kept_awake(crew):
        """They nap."""
        return False
