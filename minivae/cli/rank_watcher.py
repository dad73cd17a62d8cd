"""Who names a rank that is killed: the process that the launcher started, which only waits.

Under mpiexec a command goes on in a child of that process. The child is the rank; its parent
becomes this file, run as a script: some megabytes, no NumPy, nothing to do until the child ends. Of
a killed child it hears from the system itself, before any launcher does, so it can say which rank
it was. Launchers end the processes that they started and those of their group: where this one rank
is ended with all the others, its watcher is too, and says nothing. So one line comes, also from
many machines. The watcher ends when its rank does; its exit code is the rank's.
"""

import os
import signal
import sys

# A launcher sends these to the whole group, to ask the ranks to stop: the watcher waits for them.
ASKED = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
LOOKS = 0.5  # seconds between a rank's looks whether its watcher is still there
READ = 2.0  # seconds that a launcher has to read a last line before it is told to end
_run: bytes | None = None  # in a rank: its run, as its watcher was told it
_to_watcher: int | None = None


def stand_by() -> None:
    """Go on in a child of this process, which itself waits for that child's end, and reports it.

    To be called before anything large is imported, and before there are threads.
    """
    global _to_watcher
    from minivae.processes import RANKS, launcher, own_rank, processes

    if processes() == 1 or not hasattr(os, "fork"):
        return
    watcher, who = os.getpid(), (own_rank(), processes(), launcher())
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        _to_watcher = tell
        look_after(watcher, *who)
        return
    for number in ASKED:
        signal.signal(number, signal.SIG_IGN)  # stays so in the program that follows
    os.set_inheritable(told, True)
    words = [sys.executable, "-I", "-S", __file__, *map(str, (child, told, *who))]
    # without the number by which people look for a rank
    os.execve(sys.executable, words, {k: v for k, v in os.environ.items() if k not in RANKS})


def look_after(watcher: int, rank: int, size: int, launcher: str) -> None:
    """In the rank: end it, in one line, should its watcher be gone, for then the launcher is too.

    A watcher that was only stopped is woken at the end: the launcher waits for it.
    """
    import atexit
    import threading
    import time

    def look() -> None:
        while os.getppid() == watcher:
            time.sleep(LOOKS)
        what = f"lost process {watcher}, by which it was started"
        report(rank, os.getpid(), what, advice(_run, size, launcher))
        os._exit(1)

    def wake() -> None:
        if os.getppid() == watcher:
            os.kill(watcher, signal.SIGCONT)

    threading.Thread(target=look, daemon=True).start()
    atexit.register(wake)


def tell_run(path: "os.PathLike[str]") -> None:
    """In the rank: the run that goes on with `--resume`, for what its watcher would say."""
    global _run
    if _to_watcher is not None:
        _run = os.fsencode(os.path.abspath(path))
        os.write(_to_watcher, _run)


def wait(child: int, told: int, rank: int, size: int, launcher: str) -> int:
    """Wait for the rank's end; say so where a signal ended it. Returns the exit code."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code >= 0:
        return code
    if -code in ASKED:
        return 128 - code
    os.set_blocking(told, False)
    try:
        run = os.read(told, 65536)
    except BlockingIOError:
        run = None
    what = f"was killed ({signal_name(-code)})"
    report(rank, child, what, advice(run, size, launcher))
    return 1


def report(rank: int, process: int, what: str, then: str) -> None:
    """One line on stderr: which rank ended, how, and how the job goes on."""
    who = f"rank {rank} (process {process} on {os.uname().nodename})"
    line = f"error: {who} {what}: the job ends; {then}\n"
    os.write(2, line.encode(errors="backslashreplace"))
    until_read()
    end_job()


def until_read() -> None:
    """Wait until what was written on stderr has been read, where that is a pipe: at most `READ`.

    MPICH's launcher ends at an abort, and of stderr has what its proxy has passed on by then; where
    both have come to the proxy, it answers the abort first.
    """
    import stat
    import time

    try:
        from fcntl import ioctl
        from termios import FIONREAD

        end = time.monotonic() + READ
        while stat.S_ISFIFO(os.fstat(2).st_mode) and time.monotonic() < end:
            if not any(ioctl(2, FIONREAD, bytes(4))):  # bytes that wait there, as a C int
                return
            time.sleep(0.001)
    except (ImportError, OSError):  # no such system, or nobody at the other end
        return


def end_job() -> None:
    """MPI_Abort as MPICH's launcher and srun --mpi=pmi2 hear it. Of an exit alone the one may not
    tell other machines; the other lets the rest of the ranks go on."""
    hears = "HYDI_CONTROL_FD" in os.environ or os.environ.get("SLURM_MPI_TYPE") == "pmi2"
    if hears and "PMI_FD" in os.environ:
        os.write(int(os.environ["PMI_FD"]), b"cmd=abort exitcode=1 message=abort\n")


def signal_name(number: int) -> str:
    """What a signal is called, and what sends the one that is sent most."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name}: by hand, or by a system short of memory" if name == "SIGKILL" else name


def advice(run: bytes | None, size: int, launcher: str) -> str:
    """How far the run came, as far as can be seen from this machine, and how it goes on."""
    import json
    import shlex

    if not run:
        return "give the same command again"
    try:
        with open(os.path.join(run, b"checkpoints", b"last.json"), "rb") as file:
            at = json.load(file)["progress"]
        last = f"last checkpoint: epoch {int(at['epoch'])}, update {int(at['t'])}"
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        last = "its machine sees no checkpoint yet"
    whole = os.path.abspath(os.fsdecode(run))  # the command works from any directory
    words = [*launcher.split(), "-n", str(size), "minivae", "train", "--resume", whole]
    return f"{last}. Go on with: {shlex.join(words)}"


if __name__ == "__main__":
    child, told, rank, size = map(int, sys.argv[1:-1])
    raise SystemExit(wait(child, told, rank, size, sys.argv[-1]))
