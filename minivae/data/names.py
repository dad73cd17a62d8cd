"""Names as people see them: which look alike, and which is nearest to one that is not known."""

from __future__ import annotations

import difflib
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterable

from minivae.data.errors import DataError

NAMED = 3  # in a message


def nearest_words(word: str, known: Iterable[str]) -> str:
    """A hint " (did you mean x?)", or nothing where no known word is near."""
    near = difflib.get_close_matches(word[:200], list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]}?)" if near else ""


def listed(words: Iterable[str]) -> str:
    """ "a, b, c and 2 more", of the words for five columns."""
    words = list(words)
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return ", ".join(words[:NAMED]) + more


def refuse_twice(names: Iterable[str], where: object) -> None:
    """DataError naming columns of one name: which of them is meant could not be said."""
    counts = Counter(map(one_spelling, names))
    twice = [repr(name) for name, count in counts.items() if count > 1]
    if twice:
        told = " and two called ".join(twice[:NAMED])
        raise DataError(f"{where}: has two columns called {told}; rename one of them")


def one_spelling(name: str) -> str:
    """The name in Unicode's composed form: ö can be one letter or two, which look alike."""
    return unicodedata.normalize("NFC", name)


def as_seen(name: str) -> str:
    """What two names have in common that a person, or another system, could take for each other.

    Without case, wide and ligated forms, letters that are not drawn, `./`, the kind of slash, an
    ending .npy, and with - read as _.
    """
    plain = unicodedata.normalize("NFKC", name).casefold()
    drawn = "".join(c for c in plain if unicodedata.category(c) != "Cf")
    path = posixpath.normpath(drawn.replace("\\", "/"))
    return path.removesuffix(".npy").replace("-", "_")
