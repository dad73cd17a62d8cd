"""Stand-ins that the tests of training hand to it: a stop, a reporter, a backend."""

from __future__ import annotations

from minivae.backend import load_backend
from minivae.training.progress import NullReporter
from minivae.training.step import ReferenceStep


class StopAt:
    """Asks to stop at the n-th pause."""

    def __init__(self, n):
        self.left = n

    def __call__(self):
        self.left -= 1
        return self.left < 0


class Notes(NullReporter):
    """Keeps what it is told to note."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


class RecordingBackend:
    """A backend whose steps write down the rows they are given."""

    def __init__(self):
        self.K, self.seen, self.name = load_backend("numpy"), [], "numpy"

    def __getattr__(self, name):
        return getattr(self.K, name)

    def make_step(self, *args):
        step, seen = ReferenceStep(self.K, *args), self.seen

        class Step:
            def __call__(self, rows, t, lr, beta):
                seen.append((rows.copy(), t, lr.copy(), beta.copy()))
                step(rows, t, lr, beta)

            def __getattr__(self, name):
                return getattr(step, name)

        return Step()
